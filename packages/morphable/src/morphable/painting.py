"""Small shaded pictures of faces: painter's algorithm, no renderer needed."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from PIL import Image, ImageDraw

AMBIENT = 0.5
"""Share of the light that comes from everywhere; the rest falls from `LIGHT`."""
LIGHT = np.array([0.3, 0.5, 0.8]) / math.hypot(0.3, 0.5, 0.8)
"""Direction toward the light: from the viewer's upper right, behind the viewer."""
BACKGROUND = (245, 245, 245)
MARGIN = 1.08
"""Picture size over the head's height."""
SUPERSAMPLING = 2
DOT_RADIUS = 0.006
"""Radius of a drawn point over the picture's size."""


def turn(yaw_rad: float) -> Float[np.ndarray, "3 3"]:
    """Return the head rotation about the vertical axis; positive turns the nose to the viewer's right."""
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def paint(
    vertices: Float[np.ndarray, "verts 3"],
    triangles: Int[np.ndarray, "tris 3"],
    colors: Float[np.ndarray, "verts 3"],
    *,
    rotation_head: Float[np.ndarray, "3 3"],
    size_px: int,
    height_m: float | None = None,
    points: Float[np.ndarray, "points 3"] | None = None,
) -> Image.Image:
    """Draw a shaded mesh seen from the front without perspective, far triangles first.

    Args:
        vertices: Model frame, meters.
        triangles: Corners, counter-clockwise from outside; triangles facing away are not drawn.
        colors: sRGB-encoded vertex colors.
        rotation_head: Applied before looking; identity looks at the face.
        size_px: Side of the square picture.
        height_m: What its height shows; by default the whole mesh.
        points: Model-frame points to mark.
    """
    turned = vertices @ rotation_head.T
    low, high = turned.min(0), turned.max(0)
    shown = height_m or MARGIN * float((high - low)[:2].max())
    side = size_px * SUPERSAMPLING
    flip = np.array([1.0, -1.0])

    def to_px(positions: np.ndarray) -> np.ndarray:
        return (positions[:, :2] - (low + high)[:2] / 2) * flip * (side / shown) + side / 2

    corners = turned[triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = across / np.linalg.norm(across, axis=-1, keepdims=True).clip(min=1e-20)
    light = AMBIENT + (1 - AMBIENT) * (normals @ LIGHT).clip(min=0)
    shaded = (colors[triangles].mean(1) * light[:, None]).clip(0, 1)
    order = np.argsort(corners[:, :, 2].mean(1))
    order = order[normals[order, 2] > 0]
    polygons = to_px(turned)[triangles[order]].reshape(-1, 6)
    image = Image.new("RGB", (side, side), BACKGROUND)
    draw = ImageDraw.Draw(image)
    for polygon, color in zip(polygons.tolist(), (255 * shaded[order]).round().astype(int).tolist(), strict=True):
        draw.polygon(polygon, fill=tuple(color))
    for x, y in () if points is None else to_px(points @ rotation_head.T).tolist():
        radius = DOT_RADIUS * side
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(230, 30, 30))
    return image.resize((size_px, size_px), Image.Resampling.BOX)


def contact_sheet(images: Sequence[Image.Image], columns: int) -> Image.Image:
    """Place pictures of one size side by side, row after row."""
    width, height = images[0].size
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), BACKGROUND)
    for index, image in enumerate(images):
        sheet.paste(image, (index % columns * width, index // columns * height))
    return sheet
