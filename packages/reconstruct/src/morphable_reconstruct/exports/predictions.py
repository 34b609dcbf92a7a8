"""The prediction file that `evalkit` reads (docs/prediction_file.md)."""

import os
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from morphable.files import atomic_path
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
_OPTIONAL_ROWS: dict[str, tuple[int, ...]] = {"landmarks68_std_px": (68,)}
"""Rows that not every network gives; written where all pictures have them."""
VERTICES = "vertices_px"
"""Name of the array of vertices, which is written only when it is asked for."""
PredictionRows = dict[str, Shaped[np.ndarray, "..."]]
"""Arrays with one row per face of one picture, and its `size_hw`."""


def prediction_rows(scene: SceneRows, *, vertices: bool = False) -> PredictionRows:
    """Collect one picture's rows.

    Args:
        scene: The picture's faces.
        vertices: Whether the vertices are among them, for dense measures.

    >>> prediction_rows(scene)["landmarks68_px"].shape
    (1, 68, 2)
    """
    rows: PredictionRows = {"size_hw": np.array(scene.camera.size_hw, dtype=np.int64)}
    for name in ("score", "box_xyxy_px", "landmarks68_px", "landmarks68_contour_px", "landmarks68_cam_m"):
        rows[name] = getattr(scene, name).astype(np.float32)
    rows["rotation_head"], rows["translation_m"] = scene.faces.rotation_head.numpy(), scene.faces.translation_m.numpy()
    rows["focal_px"] = np.full(len(scene), scene.camera.focal_px, dtype=np.float32)
    if scene.landmarks68_std_px is not None:
        rows["landmarks68_std_px"] = scene.landmarks68_std_px.astype(np.float32)
    if vertices:
        rows[VERTICES] = _vertices_px(scene)
    return rows


def _vertices_px(scene: SceneRows) -> Float[np.ndarray, "faces verts 3"]:
    """Return x, y of every vertex and its depth behind the face's mean depth, in pixels at that depth."""
    depth = scene.vertices_cam_m[..., 2].numpy()
    mean = depth.mean(axis=1, keepdims=True)
    behind_px = (depth - mean) / mean * scene.camera.focal_px
    return np.concatenate([scene.vertices_px, behind_px[..., None]], axis=-1).astype(np.float32)


def write_predictions(
    path: str | os.PathLike[str], pictures: Iterable[tuple[str, PredictionRows]], *, system: str
) -> None:
    """Write the file of all processed pictures, uncompressed, also those without a face.

    Args:
        path: The .npz file.
        pictures: Name, relative to the data set's folder, and rows of each picture.
        system: Name of the system, for tables.

    >>> write_predictions(folder / "p.npz", [("astronaut.jpg", prediction_rows(scene))], system="mine")
    >>> np.load(folder / "p.npz")["image"].tolist()
    ['astronaut.jpg']
    """
    names, sizes, faces, rows = [], [], [], []
    for name, found in pictures:
        names.append(name)
        sizes.append(found["size_hw"])
        faces.append(len(found["score"]))
        rows.append(found)
    size_hw = np.array(sizes, dtype=np.int64).reshape(-1, 2)
    known = {n: shape for n, shape in _OPTIONAL_ROWS.items() if rows and all(n in found for found in rows)}
    arrays = {
        name: np.concatenate([np.zeros((0, *shape), np.float32), *(found[name] for found in rows)])
        for name, shape in (_ROWS | known).items()
    }
    scalars = {"format_version": np.array(FORMAT_VERSION), "system": np.array(system)}
    pictures_of = {
        "processed_image": np.array(names, dtype=np.str_),
        "processed_size_hw": size_hw,
        "image": np.repeat(np.array(names, dtype=np.str_), faces),
        "image_size_hw": np.repeat(size_hw, faces, axis=0),
    }
    with atomic_path(Path(path)) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, values in {**scalars, **pictures_of, **arrays}.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, np.asarray(values), allow_pickle=False)
        if rows and all(VERTICES in found for found in rows):
            _write_vertices(archive, [found[VERTICES] for found in rows])


def _write_vertices(archive: zipfile.ZipFile, pictures: Sequence[Float[np.ndarray, "faces verts 3"]]) -> None:
    """Write the vertices picture by picture, so that no second copy of them is held."""
    shape = (sum(len(vertices) for vertices in pictures), *pictures[0].shape[1:])
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)), "fortran_order": False, "shape": shape}
    with archive.open(f"{VERTICES}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for vertices in pictures:
            file.write(np.ascontiguousarray(vertices, np.float32).tobytes())
