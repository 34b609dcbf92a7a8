"""Training targets of the center heatmap."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .decode import STRIDE_PX

MIN_IOU = 0.7
"""A center moved by the gaussian's radius keeps at least this overlap with its box (CornerNet's rule)."""
SIGMAS_PER_DIAMETER = 6.0
"""The window of 2 radius + 1 cells spans this many standard deviations (CenterNet)."""


@dataclass(frozen=True)
class CenterTargets:
    """Where the faces of a batch of images are on the heatmap."""

    heatmap: Float[Tensor, "batch rows cols"]
    """1 in the cell of every valid face, less around it for `kind="gaussian"`, else 0."""
    cell: Int[Tensor, "batch faces"]
    """Row-major cell of each face's center; 0 where not valid."""
    valid: Bool[Tensor, "batch faces"]
    """False on padding, for centers outside the picture, and for all but one face of a cell."""


def encode_centers(
    box_xyxy_px: Float[Tensor, "batch faces 4"],
    present: Bool[Tensor, "batch faces"],
    size_hw: tuple[int, int],
    *,
    kind: Literal["binary", "gaussian"] = "binary",
) -> CenterTargets:
    """Encode boxes as a center map.

    The center of a face is the center of its box. A center exactly on the right or bottom border belongs
    to the last cell; a center outside the picture has no cell. Of several faces in one cell the largest
    box (then the first) keeps it: a cell can hold only one face.

    Args:
        box_xyxy_px: Tight boxes of the 68 points in input pixels; any value (but no NaN) where not present.
        present: False on padding.
        size_hw: Height and width of the input, multiples of 8 pixels.
        kind: `binary` is the paper's map (equation 8); `gaussian` adds CenterNet's penalty-reducing
            bumps, whose width follows the size of the box.

    >>> box = torch.tensor([[[8.0, 8.0, 24.0, 24.0]]])
    >>> encode_centers(box, torch.tensor([[True]]), (32, 32)).heatmap.sum()
    tensor(1.)
    """
    rows, cols = size_hw[0] // STRIDE_PX, size_hw[1] // STRIDE_PX
    center_px = (box_xyxy_px[..., :2] + box_xyxy_px[..., 2:]) / 2
    border_px = center_px.new_tensor([size_hw[1], size_hw[0]])
    inside = ((center_px >= 0) & (center_px <= border_px)).all(-1) & present
    last = torch.tensor([cols - 1, rows - 1], device=center_px.device)
    col_row = torch.minimum((center_px / STRIDE_PX).floor().clamp(min=0).long(), last)
    cell = torch.where(inside, col_row[..., 1] * cols + col_row[..., 0], 0)
    size_px = (box_xyxy_px[..., 2:] - box_xyxy_px[..., :2]).clamp(min=0)
    valid = inside & ~_displaced(cell, inside, size_px.prod(-1))
    heatmap = torch.zeros(len(cell), rows * cols, device=cell.device, dtype=box_xyxy_px.dtype)
    heatmap = heatmap.scatter_reduce(1, cell, valid.to(heatmap.dtype), "amax").view(-1, rows, cols)
    if kind == "gaussian":
        radius = gaussian_radius(size_px / STRIDE_PX).where(valid, 0.0)
        heatmap = torch.maximum(heatmap, _bumps(col_row, radius, valid, (rows, cols)))
    return CenterTargets(heatmap=heatmap, cell=torch.where(valid, cell, 0), valid=valid)


def gaussian_radius(size: Float[Tensor, "*batch 2"], *, min_iou: float = MIN_IOU) -> Float[Tensor, "*batch"]:
    """Give the largest diagonal shift of a box that keeps an overlap with itself.

    A box of sides a, b shifted by (r, r) has intersection (a - r)(b - r); setting it to
    `2 q a b / (1 + q)` for the intersection over union q gives a quadratic in r.

    Args:
        size: Sides of the box, any unit.
        min_iou: The overlap kept, in (0, 1).

    Returns:
        The radius in the unit of `size`; 0 for an empty box.
    """
    total = size.sum(-1)
    area = size.prod(-1)
    lost = area * (1 - 2 * min_iou / (1 + min_iou))
    return (total - torch.sqrt((total * total - 4 * lost).clamp(min=0))) / 2


def _displaced(cell: Tensor, inside: Tensor, area: Tensor) -> Tensor:
    """Mark faces whose cell a larger face, or an equal one earlier in the list, takes."""
    faces = cell.shape[1]
    shared = (cell[:, :, None] == cell[:, None, :]) & inside[:, :, None] & inside[:, None, :]
    larger = area[:, None, :] > area[:, :, None]
    index = torch.arange(faces, device=cell.device)
    earlier = (area[:, None, :] == area[:, :, None]) & (index[None, :] < index[:, None])
    return (shared & (larger | earlier)).any(-1)


def _bumps(col_row: Tensor, radius: Tensor, valid: Tensor, grid: tuple[int, int]) -> Tensor:
    """Give the maximum over faces of gaussians cut off at their radius."""
    rows, cols = grid
    if col_row.shape[1] == 0:
        return radius.new_zeros(len(col_row), rows, cols)
    radius = radius.floor()[..., None, None]
    y = torch.arange(rows, device=radius.device) - col_row[..., 1, None]
    x = torch.arange(cols, device=radius.device) - col_row[..., 0, None]
    square = x[..., None, :] ** 2 + y[..., None] ** 2
    reach = torch.maximum(x.abs()[..., None, :], y.abs()[..., None])
    sigma = (2 * radius + 1) / SIGMAS_PER_DIAMETER
    bump = torch.exp(-square / (2 * sigma**2))
    return bump.where((reach <= radius) & valid[..., None, None], 0.0).amax(1)
