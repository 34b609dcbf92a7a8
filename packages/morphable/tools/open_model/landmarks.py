"""Landmarks, picked once on the template: a table of positions, carried to the surface and mirrored.

Picked on pictures of the mean face (front, 45 and 90 degrees): eyes and lips follow the mesh's own edge loops, brows
lie on the upper half of the drawn brow; mouth corners, brow ends and canthi were then shifted by the mean residual of
fits to real faces. The ridge of the nose, the outer brow ends and the upper lip lie near where annotators of
photographs put them on average: the projected points of synthetic people were compared with Helen's and AFLW2000's mean
shapes (`benchmarks/landmark_placement.py` prints what is left). The jaw line is the true 3D edge of the jaw up to the
front of the ears, between the lines of Basel's and ICT-FaceKit's 68 points.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from morphable.geometry import SurfacePoints
from morphable.landmarks import IBUG68_FLIP

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
    62: (0.00, 661.86, 156.41),
    63: (7.04, 662.73, 155.74),
    64: (23.00, 660.80, 139.00),
    65: (7.34, 660.38, 152.48),
    66: (0.00, 660.03, 153.84),
}
"""Points of the person's left side and the middle: (x, y, z) in the base mesh, millimetres; by index from 0."""


def picked_points() -> NDArray[np.float64]:
    """All 68 template positions in metres."""
    flip = IBUG68_FLIP.numpy()
    points = np.zeros((68, 3))
    for index, position in PICKED_MM.items():
        points[index] = np.array(position) / 1000.0
        points[flip[index]] = points[index] * [-1.0, 1.0, 1.0]
    for index in np.flatnonzero(flip == np.arange(68)):
        points[index, 0] = 0.0
    return points


def ibug68(template: NDArray[np.float64], triangles: NDArray[np.int64], skin: NDArray[np.bool_]) -> SurfacePoints:
    """The 68 points as surface points.

    Args:
        template: Subdivided template, metres.
        triangles: Of the full resolution.
        skin: Triangles that may carry a landmark.
    """
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
