"""Fits the score of a detection, so that of all faces with score p a share of p are faces."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image

from morphable import read_weights, write_weights
from morphable_detector_head import FaceDetector, load_detector
from morphable_detector_head.face_head.crops import crop_frames, cut_crops, repeated
from morphable_detector_head.face_head.network import FaceHead
from morphable_detector_head.face_head.reading import corrected, finite_logit
from morphable_train.data.shards import ShardReader
from morphable_train.face_head.mining import letterboxed, opened
from morphable_train.face_head.negatives import photographs_in
from morphable_train.runs.progress import track

_TOP_K = 64
_NEAR = 0.35
"""A detection whose crop's center is nearer to a face's than this share of the face's size is that face."""
_SIZE_OF_CROP = 0.62
"""Side of a face's box of 68 points in that of its crop, about."""
_SIZES = (0.5, 2.0)
_RIDGE = 1e-2
_NEWTON_STEPS = 30
CALIBRATED_MIN_SCORE = 0.5
"""Threshold of the calibrated score: as likely a face as not."""


@dataclass(frozen=True, kw_only=True)
class CalibrationConfig:
    """Fit the score of a weights file's detections on scenes and pictures that nobody trained on."""

    weights: Path
    """Weights file with a face head."""
    out: Path
    """The file with the fitted score."""
    shards: tuple[Path, ...] = ()
    """Folders of shards of synthetic scenes."""
    pictures: tuple[Path, ...] = ()
    """Folders of photographs without a face."""
    sides: tuple[int, ...] = (512,)
    """Long sides at which photographs are looked at."""
    step: int = 1
    """Every how many pictures one is taken for the fit; the others are measured."""


@dataclass(frozen=True)
class Candidates:
    """What the center map proposes in some pictures."""

    center_logit: Float[np.ndarray, " candidates"]
    face_logit: Float[np.ndarray, " candidates"]
    is_face: Bool[np.ndarray, " candidates"]

    def __add__(self, other: "Candidates") -> "Candidates":
        return Candidates(**{k: np.concatenate([v, getattr(other, k)]) for k, v in vars(self).items()})

    def features(self) -> Float[np.ndarray, "candidates 3"]:
        """Return what the score's logit is linear in."""
        return np.stack([self.center_logit, self.face_logit, np.ones(len(self.is_face))], 1)


_NONE = Candidates(np.zeros(0), np.zeros(0), np.zeros(0, bool))


def calibrate(config: CalibrationConfig) -> dict[str, float]:
    """Fit on every `step`-th picture, write the weights, and return the errors on the pictures between.

    Raises:
        ValueError: The weights have no face head, or no picture is given.
    """
    detector = load_detector(config.weights)
    head = detector.face_head
    if head is None:
        raise ValueError(f"weights must have a face head, got {config.weights} without")
    detector.face_head = None
    fitted, measured = _collect(detector, head, config)
    factors = fit_logistic(fitted.features(), fitted.is_face)
    info, state = read_weights(config.weights)
    names = ("center_factor", "crop_factor", "score_offset")
    described = cast("dict[str, Any]", info.architecture["face_head"]) | dict(
        zip(names, map(float, factors), strict=True)
    )
    values = dict(zip(names, map(float, factors), strict=True)) | {"calibration_error_fitted": _error(fitted, factors)}
    if len(measured.is_face):
        values["calibration_error"] = _error(measured, factors)
        values["measured_candidates"] = len(measured.is_face)
    info = replace(
        info,
        architecture=info.architecture | {"face_head": described},
        inference=replace(info.inference, min_score=CALIBRATED_MIN_SCORE),
        results=info.results | {"score": cast("Any", values)},
    )
    write_weights(config.out, info, state)
    return values


def fit_logistic(
    features: Float[np.ndarray, "rows columns"], positive: Bool[np.ndarray, " rows"]
) -> Float[np.ndarray, " columns"]:
    """Return the factors of a logistic regression with a slight ridge, by Newton's method.

    Raises:
        ValueError: All rows are of one kind.
    """
    if positive.all() or not positive.any():
        raise ValueError("candidates must hold faces and others, got one kind alone; give scenes and pictures")
    factors = np.zeros(features.shape[1])
    ridge = _RIDGE * np.eye(features.shape[1])
    for _ in range(_NEWTON_STEPS):
        p = _sigmoid(features @ factors)
        gradient = features.T @ (p - positive) + ridge @ factors
        hessian = (features * (p * (1 - p))[:, None]).T @ features + ridge
        factors = factors - np.linalg.solve(hessian, gradient)
    return factors


def calibration_error(
    probability: Float[np.ndarray, " rows"], positive: Bool[np.ndarray, " rows"], bins: int = 10
) -> float:
    """Return the expected calibration error: mean distance of confidence and frequency over bins of equal width."""
    which = np.minimum((probability * bins).astype(int), bins - 1)
    apart = [abs(probability[which == b].sum() - positive[which == b].sum()) for b in range(bins)]
    return float(sum(apart) / len(positive))


def _error(candidates: Candidates, factors: Float[np.ndarray, "3"]) -> float:
    return calibration_error(_sigmoid(candidates.features() @ factors), candidates.is_face)


def _sigmoid(x: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    return 1.0 / (1.0 + np.exp(-x))


def _collect(detector: FaceDetector, head: FaceHead, config: CalibrationConfig) -> tuple[Candidates, Candidates]:
    """Candidates of the pictures to fit on, and of those between."""
    sums = [_NONE, _NONE]
    photographs = photographs_in(config.pictures)
    for number, path in enumerate(track(photographs, "photographs", len(photographs))):
        picture = opened(path)
        for side in config.sides:
            found = _candidates(detector, head, picture, np.zeros((0, 4)), side)
            sums[number % config.step != 0] += found
    for folder in config.shards:
        reader = ShardReader(folder)
        for index in track(range(len(reader)), f"scenes of {folder.name}", len(reader)):
            record = reader.read(index)
            points = record.labels.landmarks68_px
            boxes = np.concatenate([points.min(1), points.max(1)], 1)
            sums[index % config.step != 0] += _candidates(detector, head, Image.fromarray(record.image), boxes)
    return sums[0], sums[1]


@torch.no_grad()
def _candidates(
    detector: FaceDetector,
    head: FaceHead,
    picture: Image.Image,
    boxes: Float[np.ndarray, "faces 4"],
    side: int | None = None,
) -> Candidates:
    pixels, plan = letterboxed(picture, side)
    found = detector.detect(pixels, _TOP_K, min_score=head.config.min_center_score)
    count = int(found.valid.sum())  # the valid ones come first
    if not count:
        return _NONE
    estimate, score = found.parameters[:, :count], found.score[:, :count]
    frames = crop_frames(estimate)
    reading = head.reading(head(cut_crops(pixels, frames)))
    seen = corrected(estimate, frames, reading)
    kept = ~repeated(seen, score)[0].numpy()
    seen_frames = crop_frames(seen)
    middle = np.array([pixels.shape[3] / 2, pixels.shape[2] / 2])
    center = plan.to_photo(seen_frames.center_px[0].numpy() + middle)
    size = seen_frames.side_px[0].numpy() / plan.scale * _SIZE_OF_CROP
    is_face = np.zeros(len(center), bool)
    for box in boxes:
        extent = float(np.sqrt(np.prod(box[2:] - box[:2])))
        near = np.linalg.norm(center - (box[:2] + box[2:]) / 2, axis=1) < _NEAR * extent
        is_face |= near & (size > _SIZES[0] * extent) & (size < _SIZES[1] * extent)
    logit = finite_logit(score[0]).double().numpy()
    return Candidates(logit[kept], reading.face_logit[0].double().numpy()[kept], is_face[kept])
