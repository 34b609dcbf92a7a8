"""Strided depthwise convolutions with a fast gradient on the CPU.

PyTorch 2.15's CPU kernels for the gradient of a depthwise convolution are fast at stride 1 and slow at stride 2: four
such layers took half of MobileNetV2's training time. The gradient is the same when computed as that of the stride-1
convolution whose other outputs were thrown away.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _StridedDepthwise(torch.autograd.Function):
    """An unpadded depthwise convolution."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, weight: Tensor, stride: int) -> Tensor:
        """Convolve at the stride."""
        ctx.save_for_backward(image, weight)
        ctx.stride = stride
        return F.conv2d(image, weight, None, stride, groups=image.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """Spread the gradient over the outputs of stride 1, and use that kernel."""
        image, weight = ctx.saved_tensors
        (gradient,) = gradients
        rows, cols = image.shape[2] - weight.shape[2] + 1, image.shape[3] - weight.shape[3] + 1
        spread = torch.empty(
            (len(image), image.shape[1], rows, cols),
            dtype=gradient.dtype,
            device=gradient.device,
            memory_format=torch.channels_last,
        ).zero_()
        spread[:, :, :: ctx.stride, :: ctx.stride] = gradient
        groups = image.shape[1]
        to_image, to_weight, _ = torch.ops.aten.convolution_backward(
            spread, image, weight, None, [1, 1], [0, 0], [1, 1], False, [0, 0], groups, [True, True, False]
        )
        return to_image, to_weight, None


class StridedDepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution of stride 2 or more; same parameters, same results."""

    padding_ltrb: tuple[int, int, int, int]

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (the name in torch's own signature)
        """Pad, then convolve."""
        left, top, right, bottom = self.padding_ltrb
        padded = F.pad(input, (left, right, top, bottom))
        weight = self.weight
        if torch.is_autocast_enabled(input.device.type):
            dtype = torch.get_autocast_dtype(input.device.type)
            padded, weight = padded.to(dtype), weight.to(dtype)
        with torch.autocast(input.device.type, enabled=False):
            return _StridedDepthwise.apply(padded, weight, int(self.stride[0]))


def speed_up_depthwise(network: nn.Module) -> int:
    """Give strided depthwise convolutions without bias the fast gradient, in place; return how many."""
    changed = 0
    for module in network.modules():
        if not isinstance(module, nn.Conv2d) or isinstance(module, StridedDepthwiseConv2d):
            continue
        strided = module.stride[0] > 1 and module.stride[0] == module.stride[1]
        depthwise = module.groups == module.in_channels == module.out_channels and module.groups > 1
        plain = module.bias is None and module.dilation == (1, 1) and not isinstance(module.padding, str)
        if strided and depthwise and plain:
            _convert(module)
            changed += 1
    return changed


def _convert(module: nn.Conv2d) -> None:
    """Swap the class of one layer, keeping its padding: its own, or TensorFlow's where a subclass adds it."""
    assert not isinstance(module.padding, str)
    rows, cols = module.padding
    pads_bottom_right = type(module) is not nn.Conv2d and (rows, cols) == (0, 0)
    module.__class__ = StridedDepthwiseConv2d
    converted = cast("StridedDepthwiseConv2d", module)
    converted.padding_ltrb = (0, 0, 1, 1) if pads_bottom_right else (cols, rows, cols, rows)
