"""Axis-aligned boxes (left, top, right, bottom) in pixels."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

_SMALLEST_AREA = 1e-9
"""Floor of a union's area, in squared pixels: two empty boxes overlap by zero."""


def box_of_points(points_px: Float[Tensor, "*batch points 2"]) -> Float[Tensor, "*batch 4"]:
    """Return the tight box of some points."""
    return torch.cat([points_px.amin(-2), points_px.amax(-2)], dim=-1)


def box_iou(first: Float[Tensor, "first 4"], second: Float[Tensor, "second 4"]) -> Float[Tensor, "first second"]:
    """Return the intersection over union of every pair of boxes; zero where both are empty."""
    shared, first_area, second_area = _areas(first, second)
    return shared / (first_area + second_area - shared).clamp(min=_SMALLEST_AREA)


def share_of_smaller(
    first: Float[Tensor, "first 4"], second: Float[Tensor, "second 4"]
) -> Float[Tensor, "first second"]:
    """Return the intersection of every pair of boxes over the area of the smaller one; zero where that is empty."""
    shared, first_area, second_area = _areas(first, second)
    return shared / torch.minimum(first_area, second_area).clamp(min=_SMALLEST_AREA)


def distinct_boxes(boxes: Float[Tensor, "boxes 4"], max_iou: float) -> Int[Tensor, " kept"]:
    """Choose boxes that do not overlap an earlier chosen one (non-maximum suppression).

    Args:
        boxes: The best box first.
        max_iou: Overlap up to which two boxes are two things.

    Returns:
        Indices of the chosen boxes, in order.
    """
    free = box_iou(boxes, boxes) <= max_iou
    chosen: list[int] = []
    for index in range(len(boxes)):
        if bool(free[index, chosen].all()):
            chosen.append(index)
    return torch.tensor(chosen, dtype=torch.int64)


def _areas(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the shared areas of every pair, and the boxes' own areas as a column and as a row."""
    low = torch.maximum(first[:, None, :2], second[None, :, :2])
    high = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    own = [(box[:, 2:] - box[:, :2]).clamp(min=0).prod(-1) for box in (first, second)]
    return (high - low).clamp(min=0).prod(-1), own[0][:, None], own[1][None]
