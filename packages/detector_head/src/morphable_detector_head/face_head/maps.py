"""Points as the mean positions of maps, each near a rough estimate."""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .layers import separable, start_small

SEARCH_STD = 0.04
"""Standard deviation of a point's prior about its rough place, in sides of the crop."""


class PointMaps(nn.Module):
    """A map of logits for each point on the finest of some levels of features, each half as fine as the one before.

    A convolution finds the same edge wherever it lies, which a linear layer on pooled features must learn anew for
    every place.
    """

    def __init__(self, channels: Sequence[int], points: int, width: int = 64) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.smooth = nn.ModuleList(separable(width) for _ in channels[1:])
        self.maps = start_small(nn.Conv2d(width, points, 1))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Return the maps, from levels finest first."""
        out = self.lateral[-1](levels[-1])
        for k in reversed(range(len(self.smooth))):
            out = F.interpolate(out, size=levels[k].shape[-2:], mode="nearest") + self.lateral[k](levels[k])
            out = self.smooth[k](out)
        return self.maps(out)


def mean_positions(
    logits: Float[Tensor, "batch points rows cols"],
    where: Float[Tensor, "cells 2"],
    rough: Float[Tensor, "batch points 2"],
) -> Float[Tensor, "batch points 2"]:
    """Return the mean position of each point under the softmax of its map, near a rough estimate.

    Args:
        logits: Maps; constant ones leave the rough estimate, but for the grain of the cells.
        where: Position of each cell, row by row.
        rough: About where the points lie: a Gaussian prior of standard deviation `SEARCH_STD`.
    """
    prior = (rough @ where.mT - where.square().sum(-1) / 2) / SEARCH_STD**2  # its logarithm, but for a constant
    return (logits.float().flatten(2) + prior).softmax(-1) @ where
