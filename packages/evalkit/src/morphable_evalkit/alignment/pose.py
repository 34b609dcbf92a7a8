"""Head pose error of a prediction file (protocol E7)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from morphable_evalkit.alignment.point_sets import predicted_points
from morphable_evalkit.alignment.scores import Form, match_faces
from morphable_evalkit.datasets.ground_truth import GroundTruth
from morphable_evalkit.measures.head_pose import angle_errors, angles_from_rotation, look_at_rotation, within_benchmark
from morphable_evalkit.measures.points import tight_box
from morphable_evalkit.predictions.file import Predictions


@dataclass(frozen=True, kw_only=True)
class PoseScores:
    """Absolute errors in degrees, one row per annotated face."""

    errors_deg: Float[np.ndarray, "faces 3"]
    """Pitch, yaw, roll; NaN where missed, and in pitch and roll where the labels are yaws only."""
    found: Bool[np.ndarray, " faces"]
    scored: Bool[np.ndarray, " faces"]
    """False for faces that the benchmark leaves out (an angle beyond 99 degrees)."""
    yaw_only: bool
    protocol: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class PoseSummary:
    """Mean absolute errors in degrees over scored faces that were found."""

    num_scored: int
    num_left_out: int
    num_failed: int
    pitch: float
    yaw: float
    roll: float
    mae: float
    """Mean of the three; NaN where the labels are yaws only."""


def score_pose(
    predictions: Predictions,
    truth: GroundTruth,
    *,
    wrap: bool = False,
    look_at: bool = True,
    form: Form = "whole-image",
) -> PoseScores:
    """Compare head rotations with the labels' pitch, yaw, roll.

    Args:
        predictions: What was found.
        truth: A data set with angles, or with yaws only.
        wrap: Whether differences are taken around the circle.
        look_at: Compare the pose seen by a camera turned to the face, as labels from crops mean it; needs positions.
        form: Whether the system found the face itself.

    Raises:
        ValueError: The file lacks rotations or positions, or the labels have no pose.

    Example:
        >>> from dataclasses import replace
        >>> points = np.random.default_rng(0).uniform(100, 200, (1, 68, 2))
        >>> angles = np.array([[10.0, 0.0, 0.0]])  # pitch, yaw, roll
        >>> truth = GroundTruth(name="mine", images=("a.jpg",), image=("a.jpg",), points_px=points, angles_deg=angles)
        >>> found = Predictions.from_points({"a.jpg": points}, size_hw=(480, 640))
        >>> found = replace(found, rotation_head=np.eye(3)[None])
        >>> score_pose(found, truth, look_at=False).errors_deg.round(3)
        array([[10.,  0.,  0.]])
    """
    if predictions.rotation_head is None:
        raise ValueError("preds must hold rotation_head to measure head pose, got none")
    if look_at and predictions.translation_m is None:
        raise ValueError("preds must hold translation_m for the look-at correction, got none; pass --no-look-at")
    labels = truth.angles_deg
    if labels is None:
        if truth.yaw_deg is None:
            raise ValueError(f"{truth.name} must have pitch, yaw, roll or yaw labels, got none")
        labels = np.stack([np.full_like(truth.yaw_deg, np.nan), truth.yaw_deg, np.full_like(truth.yaw_deg, np.nan)], 1)
    boxes = tight_box(predicted_points(predictions, truth, "dataset"))
    rows, found = match_faces(boxes, predictions, truth, form=form)
    errors = np.full((len(rows), 3), np.nan)
    R = predictions.rotation_head[rows[found]].astype(np.float64)
    if look_at and predictions.translation_m is not None and len(R):
        R = look_at_rotation(R, predictions.translation_m[rows[found]])
    errors[found] = angle_errors(np.rad2deg(angles_from_rotation(R)), labels[found], wrap=wrap)
    return PoseScores(
        errors_deg=errors,
        found=found,
        scored=within_benchmark(np.nan_to_num(labels)),
        yaw_only=truth.angles_deg is None,
        protocol={
            "data set": truth.name,
            "angles": "yaw only (no .mat files here)" if truth.angles_deg is None else "pitch, yaw, roll",
            "differences": "around the circle" if wrap else "plain, not around the circle",
            "look-at correction": "yes" if look_at else "no",
            "left out": "faces with an angle beyond 99 degrees",
            "input": "whole pictures" if form == "whole-image" else "crops around the true faces",
        },
    )


def summarize_pose(scores: PoseScores) -> PoseSummary:
    """Average over the faces that the benchmark scores and the system found.

    Example:
        >>> from dataclasses import replace
        >>> points = np.random.default_rng(0).uniform(100, 200, (1, 68, 2))
        >>> angles = np.array([[10.0, 0.0, 0.0]])  # pitch, yaw, roll
        >>> truth = GroundTruth(name="mine", images=("a.jpg",), image=("a.jpg",), points_px=points, angles_deg=angles)
        >>> found = Predictions.from_points({"a.jpg": points}, size_hw=(480, 640))
        >>> found = replace(found, rotation_head=np.eye(3)[None])
        >>> round(summarize_pose(score_pose(found, truth, look_at=False)).mae, 3)
        3.333
    """
    errors = scores.errors_deg[scores.scored]
    column = 1 if scores.yaw_only else slice(None)
    valid: Bool[np.ndarray, " scored"] = np.isfinite(errors[:, column]).reshape(len(errors), -1).all(axis=1)
    kept = errors[valid]
    means = kept.mean(axis=0) if len(kept) else np.full(3, np.nan)
    return PoseSummary(
        num_scored=len(errors),
        num_left_out=int((~scores.scored).sum()),
        num_failed=int((~valid).sum()),
        pitch=float(means[0]),
        yaw=float(means[1]),
        roll=float(means[2]),
        mae=float(means.mean()),
    )
