"""From stored crops to what a recipe trains on: moved, recolored, labeled."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from morphable import MorphableModel
from morphable.geometry.warping import sampling_grid, similarity_matrix
from morphable_regressors import CropRule
from morphable_synth.assets.parts import PART_NAMES
from morphable_train.configs.recipes import RecipeConfig
from morphable_train.configs.stages import AugmentConfig
from morphable_train.data.augment import Changes, draw_changes, flips, log_between, recolor, warp_pictures
from morphable_train.data.batch import FaceTargets
from morphable_train.data.faces import SourceFaces, input_targets
from morphable_train.data.order import ShuffledOrder, seeded
from morphable_train.data.streams import CHANGE_STREAM, EXACT_STREAM, Shard, noise_seed
from morphable_train.data.surface import SurfaceSample
from morphable_train.recipes.base.crops import PartCrops

_OCCLUDER = PART_NAMES.index("occluder")


def _mirrored_parts() -> Int[Tensor, " parts"]:
    """The part that each part becomes in the mirror image."""
    swap = {"left": "right", "right": "left"}
    names = ["_".join(swap.get(word, word) for word in name.split("_")) for name in PART_NAMES]
    return torch.tensor([PART_NAMES.index(name) for name in names])


MIRRORED_PARTS = _mirrored_parts()


@dataclass(frozen=True)
class CropBatch:
    """Pictures with one centered face each, and its truth in their pixels and camera."""

    image: Float[Tensor, "batch 3 side side"]
    part: Int[Tensor, "batch side side"]
    """Indices into `morphable_synth.PART_NAMES`."""
    faces: FaceTargets

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True)
class LoadedCrops:
    """Stored crops on the CPU, with what is to be done to them."""

    image: UInt8[Tensor, "batch 3 side side"]
    part: UInt8[Tensor, "batch side side"]
    faces: SourceFaces
    moves: Float[Tensor, "batch 3 3"]
    flipped: Bool[Tensor, " batch"]
    changes: Changes | None
    """Colors and patches; None leaves the pictures as they are."""
    noise_seed: int = 0


def load_crops(
    crops: PartCrops, index: Int[Tensor, " batch"], rule: CropRule, *, augment: AugmentConfig, changes: Changes
) -> LoadedCrops:
    """Read crops and work out where their changes put the pixels."""
    image, part = crops.pictures(index)
    count = len(index)
    middle = torch.full((count, 2), crops.side_px / 2)
    target = (changes.shift * augment.shift + 0.5) * rule.side_px
    moves = similarity_matrix(log_between(changes.size, augment.zoom), changes.angle_rad, middle, target)
    moves = moves @ flips(changes, crops.side_px)
    return LoadedCrops(image, part, crops.faces[index], moves, changes.flipped, changes)


def plain_crops(crops: PartCrops, index: Int[Tensor, " batch"], rule: CropRule) -> LoadedCrops:
    """Read crops exactly as the rule cuts them."""
    image, part = crops.pictures(index)
    shift = (rule.side_px - crops.side_px) / 2
    move = torch.tensor([[1.0, 0.0, shift], [0.0, 1.0, shift], [0.0, 0.0, 1.0]])
    still = torch.zeros(len(index), dtype=torch.bool)
    return LoadedCrops(image, part, crops.faces[index], move.repeat(len(index), 1, 1), still, None)


def finish_crops(loaded: LoadedCrops, rule: CropRule, model: MorphableModel, surface: SurfaceSample) -> CropBatch:
    """Move, recolor and label pictures on the device of the model; a patch that hides the face is an occluder."""
    device, side = model.mean.device, rule.side_px
    moves, flipped = loaded.moves.to(device), loaded.flipped.to(device)
    pictures = F.pad(loaded.image.to(device).float() / 255.0, (0, 0, 0, 0, 0, 1), value=1.0)
    stored_hw = pictures.shape[2], pictures.shape[3]
    grid = sampling_grid(moves, stored_hw, (side, side))
    planes = loaded.part.to(device).float()[:, None]
    part = F.grid_sample(planes, grid, "nearest", "zeros", align_corners=False)[:, 0].long()
    part = torch.where(flipped[:, None, None], MIRRORED_PARTS.to(device)[part], part)
    pictures = warp_pictures(pictures, moves, side)
    if loaded.changes is not None:
        known = pictures[:, 3] > 0
        noise = torch.Generator(device=device).manual_seed(loaded.noise_seed)
        pictures = recolor(pictures, loaded.changes.to(device), noise)
        part = torch.where(known & (pictures[:, 3] <= 0), _OCCLUDER, part)
    targets = crop_targets(loaded, rule, model, surface)
    return CropBatch(pictures[:, :3].contiguous(), part, targets)


def crop_targets(loaded: LoadedCrops, rule: CropRule, model: MorphableModel, surface: SurfaceSample) -> FaceTargets:
    """Return the truth of moved crops, without their pixels."""
    device = model.mean.device
    return input_targets(
        loaded.faces.to(device),
        torch.arange(len(loaded.moves), device=device),
        loaded.moves.to(device),
        loaded.flipped.to(device),
        input_px=rule.side_px,
        model=model,
        surface=surface,
    )


class FaceStream:
    """Batches of single faces by step number: a function of the seed and the step."""

    def __init__(self, crops: PartCrops, config: RecipeConfig, shard: Shard) -> None:
        self.crops, self._config, self._shard = crops, config, shard
        self._order = ShuffledOrder(len(crops), seed=config.run.seed, stream=EXACT_STREAM)

    def load(self, step: int) -> LoadedCrops:
        """Read this process's part of a step."""
        config, count = self._config, self._config.run.batch_size
        rows = self._shard.rows(count)
        changes = draw_changes(seeded(config.run.seed, CHANGE_STREAM, step), count, config.augment)[rows]
        index = self._order(step * count, (step + 1) * count)[rows]
        loaded = load_crops(self.crops, index, config.crop, augment=config.augment, changes=changes)
        return replace(loaded, noise_seed=noise_seed(config.run.seed, step, self._shard))
