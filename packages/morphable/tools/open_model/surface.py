"""Closest points on a triangle mesh, by brute force."""

import numpy as np
import trimesh
from numpy.typing import NDArray


def closest_points(
    points: NDArray[np.float64], vertices: NDArray[np.float64], triangles: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Row in `triangles` and barycentric weights of the surface point nearest to each point."""
    corners = vertices[triangles]
    rows, weights = [], []
    for point in points:
        nearest = trimesh.triangles.closest_point(corners, np.broadcast_to(point, (len(corners), 3)))
        row = int(np.argmin(((nearest - point) ** 2).sum(1)))
        weight = trimesh.triangles.points_to_barycentric(corners[row : row + 1], nearest[row : row + 1])[0]
        weight = np.clip(weight, 0.0, None)
        rows.append(row)
        weights.append(weight / weight.sum())
    return np.array(rows), np.array(weights)
