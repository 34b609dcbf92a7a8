"""Detection on whole pictures: how many faces are found, and how much of what is found is a face."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from morphable import FaceParameters, MorphableModel
from morphable.geometry import box_iou
from morphable_detector_head import FaceDetector
from morphable_detector_head.letterbox import letterbox
from morphable_train.data.batch import tight_boxes
from morphable_train.data.shards import Record, ShardReader
from morphable_train.data.surface import SurfaceSample
from morphable_train.runs.drawing import TRUE_COLOR, draw_mesh, draw_points, grid
from morphable_train.validation.faces import annotated_photographs, predicted_landmarks

MIN_IOU = 0.5
"""A detection is a face if its box overlaps the true one this much (intersection over union)."""
TOP_K = 64
SHEET_PICTURES = 4
_BATCH = 8


@dataclass(frozen=True)
class PictureSet:
    """Whole pictures at the size of the network's input."""

    name: str
    image: UInt8[Tensor, "pictures 3 side side"]
    landmarks68_px: tuple[Float[Tensor, "_ 68 2"], ...]
    """The annotated faces of each picture; not a number where a point is not annotated."""
    complete: bool
    """Every face is annotated, so that what matches none is a false detection."""
    skipped: int = 0
    """Photographs of the folder that are damaged or lack landmarks."""


def open_pictures(folder: Path, *, input_px: int, max_pictures: int) -> PictureSet:
    """Read held-out scenes (shards), or photographs with 68 points (`landmarks68.json` or `.pts` files).

    Raises:
        ValueError: There is no picture.
    """
    complete, skipped = any(folder.glob("[!.]*.tar")), 0
    if complete:
        reader = ShardReader(folder)
        records = [reader.read(index) for index in range(min(len(reader), max_pictures))]
    else:
        records, skipped = annotated_photographs(folder, max_pictures)
    if not records:
        raise ValueError(f"validation.pictures must hold at least one labeled picture, got none in {folder}")
    pictures, landmarks = zip(*(_fit(record, input_px) for record in records), strict=True)
    return PictureSet(folder.name, torch.stack(pictures), landmarks, complete, skipped)


def _fit(record: Record, input_px: int) -> tuple[UInt8[Tensor, "3 side side"], Float[Tensor, "faces 68 2"]]:
    """Scale a picture into the middle of a square, as at inference."""
    canvas, plan = letterbox(record.image, input_px, square=True)
    points = np.where(record.labels.landmark_valid[..., None], record.labels.landmarks68_px, np.nan)
    return torch.from_numpy(canvas).permute(2, 0, 1), torch.from_numpy(plan.to_input(points)).float()


def boxes_of(landmarks68_px: Float[Tensor, "faces 68 2"]) -> Float[Tensor, "faces 4"]:
    """Return the tight boxes (left, top, right, bottom) of the points that are numbers."""
    return tight_boxes(landmarks68_px, landmarks68_px.isfinite().all(-1))


def match(found: Float[Tensor, "found 4"], truth: Float[Tensor, "faces 4"]) -> Bool[Tensor, " found"]:
    """Return which detections are faces: best score first, each takes the free face it overlaps most.

    Args:
        found: Boxes, best score first.
        truth: Boxes of the annotated faces.
    """
    hits = torch.zeros(len(found), dtype=torch.bool)
    free = box_iou(found, truth).cpu()
    for index in range(len(found) if len(truth) else 0):
        best = int(free[index].argmax())
        if float(free[index, best]) >= MIN_IOU:
            hits[index] = True
            free[:, best] = 0.0
    return hits


@torch.no_grad()
def detect_pictures(
    network: FaceDetector, data: PictureSet, surface: SurfaceSample, *, min_score: float
) -> list[FaceParameters]:
    """Find the faces of every picture, best score first; the network must be in evaluation mode."""
    device, found = surface.mean.device, []
    for part in data.image.split(_BATCH):
        detections = network.detect(part.to(device).float() / 255.0, top_k=TOP_K, min_score=min_score)
        found += [detections.parameters[row][detections.valid[row]] for row in range(len(part))]
    return found


def measure_detection(found: list[FaceParameters], data: PictureSet, surface: SurfaceSample) -> dict[str, float]:
    """Return recall and, where every face is annotated, precision and false detections per picture."""
    side, hits, total, faces = data.image.shape[2], 0, 0, 0
    for parameters, points in zip(found, data.landmarks68_px, strict=True):
        static = torch.zeros(len(parameters.translation_m), dtype=torch.bool, device=surface.mean.device)
        boxes = boxes_of(predicted_landmarks(parameters, static, surface, (side, side)))
        hits += int(match(boxes, boxes_of(points).to(boxes.device)).sum())
        total, faces = total + len(boxes), faces + len(points)
    values = {"recall": hits / max(faces, 1), "faces": float(faces), "pictures": float(len(found))}
    values["skipped"] = float(data.skipped)
    if data.complete:
        values |= {"precision": hits / total if total else 0.0, "false_per_picture": (total - hits) / len(found)}
    return values


def detection_sheet(found: list[FaceParameters], data: PictureSet, model: MorphableModel) -> np.ndarray:
    """Draw the first pictures with the faces found and, in red, the true points."""
    tiles = []
    for index in range(min(SHEET_PICTURES, len(found))):
        picture = data.image[index].permute(1, 2, 0).numpy()
        if len(found[index].translation_m):
            picture = draw_mesh(picture, found[index], model, lit=True)
        tiles.append(draw_points(picture, data.landmarks68_px[index].flatten(0, 1).numpy(), TRUE_COLOR))
    return grid([tiles])
