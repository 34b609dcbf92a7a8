"""Render many textured, lit faces in one camera, differentiably, on CPU or GPU, without a compiler."""

from morphable_render.lighting import shade_sh
from morphable_render.normals import vertex_normals
from morphable_render.pixels import render_pixels
from morphable_render.rasterization import rasterize, rasterize_faces
from morphable_render.scene import render_faces
from morphable_render.scene_views import render_view, views
from morphable_render.texture import bake_texture
from morphable_render.uv import position_map_layout, sample_image, uv_layout, uv_mesh

__version__ = "0.1.0"

__all__ = [
    "bake_texture",
    "position_map_layout",
    "rasterize",
    "rasterize_faces",
    "render_faces",
    "render_pixels",
    "render_view",
    "sample_image",
    "shade_sh",
    "uv_layout",
    "uv_mesh",
    "vertex_normals",
    "views",
]
