"""3DDFA's Basel models: 53,215 vertices, or 38,365 without the neck (3DDFA_V2); 40 shape and 10 expression modes."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from morphable.files import reader, refusing
from morphable.importers.assemble import as_modes, neutral_albedo, outward, vertex_points, with_contour
from morphable.importers.matlab import load_matlab
from morphable.importers.mirror import with_mirror
from morphable.importers.safe_pickle import load_arrays, load_pickle
from morphable.model_data import ModelData

METERS_PER_UNIT = 1e-6
WHITENING = "param_whitening.pkl"
STATISTICS = "param_mean_std_62d_120x120.pkl"
PICKLES = ("bfm_noneck_v3.pkl", "bfm_noneck.pkl", "bfm.pkl")
"""Names of 3DDFA_V2's models, in the order in which a folder is searched for them."""
NUM_SHAPE, NUM_EXPRESSION = 40, 10
"""Modes that 3DDFA_V2's network estimates."""
NUM_POSE = 12
"""3DDFA's parameter vector: 12 of pose, then shape, then expression."""
SHAPE_SCALE = 1e5
"""Size of a shape coefficient where the folder does not tell standard deviations: 3DDFA's run into the 100,000s, its
expression coefficients are of size one."""
TRIANGLE_FILES = ("tri.mat", "tri.npy")


@dataclass(frozen=True)
class _Arrays:
    """3DDFA's arrays in its own units."""

    mean: Float[np.ndarray, " coordinates"]
    shape: Float[np.ndarray, "coordinates shape"]
    expression: Float[np.ndarray, "coordinates expression"]
    keypoints: Int[np.ndarray, " 204"]
    """Places of x, y, z of the 68 points among the coordinates."""
    triangles: Int[np.ndarray, "tris 3"]
    std: Float[np.ndarray, " parameters"] | None
    """Standard deviations of all parameters, pose first."""


@reader("path must hold 3DDFA's arrays")
def import_3ddfa(path: str | PathLike[str]) -> ModelData:
    """Read 3DDFA's arrays or 3DDFA_V2's pickle.

    3DDFA's folder `train.configs` holds `u_shp.npy`, `u_exp.npy`, `w_shp_sim.npy`, `w_exp_sim.npy`,
    `keypoints_sim.npy`; the triangles, `tri.mat` (from 3DDFA's folder `visualize`) or `tri.npy`, belong beside them.
    3DDFA_V2's folder `configs` holds `bfm_noneck_v3.pkl` and `tri.pkl`. With the standard deviations beside them
    (`param_whitening.pkl`, or `param_mean_std_62d_120x120.pkl` of 3DDFA_V2) a coefficient of 1 is one standard
    deviation of 3DDFA's training set, without them 1e5 (shape) or 1 (expression) of its own units.

    Args:
        path: The folder, or the pickle of 3DDFA_V2. Nothing in a pickle is executed.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If an array has the wrong shape.
    """
    path = Path(path)
    pickled = path if path.is_file() else next((path / name for name in PICKLES if (path / name).is_file()), None)
    arrays = _read_folder(path) if pickled is None else _read_pickle(pickled)
    shape_scale, expression_scale = _scales(pickled or path, arrays)
    vertices = torch.from_numpy(arrays.mean.reshape(-1, 3) * METERS_PER_UNIT).float()
    triangles = outward(torch.from_numpy(arrays.triangles), vertices)
    mean_albedo, albedo_basis = neutral_albedo(len(vertices))
    data = ModelData(
        name="bfm-3ddfa" if pickled is None else "bfm-3ddfa-v2",
        license="Basel Face Model 2009 license (research only); not redistributable",
        source="https://github.com/cleardusk/3DDFA" + ("" if pickled is None else "_V2"),
        mean=vertices - vertices.mean(0),
        identity_basis=as_modes(arrays.shape * shape_scale, arrays.shape.shape[1], METERS_PER_UNIT),
        expression_basis=as_modes(arrays.expression * expression_scale, arrays.expression.shape[1], METERS_PER_UNIT),
        mean_albedo=mean_albedo,
        albedo_basis=albedo_basis,
        triangles=triangles,
        expression_prior="normal",
        landmarks={"ibug68_3d": vertex_points(arrays.keypoints[::3] // 3, triangles)},
    )
    return with_mirror(with_contour(data))


def _read_folder(folder: Path) -> _Arrays:
    """Read 3DDFA's folder of arrays."""
    mean = _load(folder, "u_shp.npy") + _load(folder, "u_exp.npy")
    whitening = folder / WHITENING
    return _Arrays(
        mean=mean.reshape(-1),
        shape=_modes(folder / "w_shp_sim.npy", _load(folder, "w_shp_sim.npy"), mean.size),
        expression=_modes(folder / "w_exp_sim.npy", _load(folder, "w_exp_sim.npy"), mean.size),
        keypoints=_keypoints(folder / "keypoints_sim.npy", _load(folder, "keypoints_sim.npy"), mean.size),
        triangles=_triangles(folder),
        std=_numbers(whitening, load_arrays(whitening), "param_std") if whitening.is_file() else None,
    )


def _read_pickle(path: Path) -> _Arrays:
    """Read 3DDFA_V2's pickle, with the triangles and standard deviations beside it if they are there."""
    content = load_arrays(path)
    mean = _numbers(path, content, "u").reshape(-1)
    rebuilt = path.parent / "tri.pkl"
    if "v3" in path.stem and rebuilt.is_file():
        content["tri"] = load_pickle(rebuilt)
    triangles = _three_corners(path, _numbers(path, content, "tri"))
    if triangles.size and triangles.min() == 1 and triangles.max() == mean.size // 3:
        triangles = triangles - 1
    statistics = path.parent / STATISTICS
    return _Arrays(
        mean=mean,
        shape=_modes(path, _numbers(path, content, "w_shp")[..., :NUM_SHAPE], mean.size),
        expression=_modes(path, _numbers(path, content, "w_exp")[..., :NUM_EXPRESSION], mean.size),
        keypoints=_keypoints(path, _numbers(path, content, "keypoints"), mean.size),
        triangles=triangles,
        std=_numbers(statistics, load_arrays(statistics), "std").reshape(-1) if statistics.is_file() else None,
    )


def _numbers(path: Path, content: dict[str, Any], name: str) -> Float[np.ndarray, "..."]:
    """Return an array of a pickle, in double precision."""
    value = content.get(name)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise ValueError(f"{path} must hold a numeric array {name}, got {type(value).__name__}")
    return value.astype(np.float64)


def _modes(path: Path, modes: np.ndarray, num_coordinates: int) -> Float[np.ndarray, "coordinates modes"]:
    """Check a basis."""
    if modes.ndim != 2 or modes.shape[0] != num_coordinates or num_coordinates % 3:
        raise ValueError(f"{path} must have one row per coordinate ({num_coordinates}), got {modes.shape}")
    return modes


def _keypoints(path: Path, keypoints: np.ndarray, num_coordinates: int) -> Int[np.ndarray, " 204"]:
    """Check the places of the 68 points."""
    places = keypoints.reshape(-1).astype(np.int64)
    if places.size != 3 * 68 or (places[::3] % 3).any() or places.min() < 0 or places.max() >= num_coordinates:
        raise ValueError(f"{path} must index x, y, z of 68 vertices, got {places.size} numbers")
    return places


def _load(folder: Path, name: str) -> Float[np.ndarray, "..."]:
    """Read one array."""
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(f"folder must hold {name}, got {folder} without")
    with refusing("array must be a complete numeric .npy file", path):
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)


def _triangles(folder: Path) -> Int[np.ndarray, "tris 3"]:
    """Read the triangles, 1-based in the .mat file."""
    if (folder / "tri.mat").is_file():
        return _three_corners(folder / "tri.mat", load_matlab(folder / "tri.mat", ("tri",))["tri"]) - 1
    if (folder / "tri.npy").is_file():
        return _three_corners(folder / "tri.npy", _load(folder, "tri.npy"))
    raise FileNotFoundError(f"folder must hold {' or '.join(TRIANGLE_FILES)}, got {folder} without")


def _three_corners(path: Path, corners: np.ndarray) -> Int[np.ndarray, "tris 3"]:
    """Return triangles that are stored as rows or as columns."""
    if corners.ndim != 2 or 3 not in corners.shape:
        raise ValueError(f"{path} must hold three corners a triangle, got shape {corners.shape}")
    return np.ascontiguousarray(corners.T if corners.shape[0] == 3 else corners).astype(np.int64)


def _scales(path: Path, arrays: _Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Return what a coefficient of 1 means in 3DDFA's units, per shape and expression mode."""
    num_shape, num_expression = arrays.shape.shape[1], arrays.expression.shape[1]
    if arrays.std is None:
        return np.full(num_shape, SHAPE_SCALE), np.ones(num_expression)
    wanted = NUM_POSE + num_shape + num_expression
    if arrays.std.size != wanted:
        raise ValueError(f"{path}: the standard deviations must be {wanted} numbers, got {arrays.std.size}")
    return arrays.std[NUM_POSE : NUM_POSE + num_shape], arrays.std[NUM_POSE + num_shape :]
