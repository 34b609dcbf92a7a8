"""The chosen results of one picture as files."""

from pathlib import Path

from morphable_reconstruct.exports.atomic import write_bytes
from morphable_reconstruct.exports.formats import write_scene
from morphable_reconstruct.exports.pictures import depth_png, overlay_jpeg, segmentation_png, texture_png, views_png
from morphable_reconstruct.scene import Scene

_PICTURES = {
    "overlay": (".overlay.jpg", overlay_jpeg),
    "views": (".views.png", views_png),
    "depth": (".depth.png", depth_png),
    "segmentation": (".segmentation.png", segmentation_png),
}
_SCENES = ("glb", "obj", "ply", "json", "npz")
PHOTO_KINDS = (*_PICTURES, *_SCENES, "texture")


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
            for index in range(len(scene.faces)):
                written.append(f"{stem}.texture_{index:02d}.png")
                write_bytes(folder / written[-1], texture_png(scene, index, size_px=texture_px))
    return tuple(written)
