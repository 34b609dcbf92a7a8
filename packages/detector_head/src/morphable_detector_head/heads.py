"""The center head and the parameter head; the latter can run at chosen cells only."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

CENTER_BIAS = -4.59
"""log(0.01 / 0.99): before training every cell is a face with probability 1 %."""
PARAMETER_STD = 0.001
"""Spread of the parameter head's first weights: training starts near the mean face."""
PATCH = 3


class CenterHead(nn.Module):
    """Logit of a face center in every cell."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.hidden = nn.Conv2d(channels, width, PATCH, padding=1)
        self.output = nn.Conv2d(width, 1, 1)
        nn.init.constant_(self.output.bias, CENTER_BIAS)  # type: ignore[arg-type]  # built with a bias

    def forward(self, features: Float[Tensor, "batch c rows cols"]) -> Float[Tensor, "batch rows cols"]:
        """Score every cell."""
        return self.output(F.relu(self.hidden(features)))[:, 0]


class ParameterHead(nn.Module):
    """Face parameters in every cell, or at chosen cells from their 3x3 patches: the same numbers."""

    def __init__(self, channels: int, width: int, num_parameters: int) -> None:
        super().__init__()
        self.hidden = nn.Conv2d(channels, width, PATCH, padding=1)
        self.output = nn.Conv2d(width, num_parameters, 1)
        for layer in (self.hidden, self.output):
            nn.init.normal_(layer.weight, std=PARAMETER_STD)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # built with a bias
        nn.init.kaiming_normal_(self.hidden.weight, nonlinearity="relu")

    def forward(self, features: Float[Tensor, "batch c rows cols"]) -> Float[Tensor, "batch params rows cols"]:
        """Compute the parameters of every cell."""
        return self.output(F.relu(self.hidden(features)))

    def at_cells(
        self, features: Float[Tensor, "batch c rows cols"], cell: Int[Tensor, "batch top"]
    ) -> Float[Tensor, "batch top params"]:
        """Compute the parameters of chosen cells only.

        Args:
            features: The aggregated features.
            cell: Row-major cells.
        """
        patches = gather_patches(features, cell)
        hidden = F.relu(F.linear(patches, self.hidden.weight.flatten(1), self.hidden.bias))
        return F.linear(hidden, self.output.weight.flatten(1), self.output.bias)


def gather_patches(
    features: Float[Tensor, "batch c rows cols"], cell: Int[Tensor, "batch top"]
) -> Float[Tensor, "batch top patch"]:
    """Gather zero-padded 3x3 patches, flattened as a convolution's weight is: channel, then row, then column.

    Args:
        features: A feature map.
        cell: Row-major cells.
    """
    cols = features.shape[3]
    row = cell // cols
    corner = row * (cols + 2) + (cell - row * cols)
    step = torch.arange(PATCH, device=cell.device)
    offsets = (step[:, None] * (cols + 2) + step[None, :]).flatten()
    index = (corner[:, :, None] + offsets).flatten(1)
    padded = F.pad(features, (1, 1, 1, 1)).flatten(2)
    gathered = padded.gather(2, index[:, None, :].expand(-1, padded.shape[1], -1))
    return gathered.unflatten(2, (-1, PATCH * PATCH)).transpose(1, 2).flatten(2)
