"""Colors of faces' vertices, and colors as bytes."""

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, UInt8
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from morphable import MorphableModel
from morphable.eyes import EYE_PARTS
from morphable.landmarks import INNER_LOWER_LIP, INNER_UPPER_LIP, LEFT_EYE, RIGHT_EYE
from morphable_reconstruct.faces.rows import SceneRows
from morphable_render import shade_sh

SHUT_GAP_M = 0.0004
"""Light that passes shut lips, as a gap between them."""
REACH, DEPTH_M = 5.0, 0.06
"""Light has lost half of its strength this many gaps deep in the mouth, and 1/e of it is left at the depth, in meters,
however wide the mouth is open."""
TEETH_RGB = (0.95, 0.9, 0.82)
"""Albedo of teeth: off-white. On Helen's choosing half the inside of mouths is nearer to the photographs so than with
teeth of 0.78."""
CROWN_M, GUM_M = 0.0085, 0.0105
"""Distances from the edges of a row of teeth at which crowns end and gums begin."""
LOWER_FRONT_M, LOWER_BACK_M = 0.006, 0.011
"""Distances behind the front of the lower row between which its crowns end: the sides, which show seldom, come through
the corners of wide open mouths."""
HOLLOW_M = 0.012
"""A piece of the mouth without any vertex this near its middle is a row of teeth."""
LID_SHADOW, LID_SHADOW_M = 0.4, 0.0025
"""Share of the light that eyeballs lose at the lids, and the distance from them at which 1/e of that loss is left."""
EYE_POINTS = dict(zip(EYE_PARTS, (list(RIGHT_EYE), list(LEFT_EYE)), strict=True))
"""Points of the lids among the 68, by part of the model."""
LIDS_SCHEME = "ibug68_3d"
"""The 68 points, from which lips and lids are known."""
_MOUTH_REGION = "inner_mouth"
_KEPT_MODELS = 4


def drawn_albedo(rows: SceneRows, *, least_gap_m: float = 0.0) -> Float[Tensor, "faces verts 3"]:
    """Return the albedo as pictures show it: off-white teeth, and darker where little light comes.

    Spherical-harmonics light casts no shadows: mouths and the eyes' edges get theirs here, where the model names them.

    Args:
        rows: The faces.
        least_gap_m: The inside of the mouth is drawn as if the lips were at least this far open.
    """
    model, albedo = rows.model, rows.albedo_rgb
    if LIDS_SCHEME not in model.landmark_schemes or not len(rows):
        return albedo
    points = model.landmarks(rows.vertices_model_m, LIDS_SCHEME)
    if _named(model, _MOUTH_REGION):
        crown = crown_share(model)[:, None].to(albedo)
        albedo = albedo + crown * (albedo.new_tensor(TEETH_RGB) - albedo)
        light = mouth_light(points, rows.vertices_model_m, least_gap_m)
        albedo = torch.where(model.region(_MOUTH_REGION)[:, None], light[..., None] * albedo, albedo)
    return albedo * lid_shadow(model, points, rows.vertices_model_m)[..., None]


def mouth_light(
    landmarks68_m: Float[Tensor, "faces 68 3"], vertices_m: Float[Tensor, "faces verts 3"], least_gap_m: float = 0.0
) -> Float[Tensor, "faces verts"]:
    """Return the share of the light that enters between the lips and reaches each point at its depth behind them.

    The share is `exp(-depth / DEPTH_M) / (1 + (depth / (REACH gap))^2)`: little where the lips are shut. Positions are
    in the model frame.
    """
    upper, lower = landmarks68_m[:, list(INNER_UPPER_LIP)], landmarks68_m[:, list(INNER_LOWER_LIP)]
    gap = (upper - lower).norm(dim=-1).amax(1, keepdim=True).clamp(min=least_gap_m) + SHUT_GAP_M
    front = torch.cat([upper, lower], dim=1)[..., 2].mean(1, keepdim=True)
    depth = (front - vertices_m[..., 2]).clamp(min=0.0)
    return torch.exp(-depth / DEPTH_M) / (1 + (depth / (REACH * gap)).square())


def lid_shadow(
    model: MorphableModel, landmarks68_m: Float[Tensor, "faces 68 3"], vertices_m: Float[Tensor, "faces verts 3"]
) -> Float[Tensor, "faces verts"]:
    """Return the share of the light that reaches each point past lids and lashes: less than 1 on eyeballs alone."""
    share = torch.ones_like(vertices_m[..., 0])
    for name, rim in EYE_POINTS.items():
        if name not in model.part_names:
            continue
        inside = model.region(name)
        start = landmarks68_m[:, rim, None, :2]
        along = start.roll(-1, 1) - start
        off = vertices_m[:, None, inside, :2] - start
        place = (off * along).sum(-1, keepdim=True) / along.square().sum(-1, keepdim=True).clamp(min=1e-12)
        distance = (off - place.clamp(0, 1) * along).norm(dim=-1).amin(1)
        share[:, inside] = 1 - LID_SHADOW * torch.exp(-distance / LID_SHADOW_M)
    return share


@lru_cache(maxsize=_KEPT_MODELS)
def crown_share(model: MorphableModel) -> Float[Tensor, " verts"]:
    """Return how much of each vertex is a tooth's crown: 0 on gums and outside rows of teeth."""
    with torch.no_grad():
        neutral = model.decode_shape(torch.zeros(model.num_identity), torch.zeros(model.num_expression)).numpy()
    corner = model.triangles.numpy()
    ends = np.concatenate([corner[:, :2], corner[:, 1:]])
    count = model.num_vertices
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    piece = connected_components(graph, directed=False)[1]
    inside = model.region(_MOUTH_REGION).numpy()
    rows = []
    for label in np.unique(piece[inside]):
        place = neutral[piece == label]
        whole = inside[piece == label].all()
        if whole and np.linalg.norm(place - place.mean(0), axis=1).min() > HOLLOW_M:
            rows.append(np.flatnonzero(piece == label))
    share = torch.zeros(count)
    middle = np.mean([neutral[row, 1].mean() for row in rows]) if rows else 0.0
    for row in rows:
        _, y, z = torch.from_numpy(neutral[row]).float().T
        height = y - float(np.polyfit(z, y, 1)[0]) * z
        upper = float(y.mean()) > middle
        from_edge = height - height.min() if upper else height.max() - height
        crown = ((GUM_M - from_edge) / (GUM_M - CROWN_M)).clamp(0, 1)
        if not upper:
            crown = crown * ((LOWER_BACK_M - (z.max() - z)) / (LOWER_BACK_M - LOWER_FRONT_M)).clamp(0, 1)
        share[torch.from_numpy(row)] = crown
    return share


def _named(model: MorphableModel, region: str) -> bool:
    """Whether a model has a region or part of this name."""
    return region in (*model.region_names, *model.part_names)


def lit_vertex_colors(rows: SceneRows) -> Float[Tensor, "faces verts 3"]:
    """Return `drawn_albedo` shaded with the faces' own light, as the photograph shows it; sRGB clamped to [0, 1]."""
    with torch.no_grad():
        normals = rows.model.normals(rows.vertices_model_m) @ rows.faces.rotation_head.mT
        return shade_sh(drawn_albedo(rows), normals, rows.faces.illumination).clamp(0.0, 1.0)


def to_bytes(colors: Float[np.ndarray, "*batch channels"]) -> UInt8[np.ndarray, "*batch channels"]:
    """Return colors in [0, 1] as bytes; what is outside is clamped."""
    return np.rint(np.clip(colors, 0.0, 1.0) * 255.0).astype(np.uint8)
