"""Largest and mean values around each pixel, in time that hardly grows with how far around."""

import torch
from jaxtyping import Float
from scipy.ndimage import uniform_filter
from torch import Tensor


def largest_around(values: Float[Tensor, "*planes rows cols"], radius: int) -> Float[Tensor, "*planes rows cols"]:
    """Return the largest value in a square around each pixel; beyond the edge there is none.

    The largest value of a run is that of 2 overlapping runs of half the length, so that a few comparisons of whole
    planes do what a pooling layer does value by value.

    Args:
        values: Any planes.
        radius: Pixels on each side of the middle one.

    >>> largest_around(torch.tensor([[0.0, 5.0, 1.0, 2.0]]), 1)
    tensor([[5., 5., 5., 2.]])
    """
    for axis in (values.ndim - 2, values.ndim - 1):
        padding = (0, 0, radius, radius) if axis == values.ndim - 2 else (radius, radius)
        runs, covered = torch.nn.functional.pad(values, padding, value=-torch.inf), 1
        while covered < 2 * radius + 1:
            step = min(covered, 2 * radius + 1 - covered)
            count = runs.shape[axis] - step
            runs, covered = torch.maximum(runs.narrow(axis, 0, count), runs.narrow(axis, step, count)), covered + step
        values = runs
    return values


def mean_around(values: Float[Tensor, "*planes rows cols"], size: int) -> Float[Tensor, "*planes rows cols"]:
    """Return the mean of a square of some odd size around each pixel; beyond the edge all is 0.

    >>> mean_around(torch.tensor([[0.0, 3.0, 0.0]]), 3)
    tensor([[0.3333, 0.3333, 0.3333]])
    """
    sizes = (1,) * (values.ndim - 2) + (size, size)
    return torch.from_numpy(uniform_filter(values.numpy(), sizes, mode="constant"))
