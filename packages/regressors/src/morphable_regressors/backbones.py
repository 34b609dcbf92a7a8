"""Networks from a crop to some numbers: Mobile-FRNet and those its paper compares it with."""

from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor, nn

from morphable.extras import import_extra
from morphable.mobilenet import MobileNetV2
from morphable_regressors.mobile_frnet import MobileFRNet, MobileFRNetConfig

Backbone = Literal["mobile_frnet", "mobile_frnet_plain", "mobilenet_v2", "densenet121", "resnext50"]
"""`mobile_frnet_plain` is Mobile-FRNet without attention."""
BACKBONES: tuple[str, ...] = get_args(Backbone)


class CenteredNetwork(nn.Module):
    """A network for ImageNet, fed with colors in [-1, 1] as Mobile-FRNet is."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Float[Tensor, "batch 3 rows cols"]) -> Float[Tensor, "batch outputs"]:
        """Return the numbers of each crop; RGB in [0, 1]."""
        return self.network(image * 2 - 1)


def build_backbone(name: str, num_outputs: int) -> nn.Module:
    """Make a regression network by name, without pretrained weights.

    Raises:
        ValueError: The name is not one of `BACKBONES`.
        ModuleNotFoundError: `densenet121` or `resnext50` without torchvision (extra `backbones`).
    """
    if name in ("mobile_frnet", "mobile_frnet_plain"):
        return MobileFRNet(MobileFRNetConfig(num_outputs=num_outputs, attention=name == "mobile_frnet"))
    if name not in BACKBONES:
        raise ValueError(f"backbone must be one of {', '.join(BACKBONES)}, got {name!r}")
    if name == "mobilenet_v2":
        return CenteredNetwork(MobileNetV2(num_outputs))
    models = import_extra("torchvision", "morphable-regressors", "backbones").models
    makers = {"densenet121": models.densenet121, "resnext50": models.resnext50_32x4d}
    return CenteredNetwork(makers[name](weights=None, num_classes=num_outputs))
