"""Faces as GLB files for the page."""

import io
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from morphable_reconstruct.drawing.layers import render_depth
from morphable_reconstruct.exports.glb import UNLIT
from morphable_reconstruct.exports.gltf import GltfBuilder
from morphable_reconstruct.exports.layout import textured_layout
from morphable_reconstruct.exports.textures import face_texture
from morphable_reconstruct.faces.rows import Face
from morphable_reconstruct.scene import Scene

Surface = Literal["photograph", "reflectance", "shape"]
SURFACES: tuple[Surface, ...] = ("photograph", "reflectance", "shape")
_PLAIN = (0.62, 0.59, 0.56, 1.0)
_ROUGHNESS = 0.85
_JPEG_QUALITY = 92
TEXTURE_PX = 1024


def surface_texture(scene: Scene, index: int, surface: Surface) -> UInt8[np.ndarray, "size size 3"] | None:
    """Make the texture of a face for the chosen surface; None for the bare shape."""
    if surface == "shape":
        return None
    kind = "photo" if surface == "photograph" else "albedo"
    depth_m = render_depth(scene) if kind == "photo" else None
    return face_texture(scene[index], kind=kind, size_px=TEXTURE_PX, depth_m=depth_m)


def face_glb(face: Face, pixels: UInt8[np.ndarray, "size size 3"] | None, *, unlit: bool) -> bytes:
    """Encode a face, as it is posed, in camera space.

    Args:
        face: The face.
        pixels: Its texture.
        unlit: The texture holds the light and is shown as it is.
    """
    builder, layout = GltfBuilder(), textured_layout(face.model)
    vertices = torch.from_numpy(face.vertices_cam_m)
    attributes = {
        "POSITION": builder.add_vertices(vertices.numpy()[layout.source], bounds=True),
        "NORMAL": builder.add_vertices(face.model.normals(vertices).numpy()[layout.source]),
    }
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": _ROUGHNESS, "baseColorFactor": list(_PLAIN)}
    if pixels is not None:
        attributes["TEXCOORD_0"] = builder.add_vertices(layout.uv)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        image = builder.add_image(stream.getvalue(), "image/jpeg", "face")
        surface["baseColorTexture"] = {"index": builder.add("textures", {"source": image})}
        surface["baseColorFactor"] = [1.0, 1.0, 1.0, 1.0]
    material: dict[str, Any] = {"pbrMetallicRoughness": surface, "doubleSided": True}
    if unlit:
        material["extensions"] = {UNLIT: {}}
        builder.document["extensionsUsed"] = [UNLIT]
    indices = builder.add_indices(layout.triangles)
    primitive = {"attributes": attributes, "indices": indices, "material": builder.add("materials", material)}
    node = builder.add("nodes", {"mesh": builder.add("meshes", {"primitives": [primitive]})})
    builder.add("scenes", {"nodes": [node]})
    builder.document["scene"] = 0
    return builder.to_glb()


def thumbnail(scene: Scene, *, side_px: int = 900) -> UInt8[np.ndarray, "rows cols 3"]:
    """Return a small copy of the photograph with boxes and landmarks."""
    return scene.overlay(opacity=0.0, max_side_px=side_px)
