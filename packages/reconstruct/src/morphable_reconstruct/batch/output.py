"""The chosen results of one picture as files."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from morphable.files import UNWRITABLE, write_bytes
from morphable_reconstruct.drawing.layers import render_depth
from morphable_reconstruct.exports.formats import write_scene
from morphable_reconstruct.exports.livelink import livelink_header, livelink_row
from morphable_reconstruct.faces.rows import Face
from morphable_reconstruct.photographs.naming import NUMBERED_SUFFIXES, RESULT_SUFFIXES
from morphable_reconstruct.scene import Scene
from morphable_regressors.parsing import PARSING_CLASSES

_VIEW_PX = 640
_PICTURES: dict[str, Callable[[Any, Scene], bytes]] = {
    "overlay": lambda exports, scene: exports.overlay_jpeg(scene.overlay()),
    "views": lambda exports, scene: exports.views_png(scene.views(size_px=_VIEW_PX)),
    "render": lambda exports, scene: exports.render_png(scene.rendered),
    "depth": lambda exports, scene: exports.depth_png(scene),
    "segmentation": lambda exports, scene: exports.classes_png(scene.segmentation, count=len(PARSING_CLASSES) - 1),
    "parts": lambda exports, scene: exports.classes_png(scene.parts, count=len(scene.model.part_names)),
    "axes": lambda exports, scene: exports.axes_jpeg(scene),
}
LIVELINK_SUFFIX = ".livelink_{:02d}.csv"
"""Ending of the file about one face, or one person of a video."""
"""Pictures of a whole scene, by the functions of `exports.pictures`."""
_NUMBERED: dict[str, Callable[[Any, Face, Any, int | None], bytes]] = {
    "texture": lambda exports, face, depth_m, size_px: exports.texture_png(face, size_px=size_px, depth_m=depth_m),
    "frontal": lambda exports, face, depth_m, _: exports.frontal_png(face, depth_m=depth_m),
    "crop": lambda exports, face, *_: exports.crop_png(face),
}
"""Pictures of each face, given the depth of all of them and the side of textures."""
_SCENES = ("glb", "obj", "ply", "json", "npz", "csv")


def check_outputs(out: Path, *files: Path | None) -> None:
    """Make the folder of the results, and find out whether it and the files about the run can be written.

    Args:
        out: Folder of the results.
        files: Files that are written at the end; None for those that are not asked for.

    Raises:
        OSError: One of them can't be.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise FileExistsError(f"out must be a folder, got the file {out}; choose another") from None
    for path in (file for file in files if file is not None):
        if path.is_dir():
            raise IsADirectoryError(f"results must go to a file, got the folder {path}; name a file in it")
        if not path.parent.is_dir():
            raise FileNotFoundError(f"path must be in an existing folder, got {path}; create {path.parent} first")
    for folder in {out, *(file.parent for file in files if file is not None)}:
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            raise PermissionError(f"folder must be writable, got {folder}; choose another") from None


def save_results(
    scene: Scene,
    folder: Path,
    stem: str,
    *,
    kinds: tuple[str, ...],
    texture: str = "photo",
    texture_px: int | None = None,
    mesh: str = "head",
    csv: str = "table",
) -> tuple[str, ...]:
    """Write the chosen kinds of results as `folder/stem.*`.

    Returns:
        The files, relative to `folder`.
    """
    (folder / stem).parent.mkdir(parents=True, exist_ok=True)
    written = []
    for kind in kinds:
        if kind == "csv" and csv == "livelink":
            for index, face in enumerate(scene):
                written.append(stem + LIVELINK_SUFFIX.format(index))
                write_bytes(folder / written[-1], (livelink_header() + livelink_row(face, 0.0)).encode())
            continue
        if kind in _SCENES:
            paths = write_scene(scene, folder / f"{stem}.{kind}", texture=texture, texture_px=texture_px, mesh=mesh)
            written += [path.relative_to(folder).as_posix() for path in paths]
            continue
        from morphable_reconstruct.exports import pictures  # what draws takes a while to import

        if kind in _PICTURES:
            written.append(f"{stem}{RESULT_SUFFIXES[kind]}")
            write_bytes(folder / written[-1], _PICTURES[kind](pictures, scene))
            continue
        depth_m = None if kind == "crop" else render_depth(scene)
        for index, face in enumerate(scene):
            written.append(stem + NUMBERED_SUFFIXES[kind].format(index))
            write_bytes(folder / written[-1], _NUMBERED[kind](pictures, face, depth_m, texture_px))
    if len(scene) and not {"obj", "ply"}.isdisjoint(kinds):
        from morphable_reconstruct.exports.meshes import write_landmarks7

        written.append(f"{stem}.landmarks7.txt")
        write_landmarks7(scene, folder / written[-1])
    return tuple(written)
