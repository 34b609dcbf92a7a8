"""Named configurations."""

from dataclasses import replace
from pathlib import Path

from morphable_detector_head import DetectorConfig
from morphable_detector_head.presets import MOBILE, RESNET50, RESNET50_128
from morphable_losses.wm3dr import Wm3drWeights
from morphable_train.configs.stages import (
    AugmentConfig,
    DataConfig,
    LossConfig,
    OptimizerConfig,
    RunConfig,
    TrainConfig,
    ValidationConfig,
)

STAGE2_AUGMENT = AugmentConfig(angle_deg=15.0, erase=0.0)
"""Scenes bring their own occluders; a patch could hide a whole face that is then taught as present."""


def mobile(stage: int) -> TrainConfig:
    """MobileNetV2 for two CPU cores; losses and colors as the bundled weights were trained with."""
    return TrainConfig(
        detector=MOBILE,
        run=_run(stage, RunConfig(steps=20_000 if stage == 1 else 8_000, batch_size=32 if stage == 1 else 8)),
        augment=replace(
            AugmentConfig() if stage == 1 else STAGE2_AUGMENT,
            brightness=0.35,
            contrast=0.4,
            light=0.3,
            saturation=0.6,
            gray=0.12,
        ),
        loss=LossConfig(
            center=0.0 if stage == 1 else 1.0,
            landmarks=15.0,
            opening=25.0,
            shape=20.0,
            expression=20.0,
            photometric_every=8,
        ),
        optimizer=OptimizerConfig(learning_rate=1e-3 if stage == 1 else 5e-4),
    )


def resnet50_128(stage: int) -> TrainConfig:
    """ResNet-50 in its practical shape, trained as `mobile`; for a GPU."""
    config = mobile(stage)
    return replace(config, detector=RESNET50_128, run=replace(config.run, batch_size=128 if stage == 1 else 32))


def paper_resnet50(stage: int) -> TrainConfig:
    """Return the paper's network, objective, batch sizes, rates and schedule (III-B, III-C, IV-A).

    Stage 1 starts from ImageNet's weights, stage 2 from stage 1 (`initial`). Adam, no decay, no clipping, no average of
    the weights. In stage 2 every picture is made by pasting one to ten single faces.
    """
    steps, batch, at, center = (200_000, 128, 0.75, 0.0) if stage == 1 else (100_000, 32, 0.5, 1.0)
    return TrainConfig(
        detector=RESNET50,
        backbone_weights="imagenet" if stage == 1 else None,
        run=_run(stage, RunConfig(steps=steps, batch_size=batch, precision="32-true")),
        augment=AugmentConfig() if stage == 1 else STAGE2_AUGMENT,
        loss=LossConfig(objective="paper", center=center, paper=Wm3drWeights(center=center)),
        optimizer=OptimizerConfig(
            learning_rate=1e-4,
            backbone_factor=1.0,
            weight_decay=0.0,
            schedule="step",
            step_at=at,
            warmup_steps=0,
            clip_norm=0.0,
            ema_decay=0.0,
        ),
        data=DataConfig(weak_fraction=1.0 if stage == 1 else 0.0, paste_fraction=1.0),
    )


def smoke(stage: int) -> TrainConfig:
    """Minutes on two cores, from nothing: does everything work and learn?"""
    return TrainConfig(
        detector=DetectorConfig(
            backbone="mobilenet_v2", width=48, center_width=48, parameter_width=256, refinement_width=64
        ),
        run=_run(
            stage,
            RunConfig(
                steps=800 if stage == 1 else 300,
                batch_size=16 if stage == 1 else 4,
                input_px=96 if stage == 1 else 256,
                precision="32-true",
                checkpoint_every_steps=200,
                log_every_steps=10,
                pictures_every_steps=200,
            ),
        ),
        data=DataConfig(crop_px=144, crop_face_px=60.0),
        augment=AugmentConfig(face_px=(36.0, 68.0), angle_deg=10.0, erase=0.0)
        if stage == 1
        else replace(STAGE2_AUGMENT, zoom=(0.9, 1.6)),
        loss=LossConfig(center=0.0 if stage == 1 else 1.0, photometric_every=4),
        optimizer=OptimizerConfig(
            learning_rate=4e-3 if stage == 1 else 7e-4, backbone_factor=1.0, warmup_steps=30, ema_decay=0.99
        ),
        validation=ValidationConfig(every_steps=200, max_faces=60, face_input_px=96),
    )


PRESETS = {"mobile": mobile, "resnet50_128": resnet50_128, "paper_resnet50": paper_resnet50, "smoke": smoke}
"""Presets by name, as functions of the stage."""


def _run(stage: int, run: RunConfig) -> RunConfig:
    """Complete a stage: its number, and the size of its input unless the preset has its own."""
    if stage not in (1, 2):
        raise ValueError(f"stage must be 1 or 2, got {stage}")
    side = run.input_px if run.input_px != RunConfig().input_px or stage == 1 else 512
    return replace(run, stage=1 if stage == 1 else 2, input_px=side)


def preset(name: str, stage: int, *, exact: tuple[Path, ...] = (), weak: tuple[Path, ...] = ()) -> TrainConfig:
    """Return a preset with its data.

    Args:
        name: `mobile`, `resnet50_128`, `paper_resnet50` or `smoke`.
        stage: 1 or 2.
        exact: Folders of shards with exact labels.
        weak: Folders of shards with landmark labels.

    >>> preset("mobile", 2).run.stage
    2
    """
    if name not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}")
    config = PRESETS[name](stage)
    return replace(config, data=replace(config.data, exact=exact, weak=weak))
