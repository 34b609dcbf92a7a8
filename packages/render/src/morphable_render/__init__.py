"""Render many textured, lit faces in one camera, differentiably, on CPU or GPU, without a compiler."""

from morphable_render.camera import (
    GLOBAL_FOCAL_PX,
    camera_from_model,
    decode_translation,
    encode_translation,
    intrinsic_matrix,
    model_from_camera,
    project,
    unproject,
)
from morphable_render.focal import RefocusedPose, refocus
from morphable_render.interpolate import SurfacePixels, interpolate, interpolate_at, scatter_to_image, surface_pixels
from morphable_render.lighting import irradiance_sh, lighting_normals, sh_basis, shade_sh
from morphable_render.normals import vertex_normals
from morphable_render.orthographic import (
    pinhole_from_scaled_orthographic,
    project_scaled_orthographic,
    scaled_orthographic_from_pinhole,
    stand_in_pinhole,
)
from morphable_render.pixels import RenderedPixels, render_pixels
from morphable_render.pncc import pncc_colors
from morphable_render.rasterize import BACKENDS, NEAR_M, Fragments, rasterize, rasterize_faces
from morphable_render.rotation import (
    euler_xyz_from_rotation,
    head_angles,
    quaternion_from_rotation,
    rotation_from_6d,
    rotation_from_angles,
    rotation_from_euler_xyz,
    rotation_from_quaternion,
    rotation_from_vector,
    six_d_from_rotation,
    vector_from_rotation,
)
from morphable_render.scene import FaceImage, render_faces
from morphable_render.texture import BakedTexture, bake_texture, surface_visibility
from morphable_render.uv import (
    UvLayout,
    UvMesh,
    mirrored_uv,
    sample_image,
    uv_at_surface,
    uv_layout,
    uv_map_from_vertices,
    uv_mesh,
    vertices_from_uv_map,
)
from morphable_render.views import SceneViews, render_view, view_rotation, views

__version__ = "0.1.0"

__all__ = [
    "BACKENDS",
    "GLOBAL_FOCAL_PX",
    "NEAR_M",
    "BakedTexture",
    "FaceImage",
    "Fragments",
    "RefocusedPose",
    "RenderedPixels",
    "SceneViews",
    "SurfacePixels",
    "UvLayout",
    "UvMesh",
    "bake_texture",
    "camera_from_model",
    "decode_translation",
    "encode_translation",
    "euler_xyz_from_rotation",
    "head_angles",
    "interpolate",
    "interpolate_at",
    "intrinsic_matrix",
    "irradiance_sh",
    "lighting_normals",
    "mirrored_uv",
    "model_from_camera",
    "pinhole_from_scaled_orthographic",
    "pncc_colors",
    "project",
    "project_scaled_orthographic",
    "quaternion_from_rotation",
    "rasterize",
    "rasterize_faces",
    "refocus",
    "render_faces",
    "render_pixels",
    "render_view",
    "rotation_from_6d",
    "rotation_from_angles",
    "rotation_from_euler_xyz",
    "rotation_from_quaternion",
    "rotation_from_vector",
    "sample_image",
    "scaled_orthographic_from_pinhole",
    "scatter_to_image",
    "sh_basis",
    "shade_sh",
    "six_d_from_rotation",
    "stand_in_pinhole",
    "surface_pixels",
    "surface_visibility",
    "unproject",
    "uv_at_surface",
    "uv_layout",
    "uv_map_from_vertices",
    "uv_mesh",
    "vector_from_rotation",
    "vertex_normals",
    "vertices_from_uv_map",
    "view_rotation",
    "views",
]
