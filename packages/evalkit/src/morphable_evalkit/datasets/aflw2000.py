"""AFLW2000-3D as 3DDFA ships it: arrays for 2000 images in the order of their sorted file names."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from morphable_evalkit.datasets.ground_truth import GroundTruth, picture_sizes
from morphable_evalkit.files import read_json, read_mat, read_npy

Labels = Literal["original", "reannotated"]
YawFile = Literal["default", "new"]

NUM_IMAGES = 2000
PIXEL_SHIFT = 0.5
"""3DDFA's arrays count pixels from 1 at their centres; ours have the origin at the first pixel's corner."""

PICTURE_SIZE_HW = (450, 450)
"""Every picture of AFLW2000-3D."""

_POINT_FILES = {
    "original": "AFLW2000-3D.pts68.npy",
    "reannotated": "AFLW2000-3D-Reannotated.pts68.npy",
}
_YAW_FILES = {"default": "AFLW2000-3D.pose.npy", "new": "AFLW2000-3D-new.pose.npy"}
_POINTS21_FILE = "AFLW2000-3D.pts21.npy"
_MISSING_POINT = -1.0


@dataclass(frozen=True)
class _Row:
    """Entry of a picture in `rows.json`."""

    row: int


def read_aflw2000(
    root: Path,
    *,
    arrays: Path | None = None,
    labels: Labels = "original",
    yaw: YawFile = "default",
) -> GroundTruth:
    """Read the 68 static points and yaws.

    Args:
        root: Folder of the pictures, with `rows.json` (name to row) for a subset, or of the arrays alone.
        arrays: Folder of the arrays where it is not `root`.
        labels: `original` (300W-LP's fitting) or `reannotated`.
        yaw: `default` gives bins of 1312/383/305 images, `new` (AFLW's labels) 1306/462/232.

    Raises:
        FileNotFoundError: An array or folder is missing.
        ValueError: The pictures do not fit the arrays.
    """
    arrays = arrays or root
    points = _load(arrays / _POINT_FILES[labels])
    names, rows = _names_and_rows(root)
    chosen = points[rows]
    sizes = dict.fromkeys(names, PICTURE_SIZE_HW) | picture_sizes(root, names)
    return GroundTruth(
        name=f"{_set_name(names)}, {labels} labels, {yaw} yaws",
        images=names,
        image=names,
        points_px=chosen[:, :2].transpose(0, 2, 1).astype(np.float64) - PIXEL_SHIFT,
        depth_px=-chosen[:, 2].astype(np.float64) if chosen.shape[1] > 2 else None,
        yaw_deg=_load(arrays / _YAW_FILES[yaw])[rows].astype(np.float64),
        angles_deg=_read_angles(root, names),
        size_hw=sizes,
        pictures=root if (root / names[0]).is_file() else None,
    )


def read_aflw2000_points21(root: Path, *, arrays: Path | None = None, yaw: YawFile = "default") -> GroundTruth:
    """Read AFLW's 21 points of AFLW2000-3D (absent points are not visible), normalised by the 68-point box."""
    full = read_aflw2000(root, arrays=arrays, yaw=yaw)
    _, rows = _names_and_rows(root)
    points = _load((arrays or root) / _POINTS21_FILE)[rows].transpose(0, 2, 1).astype(np.float64)
    return GroundTruth(
        name=f"{_set_name(full.images)}, AFLW's 21 points, {yaw} yaws",
        images=full.images,
        image=full.image,
        points_px=points - PIXEL_SHIFT,
        visible=(points != _MISSING_POINT).all(axis=-1),
        box_xyxy_px=full.boxes(),
        yaw_deg=full.yaw_deg,
        size_hw=full.size_hw,
        pictures=full.pictures,
    )


def true_crops(points_px: Float[np.ndarray, "faces 68 2"]) -> Float[np.ndarray, "faces 4"]:
    """Return the square that 3DDFA's benchmark cuts out and resizes to 120 x 120 (benchmarkCrop.m, calcRoiBox).

    The side is sqrt(2) times the longer side of the points' tight box, about its centre, both rounded to pixels. Of
    the boxes that 3DDFA ships for AFLW2000-3D, 97 % are equal to these and the others were made in another way.

    Args:
        points_px: Ground-truth points.

    Returns:
        x0, y0, x1, y1 as edges of pixels, so that `image[y0:y1, x0:x1]` is the crop; may reach past the picture.
    """
    points = points_px.astype(np.float64) + PIXEL_SHIFT
    low, high = points.min(axis=1), points.max(axis=1)
    side = np.sqrt(2.0) * (high - low).max(axis=1)
    corner = np.round((low + high) / 2 - side[:, None] / 2)
    return np.concatenate([corner, corner + np.round(side)[:, None]], axis=1)


def _set_name(names: tuple[str, ...]) -> str:
    """Name the set, and how much of it there is."""
    return "AFLW2000-3D" if len(names) == NUM_IMAGES else f"AFLW2000-3D ({len(names)} of {NUM_IMAGES} images)"


def row_names(root: Path) -> tuple[str, ...]:
    """Return the names of the 2000 rows: the sorted pictures where present, else `row0000` to `row1999`."""
    pictures = sorted(path.name for path in root.glob("*.jpg"))
    if len(pictures) == NUM_IMAGES:
        return tuple(pictures)
    if pictures:
        raise ValueError(
            f"root must hold all {NUM_IMAGES} pictures of AFLW2000-3D, or a rows.json naming the row of each, "
            f"got {len(pictures)} pictures in {root}"
        )
    return tuple(f"row{row:04d}" for row in range(NUM_IMAGES))


def _names_and_rows(root: Path) -> tuple[tuple[str, ...], Int[np.ndarray, " faces"]]:
    """Names of the pictures and their rows in the arrays."""
    listing = root / "rows.json"
    if not listing.is_file():
        return row_names(root), np.arange(NUM_IMAGES)
    entries = read_json(listing, dict[str, _Row], "the form {picture: {row: number}}", extra_keys=True)
    names = tuple(sorted(entries))
    rows = np.array([entries[name].row for name in names], dtype=np.int64)
    if not ((rows >= 0) & (rows < NUM_IMAGES)).all():
        raise ValueError(f"rows of {listing} must be in [0, {NUM_IMAGES}), got {rows.min()} to {rows.max()}")
    return names, rows


def _read_angles(root: Path, names: tuple[str, ...]) -> Float[np.ndarray, "faces 3"] | None:
    """Read pitch, yaw, roll in degrees from the data set's .mat files, where all of them are present."""
    files = [(root / name).with_suffix(".mat") for name in names]
    if not all(file.is_file() for file in files):
        return None
    return np.rad2deg(np.array([read_mat(file)["Pose_Para"][0, :3] for file in files], dtype=np.float64))


def _load(path: Path) -> Float[np.ndarray, "..."]:
    """Load one array and check its length."""
    if not path.is_file():
        raise FileNotFoundError(
            f"root must hold {path.name} (3DDFA's test.configs), got {path.parent}; pass the arrays' folder as --arrays"
        )
    array = read_npy(path)
    if len(array) != NUM_IMAGES:
        raise ValueError(f"{path.name} must have {NUM_IMAGES} rows, got {len(array)}")
    return array
