"""`morphable fit`: a scene that was saved as .npz or .json in, its faces in another face model out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from morphable.files import atomic_path, refusing
from morphable.fitting import Fit, fit_landmarks, fit_surface
from morphable.geometry import Pinhole
from morphable.library import BUILT_IN, load_model
from morphable.mesh_files import MESH_SUFFIXES, write_meshes
from morphable.model import MorphableModel

NUMBERS_SUFFIX = ".npz"
COMPARED_PARTS = ("skin", "nose", "upper_lip", "lower_lip")
"""Parts of the open model that every face model has in common with it."""
_UPRIGHT = torch.tensor([1.0, -1.0, -1.0])
"""Camera frame to that of mesh viewers: y up, z toward the viewer."""


@dataclass(frozen=True, kw_only=True)
class SavedFaces:
    """What of a saved scene a fit needs."""

    camera: Pinhole
    landmarks68_px: Float[Tensor, "faces 68 2"]
    landmarks68_std_px: Float[Tensor, "faces 68"] | None
    landmarks68_cam_m: Float[Tensor, "faces 68 3"]
    model_name: str
    vertices_cam_m: Float[Tensor, "faces verts 3"] | None
    """None in .json."""
    triangles: Int[Tensor, "tris 3"] | None


def read_faces(path: Path) -> SavedFaces:
    """Read a scene that `reconstruct` saved.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no saved scene, or a damaged one.
    """
    if not path.is_file():
        raise FileNotFoundError(f"scene must be an existing file, got {path}; check the path")
    with refusing("scene must be a scene saved as .json or .npz", path):
        return _from_json(path) if path.suffix.lower() == ".json" else _from_npz(path)


def fit_scene(model: MorphableModel, faces: SavedFaces, to: str) -> Fit:
    """Fit a model to the faces of a scene.

    Args:
        model: The model to fit.
        faces: The scene's faces.
        to: `surface`, or `landmarks`: the 68 points in the picture.

    Raises:
        ValueError: The scene has no face, or no surface to fit to.
    """
    if not len(faces.landmarks68_px):
        raise ValueError("scene must hold a face, got none; reconstruct another picture")
    if to == "landmarks":
        return fit_landmarks(model, faces.landmarks68_px, faces.camera, std_px=faces.landmarks68_std_px)
    if faces.vertices_cam_m is None or faces.triangles is None:
        raise ValueError("scene must be saved as .npz to be fitted with --to surface, got .json; take --to landmarks")
    compared = None
    if faces.model_name in BUILT_IN:
        known = load_model(faces.model_name)
        if known.num_vertices == faces.vertices_cam_m.shape[1]:
            compared = torch.stack([known.region(part) for part in COMPARED_PARTS]).any(0)
    return fit_surface(model, faces.vertices_cam_m, faces.triangles, faces.landmarks68_cam_m, compared=compared)


def write_fit(fit: Fit, model: MorphableModel, path: Path) -> None:
    """Write fitted faces as a mesh in the topology of their model, in meters, the camera at the origin, or as numbers.

    Args:
        fit: The faces.
        model: Their model.
        path: `.glb`, `.ply` or `.obj` for meshes, `.npz` for coefficients, poses and vertices.

    Raises:
        ValueError: Another suffix.
    """
    check_suffix(path)
    with torch.no_grad():
        vertices = model.vertices(fit.faces)
    if path.suffix.lower() == NUMBERS_SUFFIX:
        arrays = {name: values.numpy() for name, values in vars(fit.faces).items() if name != "illumination"}
        arrays |= {"vertices_cam_m": vertices.numpy(), "triangles": model.triangles.numpy()}
        arrays |= {"residual": fit.residual.numpy(), "model_name": np.array(model.name)}
        arrays |= {"expression_names": np.array(model.expression_names, dtype=np.str_)}
        with atomic_path(path) as temporary:
            np.savez_compressed(temporary, allow_pickle=False, **arrays)
        return
    names = [f"face_{index:02d}" for index in range(len(vertices))]
    albedo = model.decode_albedo(fit.faces.albedo)
    write_meshes(path, model, dict(zip(names, vertices * _UPRIGHT, strict=True)), dict(zip(names, albedo, strict=True)))


def check_suffix(path: Path) -> None:
    """Refuse files of other kinds.

    Raises:
        ValueError: The suffix is none of those that `write_fit` writes.
    """
    known = (*MESH_SUFFIXES, NUMBERS_SUFFIX)
    if path.suffix.lower() not in known:
        raise ValueError(f"output must end in {', '.join(known)}, got {path.name}")


def _from_json(path: Path) -> SavedFaces:
    """What a scene's JSON holds."""
    record = json.loads(path.read_text())
    faces = record["faces"]
    spread = [face["landmarks68_std_px"] for face in faces if "landmarks68_std_px" in face]
    columns = {name: [face[name] for face in faces] for name in ("landmarks68_px", "landmarks68_cam_m")}
    columns |= {"image_size_hw": record["image_size_hw"], **record["camera"], "model_name": record["model"]}
    return _faces(columns | ({"landmarks68_std_px": spread} if len(spread) == len(faces) else {}))


def _from_npz(path: Path) -> SavedFaces:
    """What a scene's NPZ holds."""
    with np.load(path, allow_pickle=False) as stored:
        return _faces({name: stored[name] for name in stored.files})


def _faces(columns: dict[str, Any]) -> SavedFaces:
    """Check the shapes of columns."""
    points = np.asarray(columns["landmarks68_px"], np.float32).reshape(-1, 68, 2)
    height, width = (int(side) for side in columns["image_size_hw"])
    x, y = (float(value) for value in columns.get("principal_px", (width / 2, height / 2)))

    def tensor(name: str, *shape: int, dtype: type[np.generic] = np.float32) -> Tensor | None:
        if name not in columns:
            return None
        return torch.from_numpy(np.ascontiguousarray(np.asarray(columns[name], dtype).reshape(*shape)))

    count = len(points)
    landmarks_cam = tensor("landmarks68_cam_m", count, 68, 3)
    if landmarks_cam is None:
        raise KeyError("landmarks68_cam_m")
    return SavedFaces(
        camera=Pinhole((height, width), float(columns["focal_px"]), (x, y)),
        landmarks68_px=torch.from_numpy(points),
        landmarks68_std_px=tensor("landmarks68_std_px", count, 68),
        landmarks68_cam_m=landmarks_cam,
        model_name=str(columns["model_name"]),
        vertices_cam_m=tensor("vertices_cam_m", count, -1, 3) if count else None,
        triangles=tensor("triangles", -1, 3, dtype=np.int64),
    )
