"""Where teeth, tongue and the lining of the mouth rest behind the lips."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .identity import Identity
from .seams import rings_from
from .topology import Head

_TONGUE, _LOWER_TEETH, _LINING = "helper-tongue", "helper-lower-teeth", "mouth_cavity"
REST_M = {
    "helper-upper-teeth": (0.0, -0.0055, 0.0),
    _LOWER_TEETH: (0.0, -0.002, -0.0045),
    _TONGUE: (0.0, -0.012, -0.008),
}
"""How far each is moved from its place in MakeHuman's base mesh. There the upper teeth end 2 mm above the parting of
the lips and the tongue fills the gap: parted lips showed a pink surface instead of the teeth's edges and darkness."""
LOWER_ARCH = 0.92
"""Width of the lower row of teeth relative to MakeHuman's, whose sides pierce the cheeks of narrow jaws."""
LINING_RECESS_M, LINING_RINGS = 0.003, 3
"""How far the lining of the mouth lies behind its place in MakeHuman's base mesh, where many mouths press it through
the skin above and below the lips, and over how many edge loops from the lips' parting it gets there."""


def seat_mouth(identity: Identity, head: Head) -> Identity:
    """Put teeth and tongue where they show as in photographs, and the lining where the skin hides it."""
    mean = identity.mean.copy()
    for zone, move in REST_M.items():
        mean[_vertices(head, zone)] += move
    mean[_vertices(head, _LOWER_TEETH), 0] *= LOWER_ARCH
    lining = head.quads[head.zone == _LINING]
    border = np.intersect1d(lining, head.quads[head.zone == "head"])
    ring = rings_from(lining, border, len(head.template))
    inside = np.unique(lining)
    mean[inside, 2] -= LINING_RECESS_M * (ring[inside] / LINING_RINGS).clip(max=1.0)
    return replace(identity, mean=mean)


def keep_tongue_out(offsets: NDArray[np.float64], names: tuple[str, ...], head: Head) -> None:
    """Let the tongue that is put out end where it did before it was seated lower; offsets change in place."""
    offsets[names.index("tongueOut"), _vertices(head, _TONGUE)] -= REST_M[_TONGUE]


def _vertices(head: Head, zone: str) -> NDArray[np.int64]:
    """Base vertices of a zone."""
    return np.unique(head.quads[head.zone == zone])
