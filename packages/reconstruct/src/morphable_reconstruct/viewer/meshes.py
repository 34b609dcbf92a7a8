"""Faces as meshes for the page."""

from typing import Literal

import numpy as np
import trimesh
from PIL import Image

from morphable_reconstruct.drawing.colors import to_bytes
from morphable_reconstruct.drawing.layers import render_depth
from morphable_reconstruct.exports.layout import textured_layout
from morphable_reconstruct.exports.textures import face_texture
from morphable_reconstruct.scene import Scene

Surface = Literal["photograph", "reflectance", "shape"]
SURFACES: tuple[Surface, ...] = ("photograph", "reflectance", "shape")
_PLAIN = (205, 200, 195)
_ROUGHNESS = 0.85
_EMITTED = 0.35
"""Part of the texture that shines by itself, so that it does not drown in the page's shadows."""
TEXTURE_PX = 512


def face_mesh(scene: Scene, index: int, surface: Surface) -> trimesh.Trimesh:
    """Build a face in camera space with the chosen surface."""
    face = scene[index]
    layout = textured_layout(face.model)
    if surface == "shape":
        triangles = face.model.triangles.numpy()
        colors = np.tile(np.array([*_PLAIN, 255], dtype=np.uint8), (len(face.vertices_cam_m), 1))
        return trimesh.Trimesh(face.vertices_cam_m, triangles, vertex_colors=colors, process=False)
    kind = "photo" if surface == "photograph" else "albedo"
    pixels = face_texture(face, kind=kind, size_px=TEXTURE_PX, depth_m=render_depth(scene) if kind == "photo" else None)
    assert pixels is not None
    picture = Image.fromarray(pixels)
    material = trimesh.visual.material.PBRMaterial(  # type: ignore[no-untyped-call]
        baseColorTexture=picture,
        emissiveTexture=picture if surface == "photograph" else None,
        emissiveFactor=[_EMITTED] * 3 if surface == "photograph" else None,
        metallicFactor=0.0,
        roughnessFactor=_ROUGHNESS,
    )
    uv = layout.uv * (1.0, -1.0) + (0.0, 1.0)  # trimesh counts v from the bottom
    visual = trimesh.visual.TextureVisuals(uv=uv, material=material)  # type: ignore[no-untyped-call]
    return trimesh.Trimesh(face.vertices_cam_m[layout.source], layout.triangles, visual=visual, process=False)


def thumbnail(scene: Scene, *, side_px: int = 900) -> np.ndarray:
    """The photograph with boxes and landmarks."""
    picture = Image.fromarray(scene.overlay(opacity=0.0, max_side_px=side_px))
    return to_bytes(np.asarray(picture, dtype=np.float32) / 255)
