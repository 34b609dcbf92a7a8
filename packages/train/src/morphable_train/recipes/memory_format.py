"""Layout of weights in memory."""

import torch
from torch import nn


def channels_last(network: nn.Module) -> nn.Module:
    """Lay kernels out with the channels innermost, in place: depthwise networks train faster so on the CPU.

    Not for every network: the gradient of PRNet's convolutions crashes PyTorch 2.15 in this layout (float32, CPU).
    """
    return network.to(memory_format=torch.channels_last)
