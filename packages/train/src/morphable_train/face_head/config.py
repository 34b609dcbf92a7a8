"""Configuration of a training of the face head."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from morphable_detector_head.face_head.network import FaceHeadConfig
from morphable_train.configs.stages import OptimizerConfig, RunConfig


@dataclass(frozen=True, kw_only=True)
class EstimateErrors:
    """How the estimate that cuts the crop errs; drawn anew for each face."""

    shift: float = 0.02
    """Standard deviation of the anchor's place in each direction, in sides of the crop."""
    log_depth: float = 0.04
    """Standard deviation of the logarithm of the depth."""
    angle_deg: float = 4.5
    """Standard deviation of the rotation's angle about each axis."""
    gross_share: float = 0.05
    """Share of faces whose errors are three times as large."""


@dataclass(frozen=True, kw_only=True)
class CropChanges:
    """Random changes of the crops' pixels."""

    contrast: float = 0.12
    """Largest change of contrast and of brightness."""
    tint: float = 0.1
    """Largest relative change of a color channel."""
    gray: float = 0.07
    """Share of gray crops."""
    noise: float = 0.02
    """Largest standard deviation of the noise."""
    coarse: float = 0.25
    """Share of crops whose picture is first shrunk, as small faces are."""
    coarsest: float = 8.0
    """Largest factor by which it is shrunk."""
    cut: float = 0.06
    """Share of crops that a border of the picture cuts."""
    hidden: float = 0.1
    """Share of crops of which a patch is hidden."""
    tone: float = 0.5
    """Share of crops with another tone curve."""
    gamma: float = 0.5
    """Largest change of the tone curve, in the logarithm of its exponent."""
    light: float = 0.4
    """Share of crops with uneven light."""
    light_std: float = 0.5
    """Largest standard deviation of that light, in its logarithm."""
    sharpness: float = 0.4
    """Share of crops that are blurred or sharpened."""
    compressed: float = 0.3
    """Share of crops that are stored as JPEG of low quality."""

    def __post_init__(self) -> None:
        for name in ("gray", "coarse", "cut", "hidden", "tone", "light", "sharpness", "compressed"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"changes.{name} must be in [0, 1], got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class FaceHeadLoss:
    """Weights of the terms."""

    shape: float = 600.0
    """Mean distance of the neutral surface, per meter."""
    motion: float = 400.0
    """Mean distance of the surface's motion by the expression, per meter."""
    identity: float = 0.1
    """Mean squared error of the identity coefficients."""
    expression: float = 8.0
    """Mean squared error of the expression coefficients."""
    gaze: float = 12.0
    """Factor on the expression term of the eyes' directions."""
    lids: float = 6.0
    """Factor on the expression term of blinks, squints and wide eyes."""
    rotation: float = 4.0
    """Frobenius norm of the rotation's error."""
    place: float = 10.0
    """Distance of the anchor in the crop, sides of the crop."""
    depth: float = 3.0
    """Absolute error of the logarithm of the depth."""
    surface: float = 15.0
    """Mean distance of the projected surface, sides of the crop."""
    points: float = 30.0
    """Mean distance of the landmarks, sides of the crop."""
    rough: float = 10.0
    """Mean distance of the landmarks as they are placed roughly. Without it they lie anywhere, and maps pull them."""
    opening: float = 20.0
    """Mean error of the lines between opposite points of eyes, brows and lips, sides of the crop."""
    irises: float = 20.0
    """Mean distance of the irises' centers, sides of the crop; they are among the landmarks too."""
    likelihood: float = 0.03
    """Negative logarithm of the landmarks' Gaussian likelihood."""
    face: float = 1.0
    """Cross entropy of "this is a face", of faces and of crops without one."""


@dataclass(frozen=True, kw_only=True)
class FaceHeadTraining:
    """A training of the face head on synthetic faces, and on photographs if there are any."""

    network: Literal["face_head"] = "face_head"
    """What the run trains."""
    head: FaceHeadConfig = field(default_factory=FaceHeadConfig)
    data: tuple[Path, ...] = ()
    """Folders of shards of `morphable-synth generate --scenes.layout single`."""
    held_out: tuple[Path, ...] = ()
    """The same for validation; other people."""
    photographs: tuple[Path, ...] = ()
    """Folders of shards of `morphable-train prepare --layout crop`: photographed faces of which 68 points are known."""
    photographs_per_step: int = 16
    """Such faces in each step, beside `run.batch_size` synthetic ones."""
    negatives: tuple[Path, ...] = ()
    """Folders of crops without a face, as `morphable-train negatives` makes them; without them the head's opinion
    whether a crop shows a face means nothing."""
    negatives_per_step: int = 8
    """Such crops in each step, beside `run.batch_size` faces."""
    initial: Path | None = None
    """First weights: a run of the face head, or a weights file with one; random without."""
    model: str = "open"
    """Face model: `open` or the path of a model file."""
    errors: EstimateErrors = field(default_factory=EstimateErrors)
    changes: CropChanges = field(default_factory=CropChanges)
    loss: FaceHeadLoss = field(default_factory=FaceHeadLoss)
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            learning_rate=2e-3, warmup_steps=300, weight_decay=0.02, clip_norm=5.0, ema_decay=0.999
        )
    )
    run: RunConfig = field(default_factory=lambda: RunConfig(batch_size=48, steps=1_000_000, anneal_with_time=True))
    """Length and speed; `stage` and `input_px` are not used."""
    min_visible: float = 0.25
    """Faces that show less of themselves are left out."""
    validate_every_minutes: float = 10.0
    """Minutes of training between validations."""
    max_held_out: int = 500
    """Faces validated, at most."""
