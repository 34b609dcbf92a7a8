"""FLAME (Li et al., 2017): the `.pkl` or `.npz` of its download page, which this package may not carry."""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from morphable.geometry import SurfacePoints
from morphable.importers.assemble import as_modes, neutral_albedo, outward, with_contour, with_symmetry
from morphable.importers.safe_pickle import load_arrays
from morphable.model_data import ModelData

FIRST_EXPRESSION = 300
"""FLAME stores identity modes first, then expression modes, in one array."""


def import_flame(
    path: str | PathLike[str],
    *,
    landmarks: str | PathLike[str] | None = None,
    num_identity: int = 100,
    num_expression: int = 50,
) -> ModelData:
    """Read FLAME's shape and expression modes; all coefficients are standard normal.

    The jaw, neck and eye joints are not linear and stay at rest: the mouth opens only as far as expression modes do it.

    Args:
        path: `generic_model.pkl` (2017 to 2023) or an `.npz` with the same names; pickles are read without executing
            anything in them.
        landmarks: FLAME's landmark embedding (`landmark_embedding.npy`, entries `full_lmk_faces_idx` and
            `full_lmk_bary_coords`) for the 68 points; without it the model has none.
        num_identity: Identity modes to keep.
        num_expression: Expression modes to keep.

    Raises:
        ValueError: If a field is missing or has the wrong shape, or a pickle holds anything but arrays.
    """
    path = Path(path)
    content = _read(path)
    template = _array(path, content, "v_template", 2)
    modes = _array(path, content, "shapedirs", 3)
    if modes.shape[:2] != template.shape or modes.shape[2] <= FIRST_EXPRESSION:
        expected = f"({len(template)}, 3, more than {FIRST_EXPRESSION})"
        raise ValueError(f"{path}: shapedirs must have shape {expected}, got {modes.shape}")
    vertices = torch.from_numpy(template).float()
    center = vertices.mean(0)
    flat = modes.reshape(-1, modes.shape[2])
    triangles = torch.from_numpy(_array(path, content, "f", 2).astype(np.int64))
    mean_albedo, albedo_basis = neutral_albedo(len(vertices))
    points = _landmarks(Path(landmarks)) if landmarks is not None else {}
    turned = outward(triangles, vertices)
    if turned is not triangles:  # corners are stored in the other order, so are landmark weights
        points = {name: SurfacePoints(p.triangle, p.barycentric.flip(-1)) for name, p in points.items()}
    data = ModelData(
        name="flame",
        license="FLAME model licence (https://flame.is.tue.mpg.de); not redistributable with this package",
        source=f"https://flame.is.tue.mpg.de, converted from {path.name}",
        mean=vertices - center,
        identity_basis=as_modes(flat, num_identity, 1.0),
        expression_basis=as_modes(flat[:, FIRST_EXPRESSION:], num_expression, 1.0),
        mean_albedo=mean_albedo,
        albedo_basis=albedo_basis,
        triangles=turned,
        expression_prior="normal",
        landmarks=points,
    )
    return with_symmetry(with_contour(data) if points else data)


def _read(path: Path) -> dict[str, Any]:
    """Read the pickle or the npz."""
    if not path.is_file():
        raise FileNotFoundError(f"path must be FLAME's .pkl or .npz, got {path}")
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if name in ("v_template", "shapedirs", "f")}
    return load_arrays(path)


def _array(path: Path, content: dict[str, Any], name: str, axes: int) -> np.ndarray:
    """Return a numeric array of a file, checking it is there and has the right number of axes."""
    value = content.get(name)
    if not isinstance(value, np.ndarray) or value.ndim != axes or value.dtype.kind not in "fiu":
        got = f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise ValueError(f"{path}: {name} must be a numeric array with {axes} axes, got {got}")
    return value


def _landmarks(path: Path) -> dict[str, SurfacePoints]:
    """Read the 68 points of a landmark embedding."""
    content = load_arrays(path)
    triangle = _array(path, content, "full_lmk_faces_idx", 2)[0].astype(np.int64)
    weights: Float[Tensor, "points 3"] = torch.from_numpy(_array(path, content, "full_lmk_bary_coords", 3)[0]).float()
    return {"ibug68_3d": SurfacePoints(torch.from_numpy(triangle), weights)}
