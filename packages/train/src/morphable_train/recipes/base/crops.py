"""Decoded crops of synthetic faces with the part each pixel shows: what all recipes read."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int, UInt8
from torch import Tensor

from morphable import MorphableModel
from morphable.geometry.warping import sampling_grid
from morphable_regressors import CropRule
from morphable_train.configs.recipes import RecipeData
from morphable_train.configs.stages import DataConfig
from morphable_train.data.crop_cache import StoredCrops, open_cache
from morphable_train.data.crops import FaceCrop, cut_faces
from morphable_train.data.shards import ShardReader

_PARTS, _NO_PARTS = "parts", "no_parts"
_EVEN = 2


@dataclass(frozen=True)
class PartCrops(StoredCrops):
    """Crops somewhat larger than the network's input, whose plane is the part that each pixel shows."""

    @property
    def part(self) -> UInt8[np.ndarray, "crops side side"]:
        """Indices into `morphable_synth.PART_NAMES`."""
        return self.plane

    @property
    def side_px(self) -> int:
        """Side of the crops."""
        return int(self.image.shape[1])

    def pictures(
        self, index: Int[Tensor, " chosen"]
    ) -> tuple[UInt8[Tensor, "chosen 3 side side"], UInt8[Tensor, "chosen side side"]]:
        """Return crops and their parts."""
        rows = index.numpy()
        image = torch.from_numpy(self.image[rows]).permute(0, 3, 1, 2)
        return image, torch.from_numpy(self.part[rows])


def open_part_crops(
    folders: tuple[Path, ...],
    cache: Path,
    rule: CropRule,
    data: RecipeData,
    model: MorphableModel,
    *,
    parts: bool = True,
) -> PartCrops:
    """Open the crops of some shards with their parts, as `open_cache` does.

    Args:
        folders: The shards.
        cache: Where the crops are kept.
        rule: The network's crops.
        data: Which faces are used.
        model: Whose coefficients the labels are of.
        parts: Whether the parts are needed; photographs without them are taken too if not, and none are read.

    Raises:
        ValueError: No folder is given, or the shards hold no usable face or no parts.
    """
    if not folders:
        raise ValueError(
            "data must name folders of synthetic shards, got none; pass --data.exact and --data.held-out, or --synth"
        )
    plane, cut = (_PARTS, _part_crops) if parts else (_NO_PARTS, _plain_crops)
    stored = open_cache(folders, cache, _stored_shape(rule, data), model, plane=plane, cut=cut)
    return PartCrops(**vars(stored))


def _stored_shape(rule: CropRule, data: RecipeData) -> DataConfig:
    """How crops are stored for a rule: at its scale, with a margin."""
    side = int(-(-rule.side_px * data.margin // _EVEN) * _EVEN)
    return DataConfig(crop_px=side, crop_face_px=rule.face_px, min_face_px=data.min_face_px)


def _part_crops(reader: ShardReader, index: int, config: DataConfig) -> Iterator[FaceCrop]:
    """Cut the faces of a record with its parts, which are not blended at their borders."""
    record, part = reader.read(index), torch.from_numpy(reader.parts(index))[None, None].float()
    side_hw = config.crop_px, config.crop_px
    for crop in cut_faces(record, config):
        grid = sampling_grid(crop.crop_from_source[None], crop.size_hw, side_hw)
        nearest = F.grid_sample(part, grid, "nearest", "zeros", align_corners=False)[0].byte()
        yield replace(crop, pixels=torch.cat([crop.pixels[:3], nearest]))


def _plain_crops(reader: ShardReader, index: int, config: DataConfig) -> Iterator[FaceCrop]:
    """Cut the faces of a record whose parts nobody asks for."""
    for crop in cut_faces(reader.read(index), config):
        yield replace(crop, pixels=torch.cat([crop.pixels[:3], torch.zeros_like(crop.pixels[:1])]))
