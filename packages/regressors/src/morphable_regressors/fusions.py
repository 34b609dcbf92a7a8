"""Other ways to fuse three views, for DF-MVR's ablation: its table's `CNN` and `Unet`."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from morphable_regressors.mulen_unet import WIDTHS, DoubleConv, MulEnUNet

FUSED_CHANNELS = 256
"""Channels of the fused map at width 1, as MulEn-UNet's."""


class ConvFusion(nn.Module):
    """Two convolutions per view, weights not shared; features are concatenated (`v1` of the ablation)."""

    def __init__(self, *, num_views: int = 3, in_channels: int = 4, width: float = 1.0) -> None:
        super().__init__()
        channels = round(WIDTHS[0] * width)
        self.views = nn.ModuleList(DoubleConv(in_channels, channels) for _ in range(num_views))
        self.join = nn.Conv2d(channels * num_views, round(FUSED_CHANNELS * width), 1)
        self.out_channels = self.join.out_channels

    def forward(
        self, views: Float[Tensor, "batch views channels rows cols"]
    ) -> Float[Tensor, "batch outputs rows cols"]:
        """Return the fused map."""
        features = [convolve(view) for convolve, view in zip(self.views, views.unbind(1), strict=True)]
        return self.join(torch.cat(features, dim=1))


class UNetFusion(nn.Module):
    """One U-Net for every view, features concatenated at the end: no level sees two views (`v2` of the ablation)."""

    def __init__(self, *, num_views: int = 3, in_channels: int = 4, width: float = 1.0) -> None:
        super().__init__()
        self.num_views = num_views
        self.unet = MulEnUNet(num_views=1, in_channels=in_channels, width=width)
        self.join = nn.Conv2d(self.unet.out_channels * num_views, round(FUSED_CHANNELS * width), 1)
        self.out_channels = self.join.out_channels

    def forward(
        self, views: Float[Tensor, "batch views channels rows cols"]
    ) -> Float[Tensor, "batch outputs rows cols"]:
        """Return the fused map."""
        features = self.unet(views.flatten(0, 1)[:, None])
        return self.join(features.unflatten(0, (-1, self.num_views)).flatten(1, 2))
