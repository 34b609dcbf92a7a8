"""Mobile-FRNet: 62 parameters of a face from a 120x120 crop (Li et al., ICPR 2020).

MobileNetV2's table of layers with three changes: the depthwise convolution of a block is split over several kernel
sizes, spatial group-wise enhancement follows it, and squeeze-and-excitation stands after each layer.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from morphable_regressors.attention import SpatialGroupEnhance, SqueezeExcitation

LAYERS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, blocks, stride of each layer (the seed's table)."""


@dataclass(frozen=True, kw_only=True)
class MobileFRNetConfig:
    """Shape of a Mobile-FRNet."""

    num_outputs: int = 62
    """Regressed numbers: 12 of the scaled-orthographic pose, 40 of identity, 10 of expression."""
    attention: bool = True
    """Whether SE and SGE modules are present (the seed's ablation takes both out)."""
    kernel_shares: tuple[tuple[int, float], ...] = ((3, 0.75), (5, 0.125), (7, 0.125))
    """Kernel sizes of the depthwise convolution and the share of the channels each one filters."""
    se_reduction: int = 1
    """Channels over hidden units of a squeeze-and-excitation module."""
    sge_groups: int = 8
    """Groups of a spatial group-wise enhancement."""

    def __post_init__(self) -> None:
        """Check the shares."""
        total = sum(share for _, share in self.kernel_shares)
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"kernel_shares must sum to 1, got {total}")


def _conv_norm(inputs: int, outputs: int, *, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Return a padded convolution and its batch norm."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


class MultiScaleDepthwise(nn.Module):
    """Depthwise convolution whose channels are split over several kernel sizes."""

    def __init__(self, channels: int, *, stride: int, kernel_shares: tuple[tuple[int, float], ...]) -> None:
        super().__init__()
        widths = [round(channels * share) for _, share in kernel_shares]
        widths[0] += channels - sum(widths)
        self.widths = widths
        self.scales = nn.ModuleList(
            nn.Conv2d(width, width, kernel, stride, kernel // 2, groups=width, bias=False)
            for width, (kernel, _) in zip(widths, kernel_shares, strict=True)
        )

    def forward(
        self, features: Float[Tensor, "batch channels rows cols"]
    ) -> Float[Tensor, "batch channels out_rows out_cols"]:
        """Filter each share of the channels with its own kernel size."""
        parts = features.split(self.widths, dim=1)
        return torch.cat([scale(part) for scale, part in zip(self.scales, parts, strict=True)], dim=1)


class MobileBlock(nn.Module):
    """Inverted residual with a multi-scale depthwise convolution and spatial group-wise enhancement."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, expansion: int, config: MobileFRNetConfig) -> None:
        super().__init__()
        hidden = inputs * expansion
        expand = [*_conv_norm(inputs, hidden), nn.ReLU6(inplace=True)] if expansion > 1 else []
        depthwise = MultiScaleDepthwise(hidden, stride=stride, kernel_shares=config.kernel_shares)
        enhance = [SpatialGroupEnhance(hidden, groups=config.sge_groups)] if config.attention else []
        self.layers = nn.Sequential(
            *expand,
            depthwise,
            nn.BatchNorm2d(hidden),
            nn.ReLU6(inplace=True),
            *enhance,
            *_conv_norm(hidden, outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(
        self, features: Float[Tensor, "batch inputs rows cols"]
    ) -> Float[Tensor, "batch outputs out_rows out_cols"]:
        """Run the block; the input is added where shapes agree."""
        result = self.layers(features)
        return features + result if self.residual else result


class MobileFRNet(nn.Module):
    """Regress whitened face parameters from a crop."""

    def __init__(self, config: MobileFRNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MobileFRNetConfig()
        layers: list[nn.Module] = [*_conv_norm(3, 32, kernel=3, stride=2), nn.ReLU6(inplace=True)]
        channels = 32
        for expansion, outputs, blocks, first_stride in LAYERS:
            for block in range(blocks):
                stride = first_stride if block == 0 else 1
                layers.append(MobileBlock(channels, outputs, stride=stride, expansion=expansion, config=config))
                channels = outputs
            if config.attention:
                layers.append(SqueezeExcitation(channels, reduction=config.se_reduction))
        layers += [*_conv_norm(channels, 1280), nn.ReLU6(inplace=True)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(1280, config.num_outputs)

    def forward(self, image: Float[Tensor, "batch 3 rows cols"]) -> Float[Tensor, "batch outputs"]:
        """Return the whitened parameters of each crop.

        Args:
            image: RGB in [0, 1], 120x120 in the paper; mapped to [-1, 1] here.
        """
        return self.head(self.features(image * 2 - 1).mean(dim=(2, 3)))
