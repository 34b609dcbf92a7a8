"""Landmarks, picked once on the template: a table of positions, carried to the surface and mirrored.

Picked on pictures of the mean face (front, 45 and 90 degrees): eyes and lips follow the mesh's own edge loops, brows
lie on the upper half of the drawn brow; mouth corners, brow ends and canthi were then shifted by the mean residual of
fits to real faces. The points of the inner lips lie where the lips touch: on the upper lip's lowest and the lower lip's
highest line of the mean face. The ridge of the nose, the outer brow ends and the upper lip lie near where annotators of
photographs put them on average: the projected points of synthetic people were compared with Helen's and AFLW2000's mean
shapes (`benchmarks/landmark_placement.py` prints what is left). The jaw line is the true 3D edge of the jaw up to the
front of the ears, between the lines of Basel's and ICT-FaceKit's 68 points.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from morphable.geometry import SurfacePoints
from morphable.landmarks import IBUG68_FLIP, MEDIAPIPE468
from morphable.model_file import read_model_file

from .surface import closest_points

PICKED_MM = {
    8: (0.00, 619.63, 142.25),
    9: (18.95, 623.85, 136.15),
    10: (34.75, 634.48, 121.89),
    11: (46.45, 645.29, 107.98),
    12: (55.43, 657.46, 93.23),
    13: (63.30, 674.07, 80.28),
    14: (67.45, 689.25, 76.49),
    15: (70.09, 705.92, 72.98),
    16: (70.62, 724.29, 73.32),
    22: (14.40, 743.90, 148.90),
    23: (26.45, 747.08, 145.13),
    24: (36.68, 748.15, 140.57),
    25: (48.20, 744.20, 132.40),
    26: (56.50, 738.60, 123.40),
    27: (0.00, 730.80, 150.59),
    28: (-0.04, 719.40, 153.50),
    29: (0.00, 708.60, 159.40),
    30: (0.00, 697.50, 166.50),
    33: (0.00, 680.58, 157.47),
    34: (6.27, 681.39, 154.86),
    35: (13.26, 683.85, 150.62),
    42: (18.40, 726.60, 133.20),
    43: (27.85, 732.59, 136.99),
    44: (36.34, 733.02, 136.14),
    45: (43.50, 728.05, 131.76),
    46: (36.35, 724.20, 135.65),
    47: (27.86, 724.15, 136.19),
    51: (0.00, 668.80, 160.06),
    52: (6.68, 671.00, 159.30),
    53: (16.99, 669.00, 153.10),
    54: (25.20, 661.50, 138.20),
    55: (17.29, 655.70, 148.37),
    56: (7.59, 653.30, 153.90),
    57: (0.00, 652.65, 155.82),
    64: (23.00, 660.80, 139.00),
}
"""Points of the person's left side and the middle: (x, y, z) in the base mesh, millimeters; by index from 0."""
RIM_COLUMN_M = 0.00795
"""Distance of the inner-lip points beside the middle from the plane of symmetry, on the mean face."""
UPPER_RIM = {61: -RIM_COLUMN_M, 62: 0.0, 63: RIM_COLUMN_M}
LOWER_RIM = {67: -RIM_COLUMN_M, 66: 0.0, 65: RIM_COLUMN_M}
"""Points on the rims of the lips, and the x at which they lie on the mean face. Points of both rims lie one above the
other, so that shut lips have no opening between them."""


def picked_points() -> NDArray[np.float64]:
    """All 68 template positions in meters."""
    flip = IBUG68_FLIP.numpy()
    points = np.zeros((68, 3))
    for index, position in PICKED_MM.items():
        points[index] = np.array(position) / 1000.0
        points[flip[index]] = points[index] * [-1.0, 1.0, 1.0]
    for index in np.flatnonzero(flip == np.arange(68)):
        points[index, 0] = 0.0
    return points


@dataclass(frozen=True)
class Surface:
    """The mesh at full resolution that landmarks are put on."""

    template: NDArray[np.float64]
    """Subdivided template, meters."""
    mean: NDArray[np.float64]
    """Mean face, meters."""
    triangles: NDArray[np.int64]
    skin: NDArray[np.bool_]
    """Triangles that may carry a picked landmark."""
    upper_lip: NDArray[np.bool_]
    lower_lip: NDArray[np.bool_]


def ibug68(surface: Surface) -> SurfacePoints:
    """Return the 68 points: those picked on the template, and those on the rims of the mean's lips."""
    picked = _picked_on_surface(surface)
    triangle, weights = picked.triangle.clone(), picked.barycentric.clone()
    for columns, lip, upward in ((UPPER_RIM, surface.upper_lip, -1.0), (LOWER_RIM, surface.lower_lip, 1.0)):
        for index, x in columns.items():
            row, barycentric = highest_on_column(surface.mean, surface.triangles, np.flatnonzero(lip), x, upward)
            triangle[index], weights[index] = row, torch.as_tensor(barycentric, dtype=torch.float32)
    return SurfacePoints(triangle, weights)


def carried_points(path: Path, triangles: NDArray[np.int64]) -> dict[str, SurfacePoints]:
    """Return the MediaPipe points of a model file; none where it has none, or other triangles."""
    data = read_model_file(path) if path.is_file() else None
    if data is None or not np.array_equal(data.triangles.numpy(), triangles):
        return {}
    return {scheme: points for scheme, points in data.landmarks.items() if scheme == MEDIAPIPE468}


def highest_on_column(
    vertices: NDArray[np.float64], triangles: NDArray[np.int64], rows: NDArray[np.int64], x: float, upward: float
) -> tuple[int, NDArray[np.float64]]:
    """Return the row and the barycentric weights of the highest (`upward` 1) or lowest (-1) point with the given x.

    The highest point of a slice through triangles lies on an edge.
    """
    best, found = -np.inf, (-1, np.zeros(3))
    for side in range(3):
        first, second = triangles[rows, side], triangles[rows, (side + 1) % 3]
        run = vertices[second, 0] - vertices[first, 0]
        share = (x - vertices[first, 0]) / np.where(run == 0.0, np.inf, run)
        height = upward * ((1 - share) * vertices[first, 1] + share * vertices[second, 1])
        height[(share < 0.0) | (share > 1.0) | (run == 0.0)] = -np.inf
        k = int(np.argmax(height))
        if height[k] > best:
            weights = np.zeros(3)
            weights[[side, (side + 1) % 3]] = 1 - share[k], share[k]
            best, found = height[k], (int(rows[k]), weights)
    return found


def _picked_on_surface(surface: Surface) -> SurfacePoints:
    """Carry the picked points to the surface and mirror them; the points on the rims are left at zero."""
    template, triangles, skin = surface.template, surface.triangles, surface.skin
    flip = IBUG68_FLIP.numpy()
    rows = np.flatnonzero(skin)
    picked = picked_points()
    triangle, weights = np.zeros(68, dtype=np.int64), np.zeros((68, 3))
    left = [i for i in range(68) if i in PICKED_MM]
    found, barycentric = closest_points(picked[left], template, triangles[rows])
    triangle[left], weights[left] = rows[found], barycentric
    right = [int(flip[i]) for i in left if flip[i] != i]
    at = (template[triangles[triangle[left]]] * weights[left][..., None]).sum(1)
    mirrored = np.array([at[k] for k, i in enumerate(left) if flip[i] != i]) * [-1.0, 1.0, 1.0]
    found, barycentric = closest_points(mirrored, template, triangles[rows])
    triangle[right], weights[right] = rows[found], barycentric
    return SurfacePoints(torch.as_tensor(triangle), torch.as_tensor(weights, dtype=torch.float32))
