"""Resizing of photographs, without a copy of all pixels of a large one."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

MAX_PIXELS = 1 << 24
"""Larger photographs are resized in bands."""
BAND_PIXELS = 1 << 22
"""Pixels that Pillow gets at once; it keeps each in four bytes."""
_SUPPORT = 0.5
"""Pillow's bilinear filter reaches this far beyond a pixel, in pixels of the result."""


def resized(
    pixels: UInt8[np.ndarray, "_ _ 3"],
    size: tuple[int, int],
    *,
    box: tuple[float, float, float, float] | None = None,
    reducing_gap: float,
) -> UInt8[np.ndarray, "rows cols 3"]:
    """Resize as Pillow's bilinear `Image.resize` does, without a copy of all pixels of a large photograph.

    Bytes are Pillow's own, or where more than `MAX_PIXELS` are left after the means, within 1 of them.

    Args:
        pixels: The photograph.
        size: Width and height of the result.
        box: Left, top, right and bottom edge of what is resized; by default all.
        reducing_gap: As Pillow's: means of whole pixels are taken first as long as this many per result remain.

    >>> import numpy as np
    >>> resized(np.full((30, 40, 3), 7, np.uint8), (4, 3), reducing_gap=2.0).shape
    (3, 4, 3)
    """
    left, top, right, bottom = box or (0.0, 0.0, pixels.shape[1], pixels.shape[0])
    step_x, step_y = (right - left) / size[0], (bottom - top) / size[1]
    factors = max(1, int(step_x / reducing_gap)), max(1, int(step_y / reducing_gap))
    if factors != (1, 1):
        first_x, first_y = max(0, int(left - _SUPPORT * step_x)), max(0, int(top - _SUPPORT * step_y))
        last_x = min(pixels.shape[1], math.ceil(right + _SUPPORT * step_x))
        last_y = min(pixels.shape[0], math.ceil(bottom + _SUPPORT * step_y))
        pixels = reduced(pixels[first_y:last_y, first_x:last_x], factors)
        left, right = (left - first_x) / factors[0], (right - first_x) / factors[0]
        top, bottom = (top - first_y) / factors[1], (bottom - first_y) / factors[1]
    across, down = (left, top, right, bottom), (0.0, top, float(size[0]), bottom)
    if pixels.shape[0] * pixels.shape[1] <= MAX_PIXELS:
        return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, box=across))
    narrow = by_bands(
        pixels,
        max(1, BAND_PIXELS // pixels.shape[1]),
        lambda band: band.resize((size[0], band.height), Image.Resampling.BILINEAR, box=(left, 0, right, band.height)),
    )
    return np.asarray(Image.fromarray(narrow).resize(size, Image.Resampling.BILINEAR, box=down))


def reduced(pixels: UInt8[np.ndarray, "_ _ 3"], factors: tuple[int, int]) -> UInt8[np.ndarray, "rows cols 3"]:
    """Take means of so many pixels, across and down, as Pillow's `Image.reduce` does.

    >>> import numpy as np
    >>> reduced(np.full((30, 41, 3), 7, np.uint8), (4, 3)).shape
    (10, 11, 3)
    """
    step = max(1, BAND_PIXELS // pixels.shape[1] // factors[1]) * factors[1]
    return by_bands(pixels, step, lambda band: band.reduce(factors))


def by_bands(
    pixels: UInt8[np.ndarray, "_ _ 3"], step: int, change: Callable[[Image.Image], Image.Image]
) -> UInt8[np.ndarray, "_ _ 3"]:
    """Change some rows after the other."""
    starts = range(0, pixels.shape[0], step)
    return np.concatenate([np.asarray(change(Image.fromarray(pixels[at : at + step]))) for at in starts])
