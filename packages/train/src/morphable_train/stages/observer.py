"""Validation and pictures at intervals of a run."""

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn

from morphable import FaceParameters
from morphable.files import write_text
from morphable_detector_head import FaceDetector
from morphable_train.configs.stages import TrainConfig
from morphable_train.data.batch import Batch
from morphable_train.runs.drawing import PREDICTED_COLOR, TRUE_COLOR, draw_mesh, draw_points, grid
from morphable_train.runs.logs import RESULTS_FILE, RunLog
from morphable_train.runs.optimizer import AveragedWeights
from morphable_train.stages.network import CellPredictor
from morphable_train.stages.parts import Parts
from morphable_train.validation.detection import (
    PictureSet,
    detect_pictures,
    detection_sheet,
    measure_detection,
    open_pictures,
)
from morphable_train.validation.faces import (
    ValidationSet,
    evaluate_set,
    open_exact_shards,
    open_landmark_folder,
    predicted_landmarks,
)

SHEET_FACES = 8


def open_validation(config: TrainConfig, parts: Parts) -> list[ValidationSet]:
    """Open the single faces a run is validated on."""
    chosen = config.validation
    _refuse_namesakes((*chosen.landmarks, *chosen.exact))
    options = {
        "input_px": chosen.face_input_px,
        "max_faces": chosen.max_faces,
        "model": parts.model,
        "surface": parts.surface,
    }
    photographs = [open_landmark_folder(folder, **options) for folder in chosen.landmarks]  # type: ignore[arg-type]
    return photographs + [open_exact_shards(folder, **options) for folder in chosen.exact]  # type: ignore[arg-type]


def open_detection(config: TrainConfig) -> list[PictureSet]:
    """Open the whole pictures that a run's detection is measured on; none in stage 1, which trains no detection."""
    chosen, side = config.validation, config.run.input_px
    folders = chosen.pictures if config.run.stage == 2 else ()
    _refuse_namesakes(folders)
    return [open_pictures(folder, input_px=side, max_pictures=chosen.max_pictures) for folder in folders]


def _refuse_namesakes(folders: tuple[Path, ...]) -> None:
    """Results are kept by the folder's name."""
    names = [folder.name for folder in folders]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"validation folders must differ in their names, got several {', '.join(twice)}; rename some")


@dataclass
class Validator:
    """Measures and draws the averaged weights."""

    config: TrainConfig
    parts: Parts
    sets: list[ValidationSet]
    log: RunLog
    run: Path
    whole: list[PictureSet] = field(default_factory=list)
    results: dict[str, dict[str, float]] = field(default_factory=dict)
    _network: nn.Module | None = None

    @property
    def measures(self) -> bool:
        """Whether there is anything to measure."""
        return bool(self.sets or self.whole)

    def __call__(self, step: int, average: AveragedWeights, seen: Batch, *, last: bool) -> None:
        """Validate and draw when it is time."""
        if self.measures and (last or step % self.config.validation.every_steps == 0):
            self.validate(step, average)
        if last or step % self.config.run.pictures_every_steps == 0:
            self.log.picture("input", step, input_sheet(seen))

    def validate(self, step: int, average: AveragedWeights) -> dict[str, dict[str, float]]:
        """Measure every set, write the numbers down, and draw a few faces of each."""
        network = self._evaluation_network(average)
        layout = self.config.detector.layout
        for data in self.sets:
            values, predicted = evaluate_set(network, data, self.parts.surface, layout)
            self.log.scalars(f"validation_{data.name}", step, values)
            self.results[data.name] = {"step": float(step)} | values
            self.log.picture(data.name, step, self.sheet(data, predicted))
        for pictures in self.whole:
            detector = cast("FaceDetector", network.detector)
            found = detect_pictures(detector, pictures, self.parts.surface, min_score=self.config.validation.min_score)
            values, name = measure_detection(found, pictures, self.parts.surface), f"detection_{pictures.name}"
            self.log.scalars(f"validation_{name}", step, values)
            self.results[name] = {"step": float(step)} | values
            self.log.picture(name, step, detection_sheet(found, pictures, self.parts.model))
        write_text(self.run / RESULTS_FILE, json.dumps(self.results, indent=2) + "\n", parents=True)
        return self.results

    def sheet(self, data: ValidationSet, predicted: FaceParameters) -> "np.ndarray":
        """Rows: the picture with true (red) and predicted (green) points, the shape, the textured and lit face."""
        side = data.image.shape[2]
        count = min(SHEET_FACES, len(data.faces))
        landmarks = predicted_landmarks(predicted, data.faces.contour, self.parts.surface, (side, side)).cpu().numpy()
        truth = data.faces.drawn_px().cpu().numpy()
        rows: list[list[np.ndarray]] = [[], [], []]
        for index in range(count):
            picture = data.image[index].permute(1, 2, 0).numpy()
            face = predicted[index : index + 1]
            drawn = draw_points(picture, truth[index], TRUE_COLOR)
            rows[0].append(draw_points(drawn, landmarks[index], PREDICTED_COLOR))
            rows[1].append(draw_mesh(picture, face, self.parts.model, lit=False))
            rows[2].append(draw_mesh(picture, face, self.parts.model, lit=True))
        return grid(rows)

    def _evaluation_network(self, average: AveragedWeights) -> nn.Module:
        """A copy of the network with the averaged weights, in evaluation mode."""
        if self._network is None:
            self._network = CellPredictor(copy.deepcopy(self.parts.network), with_center=False).eval()
        detector = self._network.detector
        assert isinstance(detector, nn.Module)
        detector.load_state_dict(average.state)
        return self._network


@torch.no_grad()
def input_sheet(batch: Batch) -> "np.ndarray":
    """Pictures of a batch as the network gets them, with the true points and, below, the skin."""
    rows: list[list[np.ndarray]] = [[], []]
    for index in range(min(SHEET_FACES, len(batch.image))):
        picture = (batch.image[index].permute(1, 2, 0).float() * 255).byte().cpu().numpy()
        points = batch.faces.drawn_px()[batch.faces.image_index == index].flatten(0, 1)
        rows[0].append(draw_points(picture, points.float().cpu().numpy(), TRUE_COLOR))
        skin = (batch.skin[index, 0].float() * 255).byte().cpu().numpy()
        rows[1].append(np.repeat(skin[..., None], 3, axis=2))
    return grid(rows)
