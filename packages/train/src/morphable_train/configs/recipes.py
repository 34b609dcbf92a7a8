"""Configuration of the recipes: what a run of a per-face network does."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from morphable_losses.dfmvr import DfmvrWeights
from morphable_regressors import CropRule
from morphable_train.configs.stages import AugmentConfig, OptimizerConfig, RunConfig


@dataclass(frozen=True, kw_only=True)
class RecipeData:
    """Which faces are seen."""

    exact: tuple[Path, ...] = ()
    """Folders of shards: of `morphable-synth generate` (for DF-MVR of `morphable-train triples`), or of photographs
    that `prepare` made: 300W-LP with its parameters for Mobile-FRNet and PRNet, triples of views for DF-MVR,
    CelebAMask-HQ for parsing."""
    held_out: tuple[Path, ...] = ()
    """The same for validation; other people."""
    cache: Path | None = None
    """Folder of decoded crops, kept between runs; by default inside the run."""
    margin: float = 1.5
    """Side of the stored crops relative to the network's, so that turning and shifting finds pixels."""
    min_face_px: float = 32.0
    """Smaller faces are left out."""
    max_held_out: int = 200
    """Faces (DF-MVR: people) validated, at most."""

    def __post_init__(self) -> None:
        if self.margin < 1.0:
            raise ValueError(f"margin must be at least 1, got {self.margin}")


@dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """What all recipes share."""

    model: str = "open"
    """Face model: `open` or the path of a model file."""
    start: Path | None = None
    """First weights: a run or weights file of this recipe with the same options, which goes on."""
    crop: CropRule = field(default_factory=CropRule)
    """The network's input."""
    data: RecipeData = field(default_factory=RecipeData)
    augment: AugmentConfig = field(default_factory=lambda: AugmentConfig(zoom=(0.85, 1.18), shift=0.06))
    """Random changes; `zoom` is relative to the crop rule, `face_px` is not used."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: RunConfig = field(default_factory=RunConfig)
    """Length and speed; `stage` and `input_px` are not used."""
    validate_every_steps: int = 500
    """Steps between validations."""


@dataclass(frozen=True, kw_only=True)
class MobileFrnetConfig(RecipeConfig):
    """Mobile-FRNet: parameters by WPDC and wing losses (Li et al., ICPR 2020)."""

    recipe: Literal["mobile_frnet"] = "mobile_frnet"
    backbone: Literal["mobile_frnet", "mobile_frnet_plain", "mobilenet_v2", "densenet121", "resnext50"] = "mobile_frnet"
    """The paper's network, without attention, or one of those it is compared with."""
    start: Path | None = None
    """First weights: a run or weights file of `mobile_frnet` with the same options and crops, which goes on, or a
    trained MobileNetV2: a safetensors file by torchvision's names, or the weights or a run of a single-shot network
    with that backbone."""
    num_identity: int = 40
    """Identity modes among the parameters."""
    num_expression: int = 10
    """Expression directions among the parameters."""
    wpdc: float = 0.5
    """The paper's lambda 1."""
    wing: float = 1.0
    """The paper's lambda 2; half of it on the 68 points, half on a sample of the surface."""
    wing_width_px: float = 10.0
    """Where the wing loss becomes linear."""
    wing_curvature_px: float = 2.0
    """Smaller values stress small errors more."""
    whitening_faces: int = 2048
    """Augmented training faces from which mean and spread of the parameters are taken."""


@dataclass(frozen=True, kw_only=True)
class PrnetConfig(RecipeConfig):
    """PRNet: UV position maps (Feng et al., ECCV 2018)."""

    recipe: Literal["prnet"] = "prnet"
    width: int = 16
    """Channels of the first convolution; 16 is the paper's."""
    layout: Literal["atlas", "face"] = "face"
    """Texels of the maps: the model's own UV plane, or one that is stretched so that eyes, nose and mouth get most."""
    landmark_weight: float = 16.0
    """Weight of the texels of the 68 points."""
    feature_weight: float = 4.0
    """Weight of eyes, nose and mouth."""
    face_weight: float = 3.0
    """Weight of the rest of the face."""
    elsewhere_weight: float = 0.0
    """Weight of neck, scalp and ears."""
    squared: bool = False
    """Squared length of the errors instead of the length."""


@dataclass(frozen=True, kw_only=True)
class DfmvrConfig(RecipeConfig):
    """DF-MVR: three views of one face, fused (Zhao et al.)."""

    recipe: Literal["dfmvr"] = "dfmvr"
    width: float = 1.0
    """Factor on the channels: 0.25, 0.5 or 1."""
    fusion: Literal["mulen_unet", "unet", "cnn"] = "mulen_unet"
    """How views are fused."""
    involution: bool = True
    """RedNet-50; false for a ResNet-50."""
    parsing_channel: bool = True
    """Feed the parsing of each view as fourth channel."""
    parser: Path | None = None
    """Run or weights file of the recipe `parsing`; without it the channel holds the exact labels, there is no mask
    term, and the weights cannot be packaged."""
    weights: DfmvrWeights = field(default_factory=DfmvrWeights)
    """The paper's weights."""
    landmark_3d_unit_m: float = 0.005
    """Unit of the 3D landmark term, which the paper does not say; with 5 mm it starts as large as the others."""
    emphasized: Literal["nose_inner_mouth", "dfmvr_code"] = "nose_inner_mouth"
    """2D landmarks that count twenty times: the paper's text, or what its code does."""
    photo_every: int = 1
    """Steps between rendered terms, weighted up accordingly."""
    single_view: float = 1 / 3
    """Share of faces whose three inputs are one picture of them."""

    def __post_init__(self) -> None:
        if self.photo_every < 1:
            raise ValueError(f"photo_every must be at least 1, got {self.photo_every}")
        if not 0.0 <= self.single_view <= 1.0:
            raise ValueError(f"single_view must be in [0, 1], got {self.single_view}")


@dataclass(frozen=True, kw_only=True)
class ParsingConfig(RecipeConfig):
    """Face parsing: BiSeNet with ten classes on exact part labels."""

    recipe: Literal["parsing"] = "parsing"
    backbone: Literal["resnet18", "mobilenet_v2"] = "resnet18"
    """Encoder of BiSeNet: the one of DF-MVR's authors, or one with a quarter of the operations."""
    start: Path | None = None
    """First weights: a run or weights file of `parsing` with the same backbone, which goes on at any size of crop, or,
    with `mobilenet_v2`, trained weights of it, as Mobile-FRNet's `start`."""
    auxiliary: float = 1.0
    """Weight of each of the two auxiliary heads."""
    overlap: float = 0.0
    """Weight of one minus the mean intersection over union, which is what is measured; for the end of a training."""
    rarity: float = 0.2
    """Class weights are the classes' shares of the pixels to the power of minus this; 0 counts all pixels alike, large
    values push the borders of small parts outward."""


AnyRecipe = MobileFrnetConfig | PrnetConfig | DfmvrConfig | ParsingConfig
CONFIGS: dict[str, type[AnyRecipe]] = {
    "mobile_frnet": MobileFrnetConfig,
    "prnet": PrnetConfig,
    "dfmvr": DfmvrConfig,
    "parsing": ParsingConfig,
}
"""Configuration classes by recipe."""
