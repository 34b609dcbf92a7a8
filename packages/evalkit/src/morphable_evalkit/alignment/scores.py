"""Sparse face alignment: normalized mean error of a prediction file on a data set."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from morphable_evalkit.alignment.point_sets import NUM_JAW, Points, aflw21_from_68, jaw_of, predicted_points
from morphable_evalkit.datasets.ground_truth import GroundTruth
from morphable_evalkit.measures.dense import align_depth
from morphable_evalkit.measures.matching import Match, match_best, match_greedy
from morphable_evalkit.measures.points import Normalizer, box_size, face_size, mean_point_error, tight_box
from morphable_evalkit.predictions.file import Predictions
from morphable_evalkit.predictions.rows import RowSubset

Form = Literal["whole-image", "gt-crop"]
"""`whole-image`: the system found the face itself. `gt-crop`: it was shown the crop around the true face."""

_SHOWN_NAMES = 3
_MIN_CROP_IOU = 0.2
"""Median overlap below which predictions on true crops cannot be in the data set's order or pixels."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """One row per annotated face.

    Example:
        >>> from morphable_evalkit import Predictions
        >>> points = np.random.default_rng(0).uniform(100, 200, (2, 68, 2)) + np.array([0, 150])[:, None, None]
        >>> truth = GroundTruth(name="mine", images=("a.jpg",), image=("a.jpg", "a.jpg"), points_px=points)
        >>> found = Predictions.from_points({"a.jpg": points[:1] + 1.0}, size_hw=(480, 640))
        >>> scores = score_alignment(found, truth, one_to_one=True)
        >>> scores.found, scores.error.round(3)
        (array([ True, False]), array([0.014,   nan]))
    """

    image: tuple[str, ...]
    error: Float[np.ndarray, " faces"]
    """Fraction; NaN where the face was missed or the prediction is not finite."""
    found: Bool[np.ndarray, " faces"]
    """Whether a prediction belongs to the face (its values may still not be finite)."""
    prediction: Int[np.ndarray, " faces"]
    """Row in the prediction file; meaningless where not found."""
    yaw_deg: Float[np.ndarray, " faces"] | None
    num_unmatched: int
    """Predictions that belong to no annotated face."""
    num_images: int
    protocol: dict[str, str]
    """What was measured how; printed under every number."""


def check_coverage(predictions: Predictions, truth: GroundTruth, *, partial: bool = False) -> GroundTruth:
    """Make sure that predictions and data set cover the same pictures.

    Args:
        predictions: What was found.
        truth: The data set.
        partial: Whether pictures that were not processed may be left out (named in the report).

    Returns:
        The data set, restricted to processed pictures if `partial`.

    Raises:
        ValueError: Unknown pictures, pictures that were not processed, or pictures of another size.

    Example:
        >>> from morphable_evalkit import Predictions
        >>> points = np.random.default_rng(0).uniform(100, 200, (1, 68, 2))
        >>> truth = GroundTruth(name="mine", images=("a.jpg", "b.jpg"), image=("a.jpg",), points_px=points)
        >>> found = Predictions.from_points({"a.jpg": points}, size_hw=(480, 640))
        >>> check_coverage(found, truth, partial=True).name
        'mine (PARTIAL: 1 of 2 pictures)'
    """
    known = set(truth.images)
    unknown = [name for name in predictions.processed_image if name not in known]
    if unknown:
        raise ValueError(
            f"preds must name pictures of {truth.name}, got {len(unknown)} unknown ({_names(unknown)}); names are "
            f"relative to the data set's folder, for example {truth.images[0]!r}"
        )
    processed = set(predictions.processed_image)
    absent = [name for name in truth.images if name not in processed]
    if absent and not partial:
        raise ValueError(
            f"preds must cover all {len(truth.images)} pictures of {truth.name}, got {len(processed)}; missing: "
            f"{_names(absent)}; run the system on them, or pass --partial for a number that says so"
        )
    for name, size in predictions.sizes_by_image().items():
        expected = truth.size_hw.get(name, size)
        if size != expected:
            raise ValueError(
                f"processed_size_hw of {name} must be {expected} (height, width), got {size}; coordinates are in "
                "pixels of the whole picture at its original size"
            )
    return truth if not absent else restrict(truth, processed)


def restrict(truth: GroundTruth, images: set[str]) -> GroundTruth:
    """Return the part of a data set that lies in some pictures, named as a part."""
    keep = np.array([name in images for name in truth.image], dtype=bool)
    names = tuple(name for name in truth.images if name in images)
    per_face = {
        field: value[keep]
        for field in ("points_px", "depth_px", "visible", "box_xyxy_px", "yaw_deg", "angles_deg", "translation_m")
        if (value := getattr(truth, field)) is not None
    }
    return replace(
        truth,
        name=f"{truth.name} (PARTIAL: {len(names)} of {len(truth.images)} pictures)",
        images=names,
        image=tuple(name for name in truth.image if name in images),
        vertices_px=None if truth.vertices_px is None else RowSubset(truth.vertices_px, np.flatnonzero(keep)),
        **per_face,
    )


def match_faces(
    boxes: Float[np.ndarray, "preds 4"],
    predictions: Predictions,
    truth: GroundTruth,
    *,
    form: Form = "whole-image",
    one_to_one: bool = False,
) -> tuple[Int[np.ndarray, " faces"], Bool[np.ndarray, " faces"]]:
    """Find the prediction of every annotated face.

    Args:
        boxes: Tight boxes of the predicted points, one per prediction.
        predictions: What was found.
        truth: The data set.
        form: See `Form`; with `gt-crop` every picture has exactly one prediction per annotated face.
        one_to_one: Greedy matching by score with IoU >= 0.5 instead of the best overlap.

    Returns:
        Row in the prediction file, and whether there is one.
    """
    rows, found = np.zeros(len(truth.image), np.int64), np.zeros(len(truth.image), bool)
    by_image = predictions.faces_by_image()
    truth_boxes = truth.boxes()
    for name, faces in truth.faces_by_image().items():
        candidates = np.array(by_image[name], dtype=np.int64)
        if form == "gt-crop" and len(candidates) != len(faces):
            raise ValueError(
                f"preds must hold {len(faces)} face(s) for {name} with --form gt-crop, got {len(candidates)}; "
                "predictions on whole pictures are scored with --form whole-image"
            )
        match = _match(boxes[candidates], predictions.score[candidates], truth_boxes[faces], form, one_to_one)
        found[faces] = match.found
        rows[faces] = candidates[match.prediction] if len(candidates) else 0
    return rows, found


def _match(
    boxes: Float[np.ndarray, "preds 4"],
    score: Float[np.ndarray, " preds"],
    truth_boxes: Float[np.ndarray, "truths 4"],
    form: Form,
    one_to_one: bool,
) -> Match:
    """Match the faces of one picture by the rule asked for."""
    if form == "gt-crop" and len(truth_boxes) == 1:
        return Match(np.zeros(1, np.int64), np.ones(1, bool), np.ones(1))
    if one_to_one:
        return match_greedy(boxes, score.astype(np.float64), truth_boxes)
    return match_best(boxes, truth_boxes)


def score_alignment(
    predictions: Predictions,
    truth: GroundTruth,
    *,
    points: Points = "dataset",
    normalizer: Normalizer = "bbox",
    dims: Literal[2, 3] = 2,
    form: Form = "whole-image",
    one_to_one: bool = False,
    point_map: Int[np.ndarray, " points"] | None = None,
) -> Scores:
    """Score 68 (or AFLW's 21) points of every annotated face.

    Args:
        predictions: What was found; every picture of the data set must have been processed.
        truth: The data set.
        points: Which points of the prediction are scored.
        normalizer: What errors are divided by, from the ground truth.
        dims: 2 for x and y, 3 with depth, each face's from its mean.
        form: Whether the system found the face itself.
        one_to_one: Match several faces of a picture greedily by score (IoU >= 0.5).
        point_map: Vertex of each point, for data sets whose points are neither the 68 nor AFLW's 21.

    Raises:
        ValueError: The file lacks what is asked for, or does not fit the data set.

    Example:
        >>> from morphable_evalkit import Predictions
        >>> points = np.random.default_rng(0).uniform(100, 200, (2, 68, 2)) + np.array([0, 150])[:, None, None]
        >>> truth = GroundTruth(name="mine", images=("a.jpg",), image=("a.jpg", "a.jpg"), points_px=points)
        >>> found = Predictions.from_points({"a.jpg": points[:1] + 1.0}, size_hw=(480, 640))
        >>> score_alignment(found, truth, one_to_one=True).error.round(3)  # the second face was missed
        array([0.014,   nan])
    """
    matched68 = predicted_points(predictions, truth, points)
    boxes = tight_box(matched68)
    rows, found = match_faces(boxes, predictions, truth, form=form, one_to_one=one_to_one)
    if form == "gt-crop":
        _check_order(boxes[rows], truth.boxes())
    size = box_size(truth.boxes()) if truth.box_xyxy_px is not None else face_size(truth.points_px, normalizer)
    predicted, target, visible = matched68, truth.points_px, truth.visible
    if dims == 3:
        predicted, target = _with_depth(predictions, predicted, truth)
    if target.shape[1] == 21:
        predicted = aflw21_from_68(predicted)
    elif target.shape[1] != predicted.shape[1]:
        predicted = _from_vertices(predictions, target.shape[1], point_map)
    if points == "inner51":
        predicted, target = predicted[:, NUM_JAW:], target[:, NUM_JAW:]
    error = np.full(len(rows), np.nan)
    if found.any():
        seen = None if visible is None else visible[found]
        error[found] = mean_point_error(predicted[rows[found]], target[found], seen) / size[found]
    return Scores(
        image=truth.image,
        error=error,
        found=found,
        prediction=rows,
        yaw_deg=truth.yaw_deg,
        num_unmatched=len(predictions.image) - len(set(rows[found].tolist())),
        num_images=len(truth.images),
        protocol=_protocol(truth, points, normalizer, dims, form, one_to_one),
    )


def _from_vertices(
    predictions: Predictions, num_points: int, point_map: Int[np.ndarray, " points"] | None
) -> Float[np.ndarray, "faces points 2"]:
    """Pick the vertices that the user's map names."""
    if predictions.vertices_px is None or point_map is None:
        raise ValueError(
            f"preds must hold vertices_px, and --point-map name the vertex of each of the {num_points} points; "
            "no such map is public"
        )
    vertices = predictions.vertices_px
    if point_map.max() >= vertices.shape[1]:
        raise ValueError(f"point_map must name vertices below {vertices.shape[1]}, got {point_map.max()}")
    rows = [vertices[face][point_map, :2] for face in range(vertices.shape[0])]
    return np.array(rows, dtype=np.float64).reshape(-1, num_points, 2)


def _with_depth(
    predictions: Predictions, predicted: Float[np.ndarray, "preds points 2"], truth: GroundTruth
) -> tuple[Float[np.ndarray, "preds points 3"], Float[np.ndarray, "faces points 3"]]:
    """Append depths with a common origin."""
    depth = predictions.depths_px()
    if depth is None:
        raise ValueError("preds must hold landmarks68_cam_m and focal_px (or landmarks68_depth_px) for dims 3")
    if truth.depth_px is None or truth.points_px.shape[1] != depth.shape[1]:
        raise ValueError(f"dims must be 2 for {truth.name}, got 3; its labels have no depth")
    first = np.concatenate([predicted, depth[..., None]], axis=-1)
    second = np.concatenate([truth.points_px, truth.depth_px[..., None]], axis=-1)
    return align_depth(first, "mean"), align_depth(second, "mean")


def _check_order(boxes: Float[np.ndarray, "faces 4"], truth_boxes: Float[np.ndarray, "faces 4"]) -> None:
    """Refuse predictions on true crops that do not lie on the faces."""
    low = np.maximum(boxes[:, :2], truth_boxes[:, :2])
    high = np.minimum(boxes[:, 2:], truth_boxes[:, 2:])
    inside = np.clip(high - low, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (truth_boxes[:, 2:] - truth_boxes[:, :2]).prod(axis=1)
    iou = inside / (areas - inside)
    if np.isfinite(iou).any() and np.nanmedian(iou) < _MIN_CROP_IOU:
        raise ValueError(
            "preds must lie on the annotated faces with --form gt-crop, got a median overlap of "
            f"{np.nanmedian(iou):.2f}; are the rows in the order of the sorted file names, and the points in pixels "
            "of the whole picture?"
        )


def _protocol(
    truth: GroundTruth,
    points: Points,
    normalizer: Normalizer,
    dims: int,
    form: Form,
    one_to_one: bool,
) -> dict[str, str]:
    """Put the choices in words."""
    count = 51 if points == "inner51" else truth.points_px.shape[1]
    jaw = "without the jaw" if points == "inner51" else f"{jaw_of(points, truth)} points"
    mixed = "" if points == "inner51" or jaw_of(points, truth) == truth.jaw else f" against {truth.jaw} labels"
    box = "the data set's face box" if truth.box_xyxy_px is not None else "the ground-truth points' tight box"
    selection = "one to one, greedy by score, IoU >= 0.5" if one_to_one else "best IoU with the ground-truth box"
    return {
        "data set": truth.name,
        "points": f"{count}, {jaw}{mixed}",
        "coordinates": "x, y" if dims == 2 else "x, y and depth (depth origin: mean)",
        "normalizer": f"sqrt(w*h) of {box}" if normalizer == "bbox" else "distance of the outer eye corners",
        "input": "whole pictures" if form == "whole-image" else "crops around the true faces",
        "face": selection if form == "whole-image" else "the one of the crop",
    }


def _names(names: list[str]) -> str:
    """First names of a list."""
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(names[:_SHOWN_NAMES]) + more
