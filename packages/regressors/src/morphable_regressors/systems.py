"""Whole per-face systems as weights files hold them: network, what decodes its output, and the crop it is fed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from morphable_regressors.backbones import build_backbone
from morphable_regressors.crops import CropRule
from morphable_regressors.dfmvr import DFMVR, DFMVRConfig, MultiViewParameters
from morphable_regressors.face_codec import FaceCodec, OrthographicFaces
from morphable_regressors.parsing import FaceParser, parsing_channel
from morphable_regressors.position_map import points_of_map
from morphable_regressors.prnet import PRNet

NETWORKS = ("mobile_frnet", "prnet", "dfmvr", "parsing")
"""Names in the `network` field of a weights file's architecture."""


class ParameterRegressor(nn.Module):
    """Mobile-FRNet, or another backbone, with the codec of its parameters."""

    def __init__(self, *, backbone: str = "mobile_frnet", **codec: int) -> None:
        """Make the system, which starts at the mean of all parameters; `codec` are the arguments of `FaceCodec`."""
        super().__init__()
        self.codec = FaceCodec(**codec)
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

    def __init__(self, *, width: int = 16) -> None:
        super().__init__()
        self.network = PRNet(width=width)

    def forward(self, crops: Float[Tensor, "faces 3 side side"]) -> Float[Tensor, "faces 3 side side"]:
        """Return map values (`map_of_points`) by texel of the model's UV plane; RGB in [0, 1]."""
        return self.network(crops)

    def positions(self, crops: Float[Tensor, "faces 3 side side"]) -> Float[Tensor, "faces side side 3"]:
        """Return x, y in pixels of the crop and depth into the scene in pixels, by texel."""
        return points_of_map(self(crops).permute(0, 2, 3, 1), crops.shape[-1])


class MultiViewRegressor(nn.Module):
    """DF-MVR with the frozen parsing network that makes its fourth channel."""

    def __init__(self, *, with_parser: bool = True, parser_backbone: str = "resnet18", **config: Any) -> None:
        """Make the system; `config` are the fields of `DFMVRConfig`.

        Args:
            with_parser: False where the parsing is given from outside, as exact labels in training.
            parser_backbone: Of the parser.
            **config: Shape of the network.
        """
        super().__init__()
        self.network = DFMVR(DFMVRConfig(**config))
        needed = with_parser and self.network.config.parsing_channel
        self.parser = FaceParser(backbone=parser_backbone).requires_grad_(False) if needed else None

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


_SYSTEMS = {
    "mobile_frnet": ParameterRegressor,
    "prnet": PositionMapRegressor,
    "dfmvr": MultiViewRegressor,
    "parsing": FaceParser,
}


@dataclass(frozen=True, kw_only=True)
class SystemSpec:
    """Which system, its shape, and its crops: the `architecture` of a weights file."""

    network: str
    """One of `NETWORKS`."""
    crop: CropRule
    options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the system's class."""

    def __post_init__(self) -> None:
        if self.network not in _SYSTEMS:
            raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got {self.network!r}")

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "SystemSpec":
        """Read a weights file's `architecture`.

        Raises:
            ValueError: It is not of a per-face network, or of one that this version does not know.
        """
        try:
            crop = CropRule(**values["crop"])
            return SystemSpec(network=values["network"], crop=crop, options=dict(values.get("options", {})))
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"architecture must name a per-face network with its crop and options, got {sorted(values)} ({error}); "
                "weights of the single-shot detector go elsewhere"
            ) from error


def build_system(spec: SystemSpec) -> nn.Module:
    """Make a system with random weights.

    Raises:
        ValueError: Its options are not those of the system's class.
    """
    try:
        return _SYSTEMS[spec.network](**spec.options)
    except TypeError as error:
        raise ValueError(f"options must be those of {spec.network}, got {spec.options}: {error}") from error


def load_system(spec: SystemSpec, state: Mapping[str, Tensor]) -> nn.Module:
    """Make a system with the tensors of a weights file, in evaluation mode.

    Raises:
        ValueError: They are of another network.
    """
    system = build_system(spec)
    try:
        system.load_state_dict(dict(state))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ValueError(f"weights must fit the network they describe ({spec.network}), got {reason}") from error
    return system.eval()
