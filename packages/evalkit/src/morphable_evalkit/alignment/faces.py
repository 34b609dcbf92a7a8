"""Several faces in a photograph: recall, precision, matched error, placement in the scene."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from morphable_evalkit.alignment.scores import Scores
from morphable_evalkit.datasets.ground_truth import GroundTruth
from morphable_evalkit.measures.summaries import bootstrap_interval, mean_or_nan, share_below
from morphable_evalkit.predictions.file import Predictions


@dataclass(frozen=True, kw_only=True)
class FacesSummary:
    """A data set of pictures with any number of faces; shares are of all annotated faces."""

    num_images: int
    num_faces: int
    num_found: int
    recall: float
    precision: float
    """NaN where not every face of the pictures is annotated, and where nothing was predicted."""
    num_unmatched: int
    """Predictions that belong to no annotated face."""
    unmatched_per_image: float
    mean: float
    """Mean error over the faces that were found."""
    mean_interval: tuple[float, float]
    """95 % bootstrap interval over faces."""
    median: float
    share_below_5: float
    share_below_10: float


@dataclass(frozen=True, kw_only=True)
class PlacementSummary:
    """Where the faces stand, on scenes with known depth; over the faces that were found."""

    num_faces: int
    num_pairs: int
    """Pairs of found faces of one picture."""
    position_error_m: float
    """Mean distance of predicted and true position."""
    position_error_relative: float
    """The same, each divided by the true distance from the camera."""
    distance_error_relative: float
    """Mean |predicted - true| / true distance between the two faces of a pair."""
    depth_order_share: float
    """Share of pairs whose nearer face is predicted as the nearer one."""


def summarize_faces(scores: Scores, truth: GroundTruth, *, seed: int = 0) -> FacesSummary:
    """Sum up scores that were matched one to one.

    Args:
        scores: From `score_alignment` with `one_to_one`; a set without any face is allowed.
        truth: The data set.
        seed: Seed of the bootstrap.

    Example:
        >>> from morphable_evalkit import score_alignment
        >>> points = np.random.default_rng(0).uniform(100, 200, (2, 68, 2)) + np.array([0, 150])[:, None, None]
        >>> truth = GroundTruth(name="mine", images=("a.jpg",), image=("a.jpg", "a.jpg"), points_px=points)
        >>> found = Predictions.from_points({"a.jpg": points[:1]}, size_hw=(480, 640))
        >>> summarize_faces(score_alignment(found, truth, one_to_one=True), truth).recall
        0.5
    """
    valid = scores.error[np.isfinite(scores.error)]
    found = int(scores.found.sum())
    predicted = found + scores.num_unmatched
    faces = len(scores.error)
    complete = truth.every_face_annotated and predicted > 0
    return FacesSummary(
        num_images=scores.num_images,
        num_faces=faces,
        num_found=found,
        recall=found / faces if faces else float("nan"),
        precision=found / predicted if complete else float("nan"),
        num_unmatched=scores.num_unmatched,
        unmatched_per_image=scores.num_unmatched / scores.num_images,
        mean=mean_or_nan(valid),
        mean_interval=bootstrap_interval(valid, mean_or_nan, seed=seed),
        median=float(np.median(valid)) if len(valid) else float("nan"),
        share_below_5=share_below(scores.error, 0.05) if faces else float("nan"),
        share_below_10=share_below(scores.error, 0.10) if faces else float("nan"),
    )


def summarize_placement(scores: Scores, predictions: Predictions, truth: GroundTruth) -> PlacementSummary:
    """Compare positions in the camera frame, and distances between faces of one picture.

    Raises:
        ValueError: Positions are missing on one side, or no face was found.

    Example:
        >>> from dataclasses import replace
        >>> from morphable_evalkit import score_alignment
        >>> points = np.random.default_rng(0).uniform(100, 200, (2, 68, 2)) + np.array([0, 150])[:, None, None]
        >>> places = np.array([[0.0, 0, 1], [1.0, 0, 2]])
        >>> truth = GroundTruth(
        ...     name="mine", images=("a.jpg",), image=("a.jpg", "a.jpg"), points_px=points, translation_m=places
        ... )
        >>> found = Predictions.from_points({"a.jpg": points}, size_hw=(480, 640))
        >>> found = replace(found, translation_m=places + [0.0, 0.0, 0.1])
        >>> placement = summarize_placement(score_alignment(found, truth, one_to_one=True), found, truth)
        >>> round(placement.position_error_m, 3), placement.depth_order_share
        (0.1, 1.0)
    """
    if predictions.translation_m is None or truth.translation_m is None:
        side = "preds" if predictions.translation_m is None else truth.name
        raise ValueError(f"{side} must hold translation_m to measure placement, got none")
    if not scores.found.any():
        raise ValueError("preds must match at least one face to measure placement, got none")
    true = truth.translation_m[scores.found].astype(np.float64)
    predicted = predictions.translation_m[scores.prediction[scores.found]].astype(np.float64)
    offset = np.linalg.norm(predicted - true, axis=-1)
    images = np.array(scores.image)[scores.found]
    first, second = _pairs(images)
    true_gap = np.linalg.norm(true[first] - true[second], axis=-1)
    gap = np.linalg.norm(predicted[first] - predicted[second], axis=-1)
    order: Bool[np.ndarray, " pairs"] = (true[first, 2] < true[second, 2]) == (
        predicted[first, 2] < predicted[second, 2]
    )
    return PlacementSummary(
        num_faces=len(true),
        num_pairs=len(first),
        position_error_m=float(offset.mean()),
        position_error_relative=float((offset / np.linalg.norm(true, axis=-1)).mean()),
        distance_error_relative=mean_or_nan(np.abs(gap - true_gap) / true_gap),
        depth_order_share=mean_or_nan(order.astype(np.float64)),
    )


def _pairs(images: np.ndarray) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """Rows of every unordered pair of faces that share a picture."""
    first, second = np.triu_indices(len(images), k=1)
    same = images[first] == images[second]
    return first[same], second[same]
