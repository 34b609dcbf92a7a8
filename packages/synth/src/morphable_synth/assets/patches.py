"""Parts of meshes: some triangles, with the vertices that they use."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Patch:
    """Some triangles of a mesh, numbered in terms of the vertices that they use."""

    vertices: Int[np.ndarray, " used"]
    """Numbers of these vertices in the whole mesh."""
    triangles: Int[np.ndarray, "tris 3"]
    corner_uv: Float[np.ndarray, "tris 3 2"]


def compacted(
    triangles: Int[np.ndarray, "tris 3"],
) -> tuple[Int[np.ndarray, " used"], Int[np.ndarray, "tris 3"]]:
    """Return the vertices that triangles use, in order, and the triangles numbered in terms of these."""
    used = np.zeros(triangles.max(initial=-1) + 1, bool)
    used[triangles] = True
    number = np.cumsum(used, dtype=np.int32) - 1
    return np.flatnonzero(used), number[triangles]


def patch_of(
    triangles: Int[np.ndarray, "tris 3"], corner_uv: Float[np.ndarray, "tris 3 2"], chosen: Bool[np.ndarray, " tris"]
) -> Patch:
    """Return the chosen triangles of a mesh."""
    return Patch(*compacted(triangles[chosen]), np.ascontiguousarray(corner_uv[chosen], np.float32))
