"""A triangle mesh or a point cloud."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Mesh:
    """Vertices in the file's own unit, and triangles; a point cloud has none."""

    vertices: Float[np.ndarray, "verts 3"]
    triangles: Int[np.ndarray, "tris 3"]
