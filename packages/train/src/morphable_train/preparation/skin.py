"""Visible skin from landmarks and color, where no parsing network is given."""

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw

from morphable.landmarks import CHIN, INNER_LIPS, LEFT_BROW, LEFT_EYE, NUM_JAW, RIGHT_BROW, RIGHT_EYE

MAX_DEVIATION = 2.5
"""Skin pixels lie within this many standard deviations of the face's median color."""
FOREHEAD = 0.45
"""The face region reaches above the brows by this part of the distance from brows to chin."""
_MIN_SPREAD, _MAX_SPREAD = np.array([12.0, 3.0, 3.0]), np.array([26.0, 6.0, 6.0])
"""Limits of the standard deviations (luma, blue and red difference, 0-255): evenly lit faces are not cut to pieces,
and a half-shadowed face does not let hair pass."""
_HOLES = (RIGHT_EYE, LEFT_EYE, INNER_LIPS, RIGHT_BROW, LEFT_BROW)
_HOLE_GROWTH = 1.25
JAW, BROWS = slice(0, NUM_JAW), slice(RIGHT_BROW.start, LEFT_BROW.stop)
"""Places of these among the 68 points."""
MIN_KNOWN_JAW = 0.5
MIN_RING = 3
"""Points that enclose an area."""


def skin_mask(
    image: UInt8[np.ndarray, "rows cols 3"],
    landmarks68_px: Float[np.ndarray, "faces 68 2"],
    known: Bool[np.ndarray, "faces 68"] | None = None,
) -> UInt8[np.ndarray, "rows cols"]:
    """Return 255 where a face's skin is likely visible.

    The region is the jaw line closed over the forehead, without eyes, brows and the open mouth; in it, pixels far from
    the face's own median color (hair, glasses, hands of another tone, beards) are left out.

    Args:
        image: The photograph.
        landmarks68_px: 68 points of each face.
        known: False where a point is not annotated. The outline is that of the others; a face without chin, without
            brows or with less than half of its jaw line has no mask.
    """
    known = np.ones(landmarks68_px.shape[:2], bool) if known is None else known
    mask = np.zeros(image.shape[:2], bool)
    converted = np.asarray(Image.fromarray(image).convert("YCbCr"), np.float32)
    for points, valid in zip(landmarks68_px, known, strict=True):
        size_hw = image.shape[0], image.shape[1]
        if not (valid[CHIN] and valid[BROWS].any() and valid[JAW].mean() >= MIN_KNOWN_JAW):
            continue
        core = _region(points, valid, size_hw, forehead=0.0)
        if core.any():
            mask |= _region(points, valid, size_hw, forehead=FOREHEAD) & _like_skin(converted, core)
    return mask.astype(np.uint8) * 255


def _region(
    points: Float[np.ndarray, "68 2"], known: Bool[np.ndarray, " 68"], size_hw: tuple[int, int], *, forehead: float
) -> Bool[np.ndarray, "rows cols"]:
    """The face's outline up to some height above the brows, without its holes; unknown points are left out."""
    brows, chin = points[BROWS][known[BROWS]], points[CHIN]
    up = (brows.mean(0) - chin) * forehead
    outline = np.concatenate([points[JAW][known[JAW]], (brows + up)[::-1]])
    canvas = Image.new("1", (size_hw[1], size_hw[0]))
    draw = ImageDraw.Draw(canvas)
    draw.polygon([(float(x), float(y)) for x, y in outline], fill=1)
    for hole in _HOLES:
        ring = points[[index for index in hole if known[index]]]
        if len(ring) < MIN_RING:
            continue
        grown = (ring - ring.mean(0)) * _HOLE_GROWTH + ring.mean(0)
        draw.polygon([(float(x), float(y)) for x, y in grown], fill=0)
    return np.array(canvas, bool)


def _like_skin(
    converted: Float[np.ndarray, "rows cols 3"], region: Bool[np.ndarray, "rows cols"]
) -> Bool[np.ndarray, "rows cols"]:
    """Pixels near the region's median color, in robust standard deviations."""
    values = converted[region]
    median = np.median(values, axis=0)
    spread = np.clip(1.4826 * np.median(np.abs(values - median), axis=0), _MIN_SPREAD, _MAX_SPREAD)
    return (np.abs(converted - median) <= MAX_DEVIATION * spread).all(-1)
