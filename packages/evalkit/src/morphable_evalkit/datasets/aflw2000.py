"""AFLW2000-3D: its own folder of pictures and .mat files, or 3DDFA's arrays in the order of sorted file names."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from morphable_evalkit.datasets.basel import PIXEL_SHIFT, DenseTruth, read_face_basis, read_fit
from morphable_evalkit.datasets.ground_truth import GroundTruth, picture_sizes
from morphable_evalkit.files import read_json, read_npy
from morphable_evalkit.matlab import read_mat

Labels = Literal["original", "reannotated"]
YawFile = Literal["default", "new"]

NUM_IMAGES = 2000
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
    basis: Path | None = None,
) -> GroundTruth:
    """Read the 68 static points and yaws.

    Args:
        root: The data set's own folder (pictures with a .mat file beside each), any part of it; or pictures alone, with
            `rows.json` (name to row) for a subset; or 3DDFA's arrays alone.
        arrays: Folder of the arrays where it is not `root`; without arrays the .mat files are read.
        labels: `original` (300W-LP's fitting) or `reannotated` (in the arrays only).
        yaw: `default` gives bins of 1312/383/305 images, `new` (AFLW's labels, in the arrays only) 1306/462/232.
        basis: Folder with files of the Basel model (`read_face_basis`): gives the vertices too, from the .mat files.

    Raises:
        FileNotFoundError: An array, a .mat file or a folder is missing.
        ValueError: The pictures do not fit the arrays, or the basis does not fit the points.
    """
    folder = arrays or root
    if not (folder / _POINT_FILES["original"]).is_file() and arrays is None and _own_pictures(root):
        truth = _read_own_folder(root, labels, yaw)
    else:
        truth = _read_arrays(root, folder, labels, yaw)
    return truth if basis is None else _with_vertices(truth, root, basis)


def _read_arrays(root: Path, arrays: Path, labels: Labels, yaw: YawFile) -> GroundTruth:
    """Read 3DDFA's arrays."""
    points = _load(arrays / _POINT_FILES[labels], 3)
    names, rows = _names_and_rows(root)
    chosen = points[rows]
    sizes = dict.fromkeys(names, PICTURE_SIZE_HW) | picture_sizes(root, names)
    return GroundTruth(
        name=f"{_set_name(names)}, {labels} labels, {yaw} yaws",
        images=names,
        image=names,
        points_px=chosen[:, :2].transpose(0, 2, 1).astype(np.float64) - PIXEL_SHIFT,
        depth_px=-chosen[:, 2].astype(np.float64) if chosen.shape[1] > 2 else None,
        yaw_deg=_load(arrays / _YAW_FILES[yaw], 1)[rows].astype(np.float64),
        angles_deg=_read_angles(root, names),
        size_hw=sizes,
        pictures=root if (root / names[0]).is_file() else None,
    )


def _own_pictures(root: Path) -> tuple[str, ...]:
    """Name the pictures that have a .mat file beside them."""
    return tuple(path.name for path in sorted(root.glob("*.jpg")) if path.with_suffix(".mat").is_file())


def _read_own_folder(root: Path, labels: Labels, yaw: YawFile) -> GroundTruth:
    """Read `pt3d_68` and `Pose_Para` of the pictures' own .mat files."""
    if labels != "original" or yaw != "default":
        raise ValueError(
            f"labels must be original and yaw default where {root} holds the data set's .mat files alone, got "
            f"{labels} and {yaw}; pass the folder of 3DDFA's arrays as --arrays"
        )
    names = _own_pictures(root)
    alone = sorted(path.name for path in root.glob("*.jpg") if path.name not in set(names))
    if alone:
        raise FileNotFoundError(f"root must hold a .mat file beside every picture, got none for {alone[0]} in {root}")
    points = []
    for name in names:
        path = (root / name).with_suffix(".mat")
        labeled = read_mat(path).get("pt3d_68")
        if labeled is None or labeled.shape != (3, 68):
            raise ValueError(f"{path} must hold pt3d_68 of 3 x 68 numbers, got {getattr(labeled, 'shape', 'none')}")
        points.append(labeled.astype(np.float64))
    chosen = np.array(points)
    angles = _read_angles(root, names)
    assert angles is not None
    return GroundTruth(
        name=f"{_set_name(names)}, original labels, yaws of Pose_Para",
        images=names,
        image=names,
        points_px=chosen[:, :2].transpose(0, 2, 1) - PIXEL_SHIFT,
        depth_px=-chosen[:, 2],
        yaw_deg=angles[:, 1],
        angles_deg=angles,
        size_hw=picture_sizes(root, names),
        pictures=root,
    )


def _with_vertices(truth: GroundTruth, root: Path, basis: Path) -> GroundTruth:
    """Add the vertices that the pictures' parameters give."""
    files = [(root / name).with_suffix(".mat") for name in truth.images]
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        raise FileNotFoundError(f"root must hold a .mat file beside every picture for dense truth, got no {missing}")
    model = read_face_basis(basis)
    vertices = DenseTruth(model, [read_fit(f, truth.size_hw[n][0]) for f, n in zip(files, truth.images, strict=True)])
    vertices.check(truth.points_px)
    return replace(truth, name=f"{truth.name}, {vertices.describe()}", vertices_px=vertices)


def read_aflw2000_points21(root: Path, *, arrays: Path | None = None, yaw: YawFile = "default") -> GroundTruth:
    """Read AFLW's 21 points of AFLW2000-3D (absent points are not visible), normalized by the 68-point box."""
    full = read_aflw2000(root, arrays=arrays, yaw=yaw)
    _, rows = _names_and_rows(root)
    points = _load((arrays or root) / _POINTS21_FILE, 3)[rows].transpose(0, 2, 1).astype(np.float64)
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

    The side is sqrt(2) times the longer side of the points' tight box, about its center, both rounded to pixels. 97 %
    of the boxes that 3DDFA ships for AFLW2000-3D are equal to these; the others were made in another way.

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
    poses = []
    for file in files:
        pose = read_mat(file).get("Pose_Para")
        if pose is None or pose.size < 3:
            raise ValueError(f"{file} must hold Pose_Para of 7 numbers, got {'none' if pose is None else pose.size}")
        poses.append(pose.ravel()[:3].astype(np.float64))
    return np.rad2deg(np.array(poses))


def _load(path: Path, axes: int) -> Float[np.ndarray, "..."]:
    """Load one array and check its length and number of axes."""
    if not path.is_file():
        raise FileNotFoundError(
            f"root must hold {path.name} (3DDFA's test.configs), got {path.parent}; pass the arrays' folder as --arrays"
        )
    array = read_npy(path)
    if len(array) != NUM_IMAGES or array.ndim != axes:
        raise ValueError(f"{path} must have {NUM_IMAGES} rows and {axes} axes, got {array.shape}")
    return array
