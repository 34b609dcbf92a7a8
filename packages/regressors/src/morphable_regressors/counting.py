"""Parameter and operation counts of a network, comparable with the table of the Mobile-FRNet paper."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from morphable_regressors.attention import SpatialGroupEnhance, SqueezeExcitation
from morphable_regressors.involution import Involution2d

ELEMENTWISE_COST: dict[type[nn.Module], int] = {
    nn.BatchNorm2d: 4,
    nn.ReLU: 1,
    nn.ReLU6: 4,
    nn.AvgPool2d: 1,
    nn.AdaptiveAvgPool2d: 1,
    nn.MaxPool2d: 1,
    # Pooling and rescaling of SE; pooling, product, sum and rescaling of SGE.
    SqueezeExcitation: 2,
    SpatialGroupEnhance: 4,
}
"""Operations an element. With these, torchvision's mobilenet_v2, densenet121 and resnext50_32x4d with 62 outputs count
0.108, 0.800 and 1.321 G at 120x120; the paper's table says 0.109, 0.800 and 1.319."""


@dataclass(frozen=True)
class Counts:
    """Size of a network at one input size."""

    parameters: int
    multiply_adds: int
    """Multiply-adds of convolutions, involutions and linear layers."""
    elementwise: int
    """Operations of batch norms, activations, pooling and attention."""

    @property
    def total(self) -> int:
        """Multiply-adds and elementwise operations together, as the paper counts."""
        return self.multiply_adds + self.elementwise


def _multiply_adds(module: nn.Module, features: Tensor, output: Tensor) -> int:
    """Return the multiply-adds of a layer with weights, or of the kernels that an involution made."""
    if isinstance(module, nn.Conv2d):
        return output.numel() * (module.weight[0].numel() + (module.bias is not None))
    if isinstance(module, nn.ConvTranspose2d):
        return features.numel() // module.in_channels * module.weight.numel()
    if isinstance(module, Involution2d):
        return output.numel() * module.kernel_size**2
    return module.weight.numel() if isinstance(module, nn.Linear) else 0


def count_operations(network: nn.Module, *inputs: Tensor) -> Counts:
    """Run the network once on inputs of batch size one and count.

    Args:
        network: Any network of plain layers; it is put into evaluation mode for the run and back.
        inputs: What its forward takes.

    >>> count_operations(torch.nn.Linear(4, 2), torch.zeros(1, 4)).parameters
    10
    """
    totals = {"multiply_adds": 0, "elementwise": 0}

    def hook(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        totals["multiply_adds"] += _multiply_adds(module, arguments[0], output)
        totals["elementwise"] += ELEMENTWISE_COST.get(type(module), 0) * arguments[0].numel()

    counted: tuple[type[nn.Module], ...] = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, Involution2d, *ELEMENTWISE_COST)
    handles = [module.register_forward_hook(hook) for module in network.modules() if isinstance(module, counted)]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(*inputs)
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return Counts(sum(parameter.numel() for parameter in network.parameters()), **totals)
