"""One picture of a data set, before it is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

HIDDEN_MARKS = (-1.0, 0.0)
"""Both coordinates of a hidden point, as files write it."""
MANY_IN_ONE_PLACE = 4
"""Two or three points of a face may touch (corner and lips of a closed mouth); so many in one place are a mark."""
MIN_KNOWN_POINTS = 34
"""Faces of which fewer points are annotated are refused: half of the 68 no longer determine where the face ends."""


@dataclass(frozen=True)
class SourceItem:
    """A picture and its annotations."""

    name: str
    """Becomes the record's key; `open_source` makes it unique in the data set."""
    path: Path
    landmarks68_px: Float[np.ndarray, "faces 68 2"] | None = None
    """Pixel corner at (0,0); None where the data set has no landmarks for it."""
    landmark_valid: Bool[np.ndarray, "faces 68"] | None = None
    """False where the data set does not annotate a point (`known_points`); None where all are annotated."""
    contour: bool = True
    """Jaw points on the visible silhouette, or static 3D points."""
    parameters: Path | None = None
    """File of the face model's parameters that the data set's authors fitted (`read_basel_fit`)."""
    part_masks: Mapping[str, Path] = field(default_factory=dict)
    """Masks of the parts of the picture's one face, by the data set's names for them."""
    frame: int | None = None
    """Frame of a video; None for a picture."""
    problem: str = ""
    """Why it cannot be used, if that is known already."""


def record_key(path: Path) -> str:
    """Return the key of a picture from its path below the data set: a shard's key has no dots and no slashes."""
    return "__".join((path.parent / path.stem).parts).replace("/", "").replace(".", "_")


def known_points(raw: Float[np.ndarray, "*faces 68 2"]) -> Bool[np.ndarray, "*faces 68"]:
    """Return which points of a face are annotated, from the numbers as their file holds them.

    Files without a mask of their own mark a hidden point by a number in its place: not a number or null, (-1, -1) or
    (0, 0), or any one place that at least `MANY_IN_ONE_PLACE` points of the face share.
    """
    finite = np.isfinite(raw).all(-1)
    marked = np.isin(raw, HIDDEN_MARKS).all(-1) & (raw[..., 0] == raw[..., 1])
    same = (raw[..., :, None, :] == raw[..., None, :, :]).all(-1)
    return finite & ~marked & (same.sum(-1) < MANY_IN_ONE_PLACE)


def check_face(
    landmarks: Float[np.ndarray, "68 2"],
    size_hw: tuple[int, int],
    min_face_px: float,
    known: Bool[np.ndarray, " 68"] | None = None,
) -> str:
    """Return why a face is refused; empty if it is not.

    Args:
        landmarks: Its points.
        size_hw: Height and width of its picture.
        min_face_px: Longer side of the smallest box that is used.
        known: False where a point is not annotated; None where all are.
    """
    if known is not None:
        if known.sum() < MIN_KNOWN_POINTS:
            return f"fewer than {MIN_KNOWN_POINTS} of the 68 points are annotated"
        landmarks = landmarks[known]
    if not np.isfinite(landmarks).all():
        return "landmarks are not finite, or did not settle in the network"
    low, high = landmarks.min(0), landmarks.max(0)
    if float((high - low).max()) < min_face_px:
        return f"face smaller than {min_face_px:g} px"
    inside = ((landmarks >= 0) & (landmarks <= np.array([size_hw[1], size_hw[0]]))).all(1).mean()
    return "face mostly outside the picture" if inside < 0.7 else ""


def layout_error(folder: Path, data_set: str, expected: str) -> FileNotFoundError:
    """Return the error for a folder that does not look like a data set."""
    return FileNotFoundError(
        f"source must be {data_set} with {expected}, got {folder}; check the path or choose another --kind"
    )
