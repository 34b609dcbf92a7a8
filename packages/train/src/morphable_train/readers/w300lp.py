"""300W-LP and AFLW2000-3D: pictures with a `.mat` of fitted parameters beside each (Zhu et al., CVPR 2016).

300W-LP as it is downloaded:

    300W_LP/AFW/AFW_134212_1_0.jpg               a picture of 450 x 450; _0 is the photograph, _1 ... are turned away
    300W_LP/AFW/AFW_134212_1_0.mat               parameters of the fit, and the photograph's own points
    300W_LP/AFW_Flip/...                         mirror images of AFW, and so for HELEN, IBUG and LFPW
    300W_LP/landmarks/AFW/AFW_134212_1_0_pts.mat the points of the picture
    300W_LP/Code/...                             MATLAB

`NAME.mat` holds `pt2d` (2 x 68, points of the photograph *before* it was turned: the same for all pictures of it),
`Shape_Para` (199 x 1), `Exp_Para` (29 x 1), `Tex_Para` (199 x 1), `Pose_Para` (1 x 7: pitch, yaw, roll in radians,
three of translation in pixels, scale in pixels per unit of the Basel model), `Illum_Para` (1 x 10), `Color_Para`
(1 x 7) and `roi` (1 x 4). `NAME_pts.mat` holds `pts_2d` (68 x 2, the visible outline) and `pts_3d` (68 x 2, the static
points, hidden ones included). AFLW2000-3D has one folder of `imageNNNNN.jpg` and `.mat`; its static points are
`pt3d_68` (3 x 68) in the `.mat`. All points count pixels from one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from morphable.importers.matlab import load_matlab
from morphable_train.data.labels import NUM_LANDMARKS
from morphable_train.data.pictures import pictures_in
from morphable_train.readers.item import SourceItem, layout_error, record_key
from morphable_train.readers.points import MATLAB_TO_CORNER_PX

LANDMARKS_FOLDER = "landmarks"
MIRRORED_SUFFIX = "_Flip"
NUM_POSE = 7


@dataclass(frozen=True)
class BaselFit:
    """A face as 300W-LP's and AFLW2000-3D's authors fitted it: coefficients in the Basel model's own units."""

    shape: Float[np.ndarray, " shape"]
    expression: Float[np.ndarray, " expression"]
    angles_rad: Float[np.ndarray, "3"]
    """Pitch, yaw and roll; the rotation is `Rx(-pitch) Ry(-yaw) Rz(-roll)`."""
    translation_px: Float[np.ndarray, "2"]
    """Right and up, from the picture's bottom left as MATLAB counts."""
    pixels_per_unit: float


def read_300w_lp(folder: Path) -> Iterator[SourceItem]:
    """Yield the pictures of 300W-LP, or of one of its sets, with their static points (`pts_3d`).

    The folders `..._Flip` are left out: training mirrors by itself.

    Raises:
        FileNotFoundError: The folder has another layout.
    """
    pictures = (
        [p for p in pictures_in(folder) if not p.parent.name.endswith(MIRRORED_SUFFIX)] if folder.is_dir() else []
    )
    if not any(_points_file(path).is_file() for path in pictures):
        raise layout_error(folder, "300W-LP", "SET/NAME.jpg, SET/NAME.mat and landmarks/SET/NAME_pts.mat")
    for path in pictures:
        yield _item(folder, path, _points_file(path), "pts_3d")


def read_aflw2000(folder: Path) -> Iterator[SourceItem]:
    """Yield the pictures of AFLW2000-3D with their static points (`pt3d_68`).

    Raises:
        FileNotFoundError: No picture has a `.mat` beside it.
    """
    pictures = pictures_in(folder) if folder.is_dir() else []
    if not any(path.with_suffix(".mat").is_file() for path in pictures):
        raise layout_error(folder, "AFLW2000-3D", "a NAME.mat beside each NAME.jpg")
    for path in pictures:
        yield _item(folder, path, path.with_suffix(".mat"), "pt3d_68")


def is_300w_lp(folder: Path) -> bool:
    """Return whether a folder is 300W-LP, or one of its sets beside the folder of landmarks."""
    return (folder / LANDMARKS_FOLDER).is_dir() or (folder.parent / LANDMARKS_FOLDER / folder.name).is_dir()


def read_basel_fit(path: Path) -> BaselFit:
    """Read the parameters of a `NAME.mat`.

    Raises:
        ValueError: It is damaged, or lacks one of them.
    """
    content = _load(path, ("Shape_Para", "Exp_Para", "Pose_Para"))
    shape, expression, pose = (content[name].reshape(-1) for name in ("Shape_Para", "Exp_Para", "Pose_Para"))
    if pose.size != NUM_POSE or not all(np.isfinite(part).all() for part in (shape, expression, pose)) or pose[6] <= 0:
        raise ValueError(f"Pose_Para must be {NUM_POSE} numbers with a positive scale, got {pose.tolist()}")
    return BaselFit(shape, expression, pose[:3], pose[3:5], float(pose[6]))


def _points_file(picture: Path) -> Path:
    """Where 300W-LP keeps the points of a picture."""
    return picture.parent.parent / LANDMARKS_FOLDER / picture.parent.name / f"{picture.stem}_pts.mat"


def _item(folder: Path, picture: Path, points: Path, name: str) -> SourceItem:
    """One picture with its points, or what is wrong with them."""
    key = record_key(picture.relative_to(folder))
    if not points.is_file():
        return SourceItem(key, picture, problem=f"missing landmark file: no {points.name} for it")
    try:
        landmarks = _points(_load(points, (name,))[name], name)
    except ValueError as error:
        return SourceItem(key, picture, problem=str(error))
    return SourceItem(key, picture, landmarks[None], contour=False, parameters=picture.with_suffix(".mat"))


def _points(array: np.ndarray, name: str) -> Float[np.ndarray, "68 2"]:
    """Bring 68 points (one a row, or one a column) to the pixel-corner convention."""
    rows = array if array.shape[0] == NUM_LANDMARKS else array.T
    if rows.ndim != 2 or rows.shape[0] != NUM_LANDMARKS or rows.shape[1] not in (2, 3):
        raise ValueError(f"landmark file must hold {NUM_LANDMARKS} points as {name}, got shape {array.shape}")
    return (rows[:, :2] + MATLAB_TO_CORNER_PX).astype(np.float32)


def _load(path: Path, names: Sequence[str]) -> dict[str, Float[np.ndarray, "..."]]:
    """Read numeric arrays of a MATLAB file.

    Raises:
        ValueError: It is damaged, or lacks one of them.
    """
    try:
        arrays = load_matlab(path, names, extra=("morphable-train", "mat"))
    except ValueError as error:
        raise ValueError(f"landmark file is damaged: {error}") from error
    return {name: np.asarray(values, np.float64) for name, values in arrays.items()}
