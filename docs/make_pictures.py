"""Draw the pictures of the README and the gallery again, with the bundled weights or `--weights`.

`python docs/make_pictures.py PORTRAITS` takes the folder of photographs that `gallery.md` names and credits, and
writes docs/front.jpg and docs/gallery/. Portraits give a strip: photograph, overlay, the textured head from three
sides, the shape alone. Groups give the overlay and all
faces drawn through the photograph's camera.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import UInt8
from PIL import Image

import morphable_render as mr
from morphable.geometry import rotation_from_angles
from morphable_reconstruct import Face, Reconstructor, Scene, photo_texture
from morphable_reconstruct.drawing.textured import render_textured
from morphable_reconstruct.drawing.unwrapping import texture_mesh
from morphable_render.interpolation import interpolate_at, scatter_to_image, surface_pixels

DOCS = Path(__file__).parent
PORTRAITS = (
    "clic25_1cba10ad9bb4ced57",
    "cid22_pexels-photo-60963",
    "clic25_0369d229ba4c9965d",
    "clic25_f67f11de4ca9ebda3",
    "clic25_11f2b039b29375839",
    "clic25_50d13125b665e0c4c",
    "cid22_pexels-photo-28110",
)
GROUPS = ("clic25_100a02c269c594839",)
FRONT_PORTRAITS = PORTRAITS[:2]
"""Portraits that stand below the group in the README's picture."""
HEIGHT_PX, GROUP_HEIGHT_PX, HEAD_PX, FRONT_WIDTH_PX = 360, 600, 360, 1200
YAWS_DEG = (-35.0, 0.0, 35.0)
DISTANCE_M = 1.5
SHAPE_GRAY, LIGHT_FROM = 0.75, (-0.4, -0.5, -0.77)
OVERSAMPLING = 2
FILLED, EMPTY_SIDE = 0.9, 0.1
"""Height of a head and each empty side, as shares of its square picture."""

Pixels = UInt8[np.ndarray, "rows cols 3"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Draw the README's and the gallery's pictures."""

    portraits: tyro.conf.Positional[Path]
    """Folder of the photographs."""
    weights: str = "mobile"
    """Bundled weights by name, or a weights file."""
    out: Path = DOCS
    """Folder that the pictures are written to."""


def to_pixels(rgb: torch.Tensor) -> Pixels:
    """Average the oversampled pixels of a head's square picture, cut its empty sides off, and round."""
    small = rgb.unflatten(0, (-1, OVERSAMPLING)).unflatten(2, (-1, OVERSAMPLING)).mean((1, 3))
    side = round(EMPTY_SIDE * small.shape[1])
    return (small[:, side:-side].clamp(0.0, 1.0) * 255.0).round().byte().numpy()


def placed(face: Face, yaw_deg: float) -> tuple[torch.Tensor, float, int]:
    """Return camera-frame vertices of a head turned by an angle, with focal length and side of its picture."""
    side = HEAD_PX * OVERSAMPLING
    model = face.scene.vertices_model_m[face.index]
    turn = rotation_from_angles(torch.tensor([[0.0, np.deg2rad(yaw_deg), 0.0]]))[0].float()
    turned = (model - model.mean(0)) @ turn.mT * torch.tensor([1.0, -1.0, -1.0])
    height = float(model[:, 1].max() - model[:, 1].min())
    middle = (turned.amin(0) + turned.amax(0)) / 2
    return turned - middle + torch.tensor([0.0, 0.0, DISTANCE_M]), FILLED * side * DISTANCE_M / height, side


def textured_head(face: Face, texture: torch.Tensor, yaw_deg: float) -> Pixels:
    """Draw a head in the photograph's texture."""
    vertices, focal_px, side = placed(face, yaw_deg)
    background = torch.ones(side, side, 3)
    image = render_textured(
        vertices[None], texture_mesh(face.model), [texture], focal_px=focal_px, background=background
    )
    return to_pixels(image.rgb)


def plain_head(face: Face, yaw_deg: float) -> Pixels:
    """Draw the shape of a head in gray under one lamp."""
    vertices, focal_px, side = placed(face, yaw_deg)
    normals = face.model.normals(vertices)
    gray = SHAPE_GRAY * (0.25 + 0.75 * (normals @ torch.tensor(LIGHT_FROM)).clamp(min=0.0))
    fragments = mr.rasterize_faces(
        vertices[None], face.model.triangles, torch.zeros(1, dtype=torch.int64), focal_px=focal_px, size_hw=(side, side)
    )
    pixels = surface_pixels(fragments, vertices[None], face.model.triangles, focal_px=focal_px)
    values = interpolate_at(gray[None, :, None].expand(-1, -1, 3), pixels)
    return to_pixels(scatter_to_image(values, pixels, torch.ones(1, side, side, 3))[0])


def as_high(picture: Pixels, height_px: int) -> Image.Image:
    """Scale a picture to a height."""
    image = Image.fromarray(picture)
    return image.resize((round(image.width * height_px / image.height), height_px), Image.Resampling.LANCZOS)


def joined(pictures: list[Image.Image]) -> Image.Image:
    """Put pictures of one height side by side."""
    row = Image.new("RGB", (sum(picture.width for picture in pictures), pictures[0].height), "white")
    left = 0
    for picture in pictures:
        row.paste(picture, (left, 0))
        left += picture.width
    return row


def largest(scene: Scene) -> Face:
    """Return the largest face.

    Raises:
        ValueError: There is none.
    """
    if not len(scene):
        raise ValueError(f"{scene.name} must show a face; none was found with these weights")
    box = scene.box_xyxy_px
    return scene[int(np.argmax((box[:, 2:] - box[:, :2]).prod(1)))]


def portrait_strip(scene: Scene) -> Image.Image:
    """Draw a portrait's strip."""
    face = largest(scene)
    texture = torch.from_numpy(photo_texture(face, depth_m=scene.depth_m).rgb)
    heads = [textured_head(face, texture, yaw) for yaw in YAWS_DEG]
    pictures = [scene.image, scene.overlay(), *heads, plain_head(face, YAWS_DEG[-1])]
    return joined([as_high(picture, HEIGHT_PX) for picture in pictures])


def group_strip(scene: Scene) -> Image.Image:
    """Draw a group's overlay, and its faces alone."""
    faces = scene.render(background=np.ones((*scene.camera.size_hw, 3), np.float32)).rgb
    alone = (np.asarray(faces) * 255.0).round().astype(np.uint8)
    return joined([as_high(picture, GROUP_HEIGHT_PX) for picture in (scene.overlay(), alone)])


def stacked(strips: list[Image.Image], width_px: int) -> Image.Image:
    """Put strips under each other, each as wide."""
    scaled = [strip.resize((width_px, round(strip.height * width_px / strip.width))) for strip in strips]
    page = Image.new("RGB", (width_px, sum(strip.height for strip in scaled)), "white")
    top = 0
    for strip in scaled:
        page.paste(strip, (0, top))
        top += strip.height
    return page


def main() -> None:
    """Draw all pictures."""
    options = tyro.cli(Options)
    reconstructor = Reconstructor(options.weights)
    (options.out / "gallery").mkdir(parents=True, exist_ok=True)
    strips = {}
    for names, draw in ((GROUPS, group_strip), (PORTRAITS, portrait_strip)):
        for name in names:
            strips[name] = draw(reconstructor(options.portraits / f"{name}.jpg"))
            strips[name].save(options.out / "gallery" / f"{name}.jpg", quality=85, optimize=True)
            print(f"{name}: {strips[name].width}x{strips[name].height}")
    front = stacked([strips[name] for name in (*GROUPS, *FRONT_PORTRAITS)], FRONT_WIDTH_PX)
    front.save(options.out / "front.jpg", quality=85, optimize=True)


if __name__ == "__main__":
    main()
