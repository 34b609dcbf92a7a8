"""Synthetic scenes rendered while training: every picture is new, and a function of the seed and its position."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from morphable import MorphableModel
from morphable_synth import SceneConfig, render_scene, sample_scene
from morphable_synth.datasets.provenance import license_of, sources_of
from morphable_train.configs.stages import DataConfig, TrainConfig
from morphable_train.data.crops import FaceCrop, cut_faces
from morphable_train.data.faces import SourceFaces
from morphable_train.data.shards import DatasetInfo, DatasetSource, Record
from morphable_train.data.synthetic import record_from_sample

_SIZE_STEP_PX = 32
_TRIES = 8
"""Scenes per position of a crop: one whose face is too small or outside gives way to the next."""


def scene_config(config: TrainConfig) -> SceneConfig:
    """Return what kind of scenes a run's stage wants."""
    data, single = config.data, config.run.stage == 1
    side = data.crop_px if single else config.run.input_px
    return SceneConfig(
        level="makehuman" if data.synthesize == "makehuman" else "procedural",
        assets=data.assets,
        layout="single" if single else "group",
        size_px=-(-side // _SIZE_STEP_PX) * _SIZE_STEP_PX,
        max_faces=data.max_faces,
    )


def describe_rendered(config: TrainConfig) -> DatasetInfo:
    """Describe the scenes that are rendered while training, for a model card."""
    return describe_scenes(scene_config(config), "rendered while training")


def describe_scenes(scenes: SceneConfig, kind: str) -> DatasetInfo:
    """Describe scenes and the assets they may show.

    Args:
        scenes: What they are drawn from.
        kind: The end of their name.
    """
    sources = sources_of(scenes)
    return DatasetInfo(
        name=f"morphable-synth, {scenes.level}, {kind}",
        license=license_of(sources),
        sources=tuple(DatasetSource(name=source.name, license=source.license) for source in sources),
        model="open",
    )


class RenderedScenes:
    """Scenes by position: infinitely many, rendered in this process or in `data.workers` others."""

    def __init__(self, config: TrainConfig, model: MorphableModel) -> None:
        self._scenes, self._seed, self._data, self._model = scene_config(config), config.run.seed, config.data, model
        workers = config.data.workers
        spawn = get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, spawn, torch.set_num_threads, (1,)) if workers else None

    def read(self, position: int) -> Record:
        """Render the scene of a position, with exact labels."""
        if self._pool is None:
            return _render(self._scenes, self._seed, position)
        return self._pool.submit(_render, self._scenes, self._seed, position).result()

    def take(self, positions: Int[Tensor, " chosen"]) -> tuple[UInt8[Tensor, "chosen 4 side side"], SourceFaces]:
        """Render single faces and cut them out, as a `CropSet` holds them.

        Raises:
            ValueError: The scenes of a position show no face of `data.min_face_px`.
        """
        crops = self._crops(positions.tolist())
        faces = [crop.source(self._model) for crop in crops]
        return torch.stack([crop.pixels for crop in crops]), SourceFaces.concatenate(faces)

    def _crops(self, positions: Sequence[int]) -> list[FaceCrop]:
        """Crops of some positions, in order."""
        arguments = [(self._scenes, self._seed, position, self._data) for position in positions]
        if self._pool is None:
            return [_crop(*values) for values in arguments]
        return [future.result() for future in [self._pool.submit(_crop, *values) for values in arguments]]


def _render(scenes: SceneConfig, seed: int, index: int) -> Record:
    """Render one scene; runs in a worker."""
    return record_from_sample(render_scene(sample_scene(seed, index, scenes)), f"{seed}_{index}")


def _crop(scenes: SceneConfig, seed: int, position: int, data: DataConfig) -> FaceCrop:
    """Render until there is a usable face, and cut it out; runs in a worker."""
    for index in range(position * _TRIES, (position + 1) * _TRIES):
        crop = next(cut_faces(_render(scenes, seed, index), data), None)
        if crop is not None:
            return crop
    raise ValueError(
        f"data.min_face_px must let faces of rendered pictures of {scenes.size_px} px pass, "
        f"got {data.min_face_px:g}; lower it"
    )
