"""Similarity transforms of pictures, as 3x3 matrices on pixel coordinates (pixel corner at (0,0))."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

HALVE_BELOW = 0.6
"""Scales below this are reached through exact 2x2 box means first, so that nothing aliases."""


def similarity_matrix(
    scale: Float[Tensor, " batch"],
    angle_rad: Float[Tensor, " batch"],
    from_px: Float[Tensor, "batch 2"],
    to_px: Float[Tensor, "batch 2"],
) -> Float[Tensor, "batch 3 3"]:
    """Return the similarity that moves one point to another and scales and turns about it.

    Args:
        scale: Output pixels per input pixel.
        angle_rad: Turn in the picture, positive from +x (right) to +y (down).
        from_px: The point in the input picture.
        to_px: Where it comes to lie in the output picture.
    """
    cos, sin = scale * torch.cos(angle_rad), scale * torch.sin(angle_rad)
    linear = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    shift = to_px - (linear @ from_px[..., None])[..., 0]
    last = torch.tensor([0.0, 0.0, 1.0], dtype=scale.dtype, device=scale.device).expand(len(scale), 1, 3)
    return torch.cat([torch.cat([linear, shift[..., None]], -1), last], -2)


def flip_matrix(width_px: Float[Tensor, " batch"]) -> Float[Tensor, "batch 3 3"]:
    """Return the mirror image of pictures of the given widths: x becomes width - x."""
    matrix = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=width_px.dtype, device=width_px.device))
    matrix = matrix.repeat(len(width_px), 1, 1)
    matrix[:, 0, 2] = width_px
    return matrix


def transform_points(
    points_px: Float[Tensor, "batch points 2"], out_from_in: Float[Tensor, "batch 3 3"]
) -> Float[Tensor, "batch points 2"]:
    """Move pixel positions with the picture they lie in."""
    return points_px @ out_from_in[:, :2, :2].transpose(1, 2) + out_from_in[:, None, :2, 2]


def sampling_grid(
    out_from_in: Float[Tensor, "batch 3 3"], in_hw: tuple[int, int], out_hw: tuple[int, int]
) -> Float[Tensor, "batch rows cols 2"]:
    """Return where each output pixel's center lies in the input, in `grid_sample`'s units.

    `grid_sample(align_corners=False)` spans -1..1 from picture edge to picture edge, which is our pixel-corner
    convention; OpenCV's `warpAffine`, which counts from pixel centers, would need a shift of half a pixel.
    """
    device, dtype = out_from_in.device, out_from_in.dtype
    y = torch.arange(out_hw[0], device=device, dtype=dtype) + 0.5
    x = torch.arange(out_hw[1], device=device, dtype=dtype) + 0.5
    in_from_out = torch.linalg.inv(out_from_in.double()).to(dtype)
    scale = torch.tensor([2.0 / in_hw[1], 2.0 / in_hw[0]], device=device, dtype=dtype)
    linear = in_from_out[:, :2, :2] * scale[:, None]
    shift = in_from_out[:, :2, 2] * scale - 1.0
    along_x = linear[:, None, None, :, 0] * x[None, None, :, None]
    along_y = linear[:, None, None, :, 1] * y[None, :, None, None]
    return along_x + along_y + shift[:, None, None]


def warp(
    image: Float[Tensor, "batch channels in_rows in_cols"],
    out_from_in: Float[Tensor, "batch 3 3"],
    out_hw: tuple[int, int],
    *,
    padding: str = "border",
) -> Float[Tensor, "batch channels rows cols"]:
    """Resample pictures under one similarity (or mirrored similarity) each, bilinearly.

    Args:
        image: Pictures of one size.
        out_from_in: Output pixel from input pixel.
        out_hw: Height and width of the result.
        padding: `border` repeats the edge, `zeros` is black outside.
    """
    grid = sampling_grid(out_from_in, (image.shape[2], image.shape[3]), out_hw)
    return F.grid_sample(image, grid.to(image.dtype), "bilinear", padding, align_corners=False)


def shrink_for(
    image: Float[Tensor, "channels rows cols"], scale: float
) -> tuple[Float[Tensor, "channels small_rows small_cols"], float]:
    """Halve a picture until the remaining scale is mild, and return it with that remaining scale.

    Box means over 2x2 pixels are exact under the pixel-corner convention when the sides are even; an odd last
    row or column is repeated.
    """
    while scale < HALVE_BELOW and min(image.shape[1:]) > 2:
        odd_rows, odd_cols = image.shape[1] % 2, image.shape[2] % 2
        padded = F.pad(image[None], (0, odd_cols, 0, odd_rows), mode="replicate")
        image, scale = F.avg_pool2d(padded, 2)[0], scale * 2.0
    return image, scale
