"""3DDFA's Basel model with 53,215 vertices, 40 shape and 10 expression modes (Zhu et al., TPAMI 2017)."""

from os import PathLike
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from morphable.importers.assemble import as_modes, neutral_albedo, outward, vertex_points, with_contour
from morphable.importers.matlab import load_matlab
from morphable.importers.safe_pickle import load_arrays
from morphable.model_data import ModelData

METRES_PER_UNIT = 1e-6
WHITENING = "param_whitening.pkl"
NUM_POSE = 12
"""3DDFA's parameter vector: 12 of pose, then shape, then expression."""
SHAPE_SCALE = 1e5
"""Size of a shape coefficient where the folder does not tell standard deviations: 3DDFA's run into the 100,000s, its
expression coefficients are of size one."""
TRIANGLE_FILES = ("tri.mat", "tri.npy")


def import_3ddfa(folder: str | PathLike[str]) -> ModelData:
    """Read the arrays of 3DDFA's `train.configs` folder.

    Needs `u_shp.npy`, `u_exp.npy`, `w_shp_sim.npy`, `w_exp_sim.npy`, `keypoints_sim.npy` and the triangles, `tri.mat`
    (from 3DDFA's `visualize` folder) or `tri.npy`. With `param_whitening.pkl` beside them a coefficient of 1 is one
    standard deviation of 3DDFA's training set, without it 1e5 (shape) or 1 (expression) of its own units.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If an array has the wrong shape.
    """
    folder = Path(folder)
    mean = _load(folder, "u_shp.npy") + _load(folder, "u_exp.npy")
    shape, expression = _load(folder, "w_shp_sim.npy"), _load(folder, "w_exp_sim.npy")
    for name, array in (("w_shp_sim.npy", shape), ("w_exp_sim.npy", expression)):
        if array.ndim != 2 or array.shape[0] != mean.size or mean.size % 3:
            raise ValueError(f"{folder / name} must have one row per coordinate ({mean.size}), got {array.shape}")
    shape_scale, expression_scale = _scales(folder / WHITENING, shape.shape[1], expression.shape[1])
    vertices = torch.from_numpy(mean.reshape(-1, 3) * METRES_PER_UNIT).float()
    triangles = outward(torch.from_numpy(_triangles(folder)), vertices)
    coordinate = _load(folder, "keypoints_sim.npy").reshape(-1).astype(np.int64)
    if coordinate.size != 3 * 68 or (coordinate[::3] % 3).any():
        raise ValueError(
            f"{folder / 'keypoints_sim.npy'} must index x, y, z of 68 vertices, got {coordinate.size} numbers"
        )
    mean_albedo, albedo_basis = neutral_albedo(len(vertices))
    data = ModelData(
        name="bfm-3ddfa",
        license="Basel Face Model 2009 licence (research only); not redistributable",
        source="https://github.com/cleardusk/3DDFA",
        mean=vertices - vertices.mean(0),
        identity_basis=as_modes(shape * shape_scale, shape.shape[1], METRES_PER_UNIT),
        expression_basis=as_modes(expression * expression_scale, expression.shape[1], METRES_PER_UNIT),
        mean_albedo=mean_albedo,
        albedo_basis=albedo_basis,
        triangles=triangles,
        expression_prior="normal",
        landmarks={"ibug68_3d": vertex_points(coordinate[::3] // 3, triangles)},
    )
    return with_contour(data)


def _load(folder: Path, name: str) -> Float[np.ndarray, "..."]:
    """Read one array."""
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(f"folder must hold {name}, got {folder} without")
    try:
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"{path} must be a complete numeric .npy file: {error}") from error


def _triangles(folder: Path) -> Int[np.ndarray, "tris 3"]:
    """Read the triangles, 1-based in the .mat file."""
    if (folder / "tri.mat").is_file():
        corners = np.asarray(load_matlab(folder / "tri.mat", ("tri",))["tri"], dtype=np.int64) - 1
    elif (folder / "tri.npy").is_file():
        corners = _load(folder, "tri.npy").astype(np.int64)
    else:
        raise FileNotFoundError(f"folder must hold {' or '.join(TRIANGLE_FILES)}, got {folder} without")
    return np.ascontiguousarray(corners.T if corners.shape[0] == 3 else corners)


def _scales(path: Path, num_shape: int, num_expression: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what a coefficient of 1 means in 3DDFA's units, per shape and expression mode."""
    if not path.is_file():
        return np.full(num_shape, SHAPE_SCALE), np.ones(num_expression)
    std = np.asarray(load_arrays(path).get("param_std"), dtype=np.float64).reshape(-1)
    if std.size != NUM_POSE + num_shape + num_expression:
        wanted = NUM_POSE + num_shape + num_expression
        raise ValueError(f"{path}: param_std must hold {wanted} numbers, got {std.size}")
    return std[NUM_POSE : NUM_POSE + num_shape], std[NUM_POSE + num_shape :]
