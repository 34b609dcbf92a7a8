"""Wing loss (Feng et al. 2018), used by Mobile-FRNet on the vertices of the face."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ._reduce import face_mean


def wing_loss(
    predicted: Float[Tensor, "*batch points 3"],
    target: Float[Tensor, "*batch points 3"],
    *,
    width: float = 10.0,
    curvature: float = 2.0,
    present: Bool[Tensor, "*batch"] | None = None,
) -> Float[Tensor, ""]:
    """Compare points: logarithmic for small errors of a coordinate, linear for large ones.

    `width ln(1 + |x| / curvature)` below `width`, `|x| - C` above, with C for continuity. Both are in the
    unit of the points; the defaults suit pixels (the paper's w and epsilon).

    Args:
        predicted: Vertices or landmarks.
        target: The true ones.
        width: Where the logarithmic part ends.
        curvature: Smaller values stress small errors more.
        present: False on padding.

    Returns:
        The mean over coordinates and points, then over faces; zero without faces. Gradient zero at zero.

    >>> points = torch.rand(1, 68, 3)
    >>> wing_loss(points, points)
    tensor(0.)
    """
    error = predicted - target
    if present is not None:
        error = torch.where(present[..., None, None], error, 0.0)
    size = error.abs()
    offset = width - width * math.log1p(width / curvature)
    small = width * torch.log1p(size / curvature)
    loss = torch.where(size < width, small, size - offset)
    return face_mean(loss.mean((-2, -1)), present)
