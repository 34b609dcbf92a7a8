"""The file formats a scene can be saved as, by suffix."""

import os
from pathlib import Path

import numpy as np

from morphable.files import atomic_path, write_bytes
from morphable_reconstruct.exports.coefficients import scene_to_arrays, scene_to_json
from morphable_reconstruct.exports.tables import scene_to_csv
from morphable_reconstruct.faces.rows import SceneRows

SCENE_SUFFIXES = (".glb", ".obj", ".ply", ".json", ".npz", ".csv")


def write_scene(
    scene: SceneRows,
    path: str | os.PathLike[str],
    *,
    texture: str = "photo",
    texture_px: int | None = None,
    mesh: str = "head",
) -> tuple[Path, ...]:
    """Write a scene in the format of the suffix; return the files written, `path` first.

    Raises:
        ValueError: The suffix is none of `SCENE_SUFFIXES`.
    """
    target = Path(path)
    match target.suffix.lower():
        case ".glb":
            from morphable_reconstruct.exports.glb import scene_to_glb  # the textures' libraries take a while to import

            write_bytes(target, scene_to_glb(scene, texture=texture, texture_px=texture_px, mesh=mesh))
        case ".obj":
            from morphable_reconstruct.exports.meshes import write_obj

            return write_obj(scene, target, texture=texture, texture_px=texture_px, mesh=mesh)
        case ".ply":
            from morphable_reconstruct.exports.meshes import write_ply

            write_ply(scene, target)
        case ".json":
            write_bytes(target, scene_to_json(scene).encode())
        case ".csv":
            write_bytes(target, scene_to_csv(scene).encode())
        case ".npz":
            with atomic_path(target) as temporary:
                np.savez_compressed(temporary, allow_pickle=False, **scene_to_arrays(scene))
        case suffix:
            allowed = ", ".join(SCENE_SUFFIXES)
            raise ValueError(f"path must end in one of {allowed}, got {suffix or target.name!r}; rename the file")
    return (target,)
