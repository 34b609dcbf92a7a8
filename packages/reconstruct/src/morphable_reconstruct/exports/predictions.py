"""The prediction file that `evalkit` reads (docs/prediction_file.md)."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from morphable_reconstruct.exports.atomic import atomic_path
from morphable_reconstruct.faces.rows import SceneRows

FORMAT_VERSION = 1
_ROWS: dict[str, tuple[int, ...]] = {
    "score": (),
    "box_xyxy_px": (4,),
    "landmarks68_px": (68, 2),
    "landmarks68_contour_px": (68, 2),
    "landmarks68_cam_m": (68, 3),
    "rotation_head": (3, 3),
    "translation_m": (3,),
    "focal_px": (),
}
PredictionRows = dict[str, Shaped[np.ndarray, "..."]]
"""Arrays with one row per face of one picture, and its `size_hw`."""


def prediction_rows(scene: SceneRows) -> PredictionRows:
    """Collect one picture's rows."""
    rows: PredictionRows = {"size_hw": np.array(scene.camera.size_hw, dtype=np.int64)}
    for name in ("score", "box_xyxy_px", "landmarks68_px", "landmarks68_contour_px", "landmarks68_cam_m"):
        rows[name] = getattr(scene, name).astype(np.float32)
    rows["rotation_head"], rows["translation_m"] = scene.faces.rotation_head.numpy(), scene.faces.translation_m.numpy()
    rows["focal_px"] = np.full(len(scene), scene.camera.focal_px, dtype=np.float32)
    return rows


def write_predictions(
    path: str | os.PathLike[str], pictures: Iterable[tuple[str, PredictionRows]], *, system: str
) -> None:
    """Write the file of all processed pictures, uncompressed, also those without a face.

    Args:
        path: The .npz file.
        pictures: Name, relative to the data set's folder, and rows of each picture.
        system: Name of the system, for tables.
    """
    names, sizes, faces, rows = [], [], [], []
    for name, found in pictures:
        names.append(name)
        sizes.append(found["size_hw"])
        faces.append(len(found["score"]))
        rows.append(found)
    size_hw = np.array(sizes, dtype=np.int64).reshape(-1, 2)
    arrays = {
        name: np.concatenate([np.zeros((0, *shape), np.float32), *(found[name] for found in rows)])
        for name, shape in _ROWS.items()
    }
    with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            format_version=np.array(FORMAT_VERSION),
            processed_image=np.array(names, dtype=np.str_),
            processed_size_hw=size_hw,
            image=np.repeat(np.array(names, dtype=np.str_), faces),
            image_size_hw=np.repeat(size_hw, faces, axis=0),
            system=np.array(system),
            **arrays,
        )
