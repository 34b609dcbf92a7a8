"""AFLW (21 points, 3DDFA's arrays) and AFLW-LFPA (34 points, the user's file)."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from morphable_evalkit.datasets.basel import PIXEL_SHIFT
from morphable_evalkit.datasets.ground_truth import GroundTruth
from morphable_evalkit.files import read_npy, read_npz, read_text
from morphable_evalkit.measures.points import tight_box

_MISSING_POINT = -1.0
_POINTS21, _POINTS68, _YAWS = "AFLW_GT_pts21.npy", "AFLW_GT_pts68.npy", "AFLW_GT_crop_yaws.npy"
_LIST = "AFLW_GT_crop.list"
_LFPA_FILE = "aflw_lfpa.npz"


def read_aflw(root: Path) -> GroundTruth:
    """Read AFLW as 3DDFA's benchmark does: 21 points, visible ones count, box of the fitted 68 points.

    Args:
        root: Folder with `AFLW_GT_pts21.npy`, `AFLW_GT_pts68.npy`, `AFLW_GT_crop_yaws.npy` and, for names,
            `AFLW_GT_crop.list` (one per line; else rows are named row00000 and so on).

    Raises:
        FileNotFoundError: An array is missing.
        ValueError: Their lengths differ.
    """
    points = _coordinates(root / _POINTS21, 21)
    box68 = _coordinates(root / _POINTS68, 68)
    yaw = _load(root / _YAWS).astype(np.float64).reshape(-1)
    listing = root / _LIST
    names = tuple(read_text(listing).split()) if listing.is_file() else tuple(f"row{i:05d}" for i in range(len(points)))
    if not len(points) == len(box68) == len(yaw) == len(names):
        raise ValueError(
            f"root must hold arrays of one length, got {len(points)} points, {len(box68)} boxes, {len(yaw)} yaws, "
            f"{len(names)} names in {root}"
        )
    return GroundTruth(
        name="AFLW, 21 points",
        images=names,
        image=names,
        points_px=points - PIXEL_SHIFT,
        visible=_visible(points),
        box_xyxy_px=tight_box(box68) - PIXEL_SHIFT,
        yaw_deg=yaw,
    )


def read_aflw_lfpa(root: Path) -> GroundTruth:
    """Read AFLW-LFPA from the user's `aflw_lfpa.npz`.

    The set is not public in one form: the file holds `image` (faces,) names, `points34_px` (faces, 34, 2) in our
    pixel convention with NaN for hidden points, `box_xyxy_px` (faces, 4), and optionally `yaw_deg` (faces,).

    Raises:
        FileNotFoundError: No such file.
        ValueError: An array is missing or of the wrong shape.
    """
    path = root / _LFPA_FILE
    if not path.is_file():
        raise FileNotFoundError(f"root must hold {_LFPA_FILE}, got {root}")
    arrays = read_npz(path)
    missing = {"image", "points34_px", "box_xyxy_px"} - set(arrays)
    if missing:
        raise ValueError(f"{path} must hold {', '.join(sorted(missing))}, got {', '.join(sorted(arrays))}")
    points = arrays["points34_px"].astype(np.float64)
    if points.shape[1:] != (34, 2):
        raise ValueError(f"points34_px must be (faces, 34, 2), got {points.shape}")
    names = tuple(map(str, arrays["image"].reshape(-1)))
    visible: Bool[np.ndarray, "faces 34"] = np.asarray(np.isfinite(points).all(axis=-1))
    return GroundTruth(
        name="AFLW-LFPA, 34 points",
        images=tuple(dict.fromkeys(names)),
        image=names,
        points_px=np.where(visible[..., None], points, 0.0),
        visible=visible,
        box_xyxy_px=arrays["box_xyxy_px"].astype(np.float64),
        yaw_deg=arrays["yaw_deg"].astype(np.float64) if "yaw_deg" in arrays else None,
    )


def _visible(points: Float[np.ndarray, "faces points 2"]) -> Bool[np.ndarray, "faces points"]:
    """Mark annotated points: absent ones are -1 in both coordinates."""
    return np.all(points != _MISSING_POINT, axis=-1)


def _coordinates(path: Path, count: int) -> Float[np.ndarray, "faces points 2"]:
    """Load (faces, 2 or 3, points) as x, y per point."""
    array = _load(path)
    if array.ndim != 3 or array.shape[1] not in (2, 3) or array.shape[2] != count:
        raise ValueError(f"{path} must be (faces, 2 or 3, {count}), got {array.shape}")
    return array[:, :2].transpose(0, 2, 1).astype(np.float64)


def _load(path: Path) -> Float[np.ndarray, "..."]:
    """Load one array."""
    if not path.is_file():
        raise FileNotFoundError(f"root must hold {path.name} (3DDFA's test.configs), got {path.parent}")
    return read_npy(path)
