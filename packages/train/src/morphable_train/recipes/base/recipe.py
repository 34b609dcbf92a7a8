"""What a recipe is to the trainer."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from morphable_regressors import SystemSpec


@runtime_checkable
class Recipe(Protocol):
    """A network, its data and its losses."""

    network: nn.Module
    """What is trained and checkpointed."""
    system: nn.Module
    """The part of it that is packaged, or all of it."""
    spec: SystemSpec
    """How that is rebuilt."""

    def load(self, step: int) -> Any:
        """Read what a step needs, on the CPU; depends on nothing but the step."""
        ...

    def losses(self, network: nn.Module, loaded: Any, step: int) -> dict[str, Float[Tensor, ""]]:
        """Return the weighted terms by name; `network` is called like `self.network`, whose wrapper it may be."""
        ...

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Measure a network in evaluation mode on the held-out faces; empty without any."""
        ...

    def sheet(self, network: nn.Module) -> UInt8[np.ndarray, "rows cols 3"] | None:
        """Draw held-out faces with the network's answers, to be looked at."""
        ...


def channels_last(network: nn.Module) -> nn.Module:
    """Lay kernels out with the channels innermost, in place: depthwise networks train faster so on the CPU.

    Not for every network: the gradient of PRNet's convolutions crashes PyTorch 2.15 in this layout (float32, CPU).
    """
    return network.to(memory_format=torch.channels_last)
