"""Exact labels from the parameters that 300W-LP's and AFLW2000-3D's authors fitted, for the user's Basel model."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from morphable import MorphableModel, load_model
from morphable.files import refusing
from morphable.geometry import rotation_from_angles
from morphable_train.data.labels import FaceLabels
from morphable_train.readers.w300lp import BaselFit

PARALLEL_FOCAL_PX = 1e5
"""Focal length of labels from a scaled-orthographic camera: so long that a face's perspective is 0.1 % of its size."""
METERS_PER_UNIT = 1e-6
MAX_RESIDUAL = 0.02
"""Share of the data set's modes that the model may miss; more means that its vertices are others."""
_TINY = 1e-12
MAX_POINTS = 3000
"""Vertices, spread over the mesh, on which the modes are compared."""


@dataclass(frozen=True)
class BaselLabels:
    """Turns fits into labels of a model with the same vertices."""

    name: str
    """Name of the model."""
    center_m: Float[np.ndarray, "3"]
    """Origin of our model in the data set's."""
    from_shape: Float[np.ndarray, "modes shape"]
    """Coefficients of the model per shape parameter."""
    from_expression: Float[np.ndarray, "modes expression"]
    num_identity: int

    def labels(self, fit: BaselFit, landmarks68_px: Float[np.ndarray, "68 2"], size_hw: tuple[int, int]) -> FaceLabels:
        """Return the labels of one face.

        Args:
            fit: Its parameters; those beyond the model's modes are left out.
            landmarks68_px: Its static points.
            size_hw: Height and width of its picture.
        """
        shapes, expressions = self.from_shape.shape[1], self.from_expression.shape[1]
        coefficients = self.from_shape @ fit.shape[:shapes] + self.from_expression @ fit.expression[:expressions]
        rotation = rotation_from_angles(torch.from_numpy(np.asarray(fit.angles_rad))[None])[0].numpy()
        pixels_per_m = fit.pixels_per_unit / METERS_PER_UNIT
        right, up = pixels_per_m * (rotation @ self.center_m)[:2] + fit.translation_px
        rows, cols = size_hw
        origin_px = np.array([right - 0.5, rows + 0.5 - up])  # MATLAB counts rows from the bottom here, both from one
        depth_m = PARALLEL_FOCAL_PX / pixels_per_m
        lateral_m = (origin_px - np.array([cols, rows]) / 2) / PARALLEL_FOCAL_PX * depth_m
        return FaceLabels(
            landmarks68_px=landmarks68_px[None].astype(np.float32),
            landmark_valid=np.ones((1, 68), bool),
            contour=np.zeros(1, bool),
            exact=np.ones(1, bool),
            identity=coefficients[None, : self.num_identity].astype(np.float32),
            expression=coefficients[None, self.num_identity :].astype(np.float32),
            rotation_head=rotation[None].astype(np.float32),
            translation_m=np.array([[*lateral_m, depth_m]], np.float32),
            focal_px=PARALLEL_FOCAL_PX,
        )


def basel_labels(folder: Path, model_file: str) -> BaselLabels:
    """Relate 3DDFA's arrays, whose modes 300W-LP's parameters are of, to a converted model.

    Args:
        folder: 3DDFA's arrays `u_shp.npy`, `u_exp.npy`, `w_shp_sim.npy` and `w_exp_sim.npy`, or those of another Basel
            model under these names.
        model_file: The model that `morphable convert 3ddfa` made of them.

    Raises:
        FileNotFoundError: An array is missing.
        ValueError: The model has other vertices or modes.
    """
    model = load_model(model_file)
    mean = _array(folder, "u_shp.npy").reshape(-1) + _array(folder, "u_exp.npy").reshape(-1)
    shape, expression = _array(folder, "w_shp_sim.npy"), _array(folder, "w_exp_sim.npy")
    if mean.size != 3 * model.num_vertices:
        raise ValueError(
            f"basel_model must have the {mean.size // 3} vertices of {folder}, got {model.num_vertices} in "
            f"{model.name!r}; convert the same folder with `morphable convert 3ddfa`"
        )
    chosen = np.linspace(0, model.num_vertices - 1, min(MAX_POINTS, model.num_vertices)).astype(int)
    basis = _modes(model)[:, chosen].reshape(-1, 3 * len(chosen)).T
    parts = []
    for modes in (shape, expression):
        wanted = modes.reshape(-1, 3, modes.shape[1])[chosen].reshape(3 * len(chosen), -1) * METERS_PER_UNIT
        solved, *_ = np.linalg.lstsq(basis, wanted, rcond=None)
        missed = float(np.linalg.norm(basis @ solved - wanted)) / max(float(np.linalg.norm(wanted)), _TINY)
        if missed > MAX_RESIDUAL:
            raise ValueError(f"basel_model must have the modes of {folder}, got others ({missed:.0%} are missed)")
        parts.append(solved)
    center = mean.reshape(-1, 3).mean(0) * METERS_PER_UNIT
    return BaselLabels(model.name, center, parts[0], parts[1], model.num_identity)


@torch.no_grad()
def _modes(model: MorphableModel) -> Float[np.ndarray, "modes verts 3"]:
    """What a coefficient of 1 moves, identity first, in meters."""
    counts = model.num_identity, model.num_expression
    rows = torch.eye(sum(counts))
    none = torch.zeros(sum(counts), sum(counts))
    moved = model.decode_shape(*rows.split(counts, dim=1)) - model.decode_shape(*none.split(counts, dim=1))
    return moved.numpy().astype(np.float64)


def _array(folder: Path, name: str) -> Float[np.ndarray, "..."]:
    """Read one array."""
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(f"basel must be a folder with {name}, got {folder} without")
    with refusing("array must be a complete numeric .npy file", path):
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
