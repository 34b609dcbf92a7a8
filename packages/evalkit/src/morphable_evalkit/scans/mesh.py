"""A triangle mesh or a point cloud."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Mesh:
    """Vertices in the file's own unit, and triangles; a point cloud has none.

    Example:
        >>> vertices = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
        >>> mesh = Mesh(vertices, np.array([[0, 1, 2], [0, 2, 3]]))
        >>> mesh.triangles.shape
        (2, 3)
    """

    vertices: Float[np.ndarray, "verts 3"]
    triangles: Int[np.ndarray, "tris 3"]
