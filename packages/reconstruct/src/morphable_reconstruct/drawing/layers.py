"""A scene seen by the photograph's camera, with its layers."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

import morphable_render
from morphable_reconstruct.drawing.colors import drawn_albedo, to_bytes
from morphable_reconstruct.faces.rows import SceneRows
from morphable_render import rasterize_faces, shade_sh, vertex_normals
from morphable_render.interpolation import interpolate_at, surface_pixels
from morphable_render.lighting import lighting_normals
from morphable_render.scene import FaceImage

DEPTH_PIXELS = 12_000_000
"""What hides what is seen as well in a picture of so many pixels as in a larger one."""
STRIP_PIXELS = 1_000_000
"""Larger pictures are rendered in strips of about so many pixels, whose layers take 200 MB."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneImage:
    """What the photograph's camera sees of the reconstruction. Where `mask` is false the other layers are zero."""

    rgb: Float[np.ndarray, "rows cols 3"]
    """Lit faces over the background, sRGB in [0, 1]."""
    mask: Bool[np.ndarray, "rows cols"]
    depth_m: Float[np.ndarray, "rows cols"]
    normals: Float[np.ndarray, "rows cols 3"]
    """Unit normals in camera space (+y down, +z into the scene)."""
    face: Int[np.ndarray, "rows cols"]
    """Index of the face in the scene."""
    part: Int[np.ndarray, "rows cols"]
    """Index into `model.part_names`."""


def render_layers(
    rows: SceneRows,
    *,
    size_hw: tuple[int, int] | None = None,
    background: Float[np.ndarray, "rows cols 3"] | None = None,
) -> SceneImage:
    """Render all faces with their light through the photograph's camera; nearer faces hide farther ones.

    Args:
        rows: The faces.
        size_hw: Size of the picture; the photograph's by default. The field of view stays the photograph's.
        background: Colors in [0, 1] of that size; black by default.
    """
    height, width = size_hw or rows.camera.size_hw
    behind = np.zeros((height, width, 3), np.float32) if background is None else background
    if not len(rows):
        return _empty(behind)
    image = morphable_render.render_faces(
        rows.vertices_cam_m,
        rows.model.triangles,
        drawn_albedo(rows),
        illumination=rows.faces.illumination,
        focal_px=rows.camera.focal_px * width / rows.camera.size_hw[1],
        background=torch.from_numpy(np.ascontiguousarray(behind, dtype=np.float32)),
        part_labels=rows.model.part_labels,
    )
    return _as_arrays(image)


@dataclass(frozen=True, kw_only=True, eq=False)
class Strip:
    """Some rows of a picture of the scene."""

    rows: slice
    mask: Bool[np.ndarray, "rows cols"]
    depth_m: Float[np.ndarray, "rows cols"]
    part: Int[np.ndarray, "rows cols"]


def render_strips(rows: SceneRows, *, size_hw: tuple[int, int] | None = None) -> Iterator[Strip]:
    """Render depth and parts of a picture of any size in strips, top to bottom, so that memory stays bounded.

    Args:
        rows: The faces.
        size_hw: As for `render_layers`.
    """
    height, width = size_hw or rows.camera.size_hw
    step = max(1, min(height, STRIP_PIXELS // width))
    for top in range(0, height, step):
        yield _draw_strip(rows, top, min(height, top + step), (height, width))


def render_depth(rows: SceneRows, *, max_pixels: int | None = DEPTH_PIXELS) -> Float[np.ndarray, "rows cols"]:
    """Render the depth of the nearest face per pixel in strips; 0 where there is none.

    Args:
        rows: The faces.
        max_pixels: Larger photographs are rendered at so many pixels; None renders all.
    """
    height, width = rows.camera.size_hw
    scale = 1.0 if max_pixels is None else min(1.0, math.sqrt(max_pixels / (height * width)))
    size_hw = (max(1, round(height * scale)), max(1, round(width * scale)))
    depth_m = np.empty(size_hw, np.float32)
    for strip in render_strips(rows, size_hw=size_hw):
        depth_m[strip.rows] = strip.depth_m
    return depth_m


def _draw_strip(rows: SceneRows, top: int, bottom: int, size_hw: tuple[int, int]) -> Strip:
    """Draw some rows of a picture.

    The renderer has its principal point in the middle of what it draws. A shear that moves points by a share of their
    depth moves every projection by the same number of pixels, and leaves depth as it is.
    """
    height, width = size_hw
    if not len(rows):
        empty = _empty(np.zeros((bottom - top, width, 3), np.float32))
        return Strip(rows=slice(top, bottom), mask=empty.mask, depth_m=empty.depth_m, part=empty.part)
    focal_px = rows.camera.focal_px * width / rows.camera.size_hw[1]
    vertices = rows.vertices_cam_m
    shift_px = height / 2 - (top + bottom) / 2
    if shift_px:
        sheared_y = vertices[..., 1] + vertices[..., 2] * (shift_px / focal_px)
        vertices = torch.stack([vertices[..., 0], sheared_y, vertices[..., 2]], dim=-1)
    image_index = torch.zeros(len(vertices), dtype=torch.int64)
    strip_hw = (bottom - top, width)
    drawn = rasterize_faces(vertices, rows.model.triangles, image_index, focal_px=focal_px, size_hw=strip_hw)
    mask = drawn.mask[0]
    part = torch.where(mask, rows.model.part_labels[drawn.triangle[0]], 0)
    depth_m = torch.where(mask, drawn.depth_m[0], 0.0)
    return Strip(rows=slice(top, bottom), mask=mask.numpy(), depth_m=depth_m.numpy(), part=part.numpy())


def _as_arrays(image: FaceImage) -> SceneImage:
    """The renderer's result as arrays."""
    return SceneImage(
        rgb=image.rgb.clamp(0.0, 1.0).numpy(),
        mask=image.mask.numpy(),
        depth_m=image.depth_m.numpy(),
        normals=image.normals.numpy(),
        face=image.face.numpy(),
        part=image.part.numpy(),
    )


FaceShare = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Share of each pixel from its face, row and column."""


def lay_faces(
    rows: SceneRows,
    pixels: UInt8[np.ndarray, "rows cols 3"],
    *,
    opacity: float,
    hidden_parts: frozenset[str],
    share: FaceShare | None = None,
) -> UInt8[np.ndarray, "rows cols 3"]:
    """Lay the lit faces over a picture; only the pixels that change are computed.

    Args:
        rows: The faces.
        pixels: The photograph, of any size; the field of view stays the photograph's.
        opacity: Opacity of the faces, 0 to 1.
        hidden_parts: Names of parts of the model that stay out, though they hide what is behind them.
        share: Further opacity, from 0 to 1, of pixels given by face, row and column.
    """
    height, width = pixels.shape[:2]
    vertices, triangles = rows.vertices_cam_m, rows.model.triangles
    focal_px = rows.camera.focal_px * width / rows.camera.size_hw[1]
    image_index = torch.zeros(len(vertices), dtype=torch.int64)
    with torch.no_grad():
        drawn = rasterize_faces(vertices, triangles, image_index, focal_px=focal_px, size_hw=(height, width))
        hidden = torch.tensor([name in hidden_parts for name in rows.model.part_names], dtype=torch.bool)
        mask = _without(drawn.mask, drawn.triangle, hidden[rows.model.part_labels])
        normals = lighting_normals(vertex_normals(vertices, triangles))
        colors = shade_sh(drawn_albedo(rows), normals, rows.faces.illumination)
        over = pixels.copy()
        step = max(1, STRIP_PIXELS // width)
        for top in range(0, height, step):
            part = torch.zeros_like(mask)
            part[:, top : top + step] = mask[:, top : top + step]
            if not part.any():
                continue
            shown = surface_pixels(replace(drawn, mask=part), vertices, triangles, focal_px=focal_px)
            rgb = interpolate_at(colors, shown).clamp(0.0, 1.0).numpy()
            row, col = shown.row.numpy(), shown.col.numpy()
            before = pixels[row, col].astype(np.float32) / 255.0
            opaque = opacity if share is None else opacity * share(shown.face.numpy(), row, col)[:, None]
            over[row, col] = to_bytes(before + opaque * (rgb - before))
    return over


def _without(
    mask: Bool[torch.Tensor, "1 rows cols"],
    triangle: Int[torch.Tensor, "1 rows cols"],
    hidden: Bool[torch.Tensor, " tris"],
) -> Bool[torch.Tensor, "1 rows cols"]:
    """Take the pixels of hidden triangles out of a mask, of which most are none."""
    covered = mask.view(-1).nonzero()[:, 0]
    kept = mask.clone()
    kept.view(-1)[covered] = ~hidden[triangle.view(-1)[covered]]
    return kept


def _empty(background: Float[np.ndarray, "rows cols 3"]) -> SceneImage:
    """A picture without faces."""
    shape = background.shape[:2]
    return SceneImage(
        rgb=background.astype(np.float32),
        mask=np.zeros(shape, dtype=np.bool_),
        depth_m=np.zeros(shape, dtype=np.float32),
        normals=np.zeros((*shape, 3), dtype=np.float32),
        face=np.zeros(shape, dtype=np.int64),
        part=np.zeros(shape, dtype=np.int64),
    )
