"""Steps that several importers share: landmarks from vertices, orientation, symmetry, colour of models without one."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from morphable.contour_lines import trace_contour_lines
from morphable.geometry import SurfacePoints, mirror_points, triangles_of_vertices
from morphable.linear import apply_rows
from morphable.model_data import ModelData

NEUTRAL_ALBEDO = 0.7
"""Grey of models that bring no colour (sRGB-encoded)."""
SYMMETRY_TOLERANCE_M = 5e-4
"""Largest distance between a mirrored vertex and its counterpart that still counts as symmetric."""
NEIGHBOURHOODS = 2
"""Rings of neighbours that tell vertices at one place apart."""
CHUNK = 256
"""Vertices compared at a time."""
SIDE_SUFFIX = re.compile(r"(_L|_R|Left|Right)$")
OTHER_SIDE = {"_L": "_R", "_R": "_L", "Left": "Right", "Right": "Left"}


def as_modes(columns: np.ndarray, count: int, unit_m: float) -> Float[Tensor, "modes verts 3"]:
    """Turn a matrix of one column per mode (x, y, z of each vertex in turn) into our bases, in metres."""
    kept = np.asarray(columns, dtype=np.float64)[:, :count] * unit_m
    return torch.from_numpy(np.ascontiguousarray(kept.T)).reshape(kept.shape[1], -1, 3).float()


def neutral_albedo(num_vertices: int) -> tuple[Float[Tensor, "verts 3"], Float[Tensor, "0 verts 3"]]:
    """Return the mean albedo and the empty albedo basis of a model without colour."""
    return torch.full((num_vertices, 3), NEUTRAL_ALBEDO), torch.zeros(0, num_vertices, 3)


def vertex_points(vertex: Int[np.ndarray, " points"], triangles: Int[Tensor, "tris 3"]) -> SurfacePoints:
    """Return surface points at vertices, each on the first triangle that has the vertex.

    Raises:
        ValueError: If a vertex has no triangle.
    """
    wanted = torch.from_numpy(np.asarray(vertex).astype(np.int64))
    is_corner = triangles[None] == wanted[:, None, None]
    on_triangle = is_corner.any(-1)
    if not bool(on_triangle.any(-1).all()):
        raise ValueError(f"landmark vertices must belong to a triangle, got {wanted[~on_triangle.any(-1)].tolist()}")
    triangle = on_triangle.int().argmax(-1)
    return SurfacePoints(triangle, is_corner[torch.arange(len(wanted)), triangle].float())


def outward(triangles: Int[Tensor, "tris 3"], vertices: Float[Tensor, "verts 3"]) -> Int[Tensor, "tris 3"]:
    """Return the triangles with their corners counter-clockwise seen from outside, turning all of them if needed."""
    first, second, third = (vertices[triangles[:, corner]] - vertices.mean(0) for corner in range(3))
    volume = (torch.linalg.cross(second, third) * first).sum()
    return triangles if float(volume) > 0 else triangles.flip(-1)


def tiled_uv(uv: Float[np.ndarray, "uv_verts 2"]) -> Float[Tensor, "uv_verts 2"]:
    """Bring texture coordinates that use several tiles (u from 0 to n, v upwards) into one square, v down.

    Tiles keep their places side by side, row after row, so that no two share texture.
    """
    tile = np.floor(np.clip(uv, 0, None) - 1e-9).clip(min=0)
    number = tile[:, 0] + tile[:, 1] * (tile[:, 0].max(initial=0) + 1)
    per_side = int(np.ceil(np.sqrt(number.max(initial=0) + 1)))
    inside = uv - tile
    inside[:, 1] = 1 - inside[:, 1]
    corner = np.stack([number % per_side, number // per_side], axis=-1)
    return torch.from_numpy((corner + inside) / per_side).float()


def with_contour(data: ModelData) -> ModelData:
    """Add contour lines to a model with the static 68 points and no subdivision."""
    points = data.landmarks["ibug68_3d"]
    return replace(data, contour=trace_contour_lines(data.mean, data.triangles, points))


def with_symmetry(data: ModelData) -> ModelData:
    """Add what the model's mesh and modes have of mirror symmetry (no subdivision).

    Vertices are paired where the mean is symmetric; expressions by the side in their names and identity modes by sign,
    each only if the modes really are each other's mirror image.
    """
    mirror = _mirror_pairs(data.mean, data.triangles)
    if mirror is None:
        return data
    flip = _expression_flip(data.expression_names or (), data.expression_basis, mirror)
    return replace(
        data,
        mirror_vertices=mirror,
        expression_flip=flip,
        identity_flip=_signs(data.identity_basis, mirror),
        albedo_flip=torch.ones(0) if data.albedo_basis.shape[0] == 0 else None,
    )


def _mirror_pairs(mean: Float[Tensor, "verts 3"], triangles: Int[Tensor, "tris 3"]) -> Int[Tensor, " verts"] | None:
    """Pair vertices with their mirror images, or return None.

    Vertices at one place (where parts of a mesh touch) are told apart by the mean positions of their neighbourhoods.
    """
    around = triangles_of_vertices(triangles, len(mean))
    count = around.crow.diff()[:, None].clamp(min=1)
    rings = [mean]
    for _ in range(NEIGHBOURHOODS):
        rings.append(apply_rows(around, rings[-1][triangles].mean(1)) / count)
    places = torch.cat(rings, dim=-1)
    mirrored = places * places.new_tensor([-1.0, 1.0, 1.0]).repeat(len(rings))
    pairs = _nearest_at_same_height(mirrored, places)
    distance = (mirrored[:, :3] - mean[pairs]).norm(dim=-1)
    undoes_itself = torch.equal(pairs[pairs], torch.arange(len(pairs)))
    return pairs if undoes_itself and float(distance.max()) <= SYMMETRY_TOLERANCE_M else None


def _nearest_at_same_height(
    rows: Float[Tensor, "verts channels"], places: Float[Tensor, "verts channels"]
) -> Int[Tensor, " verts"]:
    """Return for each row the nearest place (all channels) among those whose y is about the same."""
    order = places[:, 1].argsort()
    height = places[order, 1].contiguous()
    nearest = torch.empty_like(order)
    for chunk in order.split(CHUNK):
        low, high = (rows[chunk, 1].min() - SYMMETRY_TOLERANCE_M, rows[chunk, 1].max() + SYMMETRY_TOLERANCE_M)
        candidates = order[int(torch.searchsorted(height, low)) : int(torch.searchsorted(height, high, right=True))]
        distance = torch.cdist(rows[chunk], places[candidates], compute_mode="donot_use_mm_for_euclid_dist")
        nearest[chunk] = candidates[distance.argmin(-1)]
    return nearest


def _expression_flip(names: Sequence[str], basis: Tensor, mirror: Tensor) -> Tensor | None:
    """Pair expressions by name, if their modes are mirror images of each other."""
    other = [SIDE_SUFFIX.sub(lambda side: OTHER_SIDE[side.group()], name) for name in names]
    if not names or any(name not in names for name in other):
        return None
    flip = torch.tensor([names.index(name) for name in other])
    error = (mirror_points(basis, mirror) - basis[flip]).abs().max()
    return flip if float(error) <= SYMMETRY_TOLERANCE_M else None


def _signs(basis: Tensor, mirror: Tensor) -> Tensor | None:
    """Return each mode's sign under mirroring, if every mode is symmetric or antisymmetric."""
    mirrored = mirror_points(basis, mirror)
    even, odd = ((mirrored - sign * basis).abs().flatten(1).amax(1) for sign in (1, -1))
    if bool((torch.minimum(even, odd) > SYMMETRY_TOLERANCE_M).any()):
        return None
    return torch.where(even <= odd, 1.0, -1.0)
