"""Parts of photographs, so that no more of a large one than a face needs becomes numbers with fractions."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from morphable_detector_head.resizing import reduced

MAX_PIXELS = 1 << 24
"""Pixels of a part; of a larger one the mean of several is kept."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """A rectangle of a photograph."""

    pixels: UInt8[np.ndarray, "rows cols 3"]
    corner_px: Int[np.ndarray, "2"]
    """Left and top edge in the photograph."""
    factor: int
    """Pixels of the photograph per pixel of the window, in each direction: a power of two."""


def window(
    pixels: UInt8[np.ndarray, "_ _ 3"],
    low_px: Float[np.ndarray, "2"],
    high_px: Float[np.ndarray, "2"],
    *,
    align_px: int = 1,
    max_pixels: int = MAX_PIXELS,
) -> Window:
    """Cut the part of a photograph between two corners, at least one pixel of it.

    Args:
        pixels: The photograph.
        low_px: Left and top edge; may lie outside.
        high_px: Right and bottom edge; may lie outside.
        align_px: The edges are moved outward to multiples of this, but for those of the photograph.
        max_pixels: Larger parts are shrunk by a power of two.

    >>> import numpy as np
    >>> part = window(np.zeros((30, 40, 3), np.uint8), np.array([-3.0, 7.5]), np.array([9.2, 99.0]))
    >>> part.pixels.shape, part.corner_px.tolist()
    ((23, 10, 3), [0, 7])
    """
    limits = np.array([pixels.shape[1], pixels.shape[0]])
    low = (np.floor(low_px / align_px) * align_px).clip(0, limits - 1).astype(int)
    low -= low % align_px
    high = (np.ceil(high_px / align_px) * align_px).clip(low + 1, limits).astype(int)
    part = pixels[low[1] : high[1], low[0] : high[0]]
    halvings = max(0, math.ceil(math.log2(part.shape[0] * part.shape[1] / max_pixels) / 2))
    if halvings:
        part = reduced(part, (1 << halvings, 1 << halvings))
    return Window(pixels=part, corner_px=low, factor=1 << halvings)
