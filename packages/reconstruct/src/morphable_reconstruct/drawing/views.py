"""Views of a scene from the front, the picture's right and above: parallel, tight around the heads, to scale."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from morphable_reconstruct.drawing.colors import lit_vertex_colors, to_bytes
from morphable_reconstruct.drawing.textured import render_textured
from morphable_reconstruct.drawing.unwrapping import texture_mesh
from morphable_reconstruct.faces.rows import SceneRows
from morphable_render import render_faces
from morphable_render.scene_views import View, view_rotation

VIEW_NAMES: tuple[View, ...] = ("front", "right", "top")
_MARGIN = 0.04
"""Room around the heads on every side, as a part of the scene's shorter side."""
_MAX_ASPECT = 5.0
"""Longest to shortest side; what is longer and thinner is shown smaller."""
_DISTANCE_IN_RADII = 200.0
"""The camera stands this many scene radii away: sizes within a view are equal to 0.5 %."""
_SMALLEST_M = 1e-3
_MIN_SIZE_PX = 16
_CAPTION_SHARE = 0.06
"""Height of the line with name and scale, as a part of `size_px`."""
_BAR_LENGTHS_M = (10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
_BAR_SHARE = 0.35
"""A scale bar is at most this part of the picture's width."""
_INK = (70, 70, 70)
_GAP_PX = 4
_GAP_GRAY = 225
_LAYOUTS = ((("front",), ("right",), ("top",)), (("front", "right"), ("top",)), (("front", "right", "top"),))
"""Columns of the sheet of all views."""
_SCREEN_ASPECT = 2.0
"""Width to height of what the sheet is shown on."""


def render_view(
    rows: SceneRows,
    name: View,
    *,
    size_px: int = 512,
    caption: bool = True,
    textures: Sequence[Float[torch.Tensor, "_ _ 3"]] | None = None,
) -> UInt8[np.ndarray, "rows cols 3"]:
    """Render all faces, in their light, from the front, from the picture's right, or from above.

    The projection is parallel, so that sizes and distances can be read off anywhere with the scale bar; every view
    has a scale of its own. Far things are up in `top`, and to the right in `right`.

    Args:
        rows: The faces.
        name: One of `VIEW_NAMES`.
        size_px: The picture has as many pixels as a square of this side; its shape follows the heads.
        caption: Add a line with the view's name and a scale bar.
        textures: Textures of the faces (`scene_textures`); by default they show their lit albedo.

    Raises:
        ValueError: `size_px` is too small to show anything.
    """
    if size_px < _MIN_SIZE_PX:
        raise ValueError(f"size_px must be at least {_MIN_SIZE_PX}, got {size_px}")
    if not len(rows):
        return np.full((size_px, size_px, 3), 255, dtype=np.uint8)
    vertices = rows.vertices_cam_m
    points = vertices.reshape(-1, 3)
    low, high = points.amin(0), points.amax(0)
    turn = view_rotation(name, vertices)
    size_hw, px_per_m = _frame((turn @ (high - low)).abs()[:2].numpy(), size_px)
    distance_m = _DISTANCE_IN_RADII * float((high - low).norm() / 2)
    placed = (vertices - (low + high) / 2) @ turn.T + torch.tensor([0.0, 0.0, distance_m])
    focal_px, white = px_per_m * distance_m, torch.ones(*size_hw, 3)
    if textures is not None:
        rgb = render_textured(placed, texture_mesh(rows.model), textures, focal_px=focal_px, background=white).rgb
    else:
        colors = lit_vertex_colors(rows)
        rgb = render_faces(placed, rows.model.triangles, colors, focal_px=focal_px, background=white).rgb
    pixels = to_bytes(rgb.numpy())
    return np.vstack([pixels, _caption(name, size_hw[1], px_per_m, size_px)]) if caption else pixels


def join_views(views: dict[str, UInt8[np.ndarray, "_ _ 3"]]) -> UInt8[np.ndarray, "rows cols 3"]:
    """Put front, right and top into one picture: side by side, or below each other where that shows them larger."""
    sheets = [_sheet([[views[name] for name in column] for column in layout]) for layout in _LAYOUTS]
    return min(sheets, key=lambda sheet: (max(sheet.shape[1] / _SCREEN_ASPECT, sheet.shape[0]), sheet.size))


def _frame(extent_m: Float[np.ndarray, "2"], size_px: int) -> tuple[tuple[int, int], float]:
    """Rows and columns of a picture around something of this width and height, and its scale in pixels per meter."""
    sides = [max(float(side), _SMALLEST_M) for side in extent_m]
    width_m, height_m = (side + 2 * _MARGIN * min(sides) for side in sides)
    root = float(np.sqrt(np.clip(width_m / height_m, 1 / _MAX_ASPECT, _MAX_ASPECT)))
    rows, cols = round(size_px / root), round(size_px * root)
    return (rows, cols), min(cols / width_m, rows / height_m)


def _caption(name: str, width_px: int, px_per_m: float, size_px: int) -> UInt8[np.ndarray, "rows cols 3"]:
    """The view's name on the left, a bar of a round length on the right."""
    height_px = max(8, round(_CAPTION_SHARE * size_px))
    line = Image.new("RGB", (width_px, height_px), "white")
    draw = ImageDraw.Draw(line)
    pad, middle = height_px // 2, height_px / 2
    font_px = 0.6 * height_px
    draw.text((pad, middle), name, fill=_INK, font_size=font_px, anchor="lm")
    lengths = [length for length in _BAR_LENGTHS_M if length * px_per_m <= _BAR_SHARE * width_px]
    if lengths:
        right, left = width_px - pad, width_px - pad - lengths[0] * px_per_m
        draw.line((left, middle, right, middle), fill=_INK, width=max(1, height_px // 12))
        for end in (left, right):
            draw.line((end, 0.3 * height_px, end, 0.7 * height_px), fill=_INK, width=max(1, height_px // 12))
        draw.text((left - pad / 2, middle), f"{lengths[0]:g} m", fill=_INK, font_size=font_px, anchor="rm")
    return np.asarray(line)


def _sheet(columns: list[list[UInt8[np.ndarray, "_ _ 3"]]]) -> UInt8[np.ndarray, "rows cols 3"]:
    """Stack pictures in columns, with gray between them."""
    widths = [max(picture.shape[1] for picture in column) + _GAP_PX for column in columns]
    height = max(sum(picture.shape[0] + _GAP_PX for picture in column) for column in columns)
    sheet = np.full((height - _GAP_PX, sum(widths) - _GAP_PX, 3), _GAP_GRAY, dtype=np.uint8)
    for column, left in zip(columns, accumulate(widths, initial=0), strict=False):
        top = 0
        for picture in column:
            rows, cols = picture.shape[:2]
            sheet[top : top + rows, left : left + cols] = picture
            top += rows + _GAP_PX
    return sheet
