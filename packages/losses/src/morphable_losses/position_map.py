"""PRNet's loss on UV position maps."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ._reduce import face_mean, safe_norm

LANDMARK_WEIGHT, FEATURE_WEIGHT, FACE_WEIGHT = 16.0, 4.0, 3.0
"""Weights of the 68 points, of eyes, nose and mouth, of the rest of the face; the neck counts zero."""


def position_map_weights(
    face: Bool[Tensor, "rows cols"],
    features: Bool[Tensor, "rows cols"],
    landmark_texel: Float[Tensor, "lmk 2"],
) -> Float[Tensor, "rows cols"]:
    """Build PRNet's weight mask, 16 : 4 : 3 : 0.

    Args:
        face: Texels of the face; the others (neck, empty) count zero.
        features: Texels of eyes, nose and mouth.
        landmark_texel: The 68 points (u, v) in texels, corner at (0, 0); points outside the map are left out.
    """
    weights = torch.where(features & face, FEATURE_WEIGHT, torch.where(face, FACE_WEIGHT, 0.0))
    rows, cols = face.shape
    col, row = landmark_texel.floor().long().unbind(-1)
    inside = (col >= 0) & (col < cols) & (row >= 0) & (row < rows)
    weights[row[inside], col[inside]] = LANDMARK_WEIGHT
    return weights


def position_map_loss(
    predicted: Float[Tensor, "*batch 3 rows cols"],
    target: Float[Tensor, "*batch 3 rows cols"],
    weights: Float[Tensor, "rows cols"],
    *,
    squared: bool = False,
    present: Bool[Tensor, "*batch"] | None = None,
) -> Float[Tensor, ""]:
    """Compare position maps: weighted mean over texels of the error's length.

    Args:
        predicted: Positions by texel.
        target: The true ones; any value where the weight is zero.
        weights: See `position_map_weights`. The result does not change with their scale.
        squared: Squared length, as PRNet's training is often reported, instead of the length of its text.
        present: False on padding.

    Returns:
        The mean over faces; zero without faces or if all weights are zero. Gradient zero at zero error.

    >>> maps = torch.rand(1, 3, 4, 4)
    >>> position_map_loss(maps, maps, torch.ones(4, 4))
    tensor(0.)
    """
    counted = weights > 0
    if present is not None:
        counted = counted & present[..., None, None]
    error = torch.where(counted.unsqueeze(-3), predicted - target, 0.0).movedim(-3, -1)
    length = error.square().sum(-1) if squared else safe_norm(error)
    total = weights.sum()
    mean = (length * weights).sum((-2, -1)) / torch.where(total > 0, total, 1.0)
    return face_mean(mean, present)
