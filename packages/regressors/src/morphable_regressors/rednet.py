"""RedNet-50: ResNet-50's layout with involution in place of the 3x3 convolutions (Li et al., CVPR 2021)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from morphable_regressors.involution import Involution2d

STAGES = ((3, 256, 1), (4, 512, 2), (6, 1024, 2), (3, 2048, 2))
"""Blocks, output channels and first stride of the four stages of a 50-layer network."""


def _conv_norm_relu(inputs: int, outputs: int, *, kernel: int = 1, stride: int = 1) -> list[nn.Module]:
    """Return a padded convolution, its batch norm and ReLU."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


class Bottleneck(nn.Module):
    """1x1 convolution, 7x7 involution (or 3x3 convolution), 1x1 convolution, with a shortcut.

    At first only the shortcut counts (the last batch norm starts at zero). An involution's output grows with the square
    of its input, so that sixteen random ones, one behind the other, overflow on inputs a little larger than the
    running statistics of the batch norms tell.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int, involution: bool = True) -> None:
        super().__init__()
        hidden = outputs // 4
        spatial = (
            Involution2d(hidden, stride=stride) if involution else nn.Conv2d(hidden, hidden, 3, stride, 1, bias=False)
        )
        last_norm = nn.BatchNorm2d(outputs)
        nn.init.zeros_(last_norm.weight)
        self.layers = nn.Sequential(
            *_conv_norm_relu(inputs, hidden),
            spatial,
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            last_norm,
        )
        changes = stride > 1 or inputs != outputs
        self.shortcut = (
            nn.Sequential(*_conv_norm_relu(inputs, outputs, stride=stride)[:-1]) if changes else nn.Identity()
        )

    def forward(
        self, features: Float[Tensor, "batch inputs rows cols"]
    ) -> Float[Tensor, "batch outputs out_rows out_cols"]:
        """Run the block."""
        return torch.relu(self.shortcut(features) + self.layers(features))


class RedNet50(nn.Module):
    """Features of a picture, or of another network's feature map, at 1/32 of its size."""

    def __init__(self, *, in_channels: int = 3, width: float = 1.0, involution: bool = True) -> None:
        """Make the network.

        Args:
            in_channels: Channels of the input (DF-MVR feeds the 256 fused ones).
            width: Factor on all channel numbers; each must stay a multiple of 64.
            involution: False puts 3x3 convolutions in place of all involutions: a ResNet-50 of this layout.
        """
        super().__init__()
        half = round(32 * width)
        stem = (
            Involution2d(half, kernel_size=3, group_channels=min(16, half))
            if involution
            else nn.Conv2d(half, half, 3, padding=1, bias=False)
        )
        channels = 2 * half
        layers: list[nn.Module] = [
            *_conv_norm_relu(in_channels, half, kernel=3, stride=2),
            stem,
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            *_conv_norm_relu(half, channels, kernel=3),
            nn.MaxPool2d(3, 2, 1),
        ]
        for blocks, outputs, first_stride in STAGES:
            for block in range(blocks):
                scaled = round(outputs * width)
                stride = first_stride if block == 0 else 1
                layers.append(Bottleneck(channels, scaled, stride=stride, involution=involution))
                channels = scaled
        self.layers = nn.Sequential(*layers)
        self.out_channels = channels

    def forward(
        self, features: Float[Tensor, "batch inputs rows cols"]
    ) -> Float[Tensor, "batch outputs out_rows out_cols"]:
        """Return the last stage's features; rows and columns must be multiples of 32."""
        return self.layers(features)
