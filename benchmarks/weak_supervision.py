r"""Learn faces from landmarks and photographs alone, and compare with the truth that was withheld.

    morphable-synth generate --out people --seed 1201 --count 300 --scenes.level makehuman --scenes.assets ASSETS \
        --scenes.layout single --scenes.size-px 256 --scenes.lens 0.8 4.0 --scenes.cut-share 0.05
    python benchmarks/weak_supervision.py --people people --out out/weak [--minutes 30] [--held-out OTHER_SHARDS]

The people are copied without everything but their pictures and 68 points: coefficients, poses, lens and masks of the
renderer never reach the training. Skin is found as `morphable-train prepare` finds it. The network is trained from
random weights by `morphable-train stage1`'s loop, with all modes of the face model. Afterwards its answers for the same
pictures are compared with the truth. A run that was stopped goes on where it was.

Errors are mean distances of points spread over the face between the predicted and the true shape with its expression,
in the model frame, without any alignment; `aligned` is after the best similarity, `neutral` without expressions. They
are compared with the model's mean face, and with the constant shape that is best for these people.
"""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro
from jaxtyping import Float
from torch import Tensor

from morphable import FaceParameters
from morphable_detector_head import DetectorConfig
from morphable_evalkit.reports.tables import Table, to_markdown
from morphable_train.configs.stages import (
    AugmentConfig,
    DataConfig,
    LossConfig,
    OptimizerConfig,
    RunConfig,
    TrainConfig,
    ValidationConfig,
)
from morphable_train.data.labels import weak_labels
from morphable_train.data.shards import DatasetInfo, Record, ShardReader, ShardWriter, write_info
from morphable_train.data.surface import SurfaceSample
from morphable_train.preparation.skin import skin_mask
from morphable_train.recipes.base.measures import shape_error_mm
from morphable_train.runs.loop import has_checkpoint
from morphable_train.stages.network import CellPredictor
from morphable_train.stages.parts import build_parts
from morphable_train.stages.training import train
from morphable_train.validation.faces import ValidationSet, open_exact_shards, predict

INPUT_PX = 64
CROP_PX = 96
"""Stored crops are larger than the input, so that shifts show pixels and not their absence."""
FACE_SHARE = 0.5
"""Side of the face in the input: that of validation pictures."""


@dataclass(frozen=True, kw_only=True)
class WeakConfig:
    """Learn from landmarks and photographs alone."""

    people: Path
    """Shards of single people with exact labels, which are withheld."""
    out: Path
    """Folder of the weak shards, the run and the result."""
    held_out: Path | None = None
    """Shards of other people, who are measured as well."""
    count: int = 300
    """People taken."""
    steps: int = 2500
    minutes: float = 0.0
    """Stop after this time; 0 for no limit."""


def withhold(people: Path, count: int, out: Path) -> Path:
    """Write the first people of some shards with their pictures and 68 points alone."""
    folder = out / "weak"
    if (folder / "dataset.json").is_file():
        return folder
    reader = ShardReader(people)
    with ShardWriter(folder, records_per_shard=100) as writer:
        for index in range(count):
            record = reader.read(index)
            points = record.labels.landmarks68_px
            labels = weak_labels(points, contour=False)
            writer.write(Record(record.key, record.image, labels, skin_mask(record.image, points)))
    write_info(folder, DatasetInfo(name="people without coefficients", license="CC0-1.0", records=count, faces=count))
    return folder


def weak_run(shards: Path, config: WeakConfig) -> TrainConfig:
    """Landmarks, colors and priors; every term that needs coefficients has none to compare with."""
    face_px = FACE_SHARE * INPUT_PX
    return TrainConfig(
        detector=DetectorConfig(
            backbone="mobilenet_v3_small", width=48, center_width=8, parameter_width=256
        ),
        run=RunConfig(
            input_px=INPUT_PX,
            steps=config.steps,
            minutes=config.minutes,
            batch_size=20,
            precision="32-true",
            threads=1,
            log_every_steps=20,
            pictures_every_steps=10**6,
            checkpoint_every_steps=250,
            checkpoint_every_minutes=3.0,
        ),
        data=DataConfig(weak=(shards,), crop_px=CROP_PX, crop_face_px=CROP_PX * 0.5, min_face_px=20.0),
        augment=AugmentConfig(
            face_px=(face_px * 0.96, face_px * 1.04), shift=0.02, angle_deg=3.0, flip=False, brightness=0.0,
            contrast=0.0, saturation=0.0, tint=0.0, gray=0.0, blur=0.0, noise=0.0, erase=0.0,
        ),
        loss=LossConfig(center=0.0, prior_identity=3e-2, prior_expression=3e-1, photometric_every=3),
        optimizer=OptimizerConfig(learning_rate=3e-3, backbone_factor=1.0, warmup_steps=50, ema_decay=0.995),
        validation=ValidationConfig(every_steps=10**6),
    )  # fmt: skip


def face_errors(found: FaceParameters, truth: ValidationSet, surface: SurfaceSample) -> dict[str, float]:
    """Return mean errors in millimeters, and what the mean faces' are."""
    faces = truth.faces

    def dense(identity: Tensor, expression: Tensor) -> Float[Tensor, "faces points 3"]:
        return surface.groups(surface.decode_shape(identity, expression)).dense

    def error_mm(points: Tensor, true: Tensor) -> float:
        return float((points - true).norm(dim=-1).mean() * 1000)

    still_id, still_ex = torch.zeros_like(faces.identity), torch.zeros_like(faces.expression)
    true, neutral = dense(faces.identity, faces.expression), dense(faces.identity, still_ex)
    mean, shape = dense(still_id, still_ex), dense(found.identity, found.expression)
    return {
        "shape": error_mm(shape, true),
        "shape_mean_face": error_mm(mean, true),
        "shape_best_constant": error_mm(true.mean(0), true),
        "aligned": float(shape_error_mm(shape, true).mean()),
        "aligned_mean_face": float(shape_error_mm(mean, true).mean()),
        "neutral": error_mm(dense(found.identity, still_ex), neutral),
        "neutral_mean_face": error_mm(mean, neutral),
    }


def main(config: WeakConfig) -> None:
    """Train, measure, print a table and write `errors.json`."""
    shards = withhold(config.people, config.count, config.out)
    run_config, run = weak_run(shards, config), config.out / "run"
    train(run_config, run, resume=has_checkpoint(run))
    parts = build_parts(replace(run_config, initial=run))
    predictor = CellPredictor(parts.network, with_center=False).eval()
    rows = {}
    for name, folder in (("withheld", config.people), ("held out", config.held_out)):
        if folder is None:
            continue
        truth = open_exact_shards(
            folder, input_px=INPUT_PX, max_faces=config.count, model=parts.model, surface=parts.surface
        )
        found = predict(predictor, truth.image, run_config.detector.layout, torch.device("cpu"))
        rows[name] = face_errors(found, truth, parts.surface)
    (config.out / "errors.json").write_text(json.dumps(rows, indent=2) + "\n")
    columns = tuple(next(iter(rows.values())))
    cells = tuple((name, *(f"{row[column]:.2f}" for column in columns)) for name, row in rows.items())
    sys.stdout.write(to_markdown(Table("Mean errors, mm", ("people", *columns), cells)))


if __name__ == "__main__":
    main(tyro.cli(WeakConfig))
