"""A run small enough for tests: stand-in model, rendered faces, a small network."""

from pathlib import Path

from stand_in import draw_truth, render_record, stand_in_model

from morphable_detector_head import DetectorConfig
from morphable_detector_head.layout import ParameterLayout
from morphable_train.configs.stages import (
    AugmentConfig,
    DataConfig,
    LossConfig,
    OptimizerConfig,
    RunConfig,
    TrainConfig,
    ValidationConfig,
)
from morphable_train.data.shards import DatasetInfo, ShardWriter, write_info

SIZE = 128


def write_shards(folder: Path, count: int, *, seed: int = 0, faces: int = 1, weak: bool = False) -> Path:
    """Rendered pictures of the stand-in model."""
    model = stand_in_model()
    with ShardWriter(folder, records_per_shard=8) as writer:
        for index in range(count):
            truth = draw_truth(model, faces, seed + index, size_px=SIZE, face_px=(40, 60))
            writer.write(render_record(model, truth, f"face{index:04d}", size_px=SIZE, weak=weak, contour=weak))
    write_info(folder, DatasetInfo(name="stand-in", license="CC0-1.0", records=count, faces=count * faces))
    return folder


def tiny_config(model_file: Path, exact: tuple[Path, ...], *, stage: int = 1, **run: object) -> TrainConfig:
    """A few steps of a small network."""
    options = {"steps": 6, "batch_size": 4, "input_px": 64, "precision": "32-true", "log_every_steps": 1} | run
    return TrainConfig(
        model=str(model_file),
        detector=DetectorConfig(
            backbone="mobilenet_v3_small",
            width=8,
            center_width=8,
            parameter_width=16,
            layout=ParameterLayout(num_identity=6, num_expression=4, num_albedo=3),
        ),
        run=RunConfig(stage=1 if stage == 1 else 2, checkpoint_every_steps=2, **options),
        data=DataConfig(exact=exact, crop_px=80, crop_face_px=36.0, min_face_px=20.0),
        augment=AugmentConfig(face_px=(24.0, 44.0)),
        loss=LossConfig(center=0.0 if stage == 1 else 1.0),
        optimizer=OptimizerConfig(warmup_steps=2),
        validation=ValidationConfig(every_steps=1000),
    )
