"""A first guess for networks that have MobileNetV2's layers: those of a trained MobileNetV2."""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import safe_open
from torch import Tensor, nn

from morphable.files import refusing
from morphable_regressors import FaceParser
from morphable_regressors.attention import SpatialGroupEnhance, SqueezeExcitation
from morphable_regressors.mobile_frnet import MultiScaleDepthwise
from morphable_regressors.systems import ParameterRegressor
from morphable_train.runs.checkpoint import FORMAT, latest_checkpoint, read_checkpoint

OPEN_GATE = 3.0
"""Bias of attention before its sigmoid that lets the trained features through (95 %)."""
_PREFIX = re.compile(r"^(?:.*\.)?(?:features|backbone\.stages)\.(?=\d)")
_KERNEL_DIMENSIONS = 4


def start_from_mobilenet(network: nn.Module, source: Path) -> int:
    """Copy convolutions and batch norms in their order; layers beyond the source's last keep their random weights.

    Kernels of 3x3 become the middle of larger ones, and attention starts by letting through nearly everything.

    Args:
        network: A `ParameterRegressor` with one of Mobile-FRNet's networks or MobileNetV2, or a `FaceParser` with
            MobileNetV2; changed in place.
        source: A safetensors file of MobileNetV2 by torchvision's names, or the weights, a checkpoint or the run of a
            single-shot network with that backbone.

    Returns:
        Number of layers copied.

    Raises:
        FileNotFoundError: Nothing is there.
        ValueError: Network or file are without MobileNetV2's layers.
    """
    layers, tensors = list(_layers(_trunk(network))), list(_source_layers(source))
    if not tensors:
        raise ValueError(f"start must hold the layers of a MobileNetV2, got none in {source}")
    pairs = list(zip(layers, tensors, strict=False))
    for number, (layer, values) in enumerate(pairs):
        try:
            _copy(layer, values)
        except (RuntimeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"start must fit the network, got another layer {number} ({type(layer).__name__}) in {source}; "
                "use a MobileNetV2 of width 1"
            ) from error
    for module in network.modules():
        if isinstance(module, SqueezeExcitation):
            assert module.excite.bias is not None
            nn.init.constant_(module.excite.bias, OPEN_GATE)
        elif isinstance(module, SpatialGroupEnhance):
            nn.init.constant_(module.shift, OPEN_GATE)
    return len(pairs)


def _trunk(network: nn.Module) -> nn.Module:
    """The part whose layers are MobileNetV2's, in order."""
    if isinstance(network, ParameterRegressor):
        return network.network
    if isinstance(network, FaceParser):
        context = network.context
        return nn.Sequential(context.stem, context.to_8, context.to_16, context.to_32)
    raise ValueError(f"start must be for mobile_frnet or parsing, got {type(network).__name__}")


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """Convolutions and batch norms in their order, without attention."""
    for child in module.children():
        if isinstance(child, nn.Conv2d | nn.BatchNorm2d | MultiScaleDepthwise):
            yield child
        elif not isinstance(child, SqueezeExcitation | SpatialGroupEnhance):
            yield from _layers(child)


def _read(source: Path) -> dict[str, Tensor]:
    """All tensors of a file, in float32; of a checkpoint the averaged ones."""
    path = latest_checkpoint(source) if source.is_dir() else source
    if not path.is_file():
        raise FileNotFoundError(f"start must be a run, a checkpoint or a safetensors file, got {path}; check the path")
    with refusing("start must be a whole safetensors file", path), safe_open(path, framework="pt") as file:
        if (file.metadata() or {}).get("format") != FORMAT:
            return {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118  (not a mapping)
    return read_checkpoint(path, None)[0]["average"]


def _source_layers(source: Path) -> Iterator[dict[str, Tensor]]:
    """Tensors of each layer of a MobileNetV2 by their last name, in the order of the numbers in the layers' names."""
    named = {}
    for name, value in _read(source).items():
        found = _PREFIX.match(name)
        if found and not name.endswith("num_batches_tracked"):
            layer, _, field = name[found.end() :].rpartition(".")
            named[tuple(int(n) for n in re.findall(r"\d+", layer)), field] = value
    for _, entries in groupby(sorted(named), key=lambda key: key[0]):
        yield {key[1]: named[key] for key in entries}


@torch.no_grad()
def _copy(layer: nn.Module, values: dict[str, Tensor]) -> None:
    """Fill one layer."""
    if isinstance(layer, MultiScaleDepthwise):
        for part, scale in zip(values["weight"].split(layer.widths), layer.scales, strict=True):
            assert isinstance(scale, nn.Conv2d)
            scale.weight.copy_(_embedded(part, scale.weight.shape[-1]))
    elif (values["weight"].ndim == _KERNEL_DIMENSIONS) != isinstance(layer, nn.Conv2d):
        raise KeyError("weight")
    else:
        layer.load_state_dict(values, strict=False)


def _embedded(kernel: Float[Tensor, "out in small small"], side: int) -> Float[Tensor, "out in side side"]:
    """Surround a kernel with zeros."""
    margin = (side - kernel.shape[-1]) // 2
    return nn.functional.pad(kernel, (margin, margin, margin, margin))
