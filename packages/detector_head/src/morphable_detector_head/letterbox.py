"""Photographs to the network's input and pixels back: one scale, symmetric padding."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from .resizing import MAX_PIXELS, resized

STRIDE_PX = 32
"""Sides of the network's input are multiples of this."""
PADDING_RGB = (124, 116, 104)
"""ImageNet's mean color (0.485, 0.456, 0.406) in bytes: about zero once the network has normalized it."""
SMALLEST_SIDE_PX = 256
"""Smaller photographs are enlarged to this."""
_ROUNDING = 1e-9
"""Forgives the last bit of a scaled side that is an integer."""
_EXACT_PX = 0.02
"""A picture that would lose less than this is scaled whole."""
_REDUCING_GAP = 3.0
"""Pillow may first shrink by an integer factor down to this multiple of the result."""


@dataclass(frozen=True, kw_only=True)
class Letterbox:
    """How a photograph sits in the network's input: both centers coincide, one scale for x and y."""

    photo_hw: tuple[int, int]
    input_hw: tuple[int, int]
    scale: float
    """Input pixels per photograph pixel."""

    def to_photo(self, xy_input_px: Float[np.ndarray, "*batch 2"]) -> Float[np.ndarray, "*batch 2"]:
        """Map pixels of the network's input to pixels of the photograph."""
        return (xy_input_px - _center(self.input_hw)) / self.scale + _center(self.photo_hw)

    def to_input(self, xy_photo_px: Float[np.ndarray, "*batch 2"]) -> Float[np.ndarray, "*batch 2"]:
        """Map pixels of the photograph to pixels of the network's input."""
        return (xy_photo_px - _center(self.photo_hw)) * self.scale + _center(self.input_hw)


def unenlarged_side(photo_hw: tuple[int, int], most_px: int | None = None) -> int:
    """Return a photograph's own long side, to the nearest multiple of 32 and at least `SMALLEST_SIDE_PX`.

    Enlarging adds nothing to see, and moves faces away from the sizes that were trained on.

    Args:
        photo_hw: Height and width of the photograph.
        most_px: Largest result; none by default.
    """
    own = max(round(max(photo_hw) / STRIDE_PX) * STRIDE_PX, SMALLEST_SIDE_PX)
    return own if most_px is None else min(most_px, own)


def plan_letterbox(photo_hw: tuple[int, int], size_px: int) -> Letterbox:
    """Fit the long side to `size_px` and round the short side up to a multiple of 32.

    Raises:
        ValueError: `size_px` is not a positive multiple of 32.
    """
    if size_px <= 0 or size_px % STRIDE_PX:
        raise ValueError(f"size_px must be a positive multiple of {STRIDE_PX}, got {size_px}; try 512")
    scale = size_px / max(photo_hw)
    height, width = (max(STRIDE_PX, math.ceil(side * scale / STRIDE_PX - _ROUNDING) * STRIDE_PX) for side in photo_hw)
    return Letterbox(photo_hw=photo_hw, input_hw=(height, width), scale=scale)


def letterbox(
    pixels: UInt8[np.ndarray, "rows cols 3"], size_px: int, *, square: bool = False
) -> tuple[UInt8[np.ndarray, "input_rows input_cols 3"], Letterbox]:
    """Resize and pad a photograph so that its center is the center of the input, to a fraction of a pixel.

    The picture's own size in input pixels is rarely an even integer, and only an even one can be padded
    symmetrically: up to one input pixel at each border is cut off rather than stretching the picture.

    Args:
        pixels: The photograph, RGB.
        size_px: Long side of the input, a multiple of 32.
        square: Pad the short side to `size_px` as well, so that inputs can be stacked.

    Raises:
        ValueError: `size_px` is not a positive multiple of 32.
    """
    plan = plan_letterbox((pixels.shape[0], pixels.shape[1]), size_px)
    if square:
        plan = replace(plan, input_hw=(size_px, size_px))
    pixels = np.require(pixels, requirements=["C", "W"])  # as torch takes them
    inner_hw = tuple(_even_side(side, plan.scale) for side in plan.photo_hw)
    canvas = np.empty((*plan.input_hw, 3), dtype=np.uint8)
    canvas[:] = PADDING_RGB
    top, left = ((outer - inner) // 2 for outer, inner in zip(plan.input_hw, inner_hw, strict=True))
    canvas[top : top + inner_hw[0], left : left + inner_hw[1]] = _resized(pixels, inner_hw, plan.scale)
    return canvas, plan


def _resized(pixels: np.ndarray, inner_hw: tuple[int, ...], scale: float) -> UInt8[np.ndarray, "rows cols 3"]:
    """Scale a picture about its center and cut it to a size, with a triangle filter as wide as a result's pixel."""
    if inner_hw == pixels.shape[:2]:
        return pixels
    sides = [inner / scale for inner in inner_hw]
    whole_picture = all(abs(side - whole) < _EXACT_PX for side, whole in zip(sides, pixels.shape[:2], strict=True))
    if whole_picture and pixels.shape[0] * pixels.shape[1] <= MAX_PIXELS:
        # the same filter as Pillow's, several times faster, for the whole picture only
        image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        small = F.interpolate(image, size=inner_hw, mode="bilinear", antialias=True, align_corners=False)
        return small[0].permute(1, 2, 0).numpy()
    box_h, box_w = (min(side, whole) for side, whole in zip(sides, pixels.shape[:2], strict=True))
    center_x, center_y = _center((pixels.shape[0], pixels.shape[1]))
    box = (center_x - box_w / 2, center_y - box_h / 2, center_x + box_w / 2, center_y + box_h / 2)
    return resized(pixels, (inner_hw[1], inner_hw[0]), box=box, reducing_gap=_REDUCING_GAP)


def network_input(canvas: UInt8[np.ndarray, "*batch rows cols 3"]) -> Float[Tensor, "*batch 3 rows cols"]:
    """Return pixels as the network takes them: RGB in [0, 1], channels first."""
    return torch.from_numpy(np.moveaxis(canvas, -1, -3)).to(torch.float32, memory_format=torch.contiguous_format) / 255


def _even_side(side: int, scale: float) -> int:
    """Largest even number of input pixels inside the scaled side, at least two."""
    return max(2, math.floor(side * scale / 2 + _ROUNDING) * 2)


def _center(size_hw: tuple[int, int]) -> Float[np.ndarray, "2"]:
    """Center of a picture, (x, y)."""
    return np.array([size_hw[1] / 2, size_hw[0] / 2])
