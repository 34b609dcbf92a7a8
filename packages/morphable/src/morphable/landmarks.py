"""Landmark schemes: what the 68 points mean, their mirror image, and the schemes that follow from them."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

NUM_IBUG68 = 68
MEDIAPIPE468 = "mediapipe468"
"""Scheme of the points of MediaPipe's face mesh, in its order, as measured on the open model; without its irises."""
NUM_JAW = 17
"""The jaw line comes first: from the person's right ear over the chin (point 8) to the left ear."""
CHIN = 8
JAW = range(NUM_JAW)
RIGHT_BROW, LEFT_BROW = range(17, 22), range(22, 27)
NOSE_RIDGE, NOSTRILS = range(27, 31), range(31, 36)
BROWS = range(17, 27)
NOSE = range(27, 36)
RIGHT_EYE, LEFT_EYE = range(36, 42), range(42, 48)
EYES = range(36, 48)
OUTER_LIPS, INNER_LIPS = range(48, 60), range(60, 68)
MOUTH = range(48, 68)
INNER_UPPER_LIP, INNER_LOWER_LIP = (61, 62, 63), (67, 66, 65)
"""Opposite points of the inner lips, in this order."""
SCAN_POINTS = (36, 39, 42, 45, 33, 48, 54)
"""Corners of the eyes, base of the nose, corners of the mouth: the seven landmarks of scans, in NoW's order."""
OPPOSITE_POINTS = (
    *((37, 41), (38, 40), (43, 47), (44, 46)),
    *((19, 37), (20, 38), (23, 43), (24, 44)),
    *zip(INNER_UPPER_LIP, INNER_LOWER_LIP, strict=True),
    *((50, 58), (51, 57), (52, 56)),
    *((48, 54), (60, 64)),
)
"""Pairs of the 68 points: upper and lower lids, brows and eyes, upper and lower lips, corners of the mouth."""
OPEN_LINES = (JAW, RIGHT_BROW, LEFT_BROW, NOSE_RIDGE, NOSTRILS)
CLOSED_LINES = (RIGHT_EYE, LEFT_EYE, OUTER_LIPS, INNER_LIPS)
"""Runs of the 68 points that are drawn as lines."""

_FLIPPED_RUNS = (
    *range(16, -1, -1),  # jaw
    *range(26, 16, -1),  # brows
    *range(27, 31),  # nose ridge
    *range(35, 30, -1),  # nostrils
    *(45, 44, 43, 42, 47, 46),  # the right eye's places hold the left eye's points ...
    *(39, 38, 37, 36, 41, 40),  # ... and the other way round
    *range(54, 47, -1),  # upper edge of the outer lips
    *range(59, 54, -1),  # lower edge
    *range(64, 59, -1),  # upper edge of the inner lips
    *range(67, 64, -1),  # lower edge
)
IBUG68_FLIP: Int[Tensor, "68"] = torch.tensor(_FLIPPED_RUNS)
"""For each of the 68 iBUG points the index of its counterpart on the mirrored face."""

_AFLW21 = (
    *((i,) for i in (17, 19, 21, 22, 24, 26)),  # brows
    *((36,), tuple(RIGHT_EYE), (39,), (42,), tuple(LEFT_EYE), (45,)),  # eye corners and centers
    *((2,), (31,), (30,), (35,), (14,)),  # right ear, nose, left ear
    *((48,), tuple(INNER_LIPS), (54,), (8,)),  # mouth, chin
)
_FIVE = (tuple(RIGHT_EYE), tuple(LEFT_EYE), (30,), (48,), (54,))
DERIVED_SCHEMES: dict[str, tuple[tuple[int, ...], ...]] = {"aflw21": _AFLW21, "five": _FIVE}
"""Schemes whose points are means of some of the 68. `aflw21`: AFLW's 21 points as 3DDFA's benchmark_aflw.py
takes them from the 68. `five`: eye centers, nose tip and mouth corners, the person's right first."""


def derive_landmarks(landmarks68: Float[Tensor, "*batch 68 dims"], scheme: str) -> Float[Tensor, "*batch lmk dims"]:
    """Reduce the 68 iBUG points, in 2D or 3D, to a scheme made of them.

    Args:
        landmarks68: The points in iBUG's order.
        scheme: `aflw21` or `five`.

    Raises:
        ValueError: If the scheme is not one of those.

    >>> morphable.derive_landmarks(torch.zeros(68, 2), "five").shape
    torch.Size([5, 2])
    """
    if scheme not in DERIVED_SCHEMES:
        raise ValueError(f"scheme must be one of {', '.join(sorted(DERIVED_SCHEMES))}, got {scheme!r}")
    groups = DERIVED_SCHEMES[scheme]
    return torch.stack([landmarks68[..., list(group), :].mean(-2) for group in groups], dim=-2)
