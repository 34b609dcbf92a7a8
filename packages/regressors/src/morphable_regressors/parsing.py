"""Face parsing: the part of the face that each pixel shows, by BiSeNet (Yu et al., ECCV 2018)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from morphable.extras import import_extra
from morphable.mobilenet import MobileNetV2

PARSING_CLASSES = (
    "background",
    "skin",
    "left_brow",
    "right_brow",
    "left_eye",
    "right_eye",
    "nose",
    "mouth",
    "upper_lip",
    "lower_lip",
)
"""The ten classes of DF-MVR, in order; left and right are the person's own, mouth is its inside."""

PARSER_BACKBONES = ("resnet18", "mobilenet_v2")
"""Backbones of the parsing network."""


def parsing_channel(classes: Int[Tensor, "*batch rows cols"]) -> Float[Tensor, "*batch rows cols"]:
    """Turn classes into the fourth channel of DF-MVR's views: the class's number between 0 and 1."""
    return classes / (len(PARSING_CLASSES) - 1)


class ConvNormRelu(nn.Sequential):
    """Padded convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class ChannelGate(nn.Module):
    """Weights of channels in (0, 1) from their means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.Sigmoid())

    def forward(self, features: Float[Tensor, "batch channels rows cols"]) -> Float[Tensor, "batch channels 1 1"]:
        """Return the weights."""
        return self.weigh(features.mean(dim=(2, 3), keepdim=True))


class AttentionRefinement(nn.Module):
    """Convolve, then reweigh channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = ConvNormRelu(inputs, outputs)
        self.gate = ChannelGate(outputs)

    def forward(self, features: Float[Tensor, "batch inputs rows cols"]) -> Float[Tensor, "batch outputs rows cols"]:
        """Run the module."""
        features = self.conv(features)
        return features * self.gate(features)


@dataclass(frozen=True)
class _Shape:
    """Where a parser takes its features, and how wide it is."""

    at_16: int
    """Channels of the backbone at 1/16."""
    at_32: int
    spatial: int
    """Channels of the features that serve as the spatial path."""
    context: int
    """Channels of the context."""
    fused: int
    """Channels after the fusion."""


_SHAPES = {
    "resnet18": _Shape(at_16=256, at_32=512, spatial=128, context=128, fused=256),
    "mobilenet_v2": _Shape(at_16=96, at_32=320, spatial=24, context=64, fused=96),
}


def _resnet18_stages() -> tuple[nn.Module, nn.Module, nn.Module, nn.Module]:
    """ResNet-18 in four parts, down to 1/4, 1/8, 1/16 and 1/32."""
    network = import_extra("torchvision", "morphable-regressors", "backbones").models.resnet18(weights=None)
    stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
    return stem, nn.Sequential(network.layer1, network.layer2), network.layer3, network.layer4


def _mobilenet_v2_stages() -> tuple[nn.Module, nn.Module, nn.Module, nn.Module]:
    """MobileNetV2 without its last layer in four parts, likewise."""
    layers = MobileNetV2().features
    return layers[:4], layers[4:7], layers[7:14], layers[14:18]


class ContextPath(nn.Module):
    """A backbone down to 1/32, refined and brought back to 1/8."""

    def __init__(self, backbone: str = "resnet18") -> None:
        super().__init__()
        shape, channels = _SHAPES[backbone], _SHAPES[backbone].context
        stages = _resnet18_stages() if backbone == "resnet18" else _mobilenet_v2_stages()
        self.stem, self.to_8, self.to_16, self.to_32 = stages
        self.spatial_at_4 = backbone == "mobilenet_v2"
        self.refine_16 = AttentionRefinement(shape.at_16, channels)
        self.refine_32 = AttentionRefinement(shape.at_32, channels)
        self.whole = ConvNormRelu(shape.at_32, channels, kernel=1)
        self.head_16, self.head_32 = ConvNormRelu(channels, channels), ConvNormRelu(channels, channels)

    def forward(self, image: Float[Tensor, "batch 3 rows cols"]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the backbone's features for the spatial path, the context at 1/8, and the context at 1/16."""
        at_4 = self.stem(image)
        at_8 = self.to_8(at_4)
        at_16 = self.to_16(at_8)
        at_32 = self.to_32(at_16)
        context = self.refine_32(at_32) + self.whole(at_32.mean(dim=(2, 3), keepdim=True))
        context_16 = self.head_32(F.interpolate(context, size=at_16.shape[-2:]))
        context = self.refine_16(at_16) + context_16
        context_8 = self.head_16(F.interpolate(context, size=at_8.shape[-2:]))
        return at_4 if self.spatial_at_4 else at_8, context_8, context_16


class FaceParser(nn.Module):
    """BiSeNet whose backbone also serves as the spatial path.

    With `resnet18` that is its features at 1/8, as in the parser of DF-MVR's authors. With `mobilenet_v2`, a quarter
    of the work, it is those at 1/4: brows and lips of small crops are thinner than eight pixels.

    >>> parser = FaceParser().eval()
    >>> parser(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 10, 64, 64])
    """

    def __init__(self, *, backbone: str = "resnet18", num_classes: int = len(PARSING_CLASSES)) -> None:
        """Make the network with random weights.

        Raises:
            ValueError: The backbone is not one of `PARSER_BACKBONES`.
        """
        super().__init__()
        if backbone not in _SHAPES:
            raise ValueError(f"backbone must be one of {', '.join(PARSER_BACKBONES)}, got {backbone!r}")
        shape = _SHAPES[backbone]
        self.context = ContextPath(backbone)
        self.fuse = ConvNormRelu(shape.spatial + shape.context, shape.fused, kernel=1)
        self.gate = nn.Sequential(
            nn.Conv2d(shape.fused, shape.fused // 4, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(shape.fused // 4, shape.fused, 1, bias=False),
            nn.Sigmoid(),
        )
        self.classify = _classifier(shape.fused, shape.fused, num_classes)
        self.classify_8 = _classifier(shape.context, 64, num_classes)
        self.classify_16 = _classifier(shape.context, 64, num_classes)

    def all_logits(self, image: Float[Tensor, "batch 3 rows cols"]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the logits of the output at the picture's size, and of the two auxiliary heads at 1/8 and 1/16."""
        spatial, context_8, context_16 = self.context(image * 2 - 1)
        output = self._output(spatial, context_8, image.shape[-2:])
        return output, self.classify_8(context_8), self.classify_16(context_16)

    def _output(self, spatial: Tensor, context_8: Tensor, size_hw: torch.Size) -> Tensor:
        """Return the logits at the picture's size."""
        near = F.interpolate(context_8, size=spatial.shape[-2:], mode="bilinear", align_corners=False)
        fused = self.fuse(torch.cat([spatial, near], dim=1))
        fused = fused + fused * self.gate(fused.mean(dim=(2, 3), keepdim=True))
        return F.interpolate(self.classify(fused), size=size_hw, mode="bilinear", align_corners=False)

    def forward(self, image: Float[Tensor, "batch 3 rows cols"]) -> Float[Tensor, "batch classes rows cols"]:
        """Return the logits of each class at each pixel.

        Args:
            image: RGB in [0, 1]; rows and columns must be multiples of 32.
        """
        rows, cols = image.shape[-2:]
        if rows % 32 or cols % 32:
            raise ValueError(f"image must have sides that are multiples of 32, got {rows}x{cols}")
        spatial, context_8, _ = self.context(image * 2 - 1)
        return self._output(spatial, context_8, image.shape[-2:])


def _classifier(inputs: int, hidden: int, num_classes: int) -> nn.Sequential:
    """Two convolutions from features to logits."""
    return nn.Sequential(ConvNormRelu(inputs, hidden), nn.Conv2d(hidden, num_classes, 1, bias=False))
