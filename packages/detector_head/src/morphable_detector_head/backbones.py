"""Image encoders by name: networks for ImageNet cut at strides 8, 16 and 32.

MobileNetV2 is `morphable.mobilenet`; the others are torchvision's, which the extra `backbones` brings.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from morphable.extras import import_extra
from morphable.mobilenet import MobileNetV2

from .files import read_state_dict

BackboneName = Literal[
    "resnet18", "resnet50", "mobilenet_v2", "mobilenet_v2_tf", "mobilenet_v3_large", "mobilenet_v3_small"
]
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
TENSORFLOW_MEAN = (0.5, 0.5, 0.5)
TENSORFLOW_STD = (0.5, 0.5, 0.5)
CLASSIFIER_PREFIXES = ("classifier.", "fc.")


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """Properties of an encoder that the rest of the network needs."""

    torchvision_name: str
    """Name of the network in `torchvision.models`, which names the layers of all of them."""
    channels: tuple[int, int, int]
    """Channels of the three feature maps."""
    fine_channels: int
    """Channels at stride 4, before the first of them."""
    fine_cut: int
    """Layers of the first stage that lead to stride 4."""
    cuts: tuple[int, int, int] = (0, 0, 0)
    """Ends of the three stages in the network's `features`; unused for ResNets."""
    strides: tuple[int, int, int] = (8, 16, 32)
    """Input pixels per cell of the three feature maps."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Mean of the RGB input in [0, 1] that the ImageNet weights expect."""
    std: tuple[float, float, float] = IMAGENET_STD
    """Standard deviation of the RGB input that the ImageNet weights expect."""
    pads_bottom_right: bool = False
    """TensorFlow's padding of stride-2 convolutions: one row and column, at the bottom and right only."""


_SPECS: dict[str, BackboneSpec] = {
    "resnet18": BackboneSpec(torchvision_name="resnet18", channels=(128, 256, 512), fine_channels=64, fine_cut=5),
    "resnet50": BackboneSpec(torchvision_name="resnet50", channels=(512, 1024, 2048), fine_channels=256, fine_cut=5),
    "mobilenet_v2": BackboneSpec(
        torchvision_name="mobilenet_v2", channels=(32, 96, 320), fine_channels=24, fine_cut=4, cuts=(7, 14, 18)
    ),
    "mobilenet_v2_tf": BackboneSpec(
        torchvision_name="mobilenet_v2",
        channels=(32, 96, 320),
        fine_channels=24,
        fine_cut=4,
        cuts=(7, 14, 18),
        mean=TENSORFLOW_MEAN,
        std=TENSORFLOW_STD,
        pads_bottom_right=True,
    ),
    "mobilenet_v3_large": BackboneSpec(
        torchvision_name="mobilenet_v3_large", channels=(40, 112, 160), fine_channels=24, fine_cut=4, cuts=(7, 13, 16)
    ),
    "mobilenet_v3_small": BackboneSpec(
        torchvision_name="mobilenet_v3_small", channels=(24, 48, 96), fine_channels=16, fine_cut=2, cuts=(4, 9, 12)
    ),
}


class BottomRightConv2d(nn.Conv2d):
    """A stride-2 3x3 convolution that pads as TensorFlow's SAME does on even sizes: bottom and right only."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (the name in torch's own signature)
        """Pad by one row and column, then convolve."""
        return super().forward(F.pad(input, (0, 1, 0, 1)))


class Backbone(nn.Module):
    """Three stages whose outputs have strides 8, 16 and 32; on the way to the first, the features at stride 4."""

    def __init__(self, stages: list[nn.Sequential], fine_cut: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.fine_cut = fine_cut

    def start(self) -> list[nn.Module]:
        """Return the layers up to stride 4."""
        return list(self.stages[0].children())[: self.fine_cut]

    def forward(
        self, image: Float[Tensor, "batch 3 height width"]
    ) -> tuple[
        Float[Tensor, "batch c2 rows2 cols2"],
        Float[Tensor, "batch c3 rows3 cols3"],
        Float[Tensor, "batch c4 rows4 cols4"],
        Float[Tensor, "batch c5 rows5 cols5"],
    ]:
        """Encode normalized pictures."""
        first, second, third = self.stages
        c2 = c3 = image
        for place, layer in enumerate(first.children(), start=1):
            c3 = layer(c3)
            c2 = c3 if place == self.fine_cut else c2
        c4 = second(c3)
        return c2, c3, c4, third(c4)


def describe_backbone(name: BackboneName) -> BackboneSpec:
    """Give the channels, strides and input normalization of an encoder."""
    if name not in _SPECS:
        raise ValueError(f"backbone must be one of {', '.join(_SPECS)}, got {name!r}")
    return _SPECS[name]


def build_classifier(name: BackboneName) -> nn.Module:
    """Build the network for ImageNet that an encoder is cut from, with random weights.

    Raises:
        ModuleNotFoundError: The encoder is not MobileNetV2, and torchvision (extra `backbones`) is not installed.
    """
    spec = describe_backbone(name)
    if spec.torchvision_name == "mobilenet_v2":
        network: nn.Module = MobileNetV2()
    else:
        network = getattr(_torchvision_models(), spec.torchvision_name)(weights=None)
    if spec.pads_bottom_right:
        _pad_bottom_right(network)
    return network


def build_backbone(name: BackboneName, *, weights: Path | Literal["imagenet"] | None = None) -> Backbone:
    """Build an encoder.

    Args:
        name: Which one. `mobilenet_v2_tf` is MobileNetV2 with TensorFlow's padding and input range, for
            weights that come from TensorFlow; the others are torchvision's.
        weights: Random if None; `imagenet` for torchvision's own loader, which downloads on first
            use; or a local `.safetensors` or `.pth` file with torchvision's names.

    Raises:
        ValueError: The name is unknown, or the file is of another network.
        OSError: The file does not exist, or the download failed.
        ModuleNotFoundError: Needs torchvision (extra `backbones`), which is not installed.
    """
    spec = describe_backbone(name)
    network = build_classifier(name)
    if weights is not None:
        state = _download(spec) if weights == "imagenet" else read_state_dict(Path(weights))
        _load_features(network, state, str(weights), name)
    if spec.torchvision_name.startswith("resnet"):
        return Backbone(_resnet_stages(network), spec.fine_cut)
    layers = list(network.features)  # type: ignore[arg-type]  # an nn.Sequential
    starts = (0, *spec.cuts[:2])
    stages = [nn.Sequential(*layers[start:end]) for start, end in zip(starts, spec.cuts, strict=True)]
    return Backbone(stages, spec.fine_cut)


def _resnet_stages(network: nn.Module) -> list[nn.Sequential]:
    stem = [getattr(network, name) for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2")]
    return [nn.Sequential(*stem), nn.Sequential(network.layer3), nn.Sequential(network.layer4)]  # type: ignore[arg-type]


def _pad_bottom_right(network: nn.Module) -> None:
    """Turn every stride-2 convolution into one with TensorFlow's padding, same parameters and names."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            module.__class__ = BottomRightConv2d
            module.padding = (0, 0)


def _torchvision_models() -> Any:
    return import_extra("torchvision", "morphable-detector-head", "backbones").models


def _download(spec: BackboneSpec) -> dict[str, Tensor]:
    if spec.pads_bottom_right:
        raise ValueError(
            "backbone_weights must be a local file for mobilenet_v2_tf, got 'imagenet'; "
            "make one with tools/import_tflite_mobilenet_v2.py"
        )
    weights = _torchvision_models().get_model_weights(spec.torchvision_name).DEFAULT
    try:
        return weights.get_state_dict(progress=False, check_hash=True)
    except OSError as error:
        raise OSError(f"{weights.url} could not be fetched ({error}); pass a local file as backbone_weights") from error


def _load_features(network: nn.Module, state: dict[str, Tensor], source: str, name: str) -> None:
    """Load everything but the classifier, strictly."""
    own = {key: value for key, value in network.state_dict().items() if not key.startswith(CLASSIFIER_PREFIXES)}
    given = {key: value for key, value in state.items() if not key.startswith(CLASSIFIER_PREFIXES)}
    for key in own:
        if key.endswith("num_batches_tracked") and key not in given:
            given[key] = torch.zeros((), dtype=torch.long)
    wrong = [key for key in own if key not in given or given[key].shape != own[key].shape]
    extra = [key for key in given if key not in own]
    if wrong or extra:
        raise ValueError(
            f"backbone_weights must hold {name} under torchvision's names, got {source} with {len(wrong)} "
            f"missing or misshapen and {len(extra)} unknown entries (first: {(wrong + extra)[0]}); "
            "choose the backbone it is of"
        )
    network.load_state_dict(given, strict=False)
