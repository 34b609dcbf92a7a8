"""The whole network: picture in, faces out."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from morphable import FaceParameters

from .aggregation import Aggregation
from .backbones import Backbone, BackboneName, build_backbone, describe_backbone
from .cells import parameters_from_cells
from .decode import STRIDE_PX, Centers, cell_centers, decode_centers
from .face_head.crops import CropFrames, crop_frames, cut_crops, repeated
from .face_head.network import FaceHead, FaceHeadConfig, build_face_head
from .face_head.reading import corrected
from .heads import CenterHead, ParameterHead
from .layout import ParameterLayout
from .refinement import FINE_STRIDE_PX, ColorHead, FineRefinement, Refinement

SIZE_MULTIPLE_PX = 32
NUM_IMAGE_AXES = 4
NUM_CHANNELS = 3
DEFAULT_TOP_K = 64
DEFAULT_MIN_SCORE = 0.5


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """Shape of the network.

    >>> DetectorConfig(width=64).layout.num_identity
    80
    """

    backbone: BackboneName = "mobilenet_v2_tf"
    """Image encoder."""
    width: int = 96
    """Channels of each level of the feature aggregation, and of the fused features."""
    center_width: int = 48
    """Hidden channels of the center head."""
    parameter_width: int = 512
    """Hidden channels of the parameter head, which runs at the found faces only."""
    refinement_width: int = 0
    """Hidden channels of the refinement, which looks at found faces a second time; 0 for the paper's network."""
    fine_refinement_width: int = 0
    """Hidden channels of the refinement after it, which also looks at the picture's colors and at the encoder's
    features at stride 4; 0 for none."""
    color_width: int = 0
    """Hidden channels of the head that reads albedo and light from the colors of found faces; 0 for none."""
    face_head: FaceHeadConfig | None = None
    """Network that looks at an upright crop of pixels of each found face; None for the paper's single shot."""
    peak_window: int = 3
    """Side of the neighborhood of a local maximum of the center map, cells."""
    bgr_input: bool = False
    """Swap RGB to BGR before the normalization (the official checkpoint was trained so)."""
    model_name: str = "open"
    """Morphable model that the coefficients belong to."""
    layout: ParameterLayout = field(default_factory=ParameterLayout)
    """Meaning of the parameter head's channels."""

    def __post_init__(self) -> None:
        for name in ("width", "center_width", "parameter_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("refinement_width", "fine_refinement_width", "color_width"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if self.fine_refinement_width and not self.refinement_width:
            raise ValueError(
                f"refinement_width must be positive with fine_refinement_width {self.fine_refinement_width}, got 0"
            )
        describe_backbone(self.backbone)


@dataclass(frozen=True)
class Features:
    """What the heads read."""

    fused: Float[Tensor, "batch c rows cols"]
    """Aggregated features at stride 8."""
    fine: Float[Tensor, "batch c2 rows2 cols2"]
    """The encoder's own at stride 4."""
    color: Float[Tensor, "batch 3 rows2 cols2"]
    """The picture itself at stride 4, normalized as the encoder takes it."""


@dataclass(frozen=True)
class CellPredictions:
    """The network's output for training: every cell's center logit, the parameters at given cells."""

    center_logits: Float[Tensor, "batch rows cols"]
    channels: Float[Tensor, "batch top channels"]
    """Raw parameters at the cells: the parameter head's, refined where the network does that."""
    parameters: FaceParameters
    """The same, decoded: leading axes batch, top."""


@dataclass(frozen=True)
class Detections:
    """Faces of a batch of images, best first: as many entries per image as the image with the most faces needs.

    >>> config = DetectorConfig(backbone="mobilenet_v2", width=8, center_width=8, parameter_width=16)
    >>> detector = build_detector(config).eval()
    >>> found = detector.detect(torch.rand(1, 3, 64, 64), top_k=1, min_score=0.0)
    >>> found.center_px.shape
    torch.Size([1, 1, 2])
    """

    parameters: FaceParameters
    """Leading axes batch, top."""
    score: Float[Tensor, "batch top"]
    """Probability of a face; 0 on padding."""
    center_px: Float[Tensor, "batch top 2"]
    """Center (x, y) of the face's heatmap cell in input pixels."""
    valid: Bool[Tensor, "batch top"]
    """False on padding, where the other fields are meaningless."""
    points_px: Float[Tensor, "batch top points 2"] | None = None
    """The face head's `NUM_POINTS` points (x, y) as it locates them, in input pixels; None without a face head."""
    point_std_px: Float[Tensor, "batch top points"] | None = None
    """Standard deviation of each of their coordinates in input pixels; None without a face head."""

    def map(self, function: Callable[[Tensor], Tensor]) -> "Detections":
        """Apply a function to every tensor, e.g. `lambda value: value.to(device)`."""
        values = {name: value for name, value in vars(self).items() if value is not None and name != "parameters"}
        mapped = {name: function(value) for name, value in values.items()}
        return replace(self, parameters=self.parameters.map(function), **mapped)


class FaceDetector(nn.Module):
    """WM3DR's network. Input: RGB in [0, 1], sides multiples of 32; normalized inside.

    >>> config = DetectorConfig(backbone="mobilenet_v2", width=8, center_width=8, parameter_width=16)
    >>> detector = build_detector(config).eval()
    >>> found = detector.detect(torch.rand(1, 3, 64, 64), top_k=2, min_score=0.0)
    >>> found.score.shape
    torch.Size([1, 2])
    """

    mean: Tensor
    std: Tensor
    colors: Tensor

    def __init__(self, config: DetectorConfig, backbone: Backbone) -> None:
        super().__init__()
        spec = describe_backbone(config.backbone)
        self.config = config
        self.backbone = backbone
        self.aggregation = Aggregation(spec.channels, config.width)
        self.center_head = CenterHead(config.width, config.center_width)
        num_parameters = config.layout.num_channels
        self.parameter_head = ParameterHead(config.width, config.parameter_width, num_parameters)
        width = config.refinement_width
        self.refinement = Refinement(config.width, width, num_parameters) if width else None
        fine = config.fine_refinement_width
        self.fine_refinement = FineRefinement(config.width, spec.fine_channels, fine, num_parameters) if fine else None
        self.color_head = ColorHead(config.color_width, config.layout) if config.color_width else None
        layout = config.layout
        sizes = {"num_identity": layout.num_identity, "num_expression": layout.num_expression}
        self.face_head = build_face_head(config.face_head, **sizes) if config.face_head is not None else None
        self.register_buffer("colors", torch.tensor(config.layout.are_colors), persistent=False)
        self.register_buffer("mean", torch.tensor(spec.mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(spec.std)[:, None, None], persistent=False)

    def features(self, image: Float[Tensor, "batch 3 height width"]) -> Features:
        """Encode pictures."""
        if self.config.bgr_input:
            image = image.flip(1)
        normalised = (image - self.mean) / self.std
        c2, *coarser = self.backbone(normalised)
        return Features(self.aggregation(*coarser), c2, F.avg_pool2d(normalised, FINE_STRIDE_PX))

    def forward(self, image: Float[Tensor, "batch 3 height width"], cell: Int[Tensor, "batch top"]) -> CellPredictions:
        """Predict the center map, and parameters at given cells: the training path.

        Args:
            image: RGB in [0, 1].
            cell: Row-major heatmap cells, e.g. `CenterTargets.cell`; `top` may be 0.
        """
        features = self.features(image)
        channels = self.channels_at(features, cell)[-1]
        parameters = self._decode(channels, cell, features)
        return CellPredictions(self.center_head(features.fused), channels, parameters)

    def channels_at(
        self, features: Features, cell: Int[Tensor, "batch top"]
    ) -> tuple[Float[Tensor, "batch top channels"], ...]:
        """Give the raw parameters at some cells: the first estimate and, with refinements, the corrected ones.

        Each estimate has its own geometric loss, and gradients stop between estimates; the color loss on the last
        estimate reaches all of them.
        """
        estimates = [self.parameter_head.at_cells(features.fused, cell)]
        if self.refinement is not None:
            before, face = self._before(estimates[-1], cell, features)
            estimates.append(self.refinement(features.fused, before, face))
        if self.fine_refinement is not None:
            before, face = self._before(estimates[-1], cell, features)
            estimates.append(self.fine_refinement(features.fused, features.fine, features.color, before, face))
        if self.color_head is not None:
            face = self._decode(estimates[-1].detach(), cell, features)
            estimates[-1] = self.color_head(features.color, estimates[-1].float(), face)
        return tuple(estimates)

    def _before(self, estimate: Tensor, cell: Tensor, features: Features) -> tuple[Tensor, FaceParameters]:
        """Return what a correction is added to, and where it looks."""
        fixed = estimate.detach()
        return torch.where(self.colors, estimate, fixed), self._decode(fixed, cell, features)

    def dense(
        self, image: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch rows cols"], Float[Tensor, "batch channels rows cols"]]:
        """Give the center logits and the parameter head's output of every cell, as the paper's Figure 3 does."""
        features = self.features(image).fused
        return self.center_head(features), self.parameter_head(features)

    def detect(
        self,
        image: Float[Tensor, "batch 3 height width"],
        top_k: int = DEFAULT_TOP_K,
        *,
        min_score: float = DEFAULT_MIN_SCORE,
    ) -> Detections:
        """Find the faces of pictures in one pass; what follows the center map runs at the found cells only.

        Call `eval()` first: batch statistics would make faces depend on their neighbors in the batch.

        Args:
            image: RGB in [0, 1], sides multiples of 32 pixels.
            top_k: Most faces per image.
            min_score: Probability that a face must exceed to be valid.

        Raises:
            ValueError: The image has another shape, range type, or size.
        """
        check_image(image)
        return self.detect_unchecked(image, top_k, min_score)

    def detect_unchecked(self, image: Tensor, top_k: int | Tensor, min_score: float | Tensor) -> Detections:
        """Detect without looking at the input: the form that is exported."""
        features = self.features(image)
        centers = self.centers(self.center_head(features.fused), top_k=top_k, min_score=min_score)
        channels = self.channels_at(features, centers.cell)[-1]
        parameters = self._decode(channels, centers.cell, features)
        found = Detections(parameters, centers.score, centers.xy_px, centers.valid)
        return self.look_closer(image, found, min_score=min_score)

    def look_closer(
        self, image: Float[Tensor, "batch 3 height width"], found: Detections, *, min_score: float | Tensor
    ) -> Detections:
        """Let the face head correct and score the faces; without a face head they stay as they are.

        Args:
            image: The pictures in which the faces were found.
            found: The faces.
            min_score: Score that a face must exceed to stay valid.
        """
        return found if self.face_head is None else look_closer(image, found, self.face_head, min_score=min_score)

    def centers(
        self, center_logits: Float[Tensor, "batch rows cols"], *, top_k: int | Tensor, min_score: float | Tensor
    ) -> Centers:
        """Read the center map with this network's neighborhood; a face head looks at less certain cells too."""
        heatmap = center_logits.float().sigmoid()
        if self.face_head is not None:
            least = self.face_head.config.min_center_score
            min_score = min_score.clamp(max=least) if isinstance(min_score, Tensor) else min(min_score, least)
        return decode_centers(heatmap, top_k=top_k, min_score=min_score, window=self.config.peak_window)

    def _decode(self, channels: Tensor, cell: Tensor, features: Features) -> FaceParameters:
        """Decode the channels of cells in float32, whatever the network's precision."""
        rows, cols = features.fused.shape[2:]
        size_hw = (rows * STRIDE_PX, cols * STRIDE_PX)
        return parameters_from_cells(channels.float(), cell_centers(cell, cols), size_hw, self.config.layout)


def look_closer(
    image: Float[Tensor, "batch 3 height width"],
    found: Detections,
    head: FaceHead,
    *,
    min_score: float | Tensor,
    channels: Callable[[Float[Tensor, "batch 3 height width"], CropFrames], Float[Tensor, "batch top channels"]]
    | None = None,
) -> Detections:
    """Let a face head correct and score faces, and sort them by their new scores.

    Args:
        image: The pictures in which the faces were found.
        found: The faces.
        head: The face head.
        min_score: Score that a face must exceed to stay valid.
        channels: What computes the head's output for crops of the pictures; by default the head itself.
    """
    frames = crop_frames(found.parameters)
    reading = head.reading(channels(image, frames) if channels else head(cut_crops(image, frames)))
    seen = corrected(found.parameters, frames, head.limited(reading))
    std_px = reading.log_std.exp() * frames.side_px[..., None]
    x, y = frames.to_picture(reading.points).unbind(-1)
    points_px = torch.stack([x + 0.5 * image.shape[3], y + 0.5 * image.shape[2]], -1)  # exported for any size
    score = torch.where(found.valid, head.face_score(found.score, reading), 0.0)
    score = torch.where(repeated(seen, score), 0.0, score)
    return _best_first(
        replace(found, parameters=seen, score=score, points_px=points_px, point_std_px=std_px), min_score
    )


def _best_first(found: Detections, min_score: float | Tensor) -> Detections:
    """Sort the faces of each picture by their scores, and keep those valid that exceed a threshold."""
    score, order = found.score.topk(found.score.shape[1], dim=1)  # the ONNX exporter knows no stable sort

    def sorted_rows(value: Tensor) -> Tensor:
        index = order.view(*order.shape, *(1,) * (value.ndim - 2)).expand(*order.shape, *value.shape[2:])
        return value.gather(1, index)

    return replace(found.map(sorted_rows), score=score, valid=score > min_score)


def build_detector(
    config: DetectorConfig, *, backbone_weights: Path | Literal["imagenet"] | None = None
) -> FaceDetector:
    """Build the network.

    Args:
        config: Its shape; presets are in `morphable_detector_head.presets`.
        backbone_weights: First weights of the encoder: random if None, `imagenet` through torchvision's
            loader (downloads on first use), or a local file. See `build_backbone`.

    >>> config = DetectorConfig(backbone="mobilenet_v2", width=8, center_width=8, parameter_width=16)
    >>> detector = build_detector(config).eval()
    >>> detector.config.width
    8
    """
    return FaceDetector(config, build_backbone(config.backbone, weights=backbone_weights))


def check_image(image: Tensor) -> None:
    """Check a batch of pictures at the border of the package.

    Raises:
        ValueError: It is not floating-point of shape (batch, 3, height, width) with sides multiples of 32.
    """
    shape = "x".join(map(str, image.shape))
    if image.ndim != NUM_IMAGE_AXES or image.shape[1] != NUM_CHANNELS:
        raise ValueError(f"image must have shape (batch, 3, height, width), got {shape}; move the channels first")
    if not image.is_floating_point():
        raise ValueError(f"image must be floating point in [0, 1], got {image.dtype}; divide 8-bit values by 255")
    height, width = image.shape[2:]
    if height % SIZE_MULTIPLE_PX or width % SIZE_MULTIPLE_PX or not height * width:
        raise ValueError(
            f"image sides must be positive multiples of {SIZE_MULTIPLE_PX} pixels, got {height}x{width}; "
            "pad symmetrically with ImageNet's mean color"
        )
