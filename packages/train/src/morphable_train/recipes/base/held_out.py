"""Held-out faces: measured in batches, and drawn."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from morphable import MorphableModel
from morphable_train.configs.recipes import RecipeConfig
from morphable_train.data.surface import SurfaceSample
from morphable_train.recipes.base.batches import CropBatch, finish_crops, plain_crops
from morphable_train.recipes.base.crops import PartCrops
from morphable_train.runs.drawing import PREDICTED_COLOR, TRUE_COLOR, draw_points, grid

SHEET_FACES = 10
_BATCH = 32


class HeldOut:
    """Crops exactly as inference cuts them, with their truth."""

    def __init__(
        self, crops: PartCrops | None, config: RecipeConfig, model: MorphableModel, surface: SurfaceSample
    ) -> None:
        self._crops, self._rule, self._model, self._surface = crops, config.crop, model, surface
        self.count = 0 if crops is None else min(len(crops), config.data.max_held_out)

    def batch(self, start: int, stop: int) -> CropBatch:
        """Return some of the faces."""
        assert self._crops is not None
        index = torch.arange(start, min(stop, self.count))
        return finish_crops(plain_crops(self._crops, index, self._rule), self._rule, self._model, self._surface)

    def measure(self, errors: Callable[[CropBatch], dict[str, Float[Tensor, " faces"]]]) -> dict[str, float]:
        """Return the means of errors by name, and the number of faces; empty without faces."""
        parts = [errors(self.batch(start, start + _BATCH)) for start in range(0, self.count, _BATCH)]
        if not parts:
            return {}
        means = {name: float(torch.cat([part[name] for part in parts]).mean()) for name in parts[0]}
        return means | {"faces": float(self.count)}

    def points_sheet(
        self, predict: Callable[[CropBatch], Float[Tensor, "faces 68 2"]]
    ) -> UInt8[np.ndarray, "rows cols 3"] | None:
        """Draw the first faces with true (red) and predicted (green) points."""
        if not self.count:
            return None
        batch = self.batch(0, SHEET_FACES)
        truth, points = batch.faces.drawn_px().cpu().numpy(), predict(batch).cpu().numpy()
        drawn = [draw_points(picture, truth[k], TRUE_COLOR) for k, picture in enumerate(pictures_of(batch))]
        return grid([[draw_points(picture, points[k], PREDICTED_COLOR) for k, picture in enumerate(drawn)]])


def pictures_of(batch: CropBatch) -> UInt8[np.ndarray, "batch side side 3"]:
    """Return the pictures of a batch as bytes."""
    return (batch.image.permute(0, 2, 3, 1).clamp(0, 1) * 255 + 0.5).byte().cpu().numpy()
