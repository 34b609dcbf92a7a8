"""Synthetic shards made on the spot, for machines without any data."""

import json
from dataclasses import replace
from pathlib import Path

from morphable_synth import GenerateConfig, SceneConfig, generate
from morphable_train.config import TrainConfig
from morphable_train.shards import DatasetInfo, ShardReader, read_info, write_info

_HELD_OUT_SEED = 1_000_003
"""Series of the validation scenes; training scenes are of series 0."""
_HELD_OUT_SHARE = 0.15
_SINGLE_PX = 256
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
    scenes = SceneConfig(
        layout="single" if single else "group", size_px=_SINGLE_PX if single else _GROUP_PX, max_faces=5
    )
    train = _shards(folder / f"stage{config.run.stage}_train", scenes, count, seed=0, workers=workers)
    held_out = max(16, round(count * _HELD_OUT_SHARE))
    singles = replace(scenes, layout="single", size_px=_SINGLE_PX)
    validation = _shards(folder / "validation", singles, held_out, seed=_HELD_OUT_SEED, workers=workers)
    measured = replace(config.validation, exact=(*config.validation.exact, validation))
    if not single:
        groups = _shards(folder / "validation_groups", scenes, 16, seed=_HELD_OUT_SEED, workers=workers)
        measured = replace(measured, pictures=(*measured.pictures, groups))
    return replace(config, data=replace(config.data, exact=(*config.data.exact, train)), validation=measured)


def _shards(folder: Path, scenes: SceneConfig, count: int, *, seed: int, workers: int) -> Path:
    """Generate and describe one folder."""
    shard_size = max(8, min(100, -(-count // (2 * workers))))
    if (folder / "run.json").is_file():
        shard_size = json.loads((folder / "run.json").read_text())["settings"]["shard_size"]
    config = GenerateConfig(scenes=scenes, out=folder, seed=seed, count=count, shard_size=shard_size, workers=workers)
    generate(config, quiet=True)
    if read_info(folder) is None:
        reader = ShardReader(folder)
        faces = sum(len(reader.labels(index)) for index in range(len(reader)))
        name = "morphable-synth, procedural"
        write_info(folder, DatasetInfo(name=name, license="CC0-1.0", records=len(reader), faces=faces, model="open"))
    return folder
