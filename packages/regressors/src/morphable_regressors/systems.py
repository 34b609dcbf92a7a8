"""Whole per-face systems as weights files hold them: network, what decodes its output, and the crop it is fed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from morphable.records import Json, build_record
from morphable_regressors.backbones import build_backbone
from morphable_regressors.crops import CropRule
from morphable_regressors.dfmvr import DFMVR, DFMVRConfig, MultiViewParameters
from morphable_regressors.face_codec import FaceCodec, OrthographicFaces
from morphable_regressors.parsing import FaceParser, parsing_channel
from morphable_regressors.position_map import points_of_map
from morphable_regressors.prnet import PRNet

NETWORKS = ("mobile_frnet", "prnet", "dfmvr", "parsing")
"""Names in the `network` field of a weights file's architecture."""


@dataclass(frozen=True, kw_only=True)
class ParameterConfig:
    """Shape of a network that regresses a face's parameters, and of their codec."""

    backbone: str = "mobile_frnet"
    """One of `BACKBONES`."""
    num_identity: int = 40
    """Number of identity modes among the parameters."""
    num_expression: int = 10
    """Number of expression directions among the parameters."""
    model_identity: int = 80
    """Number of identity modes of the face model."""
    model_expression: int = 64
    """Number of expression modes of the face model."""


@dataclass(frozen=True, kw_only=True)
class PositionMapConfig:
    """Shape of PRNet."""

    width: int = 16
    """Number of channels of the first layer."""
    layout: Literal["atlas", "face"] = "atlas"
    """Kind of the maps (`morphable_render.position_map_layout`); weights files that do not name one hold maps in the
    model's own UV plane."""

    def __post_init__(self) -> None:
        if self.layout not in ("atlas", "face"):
            raise ValueError(f"layout must be atlas or face, got {self.layout!r}")


@dataclass(frozen=True, kw_only=True)
class MultiViewConfig(DFMVRConfig):
    """Shape of DF-MVR and of the parsing network that makes its fourth channel."""

    with_parser: bool = True
    """False where the parsing is given from outside, as exact labels in training."""
    parser_backbone: str = "resnet18"
    """One of `PARSER_BACKBONES`."""


@dataclass(frozen=True, kw_only=True)
class ParserConfig:
    """Shape of the face-parsing network."""

    backbone: str = "resnet18"
    """One of `PARSER_BACKBONES`."""


SystemConfig = ParameterConfig | PositionMapConfig | MultiViewConfig | ParserConfig
_CONFIGS: dict[str, type[SystemConfig]] = {
    "mobile_frnet": ParameterConfig,
    "prnet": PositionMapConfig,
    "dfmvr": MultiViewConfig,
    "parsing": ParserConfig,
}


class ParameterRegressor(nn.Module):
    """Mobile-FRNet, or another backbone, with the codec of its parameters."""

    def __init__(self, config: ParameterConfig | None = None) -> None:
        """Make the system, which starts at the mean of all parameters."""
        super().__init__()
        sizes = asdict(config or ParameterConfig())
        backbone = sizes.pop("backbone")
        self.codec = FaceCodec(**sizes)
        self.network = build_backbone(backbone, self.codec.num_parameters)
        last = [module for module in self.network.modules() if isinstance(module, nn.Linear)][-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, crops: Float[Tensor, "faces 3 side side"]) -> Float[Tensor, "faces params"]:
        """Return whitened parameters; RGB in [0, 1]."""
        return self.network(crops)

    def faces(self, crops: Float[Tensor, "faces 3 side side"]) -> OrthographicFaces:
        """Return the faces in the pixels of their crops."""
        return self.codec.unpack(self.codec.unwhiten(self(crops)))


class PositionMapRegressor(nn.Module):
    """PRNet: a UV position map of each face, in the pixels of its crop."""

    def __init__(self, config: PositionMapConfig | None = None) -> None:
        super().__init__()
        config = config or PositionMapConfig()
        self.network, self.layout = PRNet(width=config.width), config.layout

    def forward(self, crops: Float[Tensor, "faces 3 side side"]) -> Float[Tensor, "faces 3 side side"]:
        """Return map values (`map_of_points`) by texel of the layout; RGB in [0, 1]."""
        return self.network(crops)

    def positions(self, crops: Float[Tensor, "faces 3 side side"]) -> Float[Tensor, "faces side side 3"]:
        """Return x, y in pixels of the crop and depth into the scene in pixels, by texel."""
        return points_of_map(self(crops).permute(0, 2, 3, 1), crops.shape[-1])


class MultiViewRegressor(nn.Module):
    """DF-MVR with the frozen parsing network that makes its fourth channel."""

    def __init__(self, config: MultiViewConfig | None = None) -> None:
        super().__init__()
        shape = config or MultiViewConfig()
        self.network = DFMVR(shape)
        needed = shape.with_parser and shape.parsing_channel
        self.parser = FaceParser(backbone=shape.parser_backbone).requires_grad_(False) if needed else None

    def train(self, mode: bool = True) -> "MultiViewRegressor":
        """Switch the mode of the network; the parser stays in evaluation."""
        super().train(mode)
        if self.parser is not None:
            self.parser.eval()
        return self

    def forward(
        self,
        views: Float[Tensor, "faces views 3 side side"],
        parsing: Float[Tensor, "faces views side side"] | None = None,
    ) -> MultiViewParameters:
        """Regress faces from their views.

        Args:
            views: RGB in [0, 1]: left, front, right.
            parsing: Fourth channel (`parsing_channel`); the parser's own if not given.

        Raises:
            ValueError: The network needs a parsing and has neither it nor a parser.
        """
        if not self.network.config.parsing_channel:
            return self.network(views)
        if parsing is None:
            parsing = self.parse(views)
        return self.network(torch.cat([views, parsing[:, :, None]], dim=2))

    @torch.no_grad()
    def parse(self, views: Float[Tensor, "faces views 3 side side"]) -> Float[Tensor, "faces views side side"]:
        """Return the parser's channel for each view."""
        if self.parser is None:
            raise ValueError("parsing must be given to a network without a parser, got none; train or add a parser")
        classes = self.parser(views.flatten(0, 1)).argmax(1)
        return parsing_channel(classes).to(views.dtype).unflatten(0, views.shape[:2])


@dataclass(frozen=True, kw_only=True)
class SystemSpec:
    """Which system, its shape, and its crops: the `architecture` of a weights file.

    >>> spec = SystemSpec(crop=CropRule(side_px=64), config=PositionMapConfig(width=4))
    >>> SystemSpec.from_json(spec.to_json()) == spec
    True
    """

    crop: CropRule
    config: SystemConfig

    @property
    def network(self) -> str:
        """One of `NETWORKS`."""
        return next(name for name, kind in _CONFIGS.items() if type(self.config) is kind)

    def to_json(self) -> dict[str, Json]:
        """Return what JSON can hold."""
        return {"network": self.network, "crop": asdict(self.crop), "options": asdict(self.config)}

    @staticmethod
    def from_json(values: Mapping[str, Json]) -> "SystemSpec":
        """Read a weights file's `architecture`; options that it lacks have their default.

        Raises:
            ValueError: It is not of a per-face network, or has options of a later version.
        """
        if not {"network", "crop"} <= values.keys():
            raise ValueError(
                f"architecture must name a per-face network with its crop and options, got {sorted(values)}; "
                "weights of the single-shot detector go elsewhere"
            )
        network, kind = values["network"], _CONFIGS.get(str(values["network"]))
        if kind is None:
            raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got {network!r}")
        return SystemSpec(
            crop=build_record(CropRule, _object(values["crop"], "crop"), "crop"),
            config=build_record(kind, _object(values.get("options", {}), "options"), f"{network}'s options"),
        )


def _object(value: Json, name: str) -> dict[str, Json]:
    """Take a JSON object as it is."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be a JSON object, got {value!r}")
    return value


def build_system(spec: SystemSpec) -> nn.Module:
    """Make a system with random weights.

    >>> spec = SystemSpec(crop=CropRule(side_px=64), config=PositionMapConfig(width=4))
    >>> build_system(spec)(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 3, 64, 64])
    """
    match spec.config:
        case ParameterConfig():
            return ParameterRegressor(spec.config)
        case PositionMapConfig():
            return PositionMapRegressor(spec.config)
        case MultiViewConfig():
            return MultiViewRegressor(spec.config)
        case ParserConfig():
            return FaceParser(backbone=spec.config.backbone)


def load_system(spec: SystemSpec, state: Mapping[str, Tensor]) -> nn.Module:
    """Make a system with the tensors of a weights file, in evaluation mode.

    Raises:
        ValueError: They are of another network.

    >>> spec = SystemSpec(crop=CropRule(side_px=64), config=PositionMapConfig(width=4))
    >>> load_system(spec, build_system(spec).state_dict()).training
    False
    """
    try:
        with torch.device("meta"):  # a damaged configuration may describe a network that no memory holds
            build_system(spec).load_state_dict(dict(state), assign=True)
    except Exception as error:  # torch raises many kinds for sizes that no layer has
        reason = str(error).splitlines()[-1].strip()
        raise ValueError(f"weights must fit the network they describe ({spec.network}), got {reason}") from error
    system = build_system(spec)
    system.load_state_dict(dict(state))
    return system.eval()
