"""Face centers from the center heatmap: local maxima, no non-maximum suppression."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

STRIDE_PX = 8
"""Input pixels per heatmap cell."""


@dataclass(frozen=True)
class Centers:
    """Face centers of a batch of images, best first, padded to `top` entries per image."""

    xy_px: Float[Tensor, "batch top 2"]
    """Center of the cell in input pixels: `(col + 0.5) * 8, (row + 0.5) * 8`."""
    score: Float[Tensor, "batch top"]
    """Probability of a face; 0 on padding."""
    cell: Int[Tensor, "batch top"]
    """Row-major cell of the heatmap."""
    valid: Bool[Tensor, "batch top"]
    """False on padding, where the other fields are meaningless."""


def cell_centers(cell: Int[Tensor, "*batch"], num_cols: int | torch.SymInt) -> Float[Tensor, "*batch 2"]:
    """Give the pixel position (x, y) of the centers of row-major cells.

    Args:
        cell: Row-major index into a heatmap.
        num_cols: Columns of the heatmap (symbolic while a graph is exported).
    """
    row = cell // num_cols  # type: ignore[operator]  # the stub lacks SymInt
    return (torch.stack([cell - row * num_cols, row], dim=-1).float() + 0.5) * STRIDE_PX


def local_maxima(heatmap: Float[Tensor, "batch rows cols"], *, window: int = 3) -> Bool[Tensor, "batch rows cols"]:
    """Mark cells that no neighbor exceeds; of equal neighbors the first in row-major order stays.

    Equal neighbors are common after int8 quantization. On a plateau, a cell stays only if no equal maximum
    comes before it within the window. Cell indices are compared in float32: exact up to 4096 x 4096 cells.

    Args:
        heatmap: Any monotone function of the score.
        window: Side of the neighborhood, cells: 3, or 5 as in the official code.
    """
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window must be odd and positive, got {window}")
    padding = window // 2
    _, rows, cols = heatmap.shape
    maximum = F.max_pool2d(heatmap[:, None], window, stride=1, padding=padding)[:, 0] == heatmap
    countdown = torch.arange(rows * cols, 0, -1, device=heatmap.device, dtype=torch.float32).view(1, rows, cols)
    rank = torch.where(maximum, countdown, 0.0)
    first = F.max_pool2d(rank[:, None], window, stride=1, padding=padding)[:, 0] == rank
    return maximum & first


def decode_centers(
    heatmap: Float[Tensor, "batch rows cols"],
    *,
    top_k: int | Tensor,
    min_score: float | Tensor = 0.5,
    window: int = 3,
) -> Centers:
    """Keep the local maxima of a center heatmap that exceed a score, best first.

    There are as many entries as the picture with the most of them has, at least one.

    Args:
        heatmap: Probabilities in [0, 1] (after the sigmoid).
        top_k: Most entries per image; a tensor where a graph is exported that takes it as an input.
        min_score: Entries must exceed it to be valid; as `top_k` a number or a tensor.
        window: Side of the neighborhood of a local maximum, cells.

    Raises:
        ValueError: `top_k` is less than 1.

    >>> heatmap = torch.zeros(1, 4, 4)
    >>> heatmap[0, 1, 2] = 0.9
    >>> decode_centers(heatmap, top_k=1).score
    tensor([[0.9000]])
    """
    _, rows, cols = heatmap.shape
    if not isinstance(top_k, Tensor) and top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k}")
    peaks = torch.where(local_maxima(heatmap, window=window), heatmap, 0.0).flatten(1)
    most = (peaks > min_score).sum(1).max().clamp(max=top_k)
    score, cell = peaks.topk(_at_least_one(most, rows * cols), dim=1)
    return Centers(xy_px=cell_centers(cell, cols), score=score, cell=cell, valid=score > min_score)


def _at_least_one(count: Int[Tensor, ""], limit: int | torch.SymInt) -> int | torch.SymInt:
    """Return a number of faces as an integer, also while a graph is exported."""
    number: int | torch.SymInt = count.clamp(min=1).item()  # type: ignore[assignment]  # a float for mypy
    torch._check(number >= 1)
    torch._check(number <= limit)
    return number
