"""MobileNetV2 (Sandler et al., CVPR 2018): the encoder that the project's small networks are cut from.

Layers, names, order and random start are those of torchvision's `mobilenet_v2`, so that the weights of either fit both.
Running a network therefore needs no torchvision, whose build must match PyTorch's.
"""

from jaxtyping import Float
from torch import Tensor, nn

_STEM_CHANNELS = 32
_LAST_CHANNELS = 1280
_BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, number of blocks and first stride of each group (table 2 of the paper)."""
_CLASSIFIER_STD = 0.01
_DROPOUT = 0.2


class ConvNormRelu6(nn.Sequential):
    """Padded convolution without bias, batch norm, ReLU6."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int = 1, groups: int = 1) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; added to the input where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, *, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [ConvNormRelu6(inputs, hidden, kernel=1)]
        layers.append(ConvNormRelu6(hidden, hidden, kernel=3, stride=stride, groups=hidden))
        layers += [nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*layers)
        self.adds_input = stride == 1 and inputs == outputs

    def forward(self, features: Float[Tensor, "batch inputs rows cols"]) -> Float[Tensor, "batch outputs _ _"]:
        """Run the block."""
        return features + self.conv(features) if self.adds_input else self.conv(features)


class MobileNetV2(nn.Module):
    """The network for ImageNet, with random weights.

    `features` holds 19 layers: strides 4, 8, 16 and 32 are reached by the first 4, 7, 14 and 18 of them.

    >>> import torch
    >>> MobileNetV2().features[:7](torch.zeros(1, 3, 64, 96)).shape
    torch.Size([1, 32, 8, 12])
    """

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvNormRelu6(3, _STEM_CHANNELS, kernel=3, stride=2)]
        inputs = _STEM_CHANNELS
        for expansion, outputs, count, first_stride in _BLOCKS:
            for index in range(count):
                stride = first_stride if index == 0 else 1
                layers.append(InvertedResidual(inputs, outputs, expansion=expansion, stride=stride))
                inputs = outputs
        layers.append(ConvNormRelu6(inputs, _LAST_CHANNELS, kernel=1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(_DROPOUT), nn.Linear(_LAST_CHANNELS, num_classes))
        self.apply(_start)

    def forward(self, image: Float[Tensor, "batch 3 rows cols"]) -> Float[Tensor, "batch classes"]:
        """Return the classes' logits of normalized pictures."""
        return self.classifier(self.features(image).mean(dim=(2, 3)))


def _start(layer: nn.Module) -> None:
    """Draw the first weights of a layer."""
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out")
    elif isinstance(layer, nn.Linear):
        nn.init.normal_(layer.weight, 0.0, _CLASSIFIER_STD)
        nn.init.zeros_(layer.bias)
