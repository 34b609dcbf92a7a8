"""The mirror of an imported model: which vertices lie opposite each other, and the coefficients of a mirrored face.

Where a mesh is symmetric its vertices are paired. A mesh that is not (the Basel models) still has a mirror image of
each of its vertices, on one of its triangles. Modes that are symmetric or antisymmetric change their sign; modes of a
PCA of scans have no such sign, and the mirrored coefficients follow from least squares, with the residual reported.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from morphable.geometry.mesh import SurfacePoints, apply_rows, triangles_of_vertices
from morphable.model_data import ModelData

SYMMETRY_TOLERANCE_M = 5e-4
"""Largest distance between a mirrored mode and its counterpart that still counts as symmetric."""
MAX_DISTANCE_M = 1e-2
"""Largest distance between a vertex of a mean face and the mirror image of its counterpart."""
BAND_M = 5e-3
"""How far from a mirrored vertex its counterpart is looked for, along each axis."""
STRIP_M = 5e-3
"""Height of the strips in which vertices that are compared together lie."""
MIN_MIRRORED_SHARE = 0.9
"""Share of a mesh's vertices that must have a mirror image on the surface; else the mesh is not bilateral."""
ROUNDS = 12
"""Rounds in which the mean's own asymmetry is followed."""
NEIGHBORHOODS = 2
"""Rings of neighbors that tell vertices at one place apart."""
RING_WEIGHTS = (1.0, 0.2)
"""Weights of a ring's place beside the vertex's own, tried in turn: where parts touch, rings must tell their vertices
apart; where diagonals are not symmetric, rings differ."""
SMOOTHING = 4
"""Times that an asymmetry is averaged over neighbors."""
CHUNK = 256
"""Vertices compared at a time."""
SIDE_SUFFIX = re.compile(r"(_L|_R|Left|Right)$")
OTHER_SIDE = {"_L": "_R", "_R": "_L", "Left": "Right", "Right": "Left"}


def with_mirror(data: ModelData) -> ModelData:
    """Add the mirror of a model without subdivision: vertex pairs, and flips of its coefficients.

    Expressions are paired by the side in their names, identity and albedo modes get signs, each only if the modes
    really are each other's mirror image. Where they are not, and coefficients are standard normal, the flip is the
    least-squares matrix, and `mirror_residual` holds its relative residual. A mesh that is not bilateral stays without.
    """
    pairs = mirror_pairs(data.mean, data.triangles)
    images = None if pairs is not None else mirror_images(data.mean, data.triangles)
    if pairs is None and images is None:
        return data

    def opposite(values: Float[Tensor, "verts 3"]) -> Float[Tensor, "verts 3"]:
        return values[pairs] if images is None else images.on(values, data.triangles)

    result = replace(data, mirror_vertices=pairs)
    for name in ("identity", "expression", "albedo"):
        result = _with_flip(result, name, opposite)
    return result


def _with_flip(data: ModelData, name: str, opposite: Callable[[Tensor], Tensor]) -> ModelData:
    """Add the flip of one kind of coefficient, given what fetches each vertex's value from the other side."""
    basis: Tensor = getattr(data, f"{name}_basis")
    signs = basis.new_tensor([1.0 if name == "albedo" else -1.0, 1.0, 1.0])
    mirrored = torch.stack([opposite(mode) * signs for mode in basis]) if len(basis) else basis
    exact: Tensor | None
    if name == "expression":
        exact = _pairs_by_name(data.expression_names or (), basis, mirrored)
    else:
        exact = _signs(basis, mirrored)
    if exact is not None:
        return _with_fields(data, {f"{name}_flip": exact})
    if name == "expression" and data.expression_prior != "normal":
        return data
    matrix, residual = least_squares_flip(basis, mirrored)
    added: dict[str, Any] = {f"{name}_flip": matrix, "mirror_residual": {**data.mirror_residual, name: residual}}
    if name != "expression":
        mean = data.mean if name == "identity" else data.mean_albedo
        asymmetry = opposite(mean) * signs - mean
        added[f"{name}_flip_offset"] = least_squares_flip(basis, asymmetry[None])[0][:, 0]
    return _with_fields(data, added)


def _with_fields(data: ModelData, fields: dict[str, Any]) -> ModelData:
    """Return a model with fields whose names are computed replaced."""
    return replace(data, **fields)


def least_squares_flip(
    basis: Float[Tensor, "modes verts 3"], mirrored: Float[Tensor, "targets verts 3"]
) -> tuple[Float[Tensor, "modes targets"], float]:
    """Express mirrored modes by the modes themselves.

    Args:
        basis: The modes.
        mirrored: What is to be expressed.

    Returns:
        The matrix that turns coefficients into those of the mirrored face, and the share of the mirrored modes (root
        mean square) that the modes can't express, 0 to 1.
    """
    modes, targets = basis.flatten(1), mirrored.flatten(1)
    gram, against = (torch.zeros(len(modes), count, dtype=torch.float64) for count in (len(modes), len(targets)))
    for columns in torch.arange(modes.shape[1]).split(CHUNK * CHUNK):
        part = modes[:, columns].double()
        gram += part @ part.T
        against += part @ targets[:, columns].double().T
    matrix = torch.linalg.pinv(gram, hermitian=True) @ against
    total = float(targets.double().square().sum()) if targets.numel() else 0.0
    left = total - float((against * matrix).sum())
    return matrix.float(), (max(left, 0.0) / total) ** 0.5 if total else 0.0


def mirror_pairs(mean: Float[Tensor, "verts 3"], triangles: Int[Tensor, "tris 3"]) -> Int[Tensor, " verts"] | None:
    """Pair vertices with their mirror images, or return None where the mesh is not its own mirror image.

    Each vertex goes to the nearest mirrored one. Means of scans are not quite symmetric: the smooth part of the
    differences is then added to the mirrored vertices, and the search repeated. Pairs count if each vertex is its
    counterpart's counterpart and every triangle has a mirror image: at least two of its edges, because the diagonals
    of quads need not be each other's mirror image.
    """
    around = _Surroundings(mean, triangles)
    for weight in RING_WEIGHTS:
        pairs = _paired(mean, around, weight)
        if pairs is not None:
            return pairs
    return None


def _paired(
    mean: Float[Tensor, "verts 3"], around: "_Surroundings", ring_weight: float
) -> Int[Tensor, " verts"] | None:
    """Search as `mirror_pairs` describes, with one weight of the neighborhoods."""
    moved, best, target = around.mirrored, 0.0, around.features(mean, ring_weight)
    for _ in range(ROUNDS):
        pairs = _nearest(around.features(moved, ring_weight), target)
        mutual = float((pairs[pairs] == torch.arange(len(pairs))).float().mean())
        if mutual == 1 and _maps_triangles(pairs, around.triangles):
            near = bool(((around.mirrored - mean[pairs]).norm(dim=-1) <= MAX_DISTANCE_M).all())
            return pairs if near else None
        if mutual <= best:
            return None
        best = mutual
        moved = around.mirrored + around.smoothed(mean[pairs] - around.mirrored)
    return None


def mirror_images(mean: Float[Tensor, "verts 3"], triangles: Int[Tensor, "tris 3"]) -> SurfacePoints | None:
    """Return for each vertex the point of the surface opposite it, or None for a mesh that is not bilateral.

    Points are the nearest ones to the mirrored vertices; as in `mirror_pairs` the smooth part of the mean's own
    asymmetry is followed.
    """
    around = _Surroundings(mean, triangles)
    moved = around.mirrored
    for _ in range(ROUNDS // 3):
        images = _nearest_on_surface(moved, mean, around)
        moved = around.mirrored + around.smoothed(images.on(mean, triangles) - around.mirrored)
    images = _nearest_on_surface(moved, mean, around)
    distance = (images.on(mean, triangles) - around.mirrored).norm(dim=-1)
    share = float((distance <= MAX_DISTANCE_M).float().mean())
    return images if share >= MIN_MIRRORED_SHARE else None


class _Surroundings:
    """A mesh with its mirrored vertices and its neighborhoods."""

    def __init__(self, mean: Float[Tensor, "verts 3"], triangles: Int[Tensor, "tris 3"]) -> None:
        self.triangles = triangles
        self.rows = triangles_of_vertices(triangles, len(mean))
        self._count = self.rows.crow.diff()[:, None].clamp(min=1)
        self.mirrored = mean * mean.new_tensor([-1.0, 1.0, 1.0])

    def averaged(self, values: Float[Tensor, "verts channels"]) -> Float[Tensor, "verts channels"]:
        """Average values over the triangles around each vertex."""
        return apply_rows(self.rows, values[self.triangles].mean(1)) / self._count

    def smoothed(self, values: Float[Tensor, "verts 3"]) -> Float[Tensor, "verts 3"]:
        """Return the smooth part of values."""
        for _ in range(SMOOTHING):
            values = self.averaged(values)
        return values

    def features(self, places: Float[Tensor, "verts 3"], ring_weight: float) -> Float[Tensor, "verts channels"]:
        """Return places with the mean places of their neighborhoods, which tell vertices at one place apart."""
        rings, mean = [places], places
        for _ in range(NEIGHBORHOODS):
            mean = self.averaged(mean)
            rings.append(ring_weight * mean)
        return torch.cat(rings, dim=-1)


def _maps_triangles(pairs: Int[Tensor, " verts"], triangles: Int[Tensor, "tris 3"]) -> bool:
    """Whether at least two edges of every mirrored triangle are edges of the mesh."""

    def keys(corners: Tensor) -> Tensor:
        ends = torch.stack([corners, corners.roll(-1, 1)], dim=-1).sort(dim=-1).values
        return ends[..., 0] * len(pairs) + ends[..., 1]

    return bool((torch.isin(keys(pairs[triangles]), keys(triangles)).sum(-1) >= 2).all())


def _nearest(rows: Float[Tensor, "rows channels"], places: Float[Tensor, "verts channels"]) -> Int[Tensor, " rows"]:
    """Return for each row the nearest place (all channels) among those that are near in the first three, x, y, z."""
    strip = (rows[:, 1] / STRIP_M).floor()
    queue = (strip * (rows[:, 0].max() - rows[:, 0].min() + 1) + rows[:, 0]).argsort()
    nearest = torch.empty_like(queue)
    for chunk in queue.split(CHUNK):
        low, high = rows[chunk, :3].amin(0) - BAND_M, rows[chunk, :3].amax(0) + BAND_M
        inside = ((places[:, :3] >= low) & (places[:, :3] <= high)).all(-1).nonzero()[:, 0]
        candidates = inside if len(inside) else torch.arange(len(places))
        distance = torch.cdist(rows[chunk], places[candidates], compute_mode="donot_use_mm_for_euclid_dist")
        nearest[chunk] = candidates[distance.argmin(-1)]
    return nearest


def _nearest_on_surface(
    points: Float[Tensor, "points 3"], mean: Float[Tensor, "verts 3"], around: _Surroundings
) -> SurfacePoints:
    """Return the nearest points on the triangles around the vertices that are nearest to given points."""
    vertex = _nearest(points, mean)
    start, count = around.rows.crow[vertex], around.rows.crow.diff()[vertex]
    best = torch.full((len(points),), torch.inf)
    triangle, weights = torch.zeros_like(vertex), torch.zeros(len(points), 3)
    for step in range(int(count.max())):
        rows = (count > step).nonzero()[:, 0]
        tried = around.rows.col[start[rows] + step]
        at = _on_triangles(points[rows], mean[around.triangles[tried]])
        distance = ((at[..., None] * mean[around.triangles[tried]]).sum(1) - points[rows]).norm(dim=-1)
        closer = distance < best[rows]
        rows = rows[closer]
        best[rows], triangle[rows], weights[rows] = distance[closer], tried[closer], at[closer]
    return SurfacePoints(triangle, weights)


def _on_triangles(points: Float[Tensor, "points 3"], corners: Float[Tensor, "points 3 3"]) -> Float[Tensor, "points 3"]:
    """Return barycentric coordinates of the nearest point of a triangle: inside, or on the nearest of its edges."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    offset = points - corners[:, 0]
    a, b, c = (first * first).sum(-1), (first * second).sum(-1), (second * second).sum(-1)
    d, e = (first * offset).sum(-1), (second * offset).sum(-1)
    area = (a * c - b * b).clamp(min=torch.finfo(points.dtype).tiny)
    v, w = (c * d - b * e) / area, (a * e - b * d) / area
    inside = torch.stack([1 - v - w, v, w], dim=-1)
    chosen, best = inside, torch.where((inside >= 0).all(-1), -1.0, torch.inf)
    for corner in range(3):
        edge = _on_edge(points, corners, corner)
        distance = ((edge[..., None] * corners).sum(1) - points).norm(dim=-1)
        closer: Bool[Tensor, " points"] = distance < best
        chosen, best = torch.where(closer[:, None], edge, chosen), torch.where(closer, distance, best)
    return chosen


def _on_edge(
    points: Float[Tensor, "points 3"], corners: Float[Tensor, "points 3 3"], corner: int
) -> Float[Tensor, "points 3"]:
    """Return barycentric coordinates of the nearest point of the edge that begins at a corner."""
    begin, end = corners[:, corner], corners[:, (corner + 1) % 3]
    along = end - begin
    length = (along * along).sum(-1).clamp(min=torch.finfo(points.dtype).tiny)
    share = (((points - begin) * along).sum(-1) / length).clamp(0, 1)
    weights = torch.zeros_like(points)
    weights[:, corner], weights[:, (corner + 1) % 3] = 1 - share, share
    return weights


def _pairs_by_name(names: Sequence[str], basis: Tensor, mirrored: Tensor) -> Tensor | None:
    """Pair expressions by name, if their modes are mirror images of each other."""
    other = [SIDE_SUFFIX.sub(lambda side: OTHER_SIDE[side.group()], name) for name in names]
    if not names or any(name not in names for name in other):
        return None
    flip = torch.tensor([names.index(name) for name in other])
    error = (mirrored - basis[flip]).abs().max()
    return flip if float(error) <= SYMMETRY_TOLERANCE_M else None


def _signs(basis: Tensor, mirrored: Tensor) -> Tensor | None:
    """Return each mode's sign under mirroring, if every mode is symmetric or antisymmetric."""
    even, odd = ((mirrored - sign * basis).abs().flatten(1).amax(1) for sign in (1, -1))
    if bool((torch.minimum(even, odd) > SYMMETRY_TOLERANCE_M).any()):
        return None
    return torch.where(even <= odd, 1.0, -1.0)
