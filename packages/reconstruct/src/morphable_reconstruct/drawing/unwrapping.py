"""The texture layout of files and pictures: the model's own, rearranged so that the face has most of the texels."""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from morphable import MorphableModel
from morphable_render import uv_mesh
from morphable_render.uv import UvMesh

NOT_FACE = ("scalp", "neck", "ears", "inner_mouth")
"""Parts that get few texels."""
PIECES = ("left_eye", "right_eye", "inner_mouth")
"""Parts whose own islands become squares of equal size along the top: eyeballs, teeth, tongue."""
LARGEST_SQUARE = 1 / 8
"""Side of such a square, of the texture's, at most."""
_SQUARE_MARGIN = 0.05
_BINS = 128
_BLUR_BINS = 9
_REST = 0.25
"""Texels of rows and columns without a face, over those of the average row or column."""
_ROUNDS = 2
_KEPT_MODELS = 4


@lru_cache(maxsize=_KEPT_MODELS)
def texture_mesh(model: MorphableModel) -> UvMesh:
    """Return the topology of a model with the texture coordinates of its pictures; kept for the last few models.

    Islands of eyes and mouth become squares along the top. Below them, rows and columns of the model's own layout are
    widened by how much face they hold: islands stay islands, edges stay in order, and nothing is turned or mirrored.
    Models that name none of `NOT_FACE` keep their layout.
    """
    mesh = uv_mesh(model)
    face = face_triangles(model)
    if bool(face.all()):
        return mesh
    island = _islands(mesh)
    pieces = _piece_islands(model, mesh, island)
    rest = ~torch.isin(island, pieces)
    side = min(LARGEST_SQUARE, 1 / max(len(pieces), 1)) if len(pieces) else 0.0
    uv = mesh.uv.clone()
    uv[rest] = _fitted(uv[rest], (0.0, 0.0), (1.0, 1.0))
    of_head = face & rest[mesh.uv_triangles[:, 0]]
    for _ in range(_ROUNDS):
        for axis in (0, 1):
            uv = torch.where(rest[:, None], _widened(uv, mesh.uv_triangles[of_head], axis), uv)
    uv[rest] = _fitted(uv[rest], (0.0, side), (1.0, 1.0))
    margin = _SQUARE_MARGIN * side
    for index, piece in enumerate(pieces):
        inside = island == piece
        low, high = (index * side + margin, margin), ((index + 1) * side - margin, side - margin)
        uv[inside] = _fitted(uv[inside], low, high)
    return UvMesh(mesh.triangles, uv, mesh.uv_triangles, mesh.mirror_vertices)


def face_triangles(model: MorphableModel) -> Bool[Tensor, " tris"]:
    """Return the triangles of the face itself: what a photograph from the front shows of a person."""
    return ~_of_parts(model, NOT_FACE)


def _of_parts(model: MorphableModel, names: tuple[str, ...]) -> Bool[Tensor, " tris"]:
    """Triangles of some parts."""
    labels = [index for index, name in enumerate(model.part_names) if name in names]
    return torch.isin(model.part_labels, torch.tensor(labels, dtype=model.part_labels.dtype))


def _islands(mesh: UvMesh) -> Int[Tensor, " uv_verts"]:
    """Number the pieces of the layout that hang together."""
    corner, count = mesh.uv_triangles.numpy(), len(mesh.uv)
    ends = np.concatenate([corner[:, :2], corner[:, 1:]])
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    return torch.from_numpy(connected_components(graph, directed=False)[1].astype(np.int64))


def _piece_islands(model: MorphableModel, mesh: UvMesh, island: Int[Tensor, " uv_verts"]) -> Int[Tensor, " pieces"]:
    """Return the islands that hold nothing but eyes or mouth."""
    of_triangle, inside = island[mesh.uv_triangles[:, 0]], _of_parts(model, PIECES)
    return of_triangle[inside][~torch.isin(of_triangle[inside], of_triangle[~inside])].unique()


def _fitted(
    uv: Float[Tensor, "uv_verts 2"], low: tuple[float, float], high: tuple[float, float]
) -> Float[Tensor, "uv_verts 2"]:
    """Move and stretch coordinates so that they fill a rectangle."""
    first, last = uv.amin(0), uv.amax(0)
    share = (uv - first) / (last - first).clamp(min=1e-9)
    return uv.new_tensor(low) + share * (uv.new_tensor(high) - uv.new_tensor(low))


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
