"""Which points of a prediction are scored, and how they map onto a data set's own points."""

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from morphable_evalkit.datasets.ground_truth import GroundTruth
from morphable_evalkit.files import read_json
from morphable_evalkit.predictions.file import Predictions

Points = Literal["dataset", "static", "contour", "inner51"]
"""`dataset`: what the labels mean. `inner51`: the 68 without the jaw, on which both conventions agree."""

NUM_JAW = 17

_AFLW21_FROM_68 = (
    (17,), (19,), (21,), (22,), (24,), (26,), (36,), tuple(range(36, 42)), (39,), (42,), tuple(range(42, 48)), (45,),
    (2,), (31,), (30,), (35,), (14,), (48,), tuple(range(60, 68)), (54,), (8,),
)  # fmt: skip
"""3DDFA's benchmark: each of AFLW's 21 points is the mean of these of the 68 (rows from 0)."""


def aflw21_from_68(points: Float[np.ndarray, "faces 68 axes"]) -> Float[np.ndarray, "faces 21 axes"]:
    """Return AFLW's 21 points (3DDFA's index map; eye and mouth centers are means)."""
    return np.stack([points[:, list(rows)].mean(axis=1) for rows in _AFLW21_FROM_68], axis=1)


def read_vertex_map(path: Path, num_points: int) -> Int[np.ndarray, " points"]:
    """Read a JSON list with the vertex of each point (AFLW-LFPA's 34 have no public map: it is the user's).

    Raises:
        ValueError: The list does not name one vertex per point.
    """
    values = read_json(path, list[int], "the form of a JSON list of vertex indices from 0")
    if any(value < 0 for value in values):
        raise ValueError(f"point_map must be a JSON list of vertex indices from 0, got {min(values)} in {path}")
    if len(values) != num_points:
        raise ValueError(f"point_map must name {num_points} vertices, got {len(values)} in {path}")
    return np.array(values, dtype=np.int64)


def jaw_of(points: Points, truth: GroundTruth) -> Literal["static", "contour"]:
    """Return which of the two sets of 68 predicted points is read."""
    if points in ("static", "contour"):
        return "static" if points == "static" else "contour"
    return truth.jaw


def predicted_points(predictions: Predictions, truth: GroundTruth, points: Points) -> Float[np.ndarray, "faces 68 2"]:
    """Return the 68 predicted points of every face in the convention asked for.

    Raises:
        ValueError: The file lacks them.
    """
    jaw = jaw_of(points, truth)
    name = "landmarks68_px" if jaw == "static" else "landmarks68_contour_px"
    found = getattr(predictions, name)
    if found is None and points == "inner51":
        found = predictions.landmarks68_px if jaw == "contour" else predictions.landmarks68_contour_px
    if found is None:
        other = "static" if jaw == "contour" else "contour"
        raise ValueError(
            f"preds must hold {name} for {truth.name} scored by {jaw} points, got a file without it; write it, "
            f"or pass --points inner51 (no jaw) or --points {other} (against its convention, named so in the report)"
        )
    return found.astype(np.float64)
