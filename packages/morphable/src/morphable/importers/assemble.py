"""Steps that several importers share: landmarks from vertices, orientation, color of models without one."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from morphable.contour_lines import trace_contour_lines
from morphable.geometry import SurfacePoints
from morphable.model_data import ModelData

NEUTRAL_ALBEDO = 0.7
"""Gray of models that bring no color (sRGB-encoded)."""


def as_modes(columns: np.ndarray, count: int, unit_m: float) -> Float[Tensor, "modes verts 3"]:
    """Turn a matrix of one column per mode (x, y, z of each vertex in turn) into our bases, in meters."""
    kept = np.asarray(columns, dtype=np.float64)[:, :count] * unit_m
    return torch.from_numpy(np.ascontiguousarray(kept.T)).reshape(kept.shape[1], len(kept) // 3, 3).float()


def neutral_albedo(num_vertices: int) -> tuple[Float[Tensor, "verts 3"], Float[Tensor, "0 verts 3"]]:
    """Return the mean albedo and the empty albedo basis of a model without color."""
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
