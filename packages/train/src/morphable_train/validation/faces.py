"""Errors on faces that are not trained on: photographs with 68 contour points, scenes with exact labels."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from morphable import FaceParameters, MorphableModel
from morphable.geometry import Pinhole, camera_from_model
from morphable_detector_head.cells import parameters_from_cells
from morphable_detector_head.decode import STRIDE_PX
from morphable_detector_head.layout import ParameterLayout
from morphable_losses.face_errors import point_distance
from morphable_train.configs.stages import DataConfig
from morphable_train.data.batch import FaceTargets
from morphable_train.data.crops import cut_faces
from morphable_train.data.faces import SourceFaces, input_targets
from morphable_train.data.labels import NUM_LANDMARKS, weak_labels
from morphable_train.data.pictures import read_picture
from morphable_train.data.shards import Record, ShardReader
from morphable_train.data.surface import SurfaceSample
from morphable_train.readers.points import JSON_FILE, read_json_folder, read_pts_folder

FACE_PX_OF_INPUT = 0.5
"""Face size in validation pictures, in input sides."""
FAILURE_NME = 0.1
"""Faces with a larger error count as failures."""
_BATCH = 32
_OUTER_EYES = (36, 45)
_MOUTH, _EYE = (62, 66), (37, 41)
"""Middles of the inner lips; upper and lower lid."""


@runtime_checkable
class CellNetwork(Protocol):
    """A network that predicts faces at given cells."""

    def __call__(self, image: Tensor, cell: Tensor) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Return the raw parameters at the cells, the best estimate last, and the center logits."""
        ...


@dataclass(frozen=True)
class ValidationSet:
    """Pictures with one centered face each."""

    name: str
    image: UInt8[Tensor, "pictures 3 side side"]
    faces: FaceTargets
    skipped: int = 0
    """Photographs that are damaged or lack landmarks, and faces too small or centered outside their picture."""


def open_landmark_folder(
    folder: Path, *, input_px: int, max_faces: int, model: MorphableModel, surface: SurfaceSample
) -> ValidationSet:
    """Cut the annotated faces of a folder of photographs (`landmarks68.json` or `.pts` files).

    Raises:
        ValueError: It holds no usable face.
    """
    records, skipped = annotated_photographs(folder, max_faces)
    cut = _cut(folder.name, records, input_px=input_px, max_faces=max_faces, model=model, surface=surface)
    return replace(cut, skipped=skipped + cut.skipped)


def annotated_photographs(folder: Path, most: int) -> tuple[list[Record], int]:
    """Read the first photographs with 68 points of a folder (`landmarks68.json` or `.pts` files).

    Returns:
        The photographs, and how many were met that are damaged or lack landmarks.
    """
    items = read_json_folder(folder) if (folder / JSON_FILE).is_file() else read_pts_folder(folder)
    records: list[Record] = []
    skipped = 0
    for item in items:
        if len(records) == most:
            break
        try:
            if item.landmarks68_px is None:
                raise ValueError(item.problem)
            labels = weak_labels(item.landmarks68_px, valid=item.landmark_valid)
            records.append(Record(item.name, read_picture(item.path), labels))
        except ValueError:
            skipped += 1
    return records, skipped


def open_exact_shards(
    folder: Path, *, input_px: int, max_faces: int, model: MorphableModel, surface: SurfaceSample
) -> ValidationSet:
    """Cut faces of held-out shards."""
    reader = ShardReader(folder)
    records = [reader.read(index) for index in range(min(len(reader), max_faces))]
    return _cut(folder.name, records, input_px=input_px, max_faces=max_faces, model=model, surface=surface)


def _cut(
    name: str, records: list[Record], *, input_px: int, max_faces: int, model: MorphableModel, surface: SurfaceSample
) -> ValidationSet:
    """Cut the faces of some pictures at the size they are validated at."""
    shape = DataConfig(crop_px=input_px, crop_face_px=FACE_PX_OF_INPUT * input_px)
    pictures: list[Tensor] = []
    parts: list[SourceFaces] = []
    skipped = 0
    for record in records:
        crops = list(cut_faces(record, shape))
        pictures += [crop.pixels[:3] for crop in crops]
        parts += [crop.source(model) for crop in crops]
        skipped += len(record.labels) - len(crops)
        if len(parts) >= max_faces:
            break
    if not parts:
        raise ValueError(
            f"validation must have at least one face of {shape.min_face_px:g} px, got none in {name}; check the folder"
        )
    count = min(len(parts), max_faces)
    device = model.mean.device
    faces = SourceFaces.concatenate(parts[:count]).to(device)
    targets = input_targets(
        faces,
        torch.arange(count, device=device),
        torch.eye(3, device=device).repeat(count, 1, 1),
        torch.zeros(count, dtype=torch.bool, device=device),
        input_px=input_px,
        model=model,
        surface=surface,
    )
    return ValidationSet(name, torch.stack(pictures[:count]), targets, skipped)


@torch.no_grad()
def predict(
    network: CellNetwork, images: UInt8[Tensor, "pictures 3 side side"], layout: ParameterLayout, device: torch.device
) -> FaceParameters:
    """Predict the face in the middle of each picture."""
    side = images.shape[2]
    cells = side // STRIDE_PX
    cell = (cells // 2) * cells + cells // 2
    parts = []
    for part in images.split(_BATCH):
        index = torch.full((len(part), 1), cell, device=device)
        channels = network(part.to(device).float() / 255.0, index)[0][-1][:, 0].float()
        px = torch.full((len(part), 2), (cells // 2 + 0.5) * STRIDE_PX, device=device)
        parts.append(parameters_from_cells(channels, px, (side, side), layout))
    names = vars(parts[0])
    return FaceParameters(**{name: torch.cat([getattr(p, name) for p in parts]) for name in names})


def predicted_landmarks(
    parameters: FaceParameters, contour: Tensor, surface: SurfaceSample, size_hw: tuple[int, int]
) -> Float[Tensor, "faces 68 2"]:
    """Project the 68 points: on the silhouette for contour labels, static for the others."""
    points = surface.decode_shape(parameters.identity, parameters.expression)
    points_cam = camera_from_model(points, parameters.rotation_head, parameters.translation_m)
    chosen = torch.where(contour[:, None, None], surface.contour_landmarks(points_cam), points_cam[:, :NUM_LANDMARKS])
    return Pinhole(size_hw).project(chosen)


def measure(predicted: FaceParameters, truth: ValidationSet, surface: SurfaceSample) -> dict[str, float]:
    """Return the errors of predictions by name.

    `nme_box` is the mean distance of the 68 points over the square root of their true box's area, `nme_eyes` over the
    distance of the outer eye corners; `failures` is the share of faces above 10 % of `nme_box` or not finite;
    `mouth_opening_r` and `eye_opening_r` are the correlations of predicted and true openings over the faces;
    `skipped` counts photographs and faces that could not be used. With
    exact labels also `shape_mm` (surface points in the model frame), `rotation_deg` and `depth_relative`.
    """
    faces, side = truth.faces, truth.image.shape[2]
    landmarks = predicted_landmarks(predicted, faces.contour, surface, (side, side))
    error = point_distance(landmarks, faces.landmarks68_px)
    known = faces.landmark_weight
    mean_px = (error * known).sum(1) / known.sum(1)
    nme = mean_px / faces.sizes_px()
    eyes = (faces.landmarks68_px[:, _OUTER_EYES[0]] - faces.landmarks68_px[:, _OUTER_EYES[1]]).norm(dim=-1)
    eyes_known = (known[:, _OUTER_EYES] > 0).all(1)
    values = {
        "nme_box": nme.mean(),
        "nme_box_median": nme.median(),
        "nme_eyes": (mean_px / eyes)[eyes_known].mean(),
        "failures": (~(nme <= FAILURE_NME)).float().mean(),
        "mouth_opening_r": _opening_correlation(landmarks, faces, _MOUTH),
        "eye_opening_r": _opening_correlation(landmarks, faces, _EYE),
    }
    if bool(faces.exact.all()):
        values |= _exact_errors(predicted, faces, surface)
    return {name: float(value) for name, value in values.items()} | {
        "faces": float(len(faces)),
        "skipped": float(truth.skipped),
    }


def _opening_correlation(landmarks68_px: Tensor, faces: FaceTargets, pair: tuple[int, int]) -> Tensor:
    """Pearson's correlation of the distances between two points, in face sizes; 0 where all faces are alike.

    Faces without one of the points are left out.
    """
    known = (faces.landmark_weight[:, pair] > 0).all(1)
    openings = [
        ((points[:, pair[0]] - points[:, pair[1]]).norm(dim=-1) / faces.sizes_px())[known]
        for points in (landmarks68_px, faces.landmarks68_px)
    ]
    a, b = (opening - opening.mean() for opening in openings)
    return (a * b).sum() / (a.norm() * b.norm()).clamp(min=1e-12)


def _exact_errors(predicted: FaceParameters, faces: FaceTargets, surface: SurfaceSample) -> dict[str, Tensor]:
    """Errors in three dimensions."""
    shape = surface.few.decode_shape(predicted.identity, predicted.expression)
    true_shape = surface.few.decode_shape(faces.identity, faces.expression)
    cosine = ((predicted.rotation_head * faces.rotation_head).sum((1, 2)) - 1) / 2
    return {
        "shape_mm": point_distance(shape, true_shape).mean() * 1000,
        "neutral_mm": _neutral_error_m(predicted.identity, faces.identity, surface) * 1000,
        "rotation_deg": torch.rad2deg(torch.acos(cosine.clamp(-1, 1))).mean(),
        "depth_relative": (predicted.translation_m[:, 2] / faces.translation_m[:, 2] - 1).abs().mean(),
        "expression": (predicted.expression - faces.expression).abs().mean(),
    }


def _neutral_error_m(identity: Tensor, truth: Tensor, surface: SurfaceSample) -> Tensor:
    """Mean distance of surface points of the faces without expression."""
    neutral = torch.zeros(len(identity), surface.expression_basis.shape[0], device=identity.device)
    return point_distance(surface.few.decode_shape(identity, neutral), surface.few.decode_shape(truth, neutral)).mean()


def evaluate_set(
    network: CellNetwork, data: ValidationSet, surface: SurfaceSample, layout: ParameterLayout
) -> tuple[dict[str, float], FaceParameters]:
    """Predict and measure; the network must be in evaluation mode."""
    device = surface.mean.device
    predicted = predict(network, data.image, layout, device)
    return measure(predicted, data, surface), predicted
