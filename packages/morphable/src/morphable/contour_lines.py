"""Tracing the lines on the surface along which jaw points slide (`contour` of the model file)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from morphable.geometry import SurfacePoints
from morphable.landmarks import NUM_JAW

NUM_CANDIDATES = 32
"""Candidates per line: about 3 mm apart, so that the outline is met within hundredths of a millimeter."""
NOSE_MARGIN = 1.5
"""Lines at the height of nose and mouth end this many half nose widths from the middle, beside the nose."""
EDGE_TOLERANCE = 1e-9
"""Barycentric slack, relative, so that a ray through an edge meets one of its triangles."""


def trace_contour_lines(
    vertices: Float[Tensor, "verts 3"],
    triangles: Int[Tensor, "tris 3"],
    landmarks68: SurfacePoints,
    num_candidates: int = NUM_CANDIDATES,
) -> SurfacePoints:
    """Trace a line across the cheek for each of the 17 jaw points.

    Each line runs over the surface at the height of its jaw point, from beside nose and mouth (around the chin: from
    the middle of its front) to the jaw point and not beyond: on the near side of a turned head the jaw point reaches
    farthest out in the image and stays, on the far side the line reaches farthest where the cheek turns away.

    Args:
        vertices: The mean shape, model frame, meters.
        triangles: Its triangles.
        landmarks68: The static 68 points.
        num_candidates: Points per line.

    Returns:
        Points of shape (17, num_candidates), the last of each line being the jaw point.
    """
    vertices = vertices.double()
    static = landmarks68.on(vertices, triangles)
    jaw, inner = static[:NUM_JAW], _inner_ends(static)
    origin = torch.stack([jaw[8, 0], static[33, 1], (jaw[0, 2] + jaw[16, 2]) / 2])
    steps = torch.linspace(0, 1, num_candidates, dtype=vertices.dtype)[1:, None]
    corners = vertices[triangles] - origin
    cones = _cones(corners)
    lines = []
    for index in range(NUM_JAW):
        start = SurfacePoints(landmarks68.triangle[index], landmarks68.barycentric[index].double())
        targets = jaw[index] + steps * (inner[index] - jaw[index])
        lines.append(_walk(start, targets - origin, corners, cones))
    return SurfacePoints(
        torch.stack([line.triangle.flip(0) for line in lines]),
        torch.stack([line.barycentric.flip(0) for line in lines]).float(),
    )


def _inner_ends(static: Float[Tensor, "68 3"]) -> Float[Tensor, "17 3"]:
    """Return points toward which the lines run: beside the nose, or the middle of the chin's front."""
    lip_y, chin_y = static[57, 1], static[8, 1]
    front_y = (lip_y + chin_y) / 2
    beside = NOSE_MARGIN * (static[35, 0] - static[31, 0]) / 2
    above_chin = ((static[:NUM_JAW, 1] - front_y) / (lip_y - front_y)).clamp(0, 1)
    side = (static[:NUM_JAW, 0] - static[8, 0]).sign()
    x = static[8, 0] + side * beside * above_chin
    y = static[:NUM_JAW, 1].maximum(front_y)
    return torch.stack([x, y, static[57, 2].expand(NUM_JAW)], dim=-1)


def _walk(
    start: SurfacePoints,
    directions: Float[Tensor, "steps 3"],
    corners: Float[Tensor, "tris 3 3"],
    cones: Float[Tensor, "tris 3 3"],
) -> SurfacePoints:
    """Follow rays from inside the head, at each taking the hit nearest to the last point; without one, that point.

    Args:
        start: Where to begin.
        directions: Rays, from the origin of `corners`.
        corners: Triangles relative to the point that the rays come from.
        cones: From `_cones`.
    """
    weights = torch.einsum("rx,tcx->rtc", directions, cones)
    sums = weights.sum(-1)
    ray_index, hits = ((weights.amin(-1) >= -EDGE_TOLERANCE * sums) & (sums > 0)).nonzero(as_tuple=True)
    chosen, kept = [start.triangle], [start.barycentric]
    here = start.barycentric @ corners[start.triangle]
    for ray in range(len(directions)):
        hit = hits[ray_index == ray]
        barycentric = weights[ray, hit].clamp(min=0)
        barycentric = barycentric / barycentric.sum(-1, keepdim=True)
        points = torch.einsum("tc,tcx->tx", barycentric, corners[hit])
        if hit.numel():
            nearest = (points - here).norm(dim=-1).argmin()
            here = points[nearest]
            chosen.append(hit[nearest])
            kept.append(barycentric[nearest])
        else:
            chosen.append(chosen[-1])
            kept.append(kept[-1])
    return SurfacePoints(torch.stack(chosen), torch.stack(kept))


def _cones(corners: Float[Tensor, "tris 3 3"]) -> Float[Tensor, "tris 3 3"]:
    """Return for each triangle the vectors whose products with a ray from the origin say whether and where they meet.

    A ray d meets the triangle (a, b, c) if d.(b x c), d.(c x a) and d.(a x b) all have the sign of a.(b x c); they are
    in proportion to the barycentric coordinates of the point where they meet.
    """
    across = torch.linalg.cross(corners.roll(-1, 1), corners.roll(-2, 1))
    return across * (corners[:, 0] * across[:, 0]).sum(-1).sign()[:, None, None]
