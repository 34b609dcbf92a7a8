"""Smooth fields over a mesh, held by values that are known at some vertices."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import splu

from morphable import MorphableModel

_KEPT_MODELS = 4
_REST_WEIGHT = 1e-4
"""Pull of every vertex toward zero, which decides where a piece of the mesh has no known value."""


@dataclass(frozen=True, eq=False)
class Membrane:
    """The edges of a mesh as springs of equal strength."""

    laplacian: Any
    """Sparse matrix: number of neighbors on the diagonal, -1 for each neighbor; vertices in the order below."""
    order: Int[np.ndarray, " verts"]
    """Vertices in an order in which the matrix has sparse factors, found once."""

    def solve(
        self, values: Float[np.ndarray, "verts channels"], weight: Float[np.ndarray, " verts"], *, stiffness: float
    ) -> Float[np.ndarray, "verts channels"]:
        """Return the field that is near known values and changes little from vertex to vertex.

        It minimizes the weighted squared distance from the values plus `stiffness` times the squared differences
        along edges: a screened Poisson equation, whose solution is harmonic where no value is known.

        Args:
            values: Known values; where the weight is 0 they mean nothing.
            weight: Trust in each.
            stiffness: Strength of the springs; its square root is the distance in edges over which values blur.
        """
        matrix = diags_array(weight[self.order] + _REST_WEIGHT) + stiffness * self.laplacian
        factor = splu(matrix.tocsc(), permc_spec="NATURAL", options={"SymmetricMode": True})
        field = np.empty(values.shape)
        field[self.order] = factor.solve((np.where(weight[:, None] > 0, values, 0.0) * weight[:, None])[self.order])
        return field


@lru_cache(maxsize=_KEPT_MODELS)
def membrane(model: MorphableModel) -> Membrane:
    """Make the membrane of a model's mesh; kept for the last few models."""
    triangles, count = model.triangles.numpy(), model.num_vertices
    ends = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    both = np.unique(np.concatenate([ends, ends[:, ::-1]]), axis=0)
    neighbor = coo_array((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(count, count))
    degree = np.bincount(both[:, 0], minlength=count).astype(float)
    laplacian = (diags_array(degree) - neighbor).tocsc()
    regular = laplacian + diags_array(np.ones(count))
    factor = splu(regular.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    order = np.argsort(factor.perm_c)
    return Membrane(laplacian[order][:, order].tocsc(), order)
