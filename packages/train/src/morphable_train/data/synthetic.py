"""Synthetic pictures as records, and shards of them made on the spot, for machines without any data."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from morphable.files import refusing
from morphable_synth import GenerateConfig, SceneConfig, generate
from morphable_synth.rendering.labels import Sample
from morphable_train.configs.stages import TrainConfig
from morphable_train.data.labels import exact_labels
from morphable_train.data.shards import Record

HELD_OUT_SEED = 1_000_003
"""Series of the validation scenes; training scenes are of series 0."""
_HELD_OUT_SHARE = 0.15
_MIN_HELD_OUT = 16
_MAX_FACES = 5
SINGLE_PX = 256
"""Side of pictures of one face."""
_GROUP_PX = 512


def with_procedural_data(config: TrainConfig, folder: Path, count: int, *, workers: int = 2) -> TrainConfig:
    """Make scenes of the level `procedural` (what is there already is kept), and train and validate on them.

    Args:
        config: A run; its stage decides between single faces and groups.
        folder: Where the shards go.
        count: Scenes to train on; a seventh as many are made for validation.
        workers: Processes that render.
    """
    single = config.run.stage == 1
    singles = SceneConfig(layout="single", size_px=SINGLE_PX, max_faces=_MAX_FACES)
    scenes = singles if single else replace(singles, layout="group", size_px=_GROUP_PX)
    train = procedural_shards(folder / f"stage{config.run.stage}_train", scenes, count, seed=0, workers=workers)
    validation = procedural_shards(
        folder / "validation", singles, held_out_count(count), seed=HELD_OUT_SEED, workers=workers
    )
    measured = replace(config.validation, exact=(*config.validation.exact, validation))
    if not single:
        groups = procedural_shards(
            folder / "validation_groups", scenes, _MIN_HELD_OUT, seed=HELD_OUT_SEED, workers=workers
        )
        measured = replace(measured, pictures=(*measured.pictures, groups))
    return replace(config, data=replace(config.data, exact=(*config.data.exact, train)), validation=measured)


def held_out_count(count: int) -> int:
    """Return how many pictures are held out beside those that are trained on."""
    return max(_MIN_HELD_OUT, round(count * _HELD_OUT_SHARE))


def procedural_shards(folder: Path, scenes: SceneConfig, count: int, *, seed: int, workers: int) -> Path:
    """Render and describe the scenes of one folder, and return it; what is there is kept."""
    shard_size = max(8, min(100, -(-count // (2 * workers))))
    if (folder / "run.json").is_file():
        with refusing("run.json must be of `morphable-synth generate`", folder / "run.json"):
            shard_size = int(json.loads((folder / "run.json").read_text())["settings"]["shard_size"])
    config = GenerateConfig(scenes=scenes, out=folder, seed=seed, count=count, shard_size=shard_size, workers=workers)
    generate(config, quiet=True)
    return folder


def record_from_sample(sample: Sample, key: str) -> Record:
    """Turn a rendered scene into a record with exact labels; the landmarks are the static 3D points."""
    return Record(key, sample.image, exact_labels(vars(sample)), sample.skin_mask.astype(np.uint8) * 255)
