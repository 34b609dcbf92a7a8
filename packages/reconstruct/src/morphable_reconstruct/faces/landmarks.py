"""Points of a face straight from its coefficients, without decoding the whole mesh."""

from functools import lru_cache

import torch

from morphable import MorphableModel, PointModel, SurfacePoints
from morphable_detector_head.layout import located_irises

_KEPT_MODELS = 4


@lru_cache(maxsize=_KEPT_MODELS)
def landmark_points(model: MorphableModel) -> PointModel:
    """Restrict a face model to the 68 static points (`ibug68_3d`); kept for the last few models."""
    return model.restrict(model.surface_points("ibug68_3d"))


@lru_cache(maxsize=_KEPT_MODELS)
def located_points(model: MorphableModel) -> PointModel:
    """Restrict a face model to the 68 static points and the irises' centers, to which faces are fitted."""
    static, irises = model.surface_points("ibug68_3d"), located_irises(model)
    return model.restrict(
        SurfacePoints(
            torch.cat([static.triangle, irises.triangle]), torch.cat([static.barycentric, irises.barycentric])
        )
    )
