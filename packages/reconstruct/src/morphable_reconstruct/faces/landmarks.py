"""The 68 points of a face straight from its coefficients, without decoding the whole mesh."""

from functools import lru_cache

from morphable import MorphableModel, PointModel

_KEPT_MODELS = 4


@lru_cache(maxsize=_KEPT_MODELS)
def landmark_points(model: MorphableModel) -> PointModel:
    """Restrict a face model to the 68 static points (`ibug68_3d`); kept for the last few models."""
    return model.restrict(model.surface_points("ibug68_3d"))
