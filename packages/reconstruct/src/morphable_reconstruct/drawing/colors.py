"""Colors of faces' vertices, and colors as bytes."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from morphable_reconstruct.faces.rows import SceneRows
from morphable_render import shade_sh

MOUTH_BRIGHTNESS = 0.6
"""Factor on the albedo inside the mouth; spherical-harmonics light casts no shadows there."""
_MOUTH_REGION = "inner_mouth"


def drawn_albedo(rows: SceneRows) -> Float[Tensor, "faces verts 3"]:
    """Return the albedo as pictures show it: the faces' own, darkened inside the mouth where the model names it."""
    model = rows.model
    if _MOUTH_REGION not in {*model.region_names, *model.part_names}:
        return rows.albedo_rgb
    inside = model.region(_MOUTH_REGION)[:, None]
    return torch.where(inside, MOUTH_BRIGHTNESS * rows.albedo_rgb, rows.albedo_rgb)


def lit_vertex_colors(rows: SceneRows) -> Float[Tensor, "faces verts 3"]:
    """Return `drawn_albedo` shaded with the faces' own light, as the photograph shows it; sRGB clamped to [0, 1]."""
    with torch.no_grad():
        normals = rows.model.normals(rows.vertices_model_m) @ rows.faces.rotation_head.mT
        return shade_sh(drawn_albedo(rows), normals, rows.faces.illumination).clamp(0.0, 1.0)


def to_bytes(colors: Float[np.ndarray, "*batch channels"]) -> UInt8[np.ndarray, "*batch channels"]:
    """Return colors in [0, 1] as bytes; what is outside is clamped."""
    return np.rint(np.clip(colors, 0.0, 1.0) * 255.0).astype(np.uint8)
