"""Configuration of a training run: frozen, keyword-only, checked where it is made."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from morphable_detector_head import DetectorConfig
from morphable_losses.wm3dr import Wm3drWeights

NUM_NEIGHBORS = 8
"""Cells beside the center cell that are trained to describe a face."""


def _require(name: str, value: object, holds: bool, rule: str) -> None:
    """Raise the house's error for a field that breaks its rule."""
    if not holds:
        raise ValueError(f"{name} must be {rule}, got {value}")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which pictures are seen, and how they are kept."""

    exact: tuple[Path, ...] = ()
    """Folders of shards with exact labels (synthetic scenes)."""
    synthesize: Literal["none", "procedural", "makehuman"] = "none"
    """Render the exactly labeled pictures while training, every one new, instead of reading them from `exact`."""
    assets: Path | None = None
    """Folder of photographic assets for `makehuman` (`morphable-synth check-assets`)."""
    weak: tuple[Path, ...] = ()
    """Folders of shards with landmark labels (photographs)."""
    weak_fraction: float = 0.3
    """Share of pictures with landmark labels; in stage 1 where both kinds are given. In stage 2 those are whole
    pictures, in which what is outside the labeled faces does not count as background; weakly labeled faces are also
    what is pasted into the others."""
    cache: Path | None = None
    """Folder of decoded crops, kept between runs; by default beside the run."""
    crop_px: int = 336
    """Side of the stored square crops of stage 1 and of the faces pasted in stage 2."""
    crop_face_px: float = 144.0
    """Longer side of the face's box in them; in profile the box is narrow, the face is not."""
    min_face_px: float = 40.0
    """Smaller faces of a scene are not used as single faces in stage 1."""
    max_faces: int = 10
    """Faces pasted into one picture of stage 2, at most."""
    paste_fraction: float = 0.3
    """Share of stage 2 pictures that are made by pasting single faces rather than taken as scenes."""
    backgrounds: tuple[Path, ...] = ()
    """Folders of pictures without faces, onto which single faces are pasted in stage 2; onto one color without them."""
    empty_fraction: float = 0.05
    """Share of stage 2 pictures that are a background without any face; none without `backgrounds`."""
    workers: int = 0
    """Threads that decode scenes, and processes that render with `synthesize`; 0 works in the training process."""

    def __post_init__(self) -> None:
        if self.synthesize != "none" and self.exact:
            raise ValueError(f"exact must be empty with synthesize {self.synthesize}, got {len(self.exact)} folders")
        _require("weak_fraction", self.weak_fraction, 0.0 <= self.weak_fraction <= 1.0, "in [0, 1]")
        _require("paste_fraction", self.paste_fraction, 0.0 <= self.paste_fraction <= 1.0, "in [0, 1]")
        _require("empty_fraction", self.empty_fraction, 0.0 <= self.empty_fraction <= 1.0, "in [0, 1]")
        _require("crop_px", self.crop_px, self.crop_px >= 32, "at least 32")
        _require("crop_face_px", self.crop_face_px, 0 < self.crop_face_px <= self.crop_px, "in (0, crop_px]")
        _require("max_faces", self.max_faces, self.max_faces >= 1, "at least 1")
        _require("workers", self.workers, self.workers >= 0, "0 or more")


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Random changes of the pictures. Geometric ones change pose and landmarks with them."""

    face_px: tuple[float, float] = (72.0, 180.0)
    """Longer side of the face's box in stage 1's input, drawn uniformly in its logarithm."""
    zoom: tuple[float, float] = (0.6, 1.6)
    """Zoom of a scene in stage 2, drawn uniformly in its logarithm."""
    shift: float = 0.12
    """Largest shift of a face from the middle in stage 1, in input sides."""
    angle_deg: float = 20.0
    """Largest turn in the picture."""
    flip: bool = True
    """Mirror half of the pictures."""
    brightness: float = 0.25
    """Largest change of the mean, relative."""
    light: float = 0.0
    """Largest standard deviation of a smooth field of light over the picture, in its logarithm."""
    contrast: float = 0.25
    """Largest change of contrast, relative."""
    saturation: float = 0.4
    """Largest change of saturation, relative."""
    tint: float = 0.1
    """Largest change of one color channel against the others, relative."""
    gray: float = 0.08
    """Probability of a gray picture."""
    blur: float = 0.2
    """Probability of lost resolution."""
    noise: float = 0.03
    """Largest standard deviation of pixel noise."""
    erase: float = 0.25
    """Probability of a patch that hides part of the picture."""

    def __post_init__(self) -> None:
        _require("face_px", self.face_px, 0 < self.face_px[0] <= self.face_px[1], "two increasing positive numbers")
        _require("zoom", self.zoom, 0 < self.zoom[0] <= self.zoom[1], "two increasing positive numbers")
        for name in ("gray", "blur", "erase"):
            _require(name, getattr(self, name), 0.0 <= getattr(self, name) <= 1.0, "in [0, 1]")


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the terms. Lengths are in face sizes, so that near and far faces count alike."""

    objective: Literal["ours", "paper"] = "ours"
    """The terms below, or WM3DR's equations 7 to 16 as printed with the weights in `paper`; of the terms below, those
    then use `photometric_every` and `perception_weights` alone."""
    paper: Wm3drWeights = field(default_factory=Wm3drWeights)
    """Weights of the paper's objective: 1, 100, 0.01, 0.1, 0.0001, 0.001. The perception term is left out at 0."""
    center: float = 1.0
    """Center heatmap; in stage 2 only."""
    center_kind: Literal["focal", "gaussian"] = "gaussian"
    """Eq. 7 of the paper, or CenterNet's variant that forgives neighbors of the center."""
    landmarks: float = 10.0
    """Projected landmarks, mean distance in face sizes."""
    opening: float = 10.0
    """Lines between opposite points of eyes, brows and lips, mean error in face sizes."""
    points: float = 10.0
    """Projected dense surface points of exact labels, mean distance in face sizes."""
    shape: float = 30.0
    """Surface points in the model frame, mean distance in tenths of a meter."""
    rotation: float = 1.0
    """Squared Frobenius distance of rotation matrices."""
    depth: float = 2.0
    """Absolute difference of log-depth."""
    identity: float = 0.05
    """Squared difference of identity coefficients, mean over the modes."""
    expression: float = 10.0
    """Squared difference of expression activations, mean over the actions. (The absolute difference has its least
    expectation at the median, which is zero for most actions: faces keep still.)"""
    photometric: float = 1.0
    """Color difference on visible skin."""
    photometric_kind: Literal["points", "rendered"] = "points"
    """Compare at sampled surface points (fast), or through the rasterizer (the paper's eq. 9)."""
    photometric_every: int = 1
    """Steps between photometric terms; it is weighted up accordingly."""
    perception: float = 0.0
    """Distance between face embeddings of rendered and photographed face (eq. 11; 1e-4 of `photometric` in the paper);
    rendered in the steps of the photometric term. Needs facenet-pytorch (extra `perception`)."""
    perception_weights: Path | None = None
    """Local file with InceptionResnetV1's weights; facenet-pytorch downloads VGGFace2's if not given."""
    prior_identity: float = 1e-3
    """Squared identity coefficients of weakly labeled faces, mean over the modes."""
    prior_expression: float = 1e-2
    """Squared expression activations of weakly labeled faces, mean over the actions."""
    prior_albedo: float = 1e-3
    """Squared albedo coefficients, mean over the modes."""
    prior_light: float = 1e-2
    """Squared distance of the light's colors from their gray mean."""
    variance: float = 0.0
    """Albedo variance over the skin, colors in 0-255 (eq. 14); only with `rendered` colors."""
    feature_weight: float = 2.0
    """Weight of nose and mouth points against the others (20 in the paper; weights are normalized)."""
    first_estimate: float = 0.5
    """Weight of the geometric terms of each estimate before the last, where the network refines its own."""
    neighbourhood: float = 0.12
    """Standard deviation, in face sizes, of the cells around a center that are trained to describe its face."""

    def __post_init__(self) -> None:
        _require("photometric_every", self.photometric_every, self.photometric_every >= 1, "at least 1")
        _require("neighbourhood", self.neighbourhood, self.neighbourhood > 0, "positive")

    @property
    def trains_center(self) -> bool:
        """Whether the center map has a loss."""
        return (self.paper.center if self.objective == "paper" else self.center) > 0

    @property
    def heatmap(self) -> Literal["binary", "gaussian"]:
        """Shape of the true center map around centers."""
        return "gaussian" if self.objective == "ours" and self.center_kind == "gaussian" else "binary"

    @property
    def compares_perception(self) -> bool:
        """Whether faces are compared in the space of a face-recognition network."""
        return (self.paper.perception if self.objective == "paper" else self.perception) > 0

    @property
    def neighbors(self) -> int:
        """Number of cells beside the center cell that are trained to describe a face; none in the paper."""
        return 0 if self.objective == "paper" else NUM_NEIGHBORS


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW with separate rates for a pretrained backbone and the new layers."""

    learning_rate: float = 1e-3
    """Peak rate of the new layers."""
    backbone_factor: float = 0.3
    """Rate of the backbone relative to it."""
    freeze_start: bool = False
    """Leave the backbone as it is up to stride 4, statistics included. These layers cost a third of a step's time, and
    change least."""
    weight_decay: float = 1e-4
    """Decoupled weight decay of matrices and kernels."""
    only_colors: bool = False
    """Train the color head alone; everything else stays as it is."""
    schedule: Literal["cosine", "step"] = "cosine"
    """Cosine to a hundredth, or a tenth of the rate after `step_at`."""
    step_at: float = 0.75
    """Part of the run after which the step schedule divides by ten."""
    warmup_steps: int = 200
    """Steps of linear growth from zero."""
    clip_norm: float = 40.0
    """Gradients longer than this are shortened to it; 0 leaves them as they are."""
    ema_decay: float = 0.998
    """Decay of the averaged weights; shorter at the start of a run."""

    def __post_init__(self) -> None:
        _require("learning_rate", self.learning_rate, self.learning_rate > 0, "positive")
        _require("clip_norm", self.clip_norm, self.clip_norm >= 0, "0 or more")
        _require("ema_decay", self.ema_decay, 0.0 <= self.ema_decay < 1.0, "in [0, 1)")
        _require("step_at", self.step_at, 0.0 < self.step_at <= 1.0, "in (0, 1]")


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """What is measured while training."""

    landmarks: tuple[Path, ...] = ()
    """Folders of photographs with 68 contour points (`landmarks68.json` or `.pts` files)."""
    exact: tuple[Path, ...] = ()
    """Held-out shards with exact labels."""
    pictures: tuple[Path, ...] = ()
    """Whole pictures on which detection is measured in stage 2: held-out shards of scenes, or folders of photographs
    with 68 points, where not every face need be annotated (recall alone)."""
    min_score: float = 0.5
    """Detections below this probability are not counted."""
    every_steps: int = 500
    """Steps between validations."""
    max_faces: int = 200
    """Faces measured per folder."""
    face_input_px: int = 224
    """Side of the crops of single faces, in both stages; the face takes half of it."""
    max_pictures: int = 100
    """Whole pictures measured per folder."""

    def __post_init__(self) -> None:
        side = self.face_input_px
        _require("every_steps", self.every_steps, self.every_steps >= 1, "at least 1")
        _require("face_input_px", side, side > 0 and side % 32 == 0, "a positive multiple of 32")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How long, how fast, how often."""

    stage: Literal[1, 2] = 1
    """1: single centered faces; 2: scenes of several faces, with the center heatmap."""
    input_px: int = 224
    """Side of the network's input."""
    steps: int = 20_000
    """Optimizer steps of the whole run."""
    minutes: float = 0.0
    """Stop after this time with a final checkpoint; 0 for no limit."""
    anneal_with_time: bool = False
    """Let the schedule follow the time budget when it runs out before the steps (not repeatable to the bit)."""
    batch_size: int = 32
    """Pictures per optimizer step, over all processes."""
    accumulate: int = 1
    """Parts a process works through one after the other in a step."""
    precision: Literal["32-true", "bf16-mixed"] = "bf16-mixed"
    """Arithmetic of the network; losses are float32 always."""
    seed: int = 0
    """Everything random is a function of the seed and the step."""
    threads: int = 0
    """CPU threads; 0 leaves PyTorch's choice."""
    log_every_steps: int = 20
    """Steps between rows of the logs."""
    pictures_every_steps: int = 500
    """Steps between pictures of predictions."""
    checkpoint_every_steps: int = 500
    """Steps between checkpoints."""
    checkpoint_every_minutes: float = 5.0
    """Minutes between checkpoints, if sooner."""
    keep_checkpoints: int = 2
    """Older ones are deleted."""

    def __post_init__(self) -> None:
        _require("input_px", self.input_px, self.input_px > 0 and self.input_px % 32 == 0, "a positive multiple of 32")
        _require("steps", self.steps, self.steps >= 1, "at least 1")
        _require("minutes", self.minutes, self.minutes >= 0, "0 or more")
        _require("batch_size", self.batch_size, self.batch_size >= 1, "at least 1")
        _require("accumulate", self.accumulate, self.accumulate >= 1, "at least 1")
        _require("keep_checkpoints", self.keep_checkpoints, self.keep_checkpoints >= 1, "at least 1")
        for name in ("log_every_steps", "pictures_every_steps", "checkpoint_every_steps"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")

    def with_length(self, minutes: float | None, steps: int | None) -> "RunConfig":
        """Return the same with another time limit or number of steps; None keeps its own."""
        asked: dict[str, Any] = {"minutes": minutes, "steps": steps}
        return replace(self, **{name: value for name, value in asked.items() if value is not None})


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training run.

    >>> TrainConfig(run=RunConfig(steps=100)).run.stage
    1
    """

    detector: DetectorConfig = field(default_factory=DetectorConfig)
    """The network."""
    backbone_weights: Literal["imagenet"] | Path | None = None
    """First weights of the backbone: `imagenet` for torchvision's own (downloaded by torchvision on first use), or a
    local file under torchvision's names."""
    initial: Path | None = None
    """A run, checkpoint or weights file whose network this run starts from (stage 2 from stage 1)."""
    model: str = "open"
    """Face model: `open` or the path of a model file."""
    run: RunConfig = field(default_factory=RunConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)

    def __post_init__(self) -> None:
        if str(self.backbone_weights) == "imagenet":  # on the command line a path takes every word
            object.__setattr__(self, "backbone_weights", "imagenet")
