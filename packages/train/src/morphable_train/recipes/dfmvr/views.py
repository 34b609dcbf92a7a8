"""Batches of people in three views."""

import re
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from morphable_train.configs.recipes import DfmvrConfig
from morphable_train.data.augment import draw_changes
from morphable_train.data.order import ShuffledOrder, seeded
from morphable_train.data.streams import CHANGE_STREAM, EXACT_STREAM, SCENE_STREAM, Shard, noise_seed
from morphable_train.recipes.base.batches import LoadedCrops, load_crops
from morphable_train.recipes.base.crops import PartCrops
from morphable_train.recipes.dfmvr.triples import VIEWS

NUM_VIEWS = len(VIEWS)
_CROP_NUMBER = re.compile(r"__\d+$")
"""What `prepare` adds to a picture's key for each of its faces."""


def group_views(crops: PartCrops) -> Int[Tensor, "people 3"]:
    """Return the crops of each person, left, front, right; people with a view that is not usable are left out.

    Raises:
        ValueError: There is no such person.
    """
    found: dict[str, dict[str, int]] = {}
    for index, key in enumerate(crops.keys):
        person, _, view = _CROP_NUMBER.sub("", key).rpartition("_")
        found.setdefault(person, {}).setdefault(view, index)
    rows = [[views[name] for name in VIEWS] for views in found.values() if set(views) == set(VIEWS)]
    if not rows:
        raise ValueError(
            f"shards must hold three views of each person, got {len(crops)} single faces; make them with "
            "`morphable-train triples`, or prepare photographs with --kind triples"
        )
    return torch.tensor(rows)


def choose_inputs(u: Float[Tensor, " people"], single_view: float) -> Int[Tensor, "people 3"]:
    """Return which view each of the network's three inputs shows: all three, or one of them three times.

    Args:
        u: Uniform in [0, 1).
        single_view: Share of people with one view, equally left, front or right.
    """
    only = (u / max(single_view, 1e-9) * NUM_VIEWS).long().clamp(max=NUM_VIEWS - 1)
    every = torch.arange(NUM_VIEWS).expand(len(u), -1)
    return torch.where((u < single_view)[:, None], only[:, None].expand(-1, NUM_VIEWS), every)


@dataclass(frozen=True)
class LoadedViews:
    """The pictures of some people, one person's three after the other."""

    crops: LoadedCrops
    inputs: Int[Tensor, "people 3"]
    """View that each input of the network shows."""


class ViewStream:
    """Batches of people by step number."""

    def __init__(self, crops: PartCrops, config: DfmvrConfig, shard: Shard) -> None:
        self.crops, self.people = crops, group_views(crops)
        self._config, self._shard = config, shard
        self._order = ShuffledOrder(len(self.people), seed=config.run.seed, stream=EXACT_STREAM)

    def load(self, step: int) -> LoadedViews:
        """Read this process's people of a step. A mirrored person's left and right change places."""
        config, count = self._config, self._config.run.batch_size
        rows = self._shard.rows(count)
        views = slice(rows.start * NUM_VIEWS, rows.stop * NUM_VIEWS)
        seed = config.run.seed
        changes = draw_changes(seeded(seed, CHANGE_STREAM, step), count * NUM_VIEWS, config.augment)
        flipped = changes.flipped[::NUM_VIEWS]
        changes = replace(changes, flipped=flipped.repeat_interleave(NUM_VIEWS))[views]
        people = self.people[self._order(step * count, (step + 1) * count)]
        people = torch.where(flipped[:, None], people.flip(1), people)[rows]
        loaded = load_crops(self.crops, people.flatten(), config.crop, augment=config.augment, changes=changes)
        loaded = replace(loaded, noise_seed=noise_seed(seed, step, self._shard))
        u = torch.rand(count, generator=seeded(seed, SCENE_STREAM, step))[rows]
        return LoadedViews(loaded, choose_inputs(u, config.single_view))
