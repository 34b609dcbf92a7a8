"""The coefficients of a face model that come nearest to given vertices."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float

from morphable import MorphableModel

PRIOR_M = 0.002
"""Error of vertices that weighs as much in the fit of coefficients as a coefficient of one standard deviation."""
_EVERY = 7
"""The fit looks at every seventh vertex of the face."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fit:
    """A linear fit of coefficients to vertices."""

    vertex: np.ndarray
    mean: np.ndarray
    solve: np.ndarray


def nearest_coefficients(
    model: MorphableModel, vertices_m: Float[np.ndarray, "verts 3"]
) -> tuple[Float[np.ndarray, " id"], Float[np.ndarray, " expr"]]:
    """Return the coefficients whose face is nearest to some vertices (ridge regression on the face region)."""
    fit = _fit(model)
    coefficients = fit.solve @ (vertices_m[fit.vertex].reshape(-1) - fit.mean)
    identity, expression = np.split(coefficients.astype(np.float32), [model.num_identity])
    return identity, expression


@lru_cache(maxsize=2)
def _fit(model: MorphableModel) -> _Fit:
    """Prepare the fit for a face model; kept for the last two."""
    named = "face" in (*model.region_names, *model.part_names)
    inside = model.region("face") if named else torch.ones(model.num_vertices, dtype=torch.bool)
    vertex = inside.nonzero()[::_EVERY, 0]
    count = model.num_identity + model.num_expression
    with torch.no_grad():
        neutral = [torch.zeros(1, model.num_identity), torch.zeros(1, model.num_expression)]
        mean = model.decode_shape(*neutral)[0, vertex].flatten()
        rows = torch.eye(count).split([model.num_identity, model.num_expression], dim=1)
        modes = torch.stack(
            [model.decode_shape(i, e)[vertex].double().flatten() - mean for i, e in zip(*rows, strict=True)]
        )
    modes = modes.double()
    normal = modes @ modes.T + PRIOR_M**2 * torch.eye(count).double()
    return _Fit(vertex=vertex.numpy(), mean=mean.numpy(), solve=torch.linalg.solve(normal, modes).numpy())
