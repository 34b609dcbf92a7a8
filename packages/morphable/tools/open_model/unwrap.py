"""Texture coordinates: the skin as one island cut along the back of the head, inner parts in a strip above it.

The skin's island is an unrolled globe; mean-value weights (all positive) keep it from folding. Beside it every UV
vertex keeps its place in MakeHuman's own layout, for MakeHuman's skins.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import spsolve
from scipy.spatial import cKDTree

from .source import BaseMesh
from .topology import Head, edge_list

SKIN_TOP = 0.12
"""The skin's island fills [0, 1] x [SKIN_TOP, 1] (v down)."""
MARGIN = 0.004
COLUMN_STRETCH = 0.75
"""How much the front columns are widened, in [0, 1)."""
ROW_STRETCH = ([0.0, 0.3, 0.85, 1.0], [0.0, 0.18, 0.9, 1.0])
GLOBE_CENTER = np.array([0.0, 0.74, 0.03])
"""Meters in the base mesh: on the axis of the head, at the height of the eyes."""
GLOBE_FRONT = 0.14
CHIN_SLANT = 0.45
UPPER_SHARE = 0.5
NECK_REACH = 0.24
TOP_ROW = 0.18
"""Rows of the globe above this one lie along the rectangle's top edge where the cut bounds them."""
ISLANDS = {
    "eye_left": (0.01, 0.01, 0.10), "eye_right": (0.12, 0.01, 0.10),
    "eye_cavity_left": (0.23, 0.01, 0.10), "eye_cavity_right": (0.34, 0.01, 0.10),
    "mouth_cavity": (0.45, 0.01, 0.12), "helper-tongue": (0.60, 0.01, 0.10),
    "helper-upper-teeth": (0.70, 0.01, 0.10), "helper-lower-teeth": (0.82, 0.01, 0.10),
}  # fmt: skip
"""Left, top and width of each small island; heights are at most 0.10."""
ISLAND_HEIGHT = 0.10


@dataclass(frozen=True)
class Unwrapped:
    """UV vertices of the base quads."""

    uv: NDArray[np.float64]
    """[0, 1], u right, v down."""
    uv_makehuman: NDArray[np.float64]
    uv_quads: NDArray[np.int64]


def unwrap(base: BaseMesh, head: Head) -> Unwrapped:
    """Lay out the head's quads (without eyeballs)."""
    skin = np.isin(head.zone, ("head", "neck"))
    makehuman = base.uv_quads[head.quad_row]
    nodes, node_quads = _cut_nodes(head, skin)
    place = np.zeros((len(nodes), 2))
    used = np.unique(node_quads[skin])
    place[used] = _embed_skin(head.template[nodes], node_quads[skin])[used]
    for name in np.unique(head.zone[~skin]):
        inside = head.zone == name
        _place_island(place, node_quads[inside], base.uv[makehuman[inside]], str(name), head.template[nodes])
    pairs = np.stack([node_quads.ravel(), makehuman.ravel()], axis=1)
    unique, index = np.unique(pairs, axis=0, return_inverse=True)
    flipped = base.uv[unique[:, 1]] * [1.0, -1.0] + [0.0, 1.0]
    return Unwrapped(place[unique[:, 0]], flipped, index.reshape(-1, 4))


def _cut_nodes(head: Head, skin: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Copies of vertices, one per island and, along the back of the head, one per side; vertex of each node."""
    _, island = np.unique(np.where(skin, "skin", head.zone), return_inverse=True)
    x = head.template[head.quads][..., 0]
    on_cut = skin[:, None] & (np.abs(x) < 1e-6) & _behind_crown(head)[head.quads]
    side = np.where(on_cut, np.where(x.mean(1, keepdims=True) > 0, 1, 2), 0)
    keys = np.stack([head.quads, np.broadcast_to(island[:, None], x.shape), side], axis=-1).reshape(-1, 3)
    unique, index = np.unique(keys, axis=0, return_inverse=True)
    return unique[:, 0], index.reshape(-1, 4)


def _behind_crown(head: Head) -> NDArray[np.bool_]:
    """Vertices on the back of the head and neck, behind its highest point."""
    top = head.template[np.argmax(head.template[:, 1])]
    return head.template[:, 2] < min(top[2], 0.0) + 1e-9


def _embed_skin(points: NDArray[np.float64], quads: NDArray[np.int64]) -> NDArray[np.float64]:
    """Unroll the head like a globe, then let positive weights undo every fold (ears, nostrils, chin)."""
    used, compact = np.unique(quads, return_inverse=True)
    quads, local = compact.reshape(-1, 4), points[used]
    globe = _globe(local, quads)
    loops = _boundary_loops(quads)
    outer = max(loops, key=len)
    fixed = _rectangle(local[outer], globe[outer])
    triangles, local, globe = _fill_holes(quads, [loop for loop in loops if loop is not outer], local, globe)
    weights = _mean_value_weights(triangles, local, globe)
    inner = np.setdiff1d(np.arange(len(local)), outer)
    total = _sparse_diagonal(np.asarray(weights.sum(1)).ravel()[inner])
    flat = np.zeros((len(local), 2))
    flat[outer] = fixed
    flat[inner] = spsolve((total - weights[inner][:, inner]).tocsc(), weights[inner][:, outer] @ fixed)
    place = np.zeros((len(points), 2))
    place[used] = _stretch(_symmetric(flat[: len(used)], points[used], globe[: len(used)]))
    return place


def _symmetric(
    flat: NDArray[np.float64], points: NDArray[np.float64], globe: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Average the layout with its mirror image."""
    bank = np.where((np.abs(points[:, 0]) < 1e-6) & (points[:, 2] < GLOBE_CENTER[2]), np.sign(globe[:, 0] - 0.5), 0.0)
    keys = np.concatenate([points, bank[:, None]], axis=1)
    _, mirror = cKDTree(keys).query(keys * [-1.0, 1.0, 1.0, -1.0])
    return 0.5 * (flat + flat[mirror] * [-1.0, 1.0] + [1.0, 0.0])


def _sparse_diagonal(values: NDArray[np.float64]) -> csr_matrix:
    return csr_matrix((values, (np.arange(len(values)), np.arange(len(values)))))


def _globe(points: NDArray[np.float64], quads: NDArray[np.int64]) -> NDArray[np.float64]:
    """First guess: longitude about a vertical axis; latitude above the eyes, slanted height below them."""
    x, y, z = points.T - GLOBE_CENTER[:, None]
    longitude = np.arctan2(x, z)
    centre = np.zeros(len(points))
    np.add.at(centre, quads.ravel(), np.repeat(x[quads].mean(1), 4))
    behind = (np.abs(x) < 1e-6) & (z < 0)
    longitude[behind] = np.sign(centre[behind]) * np.pi
    radius = np.hypot(x, z)
    colatitude = np.arctan2(radius, np.maximum(y, 0.0))
    below = np.maximum(-y, 0.0) + CHIN_SLANT * np.clip(GLOBE_FRONT - z, 0.0, 0.1) * np.clip(-y / 0.08, 0.0, 1.0)
    v = np.where(y > 0, colatitude / (np.pi / 2) * UPPER_SHARE, UPPER_SHARE + below / NECK_REACH * (1 - UPPER_SHARE))
    return np.stack([longitude / (2 * np.pi) + 0.5, np.minimum(v, 1.0)], axis=1)


def _fill_holes(
    quads: NDArray[np.int64],
    holes: list[NDArray[np.int64]],
    points: NDArray[np.float64],
    globe: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """All four triangles of each quad, and a fan over every hole (eyes, mouth)."""
    triangles = [quads[:, [0, 1, 2]], quads[:, [0, 2, 3]], quads[:, [0, 1, 3]], quads[:, [1, 2, 3]]]
    for hole in holes:
        tip = np.full(len(hole), len(points))
        fan = np.stack([np.roll(hole, -1), hole, tip], axis=1)
        triangles += [fan, fan]
        points = np.concatenate([points, points[hole].mean(0, keepdims=True)])
        globe = np.concatenate([globe, globe[hole].mean(0, keepdims=True)])
    return np.concatenate(triangles), points, globe


def _mean_value_weights(
    triangles: NDArray[np.int64], points: NDArray[np.float64], globe: NDArray[np.float64]
) -> csr_matrix:
    """Mean-value weights of the globe where it does not fold, of the surface where it does."""
    a, b, c = (globe[triangles[:, k]] for k in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    folded = np.zeros(len(points), dtype=bool)
    folded[triangles[area >= -1e-9]] = True
    scaled = np.concatenate([globe * [2.0, 1.0], np.zeros((len(globe), 1))], axis=1)
    n = len(points)
    rows, columns, values = [], [], []
    for k in range(3):
        i, j, last = (triangles[:, (k + m) % 3] for m in range(3))
        where = np.where(folded[i][:, None, None], np.stack([points[i], points[j], points[last]], 1),
                         np.stack([scaled[i], scaled[j], scaled[last]], 1))  # fmt: skip
        to_j, to_last = where[:, 1] - where[:, 0], where[:, 2] - where[:, 0]
        length_j, length_last = np.linalg.norm(to_j, axis=1) + 1e-9, np.linalg.norm(to_last, axis=1) + 1e-9
        cosine = np.clip((to_j * to_last).sum(1) / (length_j * length_last), -0.999, 1.0)
        half_tangent = np.tan(np.arccos(cosine) / 2)
        rows += [i, i]
        columns += [j, last]
        values += [half_tangent / length_j, half_tangent / length_last]
    return csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), (n, n))


def _stretch(flat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the face more columns and rows, then fit the rectangle."""
    u = flat[:, 0] + COLUMN_STRETCH * np.sin(2 * np.pi * (flat[:, 0] - 0.5)) / (2 * np.pi)
    v = np.interp(flat[:, 1], *ROW_STRETCH)
    place = MARGIN + np.stack([u, v], axis=1) * (1 - 2 * MARGIN)
    place[:, 1] = SKIN_TOP + (1 - SKIN_TOP) * place[:, 1]
    return place


def _boundary_loops(quads: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Boundary loops in the direction of the quads' sides (surface on the left)."""
    sides = np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2)
    _, index, count = edge_list(quads)
    follow = {int(a): int(b) for a, b in sides[count[index.ravel()] == 1]}
    loops = []
    while follow:
        start = next(iter(follow))
        loop = [start]
        while (following := follow.pop(loop[-1])) != start:
            loop.append(following)
        loops.append(np.array(loop))
    return loops


def _rectangle(points: NDArray[np.float64], globe: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boundary positions: the neck's rim at the bottom, the cut's banks at the sides and, near the crown, on top."""
    behind = (np.abs(points[:, 0]) < 1e-6) & (points[:, 2] < GLOBE_CENTER[2] + 0.005)
    place = globe.copy()
    rim = ~behind
    start = np.flatnonzero(rim & ~np.roll(rim, 1))[0] - 1
    order = np.roll(np.arange(len(points)), -start)
    last = np.flatnonzero(rim[order])[-1] + 1
    length = np.cumsum(np.linalg.norm(np.diff(points[order[: last + 1]], axis=0), axis=1))
    place[order[: last + 1], 0] = np.concatenate([[0.0], length / length[-1]])
    place[order[: last + 1], 1] = 1.0
    bank = order[last:]
    left = globe[bank, 0] > 0.5
    v = globe[bank, 1]
    bottom = v.max()
    place[bank, 1] = np.maximum((v - TOP_ROW) / (bottom - TOP_ROW), 0.0)
    across = np.clip(v / TOP_ROW, 0.0, 1.0) * 0.5
    place[bank, 0] = np.where(left, 0.5 + across, 0.5 - across)
    place[order[0]] = [0.0, 1.0]
    return place


def _place_island(
    place: NDArray[np.float64],
    quads: NDArray[np.int64],
    makehuman: NDArray[np.float64],
    name: str,
    points: NDArray[np.float64],
) -> None:
    """Scale an inner part's layout into its box; teeth are unrolled by angle and height."""
    nodes = quads.ravel()
    flat = makehuman.reshape(-1, 2)
    if "teeth" in name:
        x, y, z = points[nodes].T
        flat = np.stack([np.arctan2(x, z - 0.10), y + 0.5 * z], axis=1)
    flat = flat * [1.0, -1.0]
    low, high = flat.min(0), flat.max(0)
    left, top, width = ISLANDS[name]
    size = np.array([width - 0.01, ISLAND_HEIGHT - 0.01])
    place[nodes] = [left, top] + (flat - low) / (high - low) * size


def subdivide_uv(uv: NDArray[np.float64], uv_quads: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Split every UV quad in four at its midpoints, in the quad order of `catmull_clark`."""
    edges, side_edge, _ = edge_list(uv_quads)
    n, m = len(uv), len(edges)
    points = np.concatenate([uv, uv[edges].mean(1), uv[uv_quads].mean(1)])
    edge_index, face_index = n + side_edge, n + m + np.arange(len(uv_quads))
    new = [np.stack([uv_quads[:, k], edge_index[:, k], face_index, edge_index[:, k - 1]], axis=1) for k in range(4)]
    return points, np.stack(new, axis=1).reshape(-1, 4)
