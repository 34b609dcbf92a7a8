"""Basel Face Models 2009 to 2019 as `.h5` files in Statismo's layout (Gerig et al., 2018), read through h5py."""

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from morphable.extras import import_extra
from morphable.files import reader
from morphable.importers.assemble import as_modes, neutral_albedo, outward, vertex_points, with_contour
from morphable.importers.foreign import HDF5_MAGIC, foreign_kind
from morphable.importers.mirror import with_mirror
from morphable.model_data import ModelData

METERS_PER_UNIT = 1e-3
NUM_IDENTITY, NUM_EXPRESSION, NUM_ALBEDO = 80, 64, 80
NUM_LANDMARKS = 68
MAX_VERTICES, MAX_MODES = 500_000, 1_000
"""Bounds on the sizes that a file declares, far above those of the published models (58,203 and 199)."""


@reader("path must be a Basel model")
def import_statismo(path: str | PathLike[str], *, landmarks: str | PathLike[str] | None = None) -> ModelData:
    """Read `model2017-1_bfm_nomouth.h5`, `model2019_bfm.h5`, their `face12` and `fullHead` relatives, or BFM 2009's.

    80 identity, 64 expression and 80 albedo modes are kept; all coefficients are standard normal.

    Args:
        path: The file.
        landmarks: Text file with the vertex indices (from 0) of the 68 points, separated by blanks, commas or lines;
            the model files hold none. Without it the model has no landmarks.

    Raises:
        FileNotFoundError: If there is no such file.
        ModuleNotFoundError: If h5py is not installed.
        ValueError: If the file is no HDF5 file, or its arrays are not those of a face model.
    """
    path = Path(path)
    shape, color, expression, triangles = _read(path)
    num_coordinates = shape["mean"].size
    vertices = shape["mean"] + (expression["mean"] if expression else 0.0)
    mean = torch.from_numpy(vertices.reshape(-1, 3) * METERS_PER_UNIT).float()
    corners = outward(torch.from_numpy(triangles), mean)
    mean_albedo, albedo_basis = neutral_albedo(len(mean))
    if color:
        mean_albedo = torch.from_numpy(color["mean"].reshape(-1, 3)).float()
        albedo_basis = as_modes(color["modes"], NUM_ALBEDO, 1.0)
    moves = expression["modes"] if expression else np.zeros((num_coordinates, 0))
    data = ModelData(
        name=path.stem,
        license="Basel Face Model license (research only); not redistributable",
        source=f"https://faces.dmi.unibas.ch/bfm, converted from {path.name}",
        mean=mean - mean.mean(0),
        identity_basis=as_modes(shape["modes"], NUM_IDENTITY, METERS_PER_UNIT),
        expression_basis=as_modes(moves, NUM_EXPRESSION, METERS_PER_UNIT),
        mean_albedo=mean_albedo,
        albedo_basis=albedo_basis,
        triangles=corners,
        expression_prior="normal",
    )
    if landmarks is not None:
        points = vertex_points(_vertex_indices(Path(landmarks), len(mean)), corners)
        data = with_contour(replace(data, landmarks={"ibug68_3d": points}))
    return with_mirror(data)


def _read(
    path: Path,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray], Int[np.ndarray, "tris 3"]]:
    """Read the three parts (those that are absent empty) and the triangles."""
    if not path.is_file():
        raise FileNotFoundError(f"path must be a Basel model's .h5 file, got {path}")
    with path.open("rb") as file:
        raw = file.read(len(HDF5_MAGIC) * 64)
    if not raw.startswith(HDF5_MAGIC):
        raise ValueError(f"{path} must be an HDF5 file, got {foreign_kind(raw) or 'a file of another kind'}")
    h5py: Any = import_extra("h5py", "morphable", "convert")
    try:
        with h5py.File(path, "r") as file:
            shape = _part(file, "shape", required=True)
            color, expression = (_part(file, name, required=False) for name in ("color", "expression"))
            triangles = _dataset(file, "shape/representer/cells", (3, 2 * MAX_VERTICES)).astype(np.int64).T
    except Exception as error:  # damaged files make HDF5 raise whatever they happen to ask for
        raise ValueError(f"{path} must be a complete Basel model: {error}") from error
    num_vertices = shape["mean"].size // 3
    if not triangles.size or triangles.shape[1] != 3 or triangles.min() < 0 or triangles.max() >= num_vertices:
        raise ValueError(f"{path}: shape/representer/cells must hold 3 indices of {num_vertices} vertices a triangle")
    for name, part in (("color", color), ("expression", expression)):
        if part and part["mean"].size != shape["mean"].size:
            raise ValueError(f"{path}: {name}/model/mean must have {shape['mean'].size} entries like shape's")
    return shape, color, expression, np.ascontiguousarray(triangles)


def _part(file: Any, name: str, *, required: bool) -> dict[str, np.ndarray]:
    """Read one linear model: its mean, and its modes per standard deviation."""
    if not required and f"{name}/model/mean" not in file:
        return {}
    mean = _dataset(file, f"{name}/model/mean", (3 * MAX_VERTICES,)).astype(np.float64).reshape(-1)
    basis = _dataset(file, f"{name}/model/pcaBasis", (3 * MAX_VERTICES, MAX_MODES)).astype(np.float64)
    variance = _dataset(file, f"{name}/model/pcaVariance", (MAX_MODES,)).astype(np.float64).reshape(-1)
    if mean.size % 3 or basis.shape != (mean.size, variance.size):
        raise ValueError(f"{name}/model/pcaBasis must have shape {(mean.size, variance.size)}, got {basis.shape}")
    if not (variance >= 0).all():
        raise ValueError(f"{name}/model/pcaVariance must not be negative")
    length = np.linalg.norm(basis, axis=0).clip(min=np.finfo(np.float64).tiny)
    modes: Float[np.ndarray, "rows modes"] = basis / length * np.sqrt(variance)
    return {"mean": mean, "modes": modes}


def _dataset(file: Any, name: str, largest: tuple[int, ...]) -> np.ndarray:
    """Read a numeric array, checking its declared size before memory is reserved for it."""
    stored = file.get(name)
    shape = getattr(stored, "shape", None)
    if shape is None or len(shape) != len(largest) or any(a > b for a, b in zip(shape, largest, strict=True)):
        raise ValueError(f"{name} must be an array of at most {largest}, got {shape}")
    if stored.dtype.kind not in "fiu":
        raise ValueError(f"{name} must be numeric, got {stored.dtype}")
    return np.asarray(stored[()])


def _vertex_indices(path: Path, num_vertices: int) -> Int[np.ndarray, " 68"]:
    """Read the vertex indices of the 68 points."""
    words = path.read_text(errors="replace").replace(",", " ").split()
    if len(words) != NUM_LANDMARKS or not all(word.isdecimal() for word in words):
        raise ValueError(f"{path} must hold {NUM_LANDMARKS} vertex indices, got {len(words)} words")
    index = np.array([int(word) for word in words])
    if index.max() >= num_vertices:
        raise ValueError(f"{path} must index {num_vertices} vertices from 0, got {index.max()}")
    return index
