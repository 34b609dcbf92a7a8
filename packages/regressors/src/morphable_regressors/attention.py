"""Attention modules: over channels (SE), over positions by group (SGE), and on a skip connection (attention gate)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """Reweigh channels by a two-layer perceptron of their means (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int, *, reduction: int) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, channels, 1)

    def forward(self, features: Float[Tensor, "batch channels rows cols"]) -> Float[Tensor, "batch channels rows cols"]:
        """Scale each channel by a weight in (0, 1)."""
        pooled = features.mean(dim=(2, 3), keepdim=True)
        return features * torch.sigmoid(self.excite(torch.relu(self.squeeze(pooled))))


class SpatialGroupEnhance(nn.Module):
    """Reweigh positions, group by group, by their likeness to the group's mean (Li et al., 2019).

    Within a group the likeness (a dot product) is normalized over the picture, scaled and shifted by two learned
    numbers, and passed through a sigmoid. Sums over a group's channels, and handing a group's weight to them, are
    matrix products: as broadcast products they took a third of Mobile-FRNet's training time.
    """

    members: Float[Tensor, "groups channels"]

    def __init__(self, channels: int, *, groups: int, min_std: float = 1e-5) -> None:
        super().__init__()
        if channels % groups:
            raise ValueError(f"groups must divide {channels} channels, got {groups}")
        self.groups = groups
        self.min_std = min_std
        self.scale = nn.Parameter(torch.zeros(groups, 1, 1))
        self.shift = nn.Parameter(torch.ones(groups, 1, 1))
        members = torch.eye(groups).repeat_interleave(channels // groups, dim=1)
        self.register_buffer("members", members, persistent=False)

    def forward(self, features: Float[Tensor, "batch channels rows cols"]) -> Float[Tensor, "batch channels rows cols"]:
        """Scale each position of each group by a weight in (0, 1)."""
        members = self.members.to(features.dtype)
        means = members * features.mean(dim=(2, 3))[:, None]
        likeness = (features.flatten(2).mT @ means.mT).to(self.scale.dtype)
        centered = likeness - likeness.mean(dim=1, keepdim=True)
        std = (centered.square().mean(dim=1, keepdim=True) + self.min_std**2).sqrt()
        gate = torch.sigmoid(self.scale.flatten() * centered / std + self.shift.flatten())
        weights = gate.to(features.dtype) @ members
        return features * weights.mT.unflatten(2, features.shape[2:])


class AttentionGate(nn.Module):
    """Reweigh the positions of a skip connection by what the decoder looks for (Oktay et al., 2018)."""

    def __init__(self, *, skip_channels: int, gate_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.from_skip = nn.Sequential(nn.Conv2d(skip_channels, hidden_channels, 1), nn.BatchNorm2d(hidden_channels))
        self.from_gate = nn.Sequential(nn.Conv2d(gate_channels, hidden_channels, 1), nn.BatchNorm2d(hidden_channels))
        self.weigh = nn.Sequential(nn.Conv2d(hidden_channels, 1, 1), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(
        self, skip: Float[Tensor, "batch skip rows cols"], gate: Float[Tensor, "batch gate rows cols"]
    ) -> Float[Tensor, "batch skip rows cols"]:
        """Scale each position of `skip` by a weight in (0, 1)."""
        return skip * self.weigh(torch.relu(self.from_skip(skip) + self.from_gate(gate)))
