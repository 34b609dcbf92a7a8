"""Three views of one synthetic person: left, front, right; what DF-MVR is trained on."""

import io
import math
import tarfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from morphable.files import atomic_path
from morphable.geometry import rotation_from_angles
from morphable_synth import SceneConfig, render_scene, sample_scene
from morphable_synth.datasets.shards import files_of
from morphable_synth.scene.description import Scene
from morphable_train.data.rendered_scenes import describe_scenes
from morphable_train.data.shards import write_info

VIEWS = ("left", "front", "right")
"""Names of the views: `left` is taken from the person's left, so that the nose points to the picture's left."""
_ANGLE_STREAM = 3


@dataclass(frozen=True, kw_only=True)
class TriplesConfig:
    """Three views each of synthetic people, in shards."""

    out: Path
    """Folder of the shards; a run that was stopped continues there."""
    scenes: SceneConfig
    """What kind of pictures; `layout` must be `single`."""
    people: int = 1000
    """Number of people."""
    seed: int = 0
    """Number of the series."""
    side_deg: tuple[float, float] = (20.0, 60.0)
    """Range of the yaw of the side views, each drawn for itself."""
    jitter_deg: float = 8.0
    """Largest deviation of every view from its yaw, and of pitch and roll from zero."""
    people_per_shard: int = 64
    """Size of the shards."""
    workers: int = 2
    """Processes that render."""

    def __post_init__(self) -> None:
        if self.scenes.layout != "single":
            raise ValueError(f"scenes.layout must be single for triples, got {self.scenes.layout}")
        if not 0.0 <= self.side_deg[0] <= self.side_deg[1] <= 90.0:
            raise ValueError(f"side_deg must be two increasing angles in [0, 90], got {self.side_deg}")
        for name in ("people", "people_per_shard", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


def sample_triple(config: TriplesConfig, index: int) -> tuple[Scene, Scene, Scene]:
    """Draw one person and turn their head and body: the same shape, skin and light in three pictures."""
    scene = sample_scene(config.seed, index, config.scenes)
    rng = np.random.default_rng([config.seed, index, _ANGLE_STREAM])
    views = []
    for side in (1.0, 0.0, -1.0):
        yaw = side * rng.uniform(*config.side_deg) + rng.uniform(-1, 1) * config.jitter_deg
        pitch, roll = rng.uniform(-1, 1, 2) * config.jitter_deg
        head = _rotation(float(pitch), float(yaw), float(roll))
        person = replace(scene.people[0], rotation_head=head, rotation_body=_rotation(0.0, float(yaw), 0.0))
        views.append(replace(scene, people=(person,)))
    left, front, right = views
    return left, front, right


def _rotation(pitch_deg: float, yaw_deg: float, roll_deg: float) -> Float[np.ndarray, "3 3"]:
    """Head rotation from angles in degrees."""
    angles = torch.tensor([math.radians(value) for value in (pitch_deg, yaw_deg, roll_deg)])
    return rotation_from_angles(angles).numpy().astype(np.float32)


def write_triples(config: TriplesConfig) -> list[Path]:
    """Write the shards that are not there yet and return the paths of all.

    Keys are `SERIES_PERSON_VIEW`; the files of a record are those of `morphable-synth generate`.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    starts = range(0, config.people, config.people_per_shard)
    paths = [config.out / f"triples-{config.seed:04d}-{k:06d}.tar" for k in range(len(starts))]
    jobs = [(config, start, path) for start, path in zip(starts, paths, strict=True) if not path.exists()]
    if config.workers == 1:
        for job in jobs:
            _write_shard(*job)
    elif jobs:
        with ProcessPoolExecutor(config.workers, get_context("spawn")) as pool:
            for done in [pool.submit(_write_shard, *job) for job in jobs]:
                done.result()
    count = len(VIEWS) * config.people
    info = describe_scenes(config.scenes, f"three views, series {config.seed}")
    write_info(config.out, replace(info, records=count, faces=count))
    return paths


def _write_shard(config: TriplesConfig, start: int, path: Path) -> None:
    """Render the people of one shard; it appears under its name when it is whole."""
    torch.set_num_threads(1)
    with atomic_path(path, parents=True) as temporary, tarfile.open(temporary, "w") as tar:
        for index in range(start, min(start + config.people_per_shard, config.people)):
            for view, scene in zip(VIEWS, sample_triple(config, index), strict=True):
                for ending, content in files_of(render_scene(scene)).items():
                    entry = tarfile.TarInfo(f"{config.seed:04d}_{index:08d}_{view}.{ending}")
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))
