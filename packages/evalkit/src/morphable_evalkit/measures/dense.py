"""Dense alignment: errors over all vertices, by the four public definitions of "3D NME"."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from morphable_evalkit.measures.points import box_size, tight_box
from morphable_evalkit.measures.summaries import YawRule
from morphable_evalkit.predictions.rows import Rows

ZAlign = Literal["none", "mean", "min"]
"""How two depths get one origin: not at all, at their means, or at the point farthest from the camera."""

DenseBox = Literal["kpt68", "dense", "dense-diagonal"]
"""Normalizer: sqrt(w*h) of the 68 points or of all points, or the diagonal of the 3D box of all points."""


@dataclass(frozen=True, kw_only=True)
class DenseDefinition:
    """One public meaning of dense NME."""

    z_align: ZAlign
    box: DenseBox
    yaw_rule: YawRule
    source: str


DENSE_DEFINITIONS = {
    "D1": DenseDefinition(
        z_align="mean",
        box="kpt68",
        yaw_rule="3ddfa",
        source="PRNet's paper: sqrt(w*h) of the landmarks' box; depth translated (cleardusk/3DDFA#106)",
    ),
    "D2": DenseDefinition(
        z_align="mean",
        box="dense",
        yaw_rule="3ddfa",
        source="PRNet-style, reshow/PRNet-PyTorch loss.py: mean depth removed, box of all points",
    ),
    "D3": DenseDefinition(
        z_align="min",
        box="kpt68",
        yaw_rule="3ddfa",
        source="2DASL nme_for_alignment_dense_3d.m: smallest z (farthest point) removed, box of the 68 points",
    ),
    "D4": DenseDefinition(
        z_align="mean",
        box="dense",
        yaw_rule="sadrnet",
        source="SADRNet, opentrack: mean depth removed, box of the points in use, bins [0,30) [30,60) [60,90)",
    ),
}
"""The definitions by name (protocols E3). D2's alternatives are `box` kpt68 and dense-diagonal."""


def align_depth(points: Float[np.ndarray, "*faces points 3"], z_align: ZAlign) -> Float[np.ndarray, "*faces points 3"]:
    """Move depths (away from the camera) to the origin named."""
    if z_align == "none":
        return points
    depth = points[..., 2]
    origin = depth.mean(axis=-1) if z_align == "mean" else depth.max(axis=-1)
    shifted = points.copy()
    shifted[..., 2] -= origin[..., None]
    return shifted


def dense_error(
    predicted: Float[np.ndarray, "predicted_verts predicted_axes"],
    target: Float[np.ndarray, "verts axes"],
    target68_px: Float[np.ndarray, "68 2"],
    *,
    dims: Literal[2, 3],
    z_align: ZAlign,
    box: DenseBox,
) -> float:
    """Return the normalized mean error of all points of one face, as a fraction.

    Args:
        predicted: x, y and, in 3D, depth away from the camera, in pixels.
        target: Ground truth; the normalizer is taken from it.
        target68_px: Its 68 points.
        dims: Whether depth counts.
        z_align: Depth origin; ignored in 2D.
        box: Normalizer.

    Raises:
        ValueError: The two differ in points, lack depth, or the face has no extent.

    Example:
        >>> import numpy as np
        >>> face = np.random.default_rng(0).uniform(0, 100, (500, 3))
        >>> moved = face + [3.0, 4.0, 70.0]  # a shift in depth does not count
        >>> error = dense_error(moved, face, face[:68, :2], dims=3, z_align="mean", box="dense")
        >>> round(error, 3)
        0.05
    """
    if predicted.shape[0] != target.shape[0]:
        raise ValueError(f"vertices_px must have {target.shape[0]} points as the labels have, got {predicted.shape[0]}")
    if min(predicted.shape[1], target.shape[1]) < dims:
        raise ValueError("vertices_px must hold depth for dims 3, got x and y only")
    first, second = predicted[:, :dims].astype(np.float64), target[:, :dims].astype(np.float64)
    if dims == 3:
        first, second = align_depth(first, z_align), align_depth(second, z_align)
    size = _size(second, target68_px, box)
    if not size > 0:
        raise ValueError("target must have an extent, got a face of size 0")
    return float(np.sqrt(((first - second) ** 2).sum(axis=1)).mean() / size)


def dense_errors(
    predicted: Rows,
    target: Rows,
    target68_px: Float[np.ndarray, "faces 68 2"],
    rows: Sequence[int] | Int[np.ndarray, " faces"],
    *,
    dims: Literal[2, 3],
    z_align: ZAlign,
    box: DenseBox,
) -> Float[np.ndarray, " faces"]:
    """Return one error per ground-truth face, holding one face at a time in memory.

    Args:
        predicted: Rows of predicted vertices.
        target: Rows of true vertices.
        target68_px: True 68 points.
        rows: Row of the prediction of each face, -1 for a missed one, which gives NaN.
        dims: Whether depth counts.
        z_align: Depth origin.
        box: Normalizer.
    """
    errors = np.full(len(target68_px), np.nan)
    for face, row in enumerate(rows):
        if row >= 0:
            errors[face] = dense_error(
                predicted[int(row)], target[face], target68_px[face], dims=dims, z_align=z_align, box=box
            )
    return errors


def _size(target: Float[np.ndarray, "verts axes"], target68_px: Float[np.ndarray, "68 2"], box: DenseBox) -> float:
    """Return the normalizer in pixels."""
    if box == "kpt68":
        return float(box_size(tight_box(target68_px)))
    if box == "dense":
        return float(box_size(tight_box(target)))
    return float(np.linalg.norm(target.max(axis=0) - target.min(axis=0)))
