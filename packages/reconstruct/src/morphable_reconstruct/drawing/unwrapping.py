"""The texture layout of files and pictures: the model's own, stretched so that the face has most of the texels."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from morphable import MorphableModel
from morphable_render import UvMesh, uv_mesh

NOT_FACE = ("scalp", "neck", "ears", "inner_mouth")
"""Parts that get few texels."""
_BINS = 128
_BLUR_BINS = 9
_REST = 0.12
"""Texels of rows and columns without a face, over those of the average row or column."""
_ROUNDS = 2
_KEPT_MODELS = 4


@lru_cache(maxsize=_KEPT_MODELS)
def texture_mesh(model: MorphableModel) -> UvMesh:
    """Return the topology of a model with the texture coordinates of its pictures; kept for the last few models.

    Rows and columns of the model's own layout are widened by how much face they hold: islands stay islands, edges
    stay in order, and nothing is turned or mirrored. Models that name none of `NOT_FACE` keep their layout.
    """
    mesh = uv_mesh(model)
    face = face_triangles(model)
    if bool(face.all()):
        return mesh
    uv = mesh.uv
    for _ in range(_ROUNDS):
        for axis in (0, 1):
            uv = _widened(uv, mesh.uv_triangles[face], axis)
    return UvMesh(mesh.triangles, uv, mesh.uv_triangles, mesh.mirror_vertices)


def face_triangles(model: MorphableModel) -> Bool[Tensor, " tris"]:
    """Return the triangles of the face itself: what a photograph from the front shows of a person."""
    labels = [index for index, name in enumerate(model.part_names) if name in NOT_FACE]
    return ~torch.isin(model.part_labels, torch.tensor(labels, dtype=model.part_labels.dtype))


def _widened(uv: Float[Tensor, "uv_verts 2"], triangles: Tensor, axis: int) -> Float[Tensor, "uv_verts 2"]:
    """Move one coordinate so that lines with more face get more room."""
    corners = uv[triangles]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]).abs()
    place = (corners[..., axis].mean(1) * _BINS).long().clamp(0, _BINS - 1)
    held = uv.new_zeros(_BINS).index_add(0, place, area)
    smooth = F.avg_pool1d(held[None, None], _BLUR_BINS, stride=1, padding=_BLUR_BINS // 2, count_include_pad=False)
    smooth = F.avg_pool1d(smooth, _BLUR_BINS, stride=1, padding=_BLUR_BINS // 2, count_include_pad=False)[0, 0]
    rate = smooth / smooth.mean() + _REST
    edge = torch.cat([rate.new_zeros(1), rate.cumsum(0) / rate.sum()])
    at = (uv[:, axis] * _BINS).clamp(0, _BINS)
    low = at.long().clamp(max=_BINS - 1)
    moved = edge[low] + (at - low) * (edge[low + 1] - edge[low])
    return torch.stack([moved, uv[:, 1]], dim=1) if axis == 0 else torch.stack([uv[:, 0], moved], dim=1)
