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
from morphable_render.interpolate import (
    SurfacePixels,
    interpolate,
    interpolate_at,
    scatter_to_image,
    surface_pixels,
)
from morphable_render.lighting import irradiance_sh, lighting_normals, sh_basis, shade_sh
from morphable_render.normals import vertex_normals
from morphable_render.pixels import RenderedPixels, render_pixels
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

__version__ = "0.1.0"

__all__ = [
    "BACKENDS",
    "GLOBAL_FOCAL_PX",
    "NEAR_M",
    "FaceImage",
    "Fragments",
    "RenderedPixels",
    "SurfacePixels",
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
    "model_from_camera",
    "project",
    "quaternion_from_rotation",
    "rasterize",
    "rasterize_faces",
    "render_faces",
    "render_pixels",
    "rotation_from_6d",
    "rotation_from_angles",
    "rotation_from_euler_xyz",
    "rotation_from_quaternion",
    "rotation_from_vector",
    "scatter_to_image",
    "sh_basis",
    "shade_sh",
    "six_d_from_rotation",
    "surface_pixels",
    "unproject",
    "vector_from_rotation",
    "vertex_normals",
]
