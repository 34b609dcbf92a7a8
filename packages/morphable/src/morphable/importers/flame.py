"""FLAME (Li et al., 2017): the `.pkl` or `.npz` of its download page, which this package may not carry."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from morphable.files import reader
from morphable.geometry import SurfacePoints
from morphable.importers.assemble import as_modes, neutral_albedo, outward, with_contour
from morphable.importers.mirror import with_mirror
from morphable.importers.safe_pickle import load_arrays
from morphable.model_data import ModelData

FIRST_EXPRESSION = 300
"""FLAME stores identity modes first, then expression modes, in one array."""
NUM_JOINTS = 5
NECK, JAW, LEFT_EYE, RIGHT_EYE = 1, 2, 3, 4
"""Places of FLAME's joints; joint 0 is the root, whose rotation is the head's pose."""
NUM_JAW_POINTS, NUM_INNER_POINTS = 17, 51
DYNAMIC = "flame_dynamic_embedding.npy"
"""File of the jaw line by yaw, which stands beside the embedding of the 51 inner points; its first row looks ahead."""


ARRAYS = (
    *("v_template", "shapedirs", "posedirs", "f", "J_regressor", "weights", "kintree_table"),
    *("full_lmk_faces_idx", "full_lmk_bary_coords", "lmk_face_idx", "lmk_b_coords"),
)
"""Names that are read of an `.npz`."""


@dataclass(frozen=True)
class JointChannel:
    """A turn of one joint as a linear expression mode."""

    name: str
    joint: int
    axis: int
    """0, 1, 2: x, y, z of the model frame."""
    step_rad: float
    """Turn at coefficient 1, taken as one standard deviation."""


JOINT_CHANNELS = (
    JointChannel("jaw_x", JAW, 0, 0.2),
    JointChannel("jaw_y", JAW, 1, 0.05),
    JointChannel("jaw_z", JAW, 2, 0.05),
    *(
        JointChannel(f"{side}_eye_{name}", joint, axis, 0.2)
        for side, joint in (("left", LEFT_EYE), ("right", RIGHT_EYE))
        for axis, name in ((0, "x"), (1, "y"))
    ),
    *(JointChannel(f"neck_{name}", NECK, axis, 0.1) for axis, name in enumerate("xyz")),
)
"""Turns that FLAME's joints add to its expression modes, in the order in which they are stored."""


@reader("path must be FLAME's")
def import_flame(
    path: str | PathLike[str],
    *,
    landmarks: str | PathLike[str] | None = None,
    num_identity: int = 100,
    num_expression: int = 50,
) -> ModelData:
    """Read FLAME's shape and expression modes and its joints; all coefficients are standard normal.

    Where the file has its skinning weights, the joints for jaw, eyes and neck become expression modes of their own
    after FLAME's, named and scaled by `JOINT_CHANNELS`: `jaw_x` opens the mouth by 0.2 radians at coefficient 1, and
    `0.2 * coefficient` is the first entry of FLAME's own `jaw_pose`. The modes are the derivative of FLAME's skinning
    and pose correctives at rest, around the mean face's joints. A turn is not linear: at 0.2 radians a point 0.1 m
    from the joint is 2 mm off.

    Args:
        path: `generic_model.pkl` (2017 to 2023) or an `.npz` with the same names; pickles are read without executing
            anything in them.
        landmarks: FLAME's landmark embedding. `landmark_embedding.npy` (of DECA; entries `full_lmk_faces_idx` and
            `full_lmk_bary_coords`) has the 68 points. `flame_static_embedding.pkl` has the 51 inner ones: with
            `flame_dynamic_embedding.npy`, the jaw line, beside it they are 68, without it they are kept as the scheme
            `ibug51`. Without an embedding the model has no landmarks.
        num_identity: Identity modes to keep.
        num_expression: Expression modes of FLAME's to keep.

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
    points = _landmarks(Path(landmarks), len(triangles)) if landmarks is not None else {}
    turned = outward(triangles, vertices)
    if turned is not triangles:  # corners are stored in the other order, so are landmark weights
        points = {name: SurfacePoints(p.triangle, p.barycentric.flip(-1)) for name, p in points.items()}
    expression = as_modes(flat[:, FIRST_EXPRESSION:], num_expression, 1.0)
    turns = _joint_modes(path, content, template)
    names = tuple(f"expression_{i:03d}" for i in range(len(expression)))
    data = ModelData(
        name="flame",
        license="FLAME model license (https://flame.is.tue.mpg.de); not redistributable with this package",
        source=f"https://flame.is.tue.mpg.de, converted from {path.name}",
        mean=vertices - center,
        identity_basis=as_modes(flat, num_identity, 1.0),
        expression_basis=torch.cat([expression, turns]),
        expression_names=names + tuple(channel.name for channel in JOINT_CHANNELS[: len(turns)]),
        mean_albedo=mean_albedo,
        albedo_basis=albedo_basis,
        triangles=turned,
        expression_prior="normal",
        landmarks=points,
    )
    return with_mirror(with_contour(data) if "ibug68_3d" in points else data)


def _read(path: Path) -> dict[str, Any]:
    """Read a dictionary of arrays: a pickle, or an npz."""
    if not path.is_file():
        raise FileNotFoundError(f"path must be one of FLAME's .pkl, .npy or .npz files, got {path}")
    if path.suffix != ".npz":
        return load_arrays(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if name in ARRAYS}
    except Exception as error:  # zip and NumPy raise whatever damaged bytes make them
        raise ValueError(f"{path} must be a complete .npz file of numeric arrays: {error}") from error


def _array(path: Path, content: dict[str, Any], name: str, axes: int) -> np.ndarray:
    """Return a numeric array of a file, checking it is there and has the right number of axes."""
    value = content.get(name)
    if not isinstance(value, np.ndarray) or value.ndim != axes or value.dtype.kind not in "fiu":
        got = f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise ValueError(f"{path}: {name} must be a numeric array with {axes} axes, got {got}")
    return value


def _joint_modes(
    path: Path, content: dict[str, Any], template: Float[np.ndarray, "verts 3"]
) -> Float[Tensor, "channels verts 3"]:
    """Return how vertices move with each of `JOINT_CHANNELS`; none where the file has no complete skeleton."""
    if not all(isinstance(content.get(name), np.ndarray) for name in ("J_regressor", "weights", "kintree_table")):
        return torch.zeros(0, *template.shape)
    regressor, weights = _array(path, content, "J_regressor", 2), _array(path, content, "weights", 2)
    parents = _array(path, content, "kintree_table", 2)[0].astype(np.int64)[1:]
    wanted = (NUM_JOINTS, len(template))
    if regressor.shape != wanted or weights.shape != wanted[::-1] or parents.shape != (NUM_JOINTS - 1,):
        shapes = f"{regressor.shape}, {weights.shape}, {parents.shape}"
        raise ValueError(f"{path}: J_regressor, weights, kintree_table must be of {NUM_JOINTS} joints, got {shapes}")
    if (parents < 0).any() or (parents >= np.arange(1, NUM_JOINTS)).any():
        raise ValueError(f"{path}: kintree_table must name a parent before each joint, got {parents.tolist()}")
    joints = regressor @ template
    correctives = content.get("posedirs")
    if isinstance(correctives, np.ndarray) and correctives.shape != (*template.shape, 9 * (NUM_JOINTS - 1)):
        raise ValueError(f"{path}: posedirs must have {9 * (NUM_JOINTS - 1)} modes, got shape {correctives.shape}")
    modes = np.zeros((len(JOINT_CHANNELS), *template.shape))
    for mode, channel in zip(modes, JOINT_CHANNELS, strict=True):
        axis = channel.step_rad * np.eye(3)[channel.axis]
        share = weights[:, [channel.joint, *_below(channel.joint, parents)]].sum(1, keepdims=True)
        mode[:] = share * np.cross(axis, template - joints[channel.joint])
        if isinstance(correctives, np.ndarray):
            turn = np.cross(axis, np.eye(3)).T  # derivative of the rotation matrix, whose rows are stored in turn
            first = 9 * (channel.joint - 1)
            mode += correctives[..., first : first + 9] @ turn.reshape(-1)
    return torch.from_numpy(modes).float()


def _below(joint: int, parents: Int[np.ndarray, " joints"]) -> list[int]:
    """Return the joints that turn with one: those whose chain of parents leads to it."""
    found = [joint]
    for child, parent in enumerate(parents.tolist(), start=1):
        if parent in found:
            found.append(child)
    return found[1:]


def _landmarks(path: Path, num_triangles: int) -> dict[str, SurfacePoints]:
    """Read the points of a landmark embedding, with the jaw line beside it if the embedding has none."""
    content = _read(path)
    if "full_lmk_faces_idx" in content:
        points = _points(path, content, "full_lmk_faces_idx", "full_lmk_bary_coords", num_triangles)
    else:
        points = _points(path, content, "lmk_face_idx", "lmk_b_coords", num_triangles)
    jaw = path.parent / DYNAMIC
    if len(points.triangle) == NUM_INNER_POINTS and jaw.is_file():
        outline = _points(jaw, _read(jaw), "lmk_face_idx", "lmk_b_coords", num_triangles)
        points = SurfacePoints(
            torch.cat([outline.triangle, points.triangle]), torch.cat([outline.barycentric, points.barycentric])
        )
    if len(points.triangle) == NUM_INNER_POINTS:
        return {"ibug51": points}
    if len(points.triangle) != NUM_JAW_POINTS + NUM_INNER_POINTS:
        raise ValueError(f"{path} must embed 68 points, or the 51 inner ones, got {len(points.triangle)}")
    return {"ibug68_3d": points}


def _points(
    path: Path, content: dict[str, Any], triangle_name: str, weights_name: str, num_triangles: int
) -> SurfacePoints:
    """Read surface points; of several rows (one per yaw) the first."""
    triangle, weights = (_numbers(path, content, name) for name in (triangle_name, weights_name))
    if triangle.ndim not in (1, 2) or not triangle.size:
        raise ValueError(f"{path}: {triangle_name} must be a row of triangles, got shape {triangle.shape}")
    first = np.atleast_2d(triangle)[0].astype(np.int64)
    if weights.shape[-2:] != (len(first), 3) or not weights.size:
        raise ValueError(f"{path}: {weights_name} must be {len(first)} rows of 3, got shape {weights.shape}")
    rows = weights.reshape(-1, len(first), 3)[0].astype(np.float32)
    if first.min() < 0 or first.max() >= num_triangles:
        raise ValueError(f"{path}: {triangle_name} must index {num_triangles} triangles, got up to {first.max()}")
    return SurfacePoints(torch.from_numpy(first), torch.from_numpy(rows))


def _numbers(path: Path, content: dict[str, Any], name: str) -> np.ndarray:
    """Return an array of numbers of any shape."""
    value = content.get(name)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise ValueError(f"{path} must hold a numeric array {name}, got {type(value).__name__}")
    return value
