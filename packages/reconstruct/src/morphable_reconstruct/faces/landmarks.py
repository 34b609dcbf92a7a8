"""Points of a face straight from its coefficients, without decoding the whole mesh."""

from functools import lru_cache

import torch

from morphable import MorphableModel, PointModel, SurfacePoints

_KEPT_MODELS = 4


@lru_cache(maxsize=_KEPT_MODELS)
def landmark_points(model: MorphableModel) -> PointModel:
    """Restrict a face model to the 68 static points (`ibug68_3d`); kept for the last few models."""
    return model.restrict(model.surface_points("ibug68_3d"))


@lru_cache(maxsize=_KEPT_MODELS)
def located_points(model: MorphableModel) -> PointModel:
    """Restrict a face model to the points that faces are fitted to: the 68 static ones, then the irises' centers."""
    static = model.surface_points("ibug68_3d")
    triangle, barycentric = [static.triangle], [static.barycentric]
    for vertex in model.iris_vertices or ():
        row, corner = torch.nonzero(model.triangles == vertex)[0].tolist()
        triangle.append(torch.tensor([row]))
        barycentric.append(torch.eye(3)[corner : corner + 1])
    return model.restrict(SurfacePoints(torch.cat(triangle), torch.cat(barycentric)))
