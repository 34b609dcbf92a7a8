"""Render many textured, lit faces in one camera, differentiably, on CPU or GPU, without a compiler."""

from morphable_render.interpolation import SurfacePixels, interpolate, interpolate_at, scatter_to_image, surface_pixels
from morphable_render.lighting import irradiance_sh, lighting_normals, mirror_illumination, sh_basis, shade_sh
from morphable_render.normals import vertex_normals
from morphable_render.orthographic import stand_in_pinhole
from morphable_render.pixels import RenderedPixels, render_pixels
from morphable_render.pncc import pncc_colors
from morphable_render.rasterization import BACKENDS, NEAR_M, Fragments, rasterize, rasterize_faces
from morphable_render.scene import FaceImage, render_faces
from morphable_render.scene_views import SceneViews, render_view, view_rotation, views
from morphable_render.texture import BakedTexture, bake_texture, surface_visibility
from morphable_render.uv import (
    PositionMapKind,
    PositionMapLayout,
    UvLayout,
    UvMesh,
    mirrored_uv,
    position_map_layout,
    sample_image,
    uv_at_surface,
    uv_layout,
    uv_map_from_vertices,
    uv_mesh,
    vertices_from_uv_map,
)

__version__ = "0.1.0"

__all__ = [
    "BACKENDS",
    "NEAR_M",
    "BakedTexture",
    "FaceImage",
    "Fragments",
    "PositionMapKind",
    "PositionMapLayout",
    "RenderedPixels",
    "SceneViews",
    "SurfacePixels",
    "UvLayout",
    "UvMesh",
    "bake_texture",
    "interpolate",
    "interpolate_at",
    "irradiance_sh",
    "lighting_normals",
    "mirror_illumination",
    "mirrored_uv",
    "pncc_colors",
    "position_map_layout",
    "rasterize",
    "rasterize_faces",
    "render_faces",
    "render_pixels",
    "render_view",
    "sample_image",
    "scatter_to_image",
    "sh_basis",
    "shade_sh",
    "stand_in_pinhole",
    "surface_pixels",
    "surface_visibility",
    "uv_at_surface",
    "uv_layout",
    "uv_map_from_vertices",
    "uv_mesh",
    "vertex_normals",
    "vertices_from_uv_map",
    "view_rotation",
    "views",
]
