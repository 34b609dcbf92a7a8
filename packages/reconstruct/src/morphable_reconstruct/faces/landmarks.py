"""Points of a face straight from its coefficients, without decoding the whole mesh."""

from functools import lru_cache

import torch

from morphable import MorphableModel, PointModel, SurfacePoints
from morphable.geometry import points_at_vertices

_KEPT_MODELS = 4


@lru_cache(maxsize=_KEPT_MODELS)
def landmark_points(model: MorphableModel) -> PointModel:
    """Restrict a face model to the 68 static points (`ibug68_3d`); kept for the last few models."""
    return model.restrict(model.surface_points("ibug68_3d"))


@lru_cache(maxsize=_KEPT_MODELS)
def located_points(model: MorphableModel) -> PointModel:
    """Restrict a face model to the points that faces are fitted to: the 68 static ones, then the irises' centers."""
    static, irises = model.surface_points("ibug68_3d"), points_at_vertices(model.triangles, model.iris_vertices or ())
    return model.restrict(
        SurfacePoints(
            torch.cat([static.triangle, irises.triangle]), torch.cat([static.barycentric, irises.barycentric])
        )
    )
