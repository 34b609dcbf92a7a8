"""Scenes read back from the JSON and NPZ files that this package writes."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from morphable import FaceParameters, MorphableModel
from morphable.files import refusing
from morphable.landmarks import NUM_IBUG68
from morphable_reconstruct.faces.camera import Camera
from morphable_reconstruct.faces.rows import SceneRows
from morphable_reconstruct.photographs.reading import DEFAULT_MAX_PIXELS, Photograph

_WHITE = 255
_COEFFICIENTS = {"identity": "num_identity", "expression": "num_expression", "albedo": "num_albedo"}


def read_scene(path: str | os.PathLike[str], model: MorphableModel, photo: Photograph | None = None) -> SceneRows:
    """Read a scene that was saved as JSON (numbers rounded to six decimals) or NPZ.

    Args:
        path: The file.
        model: The face model it was made with.
        photo: The photograph; by default a white picture of its size.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no saved scene, is damaged, or belongs to another face model or photograph.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path must be an existing file, got {path}; check the path")
    with refusing("path must be a scene saved as .json or .npz", path):
        return _rows(_from_json(path) if path.suffix.lower() == ".json" else _from_npz(path), model, photo)


def _from_npz(path: Path) -> dict[str, Any]:
    """Columns of an NPZ file; older ones lack the principal point and the heatmap cells."""
    with np.load(path, allow_pickle=False) as stored:
        columns = {name: stored[name] for name in stored.files if not name.startswith(("vertices", "triangles"))}
    height, width = columns["image_size_hw"].tolist()
    columns.setdefault("principal_px", np.array([width / 2, height / 2]))
    boxes = columns["box_xyxy_px"]
    columns.setdefault("center_px", (boxes[:, :2] + boxes[:, 2:]) / 2)
    return columns


def _from_json(path: Path) -> dict[str, Any]:
    """Columns of a JSON file."""
    record = json.loads(path.read_text())
    faces = record["faces"]
    columns = {
        "image": record["image"],
        "image_size_hw": record["image_size_hw"],
        "model_name": record["model"],
        "focal_px": record["camera"]["focal_px"],
        "principal_px": record["camera"]["principal_px"],
        "expression": [list(face["expressions"].values()) for face in faces],
    }
    names = ("score", "center_px", "identity", "albedo", "rotation_head", "translation_m", "illumination")
    columns |= {name: [face[name] for face in faces] for name in names}
    if any("track_id" in face for face in faces):
        columns["track_id"] = [face["track_id"] for face in faces]
    if faces and all("landmarks68_std_px" in face for face in faces):
        columns["landmarks68_std_px"] = [face["landmarks68_std_px"] for face in faces]
    if any("camera_residual_px" in face for face in faces):
        columns["camera_residual_px"] = [face.get("camera_residual_px", np.nan) for face in faces]
    return columns


def _rows(columns: dict[str, Any], model: MorphableModel, photo: Photograph | None) -> SceneRows:
    """Check columns against face model and photograph, and stack them."""
    if str(columns["model_name"]) != model.name:
        raise ValueError(f"model must be {columns['model_name']}, with which the scene was made, got {model.name}")
    height, width = (int(side) for side in columns["image_size_hw"])
    if height < 1 or width < 1 or height * width > DEFAULT_MAX_PIXELS:
        raise ValueError(f"image_size_hw must be a picture's, got {height} and {width}")
    if photo is None:
        photo = Photograph(pixels=np.full((height, width, 3), _WHITE, np.uint8), name=str(columns["image"]))
    if photo.size_hw != (height, width):
        raise ValueError(f"photo must be {width}x{height}, the size of {columns['image']}, got {photo.size_hw[::-1]}")
    count = len(columns["score"])

    def tensor(name: str, *shape: int) -> torch.Tensor:
        return torch.from_numpy(np.asarray(columns[name], np.float32).reshape(count, *shape).copy())

    coefficients = {name: tensor(name, getattr(model, number)) for name, number in _COEFFICIENTS.items()}
    x, y = (float(value) for value in columns["principal_px"])
    residual, track_id, surface = (columns.get(name) for name in ("camera_residual_px", "track_id", "surface_m"))
    spread = columns.get("landmarks68_std_px")
    return SceneRows(
        photo=photo,
        camera=Camera(focal_px=float(columns["focal_px"]), size_hw=(height, width), center_px=(x, y)),
        model=model,
        faces=FaceParameters(
            **coefficients,
            rotation_head=tensor("rotation_head", 3, 3),
            translation_m=tensor("translation_m", 3),
            illumination=tensor("illumination", 9, 3),
        ),
        score=np.asarray(columns["score"], np.float32).reshape(count),
        center_px=np.asarray(columns["center_px"], np.float32).reshape(count, 2),
        residual_px=None if residual is None else np.asarray(residual, np.float32).reshape(count),
        track_id=None if track_id is None else np.asarray(track_id, np.int64).reshape(count),
        landmarks68_std_px=None if spread is None else np.asarray(spread, np.float32).reshape(count, NUM_IBUG68),
        surface_m=None if surface is None else torch.from_numpy(np.asarray(surface, np.float32)),
    )
