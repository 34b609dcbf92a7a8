"""Where teeth and tongue rest behind the lips."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .identity import Identity
from .topology import Head

_TONGUE = "helper-tongue"
REST_M = {
    "helper-upper-teeth": (0.0, -0.0055, 0.0),
    "helper-lower-teeth": (0.0, -0.002, -0.003),
    _TONGUE: (0.0, -0.012, -0.008),
}
"""How far each is moved from its place in MakeHuman's base mesh. There the upper teeth end 2 mm above the parting of
the lips and the tongue fills the gap: parted lips showed a pink surface instead of the teeth's edges and darkness."""


def seat_teeth_and_tongue(identity: Identity, head: Head) -> Identity:
    """Put teeth and tongue where they show as in photographs."""
    mean = identity.mean.copy()
    for zone, move in REST_M.items():
        mean[_vertices(head, zone)] += move
    return replace(identity, mean=mean)


def keep_tongue_out(offsets: NDArray[np.float64], names: tuple[str, ...], head: Head) -> None:
    """Let the tongue that is put out end where it did before it was seated lower; offsets change in place."""
    offsets[names.index("tongueOut"), _vertices(head, _TONGUE)] -= REST_M[_TONGUE]


def _vertices(head: Head, zone: str) -> NDArray[np.int64]:
    """Base vertices of a zone."""
    return np.unique(head.quads[head.zone == zone])
