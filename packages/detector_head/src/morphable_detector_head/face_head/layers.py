"""Layers of the face head's networks.

Their activations are limited to 6, as MobileNet's are. Without a limit, a channel that a flat white background excited
10 times more than training pictures did turned whole faces into noise.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

_Layer = TypeVar("_Layer", nn.Linear, nn.Conv2d)


class _Block(nn.Module):
    """A residual block (He et al., CVPR 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *convolution(inputs, outputs, 3, stride=stride),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, features: Tensor) -> Tensor:
        """Convolve."""
        return F.relu6(self.layers(features) + self.shortcut(features), inplace=True)


class Pyramid(nn.Module):
    """A residual network that keeps its features at every stride from 4 on."""

    def __init__(self, widths: Sequence[int], blocks: Sequence[int]) -> None:
        super().__init__()
        self.stem = nn.Sequential(*convolution(3, widths[0], 3, stride=2))
        self.stages = nn.ModuleList(
            nn.Sequential(_Block(before, after, 2), *(_Block(after, after, 1) for _ in range(count - 1)))
            for before, after, count in zip(widths, widths[1:], blocks, strict=False)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return features, finest first."""
        levels, features = [], self.stem(image)
        for stage in self.stages:
            features = stage(features)
            levels.append(features)
        return levels


def convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> Iterator[nn.Module]:
    """Convolve, normalize, rectify and limit."""
    yield nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    yield nn.BatchNorm2d(outputs)
    yield nn.ReLU6(inplace=True)


def gathered(inputs: int, outputs: int, cells: tuple[int, int]) -> nn.Sequential:
    """Features of a whole map of cells: channels mixed, then each pooled with weights of its own."""
    return nn.Sequential(
        *convolution(inputs, outputs, 1),
        nn.Conv2d(outputs, outputs, cells, groups=outputs, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
        nn.Flatten(),
    )


def separable(width: int) -> nn.Sequential:
    """Look around in each channel, then mix the channels."""
    return nn.Sequential(*convolution(width, width, 3, groups=width), *convolution(width, width, 1))


def start_small(layer: _Layer) -> _Layer:
    """Let a layer that gives coefficients or logits begin near 0."""
    nn.init.normal_(layer.weight, std=1e-3)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
