"""Colors of faces' vertices, and colors as bytes."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from morphable_reconstruct.faces.rows import SceneRows
from morphable_render import shade_sh

SHUT_GAP_M = 0.0004
"""Light that passes shut lips, as a gap between them."""
INNER_UPPER_LIP, INNER_LOWER_LIP = [61, 62, 63], [67, 66, 65]
"""Opposite points of the inner lips among the 68."""
_MOUTH_REGION, _LIPS_SCHEME = "inner_mouth", "ibug68_3d"


def drawn_albedo(rows: SceneRows, *, least_gap_m: float = 0.0) -> Float[Tensor, "faces verts 3"]:
    """Return the albedo as pictures show it: the faces' own, darkened inside the mouth where the model names it.

    Args:
        rows: The faces.
        least_gap_m: The inside of the mouth is drawn as if the lips were at least this far open.
    """
    model = rows.model
    named = {*model.region_names, *model.part_names}
    if _MOUTH_REGION not in named or _LIPS_SCHEME not in model.landmark_schemes or not len(rows):
        return rows.albedo_rgb
    inside = model.region(_MOUTH_REGION)[:, None]
    return torch.where(inside, mouth_light(rows, least_gap_m)[..., None] * rows.albedo_rgb, rows.albedo_rgb)


def mouth_light(rows: SceneRows, least_gap_m: float = 0.0) -> Float[Tensor, "faces verts"]:
    """Return the share of the light that enters between the lips and reaches each point at its depth behind them.

    Spherical-harmonics light casts no shadows. The share is `gap / (gap + depth)`: half at the depth of the gap, and
    little where the lips are shut.
    """
    points = rows.model.landmarks(rows.vertices_model_m, _LIPS_SCHEME)
    upper, lower = points[:, INNER_UPPER_LIP], points[:, INNER_LOWER_LIP]
    gap = (upper - lower).norm(dim=-1).amax(1, keepdim=True).clamp(min=least_gap_m) + SHUT_GAP_M
    front = torch.cat([upper, lower], dim=1)[..., 2].mean(1, keepdim=True)
    return gap / (gap + (front - rows.vertices_model_m[..., 2]).clamp(min=0.0))


def lit_vertex_colors(rows: SceneRows) -> Float[Tensor, "faces verts 3"]:
    """Return `drawn_albedo` shaded with the faces' own light, as the photograph shows it; sRGB clamped to [0, 1]."""
    with torch.no_grad():
        normals = rows.model.normals(rows.vertices_model_m) @ rows.faces.rotation_head.mT
        return shade_sh(drawn_albedo(rows), normals, rows.faces.illumination).clamp(0.0, 1.0)


def to_bytes(colors: Float[np.ndarray, "*batch channels"]) -> UInt8[np.ndarray, "*batch channels"]:
    """Return colors in [0, 1] as bytes; what is outside is clamped."""
    return np.rint(np.clip(colors, 0.0, 1.0) * 255.0).astype(np.uint8)
