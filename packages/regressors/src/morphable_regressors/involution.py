"""Involution: a convolution whose kernel is made from the input, position by position (Li et al., CVPR 2021)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_VARIABLE_SHARE = 0.1
"""Factor on PyTorch's first weights of the layer that makes kernels from the input."""


class Involution2d(nn.Module):
    """Filter each position with a kernel predicted from it, shared by the channels of a group.

    The layout is RedNet's: the kernel generator is 1x1 convolution to `channels / reduction`, batch norm, ReLU, and
    1x1 convolution; with a stride, it reads the average-pooled input. Kernels start near the one that changes nothing.
    """

    def __init__(
        self,
        channels: int,
        *,
        kernel_size: int = 7,
        stride: int = 1,
        group_channels: int = 16,
        reduction: int = 4,
    ) -> None:
        super().__init__()
        if channels % group_channels:
            raise ValueError(f"group_channels must divide {channels} channels, got {group_channels}")
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {kernel_size}")
        self.kernel_size, self.stride, self.groups = kernel_size, stride, channels // group_channels
        self.pool = nn.AvgPool2d(stride, stride) if stride > 1 else nn.Identity()
        self.reduce = nn.Sequential(
            nn.Conv2d(channels, channels // reduction, 1, bias=False),
            nn.BatchNorm2d(channels // reduction),
            nn.ReLU(inplace=True),
        )
        self.span = nn.Conv2d(channels // reduction, kernel_size**2 * self.groups, 1)
        with torch.no_grad():
            self.span.weight.mul_(_VARIABLE_SHARE)
            assert self.span.bias is not None
            self.span.bias.view(self.groups, -1).copy_(torch.eye(kernel_size**2)[kernel_size**2 // 2])

    def forward(
        self, features: Float[Tensor, "batch channels rows cols"]
    ) -> Float[Tensor, "batch channels out_rows out_cols"]:
        """Return the filtered features; rows and columns must be multiples of the stride."""
        kernels = self.span(self.reduce(self.pool(features))).unflatten(1, (self.groups, 1, self.kernel_size**2))
        out_rows, out_cols = kernels.shape[-2:]
        patches = F.unfold(features, self.kernel_size, padding=self.kernel_size // 2, stride=self.stride)
        patches = patches.unflatten(2, (out_rows, out_cols))
        patches = patches.unflatten(1, (self.groups, -1, self.kernel_size**2))
        return (kernels * patches).sum(3).flatten(1, 2)
