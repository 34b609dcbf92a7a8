"""Where teeth and tongue rest behind the lips."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .identity import Identity
from .topology import Head

REST_M = {
    "helper-upper-teeth": (0.0, -0.0055, 0.0),
    "helper-lower-teeth": (0.0, -0.002, -0.003),
    "helper-tongue": (0.0, -0.012, -0.008),
}
"""How far each is moved from its place in MakeHuman's base mesh. There the upper teeth end 2 mm above the parting of
the lips and the tongue fills the gap: parted lips showed a pink surface instead of the teeth's edges and darkness."""
TONGUE_OUT = "tongueOut"


def rest_offsets(head: Head, size: int) -> NDArray[np.float64]:
    """Return how far each base vertex is moved (base vertices, 3); `size` counts the eyeballs too."""
    offsets = np.zeros((size, 3))
    for zone, move in REST_M.items():
        offsets[np.unique(head.quads[head.zone == zone])] = move
    return offsets


def seat_teeth_and_tongue(identity: Identity, head: Head) -> Identity:
    """Put teeth and tongue where they show as in photographs."""
    return replace(identity, mean=identity.mean + rest_offsets(head, len(identity.mean)))


def keep_tongue_out(expressions: NDArray[np.float64], names: tuple[str, ...], head: Head) -> NDArray[np.float64]:
    """Let the tongue that is put out end where it did before it was seated lower."""
    expressions = expressions.copy()
    tongue = np.unique(head.quads[head.zone == "helper-tongue"])
    expressions[names.index(TONGUE_OUT), tongue] -= REST_M["helper-tongue"]
    return expressions
