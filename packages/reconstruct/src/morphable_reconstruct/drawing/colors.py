"""Colours of a face's vertices, and colours as bytes."""

import numpy as np
import torch
from jaxtyping import Float, UInt8

from morphable_reconstruct.faces.face import Face
from morphable_render import shade_sh

MOUTH_BRIGHTNESS = 0.6
"""Of the inside of the mouth, to what it would have outside: its light knows no shadow of lips and teeth."""
_MOUTH_REGION = "inner_mouth"


def drawn_albedo(face: Face) -> Float[np.ndarray, "verts 3"]:
    """Albedo as pictures show it: the face's own, darkened inside the mouth where the model names it."""
    model = face.model
    if _MOUTH_REGION not in {*model.region_names, *model.part_names}:
        return face.albedo_rgb
    inside = model.region(_MOUTH_REGION).numpy()
    return np.where(inside[:, None], MOUTH_BRIGHTNESS * face.albedo_rgb, face.albedo_rgb).astype(np.float32)


def lit_vertex_colors(face: Face) -> Float[np.ndarray, "verts 3"]:
    """`drawn_albedo` shaded with the face's own light, as the photograph shows it; sRGB clamped to [0, 1]."""
    rotation = torch.from_numpy(face.rotation_head)
    with torch.no_grad():
        normals = face.model.normals(torch.from_numpy(face.vertices_model_m)) @ rotation.T
        colors = shade_sh(torch.from_numpy(drawn_albedo(face)), normals, torch.from_numpy(face.illumination))
    return colors.clamp(0.0, 1.0).numpy()


def to_bytes(colors: Float[np.ndarray, "*batch channels"]) -> UInt8[np.ndarray, "*batch channels"]:
    """Colours in [0, 1] to bytes; what is outside is clamped."""
    return np.rint(np.clip(colors, 0.0, 1.0) * 255.0).astype(np.uint8)
