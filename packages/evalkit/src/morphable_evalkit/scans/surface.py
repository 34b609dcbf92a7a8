"""Exact distance from points to a triangle surface, in NumPy with SciPy's KD-trees."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

_FIRST_CANDIDATES = 6
"""Triangles looked at per point at first; points that could still have a nearer one look at more."""

_CHUNK_POINTS = 10_000
"""Points handled at once: bounds the memory for candidates to some tens of MB."""

_MAX_SIZE_CLASSES = 8


@dataclass(frozen=True)
class Closest:
    """Nearest surface point of each query."""

    distance: Float[np.ndarray, " points"]
    point: Float[np.ndarray, "points 3"]
    triangle: Int[np.ndarray, " points"]


@dataclass(frozen=True)
class _SizeClass:
    """Triangles of similar size, found through their centroids."""

    triangle: Int[np.ndarray, " members"]
    radius: Float[np.ndarray, " members"]
    """Distance of the centroid to the farthest corner."""
    max_radius: float
    tree: Any
    """SciPy KD-tree of the centroids."""


class TriangleSurface:
    """A triangle mesh prepared for closest-point queries.

    A triangle can only be nearest if its centroid is nearer than the best distance known plus its radius. Triangles
    are sorted into classes of similar radius, each with a KD-tree of centroids, and a point asks for more candidates
    of a class until that bound rules out the rest: the result is exact for any mesh, degenerate triangles included.
    """

    def __init__(self, vertices: Float[np.ndarray, "verts 3"], triangles: Int[np.ndarray, "tris 3"]) -> None:
        if len(triangles) == 0:
            raise ValueError("triangles must hold at least one triangle, got none")
        corners = vertices.astype(np.float64)[triangles]
        if not np.isfinite(corners).all():
            raise ValueError("vertices must be finite, got NaN or infinity in a triangle")
        self.corners = corners
        self._edges = np.roll(corners, -1, axis=1) - corners
        used, first = np.unique(triangles, return_index=True)
        self._vertex_tree = _kd_tree(vertices.astype(np.float64)[used])
        self._vertex_triangle = first // 3
        centroid = corners.mean(axis=1)
        radius = np.linalg.norm(corners - centroid[:, None], axis=-1).max(axis=1)
        self._classes = _size_classes(centroid, radius)

    def normals(self) -> Float[np.ndarray, "tris 3"]:
        """Return unit normals by the order of the corners; zero for degenerate triangles."""
        normal = np.cross(self._edges[:, 0], -self._edges[:, 2])
        length = np.linalg.norm(normal, axis=-1, keepdims=True)
        return normal / np.where(length > 0, length, 1.0)

    def closest(self, points: Float[np.ndarray, "points 3"]) -> Closest:
        """Return the nearest surface point of every query, exactly.

        Raises:
            ValueError: A query is not finite.
        """
        queries = points.astype(np.float64)
        if not np.isfinite(queries).all():
            raise ValueError("points must be finite, got NaN or infinity")
        parts = [self._closest(queries[i : i + _CHUNK_POINTS]) for i in range(0, len(queries), _CHUNK_POINTS)]
        if not parts:
            return Closest(np.empty(0), np.empty((0, 3)), np.empty(0, np.int64))
        return Closest(
            np.concatenate([part.distance for part in parts]),
            np.concatenate([part.point for part in parts]),
            np.concatenate([part.triangle for part in parts]),
        )

    def _closest(self, points: Float[np.ndarray, "points 3"]) -> Closest:
        """Answer one chunk: start from the nearest vertex, then improve class by class."""
        distance, vertex = self._vertex_tree.query(points, workers=-1)
        best = Closest(
            np.asarray(distance), np.asarray(self._vertex_tree.data)[vertex], self._vertex_triangle[vertex].copy()
        )
        for size_class in self._classes:
            self._improve(best, points, size_class)
        return best

    def _improve(self, best: Closest, points: Float[np.ndarray, "points 3"], size_class: _SizeClass) -> None:
        """Look through one class, twice as many candidates each time, until nothing nearer can be left."""
        pending = np.arange(len(points))
        seen, count = 0, min(_FIRST_CANDIDATES, len(size_class.triangle))
        while len(pending):
            gap, member = size_class.tree.query(points[pending], k=np.arange(seen + 1, count + 1), workers=-1)
            for columns in (slice(0, 1), slice(1, None)):  # the first tightens the bound for the others
                candidate = member[:, columns]
                near = gap[:, columns] - size_class.radius[candidate] < best.distance[pending, None]
                row, column = np.nonzero(near)
                self._update(best, points, pending[row], size_class.triangle[candidate[row, column]])
            open_end = gap[:, -1] - size_class.max_radius < best.distance[pending]
            if count == len(size_class.triangle):
                return
            pending = pending[open_end]
            seen, count = count, min(2 * count, len(size_class.triangle))

    def _update(
        self,
        best: Closest,
        points: Float[np.ndarray, "points 3"],
        row: Int[np.ndarray, " pairs"],
        triangle: Int[np.ndarray, " pairs"],
    ) -> None:
        """Measure candidate pairs and keep the nearest of each point."""
        if len(row) == 0:
            return
        nearest = closest_on_triangles(points[row], self.corners[triangle], self._edges[triangle])
        distance = np.linalg.norm(points[row] - nearest, axis=-1)
        starts = np.flatnonzero(np.append(True, row[1:] != row[:-1]))
        smallest = np.minimum.reduceat(distance, starts)
        lengths = np.diff(np.append(starts, len(row)))
        nearer = (distance == np.repeat(smallest, lengths)) & (distance < best.distance[row])
        chosen = np.flatnonzero(nearer)
        best.distance[row[chosen]] = distance[chosen]
        best.point[row[chosen]] = nearest[chosen]
        best.triangle[row[chosen]] = triangle[chosen]


def nearest_vertices(
    vertices: Float[np.ndarray, "verts 3"], points: Float[np.ndarray, "points 3"]
) -> Float[np.ndarray, " points"]:
    """Return the distance of every point to the nearest vertex of a point cloud."""
    return np.asarray(_kd_tree(vertices).query(points)[0])


def closest_on_triangles(
    points: Float[np.ndarray, "pairs 3"],
    corners: Float[np.ndarray, "pairs 3 3"],
    edges: Float[np.ndarray, "pairs 3 3"],
) -> Float[np.ndarray, "pairs 3"]:
    """Return the point of each triangle that is nearest to its query.

    Args:
        points: Queries.
        corners: Triangle corners.
        edges: Corner i+1 minus corner i; may be zero.
    """
    inside, foot = _foot_in_triangle(points, corners, edges)
    out = foot
    rest = np.flatnonzero(~inside)
    if len(rest):
        offset = points[rest, None] - corners[rest]
        edge = edges[rest]
        length2 = _dot(edge, edge)
        along = np.clip(_dot(offset, edge) / np.where(length2 > 0, length2, 1.0), 0.0, 1.0)
        gap = offset - along[..., None] * edge
        nearest = gap[np.arange(len(rest)), _dot(gap, gap).argmin(axis=1)]
        out[rest] = points[rest] - nearest
    return out


def _foot_in_triangle(
    points: Float[np.ndarray, "pairs 3"],
    corners: Float[np.ndarray, "pairs 3 3"],
    edges: Float[np.ndarray, "pairs 3 3"],
) -> tuple[Bool[np.ndarray, " pairs"], Float[np.ndarray, "pairs 3"]]:
    """Project onto the plane; true where the foot lies inside (never for degenerate triangles)."""
    u, v = edges[:, 0], -edges[:, 2]
    w = points - corners[:, 0]
    uu, uv, vv = _dot(u, u), _dot(u, v), _dot(v, v)
    wu, wv = _dot(w, u), _dot(w, v)
    area2 = uu * vv - uv * uv
    safe = area2 > 1e-14 * uu * vv
    scale = 1.0 / np.where(safe, area2, 1.0)
    a, b = (vv * wu - uv * wv) * scale, (uu * wv - uv * wu) * scale
    inside = safe & (a >= 0) & (b >= 0) & (a + b <= 1)
    return inside, corners[:, 0] + a[:, None] * u + b[:, None] * v


def _dot(a: Float[np.ndarray, "*pairs 3"], b: Float[np.ndarray, "*pairs 3"]) -> Float[np.ndarray, "*pairs"]:
    """Dot product along the last axis."""
    return np.asarray(np.einsum("...i,...i->...", a, b))


def _kd_tree(points: Float[np.ndarray, "points 3"]) -> Any:
    """Build a KD-tree; SciPy is imported here because only scans need it and it doubles the time to start."""
    from scipy.spatial import cKDTree

    return cKDTree(points)


def _size_classes(centroid: Float[np.ndarray, "tris 3"], radius: Float[np.ndarray, " tris"]) -> tuple[_SizeClass, ...]:
    """Sort triangles into classes whose radii differ by at most a factor of two, above the median."""
    reference = max(float(np.median(radius)), np.finfo(np.float64).tiny)
    octave = np.ceil(np.log2(np.maximum(radius / reference, 1.0))).astype(np.int64)
    octave = np.minimum(octave, _MAX_SIZE_CLASSES - 1)
    classes = []
    for index in np.unique(octave):
        member = np.flatnonzero(octave == index)
        tree = _kd_tree(centroid[member])
        classes.append(_SizeClass(member, radius[member], float(radius[member].max()), tree))
    return tuple(classes)
