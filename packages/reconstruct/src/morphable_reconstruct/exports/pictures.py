"""Pictures as files: depth, segmentation, parts, textures, overlay, views."""

import colorsys
import io

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from morphable_reconstruct.drawing.axes import draw_axes
from morphable_reconstruct.drawing.colors import to_bytes
from morphable_reconstruct.drawing.crops import face_crop
from morphable_reconstruct.drawing.frontal import frontal_picture
from morphable_reconstruct.drawing.layers import SceneImage, render_strips
from morphable_reconstruct.drawing.textures import photo_texture
from morphable_reconstruct.drawing.views import join_views
from morphable_reconstruct.faces.rows import Face, SceneRows

_JPEG_QUALITY = 92
_PNG_LEVEL = 1
"""Files are a tenth larger than at Pillow's default, and encoded in a third of the time."""
_GOLDEN_RATIO = 0.618034
_MILLIMETERS_PER_METER = 1000.0


def overlay_jpeg(overlay: UInt8[np.ndarray, "rows cols 3"]) -> bytes:
    """Encode the overlay."""
    return encode(Image.fromarray(overlay), "JPEG")


def axes_jpeg(rows: SceneRows) -> bytes:
    """Encode the photograph with the axes of every head."""
    return encode(Image.fromarray(draw_axes(rows)), "JPEG")


def views_png(views: dict[str, UInt8[np.ndarray, "_ _ 3"]]) -> bytes:
    """Encode front, right and top views in one picture."""
    return encode(Image.fromarray(join_views(views)), "PNG")


def depth_png(rows: SceneRows) -> bytes:
    """Encode depth as 16-bit gray in millimeters; 0 where there is no face, at most 65.5 m."""
    millimeters = np.empty(rows.camera.size_hw, np.uint16)
    for strip in render_strips(rows):
        scaled = np.rint(strip.depth_m * _MILLIMETERS_PER_METER)
        millimeters[strip.rows] = scaled.clip(0, np.iinfo(np.uint16).max)
    return encode(Image.fromarray(millimeters), "PNG")


def classes_png(classes: Int[np.ndarray, "rows cols"], *, count: int) -> bytes:
    """Encode numbers of classes, 0 for nothing and 1 to `count`, as a palette picture."""
    picture = Image.fromarray(classes.astype(np.uint8))
    picture.putpalette(part_palette(count).tobytes())
    return encode(picture, "PNG")


def texture_png(face: Face, *, size_px: int | None, depth_m: Float[np.ndarray, "rows cols"]) -> bytes:
    """Encode a face's texture from the photograph; alpha is the share of a texel that was seen."""
    texture = photo_texture(face, size_px=size_px, depth_m=depth_m)
    rgba = np.concatenate([texture.rgb, texture.visible[..., None]], axis=-1)
    return encode(Image.fromarray(to_bytes(rgba)), "PNG")


def render_png(image: SceneImage) -> bytes:
    """Encode the lit faces alone, transparent around them."""
    rgba = np.concatenate([image.rgb, image.mask[..., None].astype(image.rgb.dtype)], axis=-1)
    return encode(Image.fromarray(to_bytes(rgba)), "PNG")


def frontal_png(face: Face, *, depth_m: Float[np.ndarray, "rows cols"]) -> bytes:
    """Encode the textured face, looking straight."""
    return encode(Image.fromarray(frontal_picture(face, depth_m=depth_m)), "PNG")


def crop_png(face: Face) -> bytes:
    """Encode a face's upright crop."""
    return encode(Image.fromarray(face_crop(face)), "PNG")


def part_palette(parts: int) -> UInt8[np.ndarray, "256 3"]:
    """Well separated colors for 1..parts; black for 0."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    for index in range(parts):
        rgb = colorsys.hsv_to_rgb(index * _GOLDEN_RATIO % 1.0, 0.65, 0.95)
        palette[index + 1] = to_bytes(np.array([rgb]))[0]
    return palette


def encode(picture: Image.Image, file_format: str) -> bytes:
    """Encode a picture in memory."""
    stream = io.BytesIO()
    options = {"quality": _JPEG_QUALITY} if file_format == "JPEG" else {"compress_level": _PNG_LEVEL}
    picture.save(stream, file_format, **options)
    return stream.getvalue()
