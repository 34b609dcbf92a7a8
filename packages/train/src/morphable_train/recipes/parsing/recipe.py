"""The recipe of face parsing: BiSeNet on the exact part labels of synthetic faces."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from morphable import MorphableModel
from morphable_losses.overlap import overlap_loss
from morphable_regressors import FaceParser, SystemSpec
from morphable_regressors.parsing import PARSING_CLASSES
from morphable_regressors.systems import ParserConfig
from morphable_synth.assets.parts import PART_NAMES
from morphable_train.configs.recipes import ParsingConfig
from morphable_train.data.streams import Shard
from morphable_train.data.surface import SurfaceSample
from morphable_train.recipes.base.batches import FaceStream, LoadedCrops, finish_crops
from morphable_train.recipes.base.crops import PartCrops
from morphable_train.recipes.base.held_out import SHEET_FACES, HeldOut, pictures_of
from morphable_train.recipes.base.mobilenet_start import start_from_mobilenet
from morphable_train.recipes.base.own_start import go_on_from
from morphable_train.recipes.base.recipe import channels_last
from morphable_train.runs.drawing import grid

PART_OF_CLASS = {"mouth": "inner_mouth"} | {name: name for name in PARSING_CLASSES if name not in ("mouth",)}
"""The part of `morphable_synth.PART_NAMES` that a class is; all other parts are background, what covers a face too."""
_PALETTE = np.array(
    [
        (0, 0, 0), (230, 180, 150), (120, 60, 20), (180, 100, 40), (60, 120, 220), (90, 200, 240), (240, 220, 90),
        (110, 20, 30), (220, 60, 90), (250, 130, 150),
    ],
    np.uint8,
)  # fmt: skip
_SHARE_CROPS = 256


def class_of_part() -> Int[Tensor, " parts"]:
    """Return the class of each part."""
    table = torch.zeros(len(PART_NAMES), dtype=torch.long)
    for number, name in enumerate(PARSING_CLASSES):
        table[PART_NAMES.index(PART_OF_CLASS[name])] = number
    return table


def classes_of(part: Int[Tensor, "*batch side side"]) -> Int[Tensor, "*batch side side"]:
    """Turn a picture of parts into one of parsing classes."""
    return class_of_part().to(part.device)[part]


def confusion(predicted: Int[Tensor, "..."], truth: Int[Tensor, "..."]) -> Float[Tensor, "classes classes"]:
    """Count pixels by true (row) and predicted (column) class."""
    count = len(PARSING_CLASSES)
    return torch.bincount((truth * count + predicted).flatten(), minlength=count * count).view(count, count).double()


def intersection_over_union(counts: Float[Tensor, "classes classes"]) -> Float[Tensor, " classes"]:
    """Return the IoU of each class over all counted pixels; NaN for a class that occurs nowhere."""
    hit = counts.diagonal()
    return hit / (counts.sum(0) + counts.sum(1) - hit)


class ParsingRecipe:
    """Trains a `FaceParser`."""

    def __init__(
        self,
        config: ParsingConfig,
        model: MorphableModel,
        crops: PartCrops,
        held_out: PartCrops | None,
        shard: Shard,
    ) -> None:
        if config.crop.side_px % 32:
            raise ValueError(f"crop.side_px must be a multiple of 32 for parsing, got {config.crop.side_px}")
        self.config, self.model, self.surface = config, model, SurfaceSample(model).to(model.mean.device)
        self.spec = SystemSpec(crop=config.crop, config=ParserConfig(backbone=config.backbone))
        self.stream = FaceStream(crops, config, shard)
        self.held_out = HeldOut(held_out, config, model, self.surface)
        parser = FaceParser(backbone=config.backbone)
        if config.start is not None:
            _start(parser, self.spec, config.start)
        self.system: nn.Module = parser
        self.network: nn.Module = channels_last(AllLogits(parser))
        self.class_weights = self._class_weights().to(model.mean.device)

    def load(self, step: int) -> LoadedCrops:
        """Read a step's crops."""
        return self.stream.load(step)

    def losses(self, network: nn.Module, loaded: LoadedCrops, step: int) -> dict[str, Float[Tensor, ""]]:
        """Return cross entropy and overlap of the output, and cross entropy of the auxiliary heads at their middles."""
        batch = finish_crops(loaded, self.config.crop, self.model, self.surface)
        truth = classes_of(batch.part)
        output, *auxiliary = (logits.float() for logits in network(batch.image))
        terms = {"output": F.cross_entropy(output, truth, self.class_weights)}
        if self.config.overlap:
            terms["overlap"] = self.config.overlap * overlap_loss(output, truth)
        cross_entropies = []
        for logits in auxiliary:
            cell = truth.shape[-1] // logits.shape[-1]
            middles = truth[:, cell // 2 :: cell, cell // 2 :: cell]
            cross_entropies.append(F.cross_entropy(logits, middles, self.class_weights))
        return terms | {"auxiliary": self.config.auxiliary * torch.stack(cross_entropies).sum()}

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Measure the intersection over union of each class, over the pixels of all held-out crops."""
        if not self.held_out.count:
            return {}
        counts = torch.zeros(len(PARSING_CLASSES), len(PARSING_CLASSES), dtype=torch.double)
        for start in range(0, self.held_out.count, SHEET_FACES):
            batch = self.held_out.batch(start, start + SHEET_FACES)
            counts += confusion(network(batch.image)[0].argmax(1), classes_of(batch.part)).cpu()
        ious = intersection_over_union(counts)
        by_class = {f"iou_{name}": float(ious[k]) for k, name in enumerate(PARSING_CLASSES)}
        return {"mean_iou": float(ious.nanmean()), **by_class, "faces": float(self.held_out.count)}

    @torch.no_grad()
    def sheet(self, network: nn.Module) -> UInt8[np.ndarray, "rows cols 3"] | None:
        """Draw held-out faces, their true and their predicted classes."""
        if not self.held_out.count:
            return None
        batch = self.held_out.batch(0, SHEET_FACES)
        found = network(batch.image)[0].argmax(1)
        rows = [pictures_of(batch), colored(classes_of(batch.part)), colored(found)]
        return grid([list(row) for row in rows])

    def _class_weights(self) -> Float[Tensor, " classes"]:
        """Weigh classes by how rare they are in stored crops."""
        part = torch.from_numpy(np.array(self.stream.crops.part[:_SHARE_CROPS])).long()
        share = torch.bincount(classes_of(part).flatten(), minlength=len(PARSING_CLASSES)) / part.numel()
        weights = share.clamp(min=1e-4) ** -self.config.rarity
        return weights / weights.mean()


def _start(parser: FaceParser, spec: SystemSpec, source: Path) -> None:
    """Take first weights: all of another parser's, or the encoder of a MobileNetV2.

    Raises:
        ValueError: The file holds neither, or the backbone is another.
    """
    if go_on_from(parser, spec, source):
        return
    assert isinstance(spec.config, ParserConfig)
    if spec.config.backbone != "mobilenet_v2":
        raise ValueError(
            f"start must be a parser or go with backbone mobilenet_v2, got {source} and {spec.config.backbone}; "
            "leave it out"
        )
    start_from_mobilenet(parser, source)


class AllLogits(nn.Module):
    """A parser whose call gives all three heads' logits."""

    def __init__(self, parser: FaceParser) -> None:
        super().__init__()
        self.system = parser

    def forward(self, image: Float[Tensor, "batch 3 side side"]) -> tuple[Tensor, Tensor, Tensor]:
        """Return output and auxiliary logits."""
        return self.system.all_logits(image)


def colored(classes: Int[Tensor, "batch side side"]) -> UInt8[np.ndarray, "batch side side 3"]:
    """Paint classes."""
    return _PALETTE[classes.cpu().numpy()]
