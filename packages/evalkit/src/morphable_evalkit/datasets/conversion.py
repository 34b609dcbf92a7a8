"""Prediction files from other systems' outputs: 3DDFA's arrays and plain JSON."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from morphable_evalkit.datasets.aflw2000 import PICTURE_SIZE_HW, row_names
from morphable_evalkit.files import read_json
from morphable_evalkit.measures.points import tight_box
from morphable_evalkit.predictions.file import Predictions
from morphable_evalkit.predictions.format import ARRAYS, STREAMED

PixelOrigin = Literal["corner", "center-0", "center-1"]
"""Coordinates of the first pixel's center: 0.5 (ours), 0 (OpenCV), 1 (MATLAB, 3DDFA's AFLW2000-3D arrays)."""

_SHIFTS = {"corner": 0.0, "center-0": 0.5, "center-1": -0.5}

_FACE_FIELDS = tuple(
    name
    for name, spec in ARRAYS.items()
    if spec.axes[:1] == ("faces",) and name not in {"image", "image_size_hw", "score", "box_xyxy_px"}
)


def from_3ddfa(
    points: Float[np.ndarray, "..."], root: Path, *, origin: PixelOrigin = "center-1", system: str = ""
) -> Predictions:
    """Turn 3DDFA's (2000, 2 or 3, 68) array into predictions, one face per picture in the data set's order.

    Args:
        points: x, y (down) and optionally z (toward the viewer) in pixels of the whole picture; rows in the order of
            the sorted file names.
        root: Folder of the pictures or of the arrays, for the names.
        origin: Pixel convention of the array.
        system: Name for tables.

    Raises:
        ValueError: Another shape.
    """
    names = row_names(root)
    if points.ndim != 3 or points.shape[0] != len(names) or points.shape[1] not in (2, 3) or points.shape[2] != 68:
        raise ValueError(f"input must be ({len(names)}, 2 or 3, 68), got {points.shape}")
    xy = points[:, :2].transpose(0, 2, 1).astype(np.float64) + _SHIFTS[origin]
    sizes = np.tile(np.array(PICTURE_SIZE_HW, dtype=np.int64), (len(names), 1))
    return Predictions(
        processed_image=names,
        processed_size_hw=sizes,
        image=names,
        image_size_hw=sizes,
        score=np.ones(len(names)),
        box_xyxy_px=_boxes(xy),
        landmarks68_px=xy,
        landmarks68_depth_px=-points[:, 2].astype(np.float64) if points.shape[1] == 3 else None,
        system=system,
    )


def from_json(path: Path, *, origin: PixelOrigin = "corner") -> Predictions:
    """Read plain JSON.

    `{"system": ..., "images": [{"image": name, "size_hw": [h, w], "faces": [{"landmarks68_px": [[x, y], ...],
    "score": ..., "box_xyxy_px": [...], any other array of the prediction file}]}]}`. `score` (1) and `box_xyxy_px`
    (the points' box) may be left out; every other array stands in all faces or in none.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Another structure.
    """
    if not path.is_file():
        raise FileNotFoundError(f"input must be a JSON file, got {path} (no such file)")
    content = read_json(path, _Content, "the JSON form", extra_keys=True)
    try:
        return _build(content, _SHIFTS[origin])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} must follow the JSON form, got {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class _Picture:
    """One picture of the JSON form."""

    image: str
    size_hw: tuple[int, int]
    faces: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class _Content:
    """The JSON form."""

    images: tuple[_Picture, ...]
    system: str = ""


def _build(content: _Content, shift: float) -> Predictions:
    """Collect the arrays of all faces."""
    images = content.images
    faces = [(picture, face) for picture in images for face in picture.faces]
    fields = {name for _, face in faces for name in face}
    unknown = fields - {*_FACE_FIELDS, "score", "box_xyxy_px"}
    if unknown:
        raise ValueError(f"faces must hold arrays of the prediction file, got {', '.join(sorted(unknown))}")
    arrays: dict[str, Any] = {}
    for name in fields & set(_FACE_FIELDS):
        values = [face[name] for _, face in faces]  # a face without it raises KeyError with its name
        arrays[name] = _array(values) + (shift if name.endswith("_px") and name in _POINT_FIELDS else 0.0)
    points = arrays.get("landmarks68_px", arrays.get("landmarks68_contour_px", np.empty((0, 68, 2))))
    arrays.setdefault("landmarks68_px", None if "landmarks68_contour_px" in arrays else points)
    boxes = _boxes(points)
    for row, (_, face) in enumerate(faces):
        if "box_xyxy_px" in face:
            boxes[row] = _array(face["box_xyxy_px"]) + shift
    return Predictions(
        processed_image=tuple(picture.image for picture in images),
        processed_size_hw=np.array([picture.size_hw for picture in images], dtype=np.int64).reshape(-1, 2),
        image=tuple(picture.image for picture, _ in faces),
        image_size_hw=np.array([picture.size_hw for picture, _ in faces], dtype=np.int64).reshape(-1, 2),
        score=_array([face.get("score", 1.0) for _, face in faces]),
        box_xyxy_px=boxes,
        system=content.system,
        **arrays,
    )


_POINT_FIELDS = {"landmarks68_px", "landmarks68_contour_px", STREAMED[0]}
"""Fields in pixels of the picture, which the pixel origin shifts (x and y)."""


def _array(values: Any) -> Float[np.ndarray, "..."]:
    """Numbers as float64, null as NaN."""
    return np.array(values, dtype=np.float64)


def _boxes(points: Float[np.ndarray, "faces 68 2"]) -> Float[np.ndarray, "faces 4"]:
    """Tight boxes; of size zero for faces that are not finite."""
    return np.nan_to_num(tight_box(points))
