"""Dense ground truth of AFLW2000-3D from its own parameters and the user's files of the Basel face model.

The data set gives `Shape_Para`, `Exp_Para` and `Pose_Para` of every picture; the vertices follow as in the code that
comes with 300W-LP: `scale * R @ (mean + shape modes @ Shape_Para + expression modes @ Exp_Para) + t`, y upward from the
picture's lower edge, pixels counted from 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from morphable_evalkit.files import read_npy, refusing
from morphable_evalkit.matlab import read_mat
from morphable_evalkit.measures.head_pose import rotation_from_angles
from morphable_evalkit.measures.points import box_size, tight_box

PIXEL_SHIFT = 0.5
"""The parameters count pixels from 1 at their centers; ours have the origin at the first pixel's corner."""

NUM_SHAPE, NUM_EXPRESSION = 199, 29
"""Modes of AFLW2000-3D's parameters."""

_MAX_RESIDUAL = 0.03
"""Median distance of the model's 68 points from the labels, in sizes of the face's box, beyond which the files cannot
be those of the parameters; 3DDFA's 40 and 10 modes leave the rest of the shape in it."""

_MATLAB = ("Model_Shape.mat", "Model_Exp.mat")
_ORIGINAL = ("01_MorphableModel.mat", "model_info.mat", "Model_Exp.mat")
_NUMPY = ("u_shp.npy", "u_exp.npy", "w_shp_sim.npy", "w_exp_sim.npy", "keypoints_sim.npy")


@dataclass(frozen=True)
class FaceBasis:
    """A face as a mean and modes, in the order and unit of AFLW2000-3D's parameters."""

    mean: Float[np.ndarray, " coords"]
    shape: Float[np.ndarray, "coords shape_modes"]
    expression: Float[np.ndarray, "coords expression_modes"]
    keypoints: Int[np.ndarray, "68"] | None
    """Vertex of each of the 68 points, where the files tell."""

    @property
    def num_vertices(self) -> int:
        """Number of vertices."""
        return len(self.mean) // 3


@dataclass(frozen=True)
class FaceFit:
    """The parameters of one picture."""

    shape: Float[np.ndarray, " shape_modes"]
    expression: Float[np.ndarray, " expression_modes"]
    pose: Float[np.ndarray, "7"]
    """Pitch, yaw, roll in radians, translation in pixels, scale."""
    height_px: int


def read_face_basis(folder: Path) -> FaceBasis:
    """Read the Basel model in one of the forms that people have.

    `Model_Shape.mat` with `Model_Exp.mat` (the code of 300W-LP and AFLW2000-3D); `01_MorphableModel.mat` (Basel's own)
    with `model_info.mat` and `Model_Exp.mat` (which vertices stay, and the expressions: the same code); or 3DDFA's
    `u_shp.npy`, `u_exp.npy`, `w_shp_sim.npy`, `w_exp_sim.npy`, `keypoints_sim.npy`, with 40 and 10 of the modes.

    Raises:
        FileNotFoundError: The folder holds none of them completely.
        ValueError: A file is damaged, lacks an array, or they do not fit each other.
    """
    forms = ((_MATLAB, _from_matlab), (_ORIGINAL, _from_original), (_NUMPY, _from_numpy))
    for names, read in forms:
        if all((folder / name).is_file() for name in names):
            return read(folder)
    if (folder / "Exp_Pca.bin").is_file() and not (folder / "Model_Exp.mat").is_file():
        raise FileNotFoundError(
            f"basis must hold Model_Exp.mat of AFLW2000-3D's own code, got {folder} with Exp_Pca.bin; that is another "
            "set of expressions, to which Exp_Para does not belong"
        )
    wanted = "; or ".join(", ".join(names) for names, _ in forms)
    raise FileNotFoundError(f"basis must hold {wanted}, got {folder} without")


def read_fit(path: Path, height_px: int) -> FaceFit:
    """Read the parameters of one picture from its .mat file.

    Raises:
        ValueError: One is missing or of another size.
    """
    content = read_mat(path)
    shape, expression = _column(content, "Shape_Para", path), _column(content, "Exp_Para", path)
    pose = _column(content, "Pose_Para", path)
    if len(pose) != 7:
        raise ValueError(f"Pose_Para of {path} must hold 7 numbers, got {len(pose)}")
    return FaceFit(shape, expression, pose, height_px)


def project(basis: FaceBasis, fit: FaceFit) -> Float[np.ndarray, "verts 3"]:
    """Return x, y in pixels of the picture (corner at zero) and depth away from the camera of every vertex.

    Parameters beyond the modes of the basis are left out: 3DDFA's arrays hold the first 40 and 10.
    """
    num_shape, num_expression = basis.shape.shape[1], basis.expression.shape[1]
    coordinates = basis.mean + basis.shape @ fit.shape[:num_shape] + basis.expression @ fit.expression[:num_expression]
    rotation = rotation_from_angles(fit.pose[:3])
    upward = fit.pose[6] * coordinates.reshape(-1, 3) @ rotation.T + fit.pose[3:6]
    x, y = upward[:, 0] - PIXEL_SHIFT, fit.height_px + 1 - upward[:, 1] - PIXEL_SHIFT
    return np.stack([x, y, -upward[:, 2]], axis=1)


class DenseTruth:
    """Vertices of every picture, computed when a row is asked for: 2,000 pictures would fill 2.5 GB."""

    def __init__(self, basis: FaceBasis, fits: Sequence[FaceFit]) -> None:
        self._basis = basis
        self._fits = tuple(fits)
        self.shape = (len(self._fits), basis.num_vertices, 3)

    def __getitem__(self, index: int, /) -> Float[np.ndarray, "verts 3"]:
        """Return the vertices of one picture."""
        return project(self._basis, self._fits[index])

    def describe(self) -> str:
        """Name the modes that are used, for the protocol's line."""
        shape, expression = self._basis.shape.shape[1], self._basis.expression.shape[1]
        return f"dense truth from {shape} of {NUM_SHAPE} shape and {expression} of {NUM_EXPRESSION} expression modes"

    def check(self, points_px: Float[np.ndarray, "faces 68 2"]) -> None:
        """Compare the model's own 68 points with the labels, which were made with the same parameters.

        Raises:
            ValueError: They lie elsewhere: the basis is not the one of the parameters.
        """
        if self._basis.keypoints is None:
            return
        chosen = [self[i][self._basis.keypoints, :2] for i in range(len(self._fits))]
        gap = np.linalg.norm(np.array(chosen) - points_px, axis=2).mean(axis=1) / box_size(tight_box(points_px))
        if np.median(gap) > _MAX_RESIDUAL:
            raise ValueError(
                f"basis must be the one of AFLW2000-3D's parameters, got 68 points {100 * np.median(gap):.1f} % of the "
                "face's box away from pt3d_68"
            )


def _from_matlab(folder: Path) -> FaceBasis:
    """Read `Model_Shape.mat` and `Model_Exp.mat`."""
    shape, expression = read_mat(folder / _MATLAB[0]), read_mat(folder / _MATLAB[1])
    with refusing(folder / _MATLAB[1], "of the length of Model_Shape.mat"):
        mean = _column(shape, "mu_shape", folder / _MATLAB[0]) + _column(expression, "mu_exp", folder / _MATLAB[1])
    return _basis(
        folder,
        mean,
        _modes(shape, "w", folder / _MATLAB[0]),
        _modes(expression, "w_exp", folder / _MATLAB[1]),
        _keypoints(shape),
    )


def _from_original(folder: Path) -> FaceBasis:
    """Read Basel's own file, of whose 53,490 vertices `trimIndex` keeps those outside the mouth."""
    basel, info, expression = (read_mat(folder / name) for name in _ORIGINAL)
    kept = _column(info, "trimIndex", folder / _ORIGINAL[1]).astype(np.int64) - 1
    rows = (3 * kept[:, None] + np.arange(3)).ravel()
    mean, modes = _column(basel, "shapeMU", folder / _ORIGINAL[0]), _modes(basel, "shapePC", folder / _ORIGINAL[0])
    mean_expression = _column(expression, "mu_exp", folder / _ORIGINAL[2])
    if not len(kept) or kept.min() < 0 or rows.max() >= min(len(mean), len(modes)):
        raise ValueError(f"trimIndex of {folder / _ORIGINAL[1]} must name vertices up to {len(mean) // 3}")
    if len(mean_expression) != len(rows):
        raise ValueError(
            f"mu_exp of {folder / _ORIGINAL[2]} must have {len(rows)} coordinates as trimIndex keeps, got "
            f"{len(mean_expression)}"
        )
    return _basis(
        folder,
        mean[rows] + mean_expression,
        modes[rows],
        _modes(expression, "w_exp", folder / _ORIGINAL[2]),
        _keypoints(info),
    )


def _from_numpy(folder: Path) -> FaceBasis:
    """Read 3DDFA's arrays; `keypoints_sim.npy` counts coordinates, three to a vertex."""
    mean_shape, mean_expression, shape, expression, keypoints = (read_npy(folder / name) for name in _NUMPY)
    with refusing(folder / _NUMPY[0], "3DDFA's arrays of one length"):
        mean = (mean_shape + mean_expression).astype(np.float64).ravel()
    points = keypoints.ravel()[::3].astype(np.int64) // 3
    return _basis(folder, mean, shape.astype(np.float64), expression.astype(np.float64), points)


def _column(content: dict[str, Any], name: str, path: Path) -> Float[np.ndarray, " numbers"]:
    """Return a vector of a .mat file."""
    return _array(content, name, path).astype(np.float64).ravel()


def _modes(content: dict[str, Any], name: str, path: Path) -> Float[np.ndarray, "coords modes"]:
    """Return a matrix of a .mat file."""
    array = _array(content, name, path)
    if array.ndim != 2:
        raise ValueError(f"{name} of {path} must be a matrix, got {array.shape}")
    return array.astype(np.float64)


def _array(content: dict[str, Any], name: str, path: Path) -> Shaped[np.ndarray, "..."]:
    """Return a numeric array of a .mat file."""
    if name not in content or content[name].dtype.kind not in "fiu":
        raise ValueError(f"{path} must hold the numbers {name}, got {', '.join(sorted(content)) or 'nothing'}")
    return content[name]


def _keypoints(content: dict[str, Any]) -> Int[np.ndarray, "68"] | None:
    """Return the vertices of the 68 points, counted from 1 in the file, where it has them."""
    keypoints = content.get("keypoints")
    if keypoints is None or keypoints.size != 68:
        return None
    return keypoints.ravel().astype(np.int64) - 1


def _basis(
    folder: Path,
    mean: Shaped[np.ndarray, "..."],
    shape: Shaped[np.ndarray, "..."],
    expression: Shaped[np.ndarray, "..."],
    keypoints: Int[np.ndarray, " points"] | None,
) -> FaceBasis:
    """Refuse arrays that do not fit each other, and put them together."""
    coords = len(mean)
    if coords == 0 or coords % 3 or shape.ndim != 2 or expression.ndim != 2:
        raise ValueError(f"basis in {folder} must have 3 coordinates per vertex and matrices of modes, got {coords}")
    if not coords == len(shape) == len(expression):
        raise ValueError(
            f"basis in {folder} must have one length, got {coords} of the mean, {len(shape)} of the shape modes, "
            f"{len(expression)} of the expression modes"
        )
    count = coords // 3
    if keypoints is not None and (len(keypoints) != 68 or keypoints.min() < 0 or keypoints.max() >= count):
        raise ValueError(f"keypoints of the basis in {folder} must name 68 vertices below {count}")
    return FaceBasis(mean, shape, expression, keypoints)
