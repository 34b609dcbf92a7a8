"""Landmarks, picked once on the template: a table of positions, carried to the surface and mirrored.

Picked on pictures of the mean face (front, 45 and 90 degrees): eye corners, lids and lips follow the mesh's own edge loops;
brows lie on the upper half of the drawn brow; the jaw line is the true 3D edge of the jaw, between the lines of Basel's and
ICT-FaceKit's 68 points, up to the front of the ears.
"""

import numpy as np
import torch
from morphable.geometry import SurfacePoints
from morphable.landmarks import IBUG68_FLIP
from numpy.typing import NDArray

from .surface import closest_points

PICKED_MM = {
    8: (0.00, 619.63, 142.25),
    9: (19.12, 624.41, 136.58),
    10: (34.51, 634.11, 121.87),
    11: (45.48, 643.76, 108.64),
    12: (55.43, 657.46, 93.23),
    13: (63.30, 674.07, 80.28),
    14: (67.45, 689.25, 76.49),
    15: (70.09, 705.92, 72.98),
    16: (70.75, 724.70, 72.28),
    22: (12.51, 742.74, 149.11),
    23: (23.51, 746.26, 146.12),
    24: (34.33, 747.62, 141.76),
    25: (45.35, 746.13, 134.91),
    26: (57.25, 739.23, 121.35),
    27: (0.00, 731.50, 150.57),
    28: (-0.04, 718.92, 153.72),
    29: (-0.03, 706.30, 160.73),
    30: (0.00, 693.51, 167.71),
    33: (0.00, 680.16, 157.13),
    34: (6.27, 681.39, 154.86),
    35: (13.82, 684.11, 150.55),
    42: (20.10, 726.94, 134.60),
    43: (27.85, 732.59, 136.99),
    44: (36.34, 733.02, 136.14),
    45: (43.62, 728.16, 131.23),
    46: (36.35, 724.20, 135.65),
    47: (27.86, 724.15, 136.19),
    51: (0.00, 668.33, 160.06),
    52: (6.19, 669.89, 159.29),
    53: (15.53, 668.51, 154.14),
    54: (24.32, 660.96, 140.72),
    55: (16.55, 655.49, 148.94),
    56: (8.55, 653.42, 153.51),
    57: (0.00, 652.65, 155.82),
    62: (0.00, 661.87, 156.41),
    63: (8.54, 662.74, 155.42),
    64: (24.80, 661.49, 137.51),
    65: (8.54, 660.33, 152.16),
    66: (0.00, 660.03, 153.84),
}
"""Points on the person's left side and the middle: (x, y, z) in the base mesh, millimetres; by 68-point index from 0."""


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
