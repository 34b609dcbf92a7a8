"""Face parsing: the part of the face that each pixel shows, by BiSeNet (Yu et al., ECCV 2018)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

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


class ContextPath(nn.Module):
    """ResNet-18 down to 1/32, refined and brought back to 1/8."""

    def __init__(self, channels: int = 128) -> None:
        super().__init__()
        from torchvision.models import resnet18

        backbone = resnet18(weights=None)
        self.stem = nn.Sequential(backbone.conv1, backbone.bn1, backbone.relu, backbone.maxpool)
        self.to_8 = nn.Sequential(backbone.layer1, backbone.layer2)
        self.to_16, self.to_32 = backbone.layer3, backbone.layer4
        self.refine_16 = AttentionRefinement(256, channels)
        self.refine_32 = AttentionRefinement(512, channels)
        self.whole = ConvNormRelu(512, channels, kernel=1)
        self.head_16, self.head_32 = ConvNormRelu(channels, channels), ConvNormRelu(channels, channels)

    def forward(self, image: Float[Tensor, "batch 3 rows cols"]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the backbone's features at 1/8, the context at 1/8, and the context at 1/16."""
        at_8 = self.to_8(self.stem(image))
        at_16 = self.to_16(at_8)
        at_32 = self.to_32(at_16)
        context = self.refine_32(at_32) + self.whole(at_32.mean(dim=(2, 3), keepdim=True))
        context_16 = self.head_32(F.interpolate(context, size=at_16.shape[-2:]))
        context = self.refine_16(at_16) + context_16
        return at_8, self.head_16(F.interpolate(context, size=at_8.shape[-2:])), context_16


class FaceParser(nn.Module):
    """BiSeNet with ResNet-18, whose features at 1/8 serve as the spatial path."""

    def __init__(self, *, num_classes: int = len(PARSING_CLASSES)) -> None:
        super().__init__()
        self.context = ContextPath()
        self.fuse = ConvNormRelu(256, 256, kernel=1)
        self.gate = nn.Sequential(
            nn.Conv2d(256, 64, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 256, 1, bias=False),
            nn.Sigmoid(),
        )
        self.classify = nn.Sequential(ConvNormRelu(256, 256), nn.Conv2d(256, num_classes, 1, bias=False))
        self.classify_8 = nn.Sequential(ConvNormRelu(128, 64), nn.Conv2d(64, num_classes, 1, bias=False))
        self.classify_16 = nn.Sequential(ConvNormRelu(128, 64), nn.Conv2d(64, num_classes, 1, bias=False))

    def all_logits(self, image: Float[Tensor, "batch 3 rows cols"]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the logits of the output and of the two auxiliary heads, each at the picture's size."""
        spatial, context_8, context_16 = self.context(image)
        fused = self.fuse(torch.cat([spatial, context_8], dim=1))
        fused = fused + fused * self.gate(fused.mean(dim=(2, 3), keepdim=True))
        logits = self.classify(fused), self.classify_8(context_8), self.classify_16(context_16)
        size = image.shape[-2:]
        output, auxiliary_8, auxiliary_16 = (
            F.interpolate(one, size=size, mode="bilinear", align_corners=False) for one in logits
        )
        return output, auxiliary_8, auxiliary_16

    def forward(self, image: Float[Tensor, "batch 3 rows cols"]) -> Float[Tensor, "batch classes rows cols"]:
        """Return the logits of each class at each pixel.

        Args:
            image: RGB in [0, 1]; rows and columns must be multiples of 32.
        """
        rows, cols = image.shape[-2:]
        if rows % 32 or cols % 32:
            raise ValueError(f"image must have sides that are multiples of 32, got {rows}x{cols}")
        return self.all_logits(image)[0]
