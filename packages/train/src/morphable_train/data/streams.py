"""Batches of stage 1 by step number, and what both stages share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from morphable import MorphableModel
from morphable_train.configs.stages import TrainConfig
from morphable_train.data.augment import Changes, crop_matrices, draw_changes, recolor, warp_pictures
from morphable_train.data.batch import Batch
from morphable_train.data.crop_cache import CropSet
from morphable_train.data.faces import SourceFaces, input_targets
from morphable_train.data.order import ShuffledOrder, seeded
from morphable_train.data.rendered_scenes import RenderedScenes
from morphable_train.data.surface import SurfaceSample

NO_DATA = "data must name at least one folder of shards, got none; pass --data.exact, --data.weak or --data.synthesize"
EXACT_STREAM, WEAK_STREAM, CHANGE_STREAM, NOISE_STREAM, SCENE_STREAM, PASTE_STREAM, BACKGROUND_STREAM = range(1, 8)


@dataclass(frozen=True)
class Shard:
    """Which part of every batch a process works on."""

    rank: int = 0
    world: int = 1

    def rows(self, count: int) -> slice:
        """Return this process's pictures of a batch."""
        return slice(self.rank * count // self.world, (self.rank + 1) * count // self.world)


@dataclass(frozen=True)
class Loaded:
    """Pictures and labels as they come from disk, on the CPU, with what is to be done to them."""

    pictures: UInt8[Tensor, "batch 4 rows cols"]
    """RGB and skin mask."""
    picture_moves: Float[Tensor, "batch 3 3"] | None
    """Where the pixels are still to be moved; None if the pictures are already the network's input."""
    faces: SourceFaces
    image_index: Int[Tensor, " faces"]
    input_from_crop: Float[Tensor, "faces 3 3"]
    flipped: Bool[Tensor, " faces"]
    changes: Changes
    spread: Float[Tensor, "faces neighbors 2"]
    """Standard normal numbers that choose the supervised cells."""
    complete: Bool[Tensor, " batch"]
    """Every face of the picture is labeled."""
    noise_seed: int
    skipped: int = 0
    """Damaged records that were left out."""


@runtime_checkable
class Stream(Protocol):
    """A source of batches by step number."""

    def load(self, step: int) -> Loaded:
        """Read what a step needs; depends on nothing but the step."""
        ...


class CropStream:
    """Stage 1: one centered face per picture."""

    def __init__(
        self, exact: CropSet | RenderedScenes | None, weak: CropSet | None, config: TrainConfig, shard: Shard
    ) -> None:
        self._config, self._shard = config, shard
        total = config.run.batch_size
        num_weak = 0 if weak is None else total if exact is None else round(total * config.data.weak_fraction)
        seed = config.run.seed
        self._parts: list[tuple[CropSet | RenderedScenes, int, Callable[[int, int], Tensor]]] = []
        for crops, count, stream in ((exact, total - num_weak, EXACT_STREAM), (weak, num_weak, WEAK_STREAM)):
            if isinstance(crops, CropSet) and count:
                self._parts.append((crops, count, ShuffledOrder(len(crops), seed=seed, stream=stream)))
            elif isinstance(crops, RenderedScenes) and count:
                self._parts.append((crops, count, torch.arange))
        if not self._parts:
            raise ValueError(NO_DATA)

    def load(self, step: int) -> Loaded:
        """Copy crops from the cache and draw their changes."""
        config = self._config
        rows = self._shard.rows(config.run.batch_size)
        changes = draw_changes(seeded(config.run.seed, CHANGE_STREAM, step), config.run.batch_size, config.augment)
        spread = draw_spread(config, step, config.run.batch_size)
        pictures, faces = self._crops(step, rows)
        moves = crop_matrices(
            changes[rows],
            config.augment,
            crop_px=config.data.crop_px,
            crop_face_px=config.data.crop_face_px,
            input_px=config.run.input_px,
        )
        return Loaded(
            pictures=pictures,
            picture_moves=moves,
            faces=faces,
            image_index=torch.arange(len(faces)),
            input_from_crop=moves,
            flipped=changes.flipped[rows],
            changes=changes[rows],
            spread=spread[rows],
            complete=torch.ones(len(pictures), dtype=torch.bool),
            noise_seed=noise_seed(config.run.seed, step, self._shard),
        )

    def _crops(self, step: int, rows: slice) -> tuple[Tensor, SourceFaces]:
        """This process's pictures and faces of a step, exact ones first."""
        pictures, faces, first = [], [], 0
        for crops, count, order in self._parts:
            items = order(step * count, (step + 1) * count)
            mine = items[max(rows.start - first, 0) : max(rows.stop - first, 0)]
            first += count
            if len(mine):
                taken = crops.take(mine)
                pictures.append(taken[0])
                faces.append(taken[1])
        return torch.cat(pictures), SourceFaces.concatenate(faces)


def draw_spread(config: TrainConfig, position: int, faces: int) -> Float[Tensor, "faces neighbors 2"]:
    """Draw where the neighboring cells of the faces of a step, or of one picture, lie."""
    generator = seeded(config.run.seed, NOISE_STREAM, position)
    return torch.randn(faces, config.loss.neighbors, 2, generator=generator)


def noise_seed(seed: int, step: int, shard: Shard) -> int:
    """Return the seed of a process's pixel noise in a step of a run with some seed."""
    return int(torch.randint(1 << 62, (), generator=seeded(seed, NOISE_STREAM + shard.rank * 64, step)))


def finish_batch(
    loaded: Loaded, config: TrainConfig, model: MorphableModel, surface: SurfaceSample
) -> tuple[Batch, Float[Tensor, "faces neighbors 2"]]:
    """Move, recolor and label pictures on the device of the model.

    Returns:
        The batch, and the numbers that choose its supervised cells.
    """
    device = model.mean.device
    changes = loaded.changes.to(device)
    pictures = loaded.pictures.to(device, non_blocking=True).float() / 255.0
    if loaded.picture_moves is not None:
        pictures = warp_pictures(pictures, loaded.picture_moves.to(device), config.run.input_px)
    noise = torch.Generator(device=device).manual_seed(loaded.noise_seed)
    pictures = recolor(pictures, changes, noise)
    image_index = loaded.image_index.to(device)
    targets = input_targets(
        loaded.faces.to(device),
        image_index,
        loaded.input_from_crop.to(device),
        loaded.flipped.to(device),
        input_px=config.run.input_px,
        model=model,
        surface=surface,
    )
    complete = loaded.complete.to(device)
    batch = Batch(pictures[:, :3].contiguous(), pictures[:, 3:].contiguous(), targets, complete)
    return batch, loaded.spread.to(device)
