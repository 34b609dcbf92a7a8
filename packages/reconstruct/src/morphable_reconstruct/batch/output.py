"""The chosen results of one picture as files."""

from collections.abc import Callable
from pathlib import Path

from morphable.files import write_bytes
from morphable_reconstruct.exports.formats import write_scene
from morphable_reconstruct.exports.meshes import write_landmarks7
from morphable_reconstruct.exports.pictures import (
    crop_png,
    depth_png,
    overlay_jpeg,
    segmentation_png,
    texture_png,
    views_png,
)
from morphable_reconstruct.scene import Scene

_VIEW_PX = 640
_PICTURES: dict[str, tuple[str, Callable[[Scene], bytes]]] = {
    "overlay": (".overlay.jpg", lambda scene: overlay_jpeg(scene.overlay())),
    "views": (".views.png", lambda scene: views_png(scene.views(size_px=_VIEW_PX))),
    "depth": (".depth.png", lambda scene: depth_png(scene.depth_m)),
    "segmentation": (
        ".segmentation.png",
        lambda scene: segmentation_png(scene.segmentation, parts=len(scene.model.part_names)),
    ),
}
_SCENES = ("glb", "obj", "ply", "json", "npz", "csv")


def save_results(
    scene: Scene, folder: Path, stem: str, *, kinds: tuple[str, ...], texture: str = "albedo", texture_px: int = 512
) -> tuple[str, ...]:
    """Write the chosen kinds of results as `folder/stem.*`.

    Returns:
        The files, relative to `folder`.
    """
    (folder / stem).parent.mkdir(parents=True, exist_ok=True)
    written = []
    for kind in kinds:
        if kind in _PICTURES:
            suffix, make = _PICTURES[kind]
            written.append(f"{stem}{suffix}")
            write_bytes(folder / written[-1], make(scene))
        elif kind in _SCENES:
            written.append(f"{stem}.{kind}")
            write_scene(scene, folder / written[-1], texture=texture, texture_px=texture_px)
        elif kind == "texture":
            for index, face in enumerate(scene):
                written.append(f"{stem}.texture_{index:02d}.png")
                write_bytes(folder / written[-1], texture_png(face, size_px=texture_px, depth_m=scene.depth_m))
        elif kind == "crop":
            for index, face in enumerate(scene):
                written.append(f"{stem}.crop_{index:02d}.png")
                write_bytes(folder / written[-1], crop_png(face))
    if len(scene) and not {"obj", "ply"}.isdisjoint(kinds):
        written.append(f"{stem}.landmarks7.txt")
        write_landmarks7(scene, folder / written[-1])
    return tuple(written)
