"""Errors of points, boxes and their overlap: one value per face, nothing averaged, dropped or repaired."""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

Normalizer = Literal["bbox", "interocular"]

OUTER_EYE_CORNERS = (36, 45)
"""Rows of the 68 iBUG points that the interocular distance joins."""


def tight_box(points_px: Float[np.ndarray, "*faces points axes"]) -> Float[np.ndarray, "*faces 4"]:
    """Return x0, y0, x1, y1 of the smallest box around the first two coordinates; NaN stays NaN."""
    xy = points_px[..., :2].astype(np.float64)
    return np.concatenate([xy.min(axis=-2), xy.max(axis=-2)], axis=-1)


def box_size(box_xyxy_px: Float[np.ndarray, "*faces 4"]) -> Float[np.ndarray, "*faces"]:
    """Return sqrt(width * height) of boxes in pixels."""
    size = box_xyxy_px[..., 2:] - box_xyxy_px[..., :2]
    return np.asarray(np.sqrt(size[..., 0] * size[..., 1]))


def box_iou(a: Float[np.ndarray, "first 4"], b: Float[np.ndarray, "second 4"]) -> Float[np.ndarray, "first second"]:
    """Return intersection over union of every pair of boxes; 0 where one is not finite or empty."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inside = np.where(high > low, high - low, 0.0).prod(axis=-1)
    area_a = (a[:, 2:] - a[:, :2]).prod(axis=-1)
    area_b = (b[:, 2:] - b[:, :2]).prod(axis=-1)
    union = area_a[:, None] + area_b[None, :] - inside
    return np.where((inside > 0) & (union > 0), inside / np.where(union > 0, union, 1.0), 0.0)


def face_size(target_px: Float[np.ndarray, "faces 68 axes"], normalizer: Normalizer) -> Float[np.ndarray, " faces"]:
    """Return what errors are divided by, from the ground-truth points.

    Args:
        target_px: 68 iBUG points.
        normalizer: `bbox` is sqrt(width * height) of their tight box (3DDFA's benchmark); `interocular`
            the distance of the outer eye corners (300-W's).

    Raises:
        ValueError: A face has no extent.
    """
    if normalizer == "bbox":
        size = box_size(tight_box(target_px))
    else:
        right, left = OUTER_EYE_CORNERS
        size = np.linalg.norm((target_px[:, right, :2] - target_px[:, left, :2]).astype(np.float64), axis=-1)
    empty = ~(size > 0)
    if empty.any():
        raise ValueError(f"target_px must have a positive {normalizer} size, got none in row {int(np.argmax(empty))}")
    return size


def mean_point_error(
    predicted_px: Float[np.ndarray, "faces points axes"],
    target_px: Float[np.ndarray, "faces points axes"],
    visible: Bool[np.ndarray, "faces points"] | None = None,
) -> Float[np.ndarray, " faces"]:
    """Return the mean distance of corresponding points, in pixels.

    Args:
        predicted_px: Predicted points in two or three dimensions.
        target_px: Ground truth.
        visible: Points that count; all where absent. A face without any gives NaN.
    """
    distance = np.linalg.norm(predicted_px.astype(np.float64) - target_px.astype(np.float64), axis=-1)
    if visible is None:
        return np.asarray(distance.mean(axis=-1))
    count = visible.sum(axis=-1)
    total = np.where(visible, distance, 0.0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def nme(
    predicted_px: Float[np.ndarray, "faces 68 axes"],
    target_px: Float[np.ndarray, "faces 68 axes"],
    *,
    normalizer: Normalizer = "bbox",
) -> Float[np.ndarray, " faces"]:
    """Return the normalized mean error of 68 points as a fraction (0.03, not 3), one value per face.

    Args:
        predicted_px: Predicted points; a face that is not finite gives NaN, for the caller to count.
        target_px: Ground truth. The normalizer is taken from it.
        normalizer: See `face_size`.

    Raises:
        ValueError: A ground-truth face has no extent.

    Example:
        >>> import numpy as np
        >>> truth = np.random.default_rng(0).uniform(100, 200, (3, 68, 2))
        >>> nme(truth + [3.0, 4.0], truth).round(3)  # 5 px of boxes of about 99
        array([0.051, 0.05 , 0.051])
    """
    return mean_point_error(predicted_px, target_px) / face_size(target_px, normalizer)
