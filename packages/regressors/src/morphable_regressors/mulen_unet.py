"""MulEn-UNet: one encoder a view, one decoder with attention gates for all (DF-MVR, section 3.3)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from morphable_regressors.attention import AttentionGate

WIDTHS = (64, 128, 256, 512, 1024)
"""Channels of an encoder's five levels; each level but the first halves the size."""


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions with batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        layers: list[nn.Module] = []
        for channels in (inputs, outputs):
            layers += [
                nn.Conv2d(channels, outputs, 3, padding=1),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class Encoder(nn.Module):
    """Features of one view at five sizes."""

    def __init__(self, in_channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        inputs = (in_channels, *widths[:-1])
        self.levels = nn.ModuleList(DoubleConv(a, b) for a, b in zip(inputs, widths, strict=True))
        self.pool = nn.MaxPool2d(2)

    def forward(self, view: Float[Tensor, "batch channels rows cols"]) -> list[Tensor]:
        """Return the features, finest first."""
        features = [self.levels[0](view)]
        for level in self.levels[1:]:
            features.append(level(self.pool(features[-1])))
        return features


class DecoderLevel(nn.Module):
    """Double the size, gate the skip connections of all views by it, and join them."""

    def __init__(self, inputs: int, skip: int, *, num_views: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, skip, 2, 2)
        self.gates = nn.ModuleList(
            AttentionGate(skip_channels=skip, gate_channels=skip, hidden_channels=skip // 2) for _ in range(num_views)
        )
        self.out_channels = skip * (num_views + 1)

    def forward(
        self, features: Float[Tensor, "batch inputs rows cols"], skips: list[Tensor]
    ) -> Float[Tensor, "batch outputs out_rows out_cols"]:
        """Return the gated skips and the upsampled features, one behind the other, at the skips' size."""
        upsampled = self.up(features)
        gated = [gate(skip, upsampled) for gate, skip in zip(self.gates, skips, strict=True)]
        return torch.cat([*gated, upsampled], dim=1)


class MulEnUNet(nn.Module):
    """Fuse several views of one face into one feature map of the views' size."""

    def __init__(self, *, num_views: int = 3, in_channels: int = 4, width: float = 1.0) -> None:
        """Make the network.

        Args:
            num_views: Encoders, whose weights are not shared.
            in_channels: Channels of a view: RGB and the parsing mask.
            width: Factor on all channels; at 1 the fused map of three views has 256.
        """
        super().__init__()
        widths = tuple(round(value * width) for value in WIDTHS)
        self.encoders = nn.ModuleList(Encoder(in_channels, widths) for _ in range(num_views))
        inputs = widths[-1] * num_views
        levels: list[nn.Module] = []
        merges: list[nn.Module] = []
        for skip in widths[-2::-1]:
            level = DecoderLevel(inputs, skip, num_views=num_views)
            last = skip == widths[0]
            merges.append(nn.Identity() if last else DoubleConv(level.out_channels, skip))
            levels.append(level)
            inputs = skip
        self.levels, self.merges = nn.ModuleList(levels), nn.ModuleList(merges)
        self.out_channels = widths[0] * (num_views + 1)

    def forward(
        self, views: Float[Tensor, "batch views channels rows cols"]
    ) -> Float[Tensor, "batch outputs rows cols"]:
        """Return the fused map; rows and columns must be multiples of 16."""
        if views.shape[1] != len(self.encoders):
            raise ValueError(f"views must hold {len(self.encoders)} pictures of a face, got {views.shape[1]}")
        features = [encoder(view) for encoder, view in zip(self.encoders, views.unbind(1), strict=True)]
        fused = torch.cat([sizes[-1] for sizes in features], dim=1)
        for depth, (level, merge) in enumerate(zip(self.levels, self.merges, strict=True)):
            fused = merge(level(fused, [sizes[-2 - depth] for sizes in features]))
        return fused
