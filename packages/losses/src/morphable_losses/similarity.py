"""Differentiable least-squares similarity between point sets (Umeyama 1991)."""

import torch
from jaxtyping import Float
from torch import Tensor


def fit_similarity(
    source: Float[Tensor, "*batch points 3"], target: Float[Tensor, "*batch points 3"]
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch 3 3"], Float[Tensor, "*batch 3"]]:
    """Find scale, rotation, translation with `target ~ scale R source + translation`, in closed form.

    Differentiable in both point sets where the fit is unique. Give at least three points that are not on
    one line: for degenerate sets the rotation is some minimiser and its gradient is not defined.

    Args:
        source: Points to be moved.
        target: Where they should come to lie.

    Returns:
        Scale (0 if all source points coincide), rotation (determinant +1), translation.
    """
    source_mean, target_mean = source.mean(-2, keepdim=True), target.mean(-2, keepdim=True)
    centered, goal = source - source_mean, target - target_mean
    left, spread, right = torch.linalg.svd(goal.mT @ centered)
    handedness = torch.linalg.det(left @ right).sign().detach()
    signs = torch.stack([torch.ones_like(handedness), torch.ones_like(handedness), handedness], -1)
    rotation = left @ (signs[..., None] * right)
    variance = centered.square().sum((-2, -1))
    defined = variance > 0
    scale = (spread * signs).sum(-1) / torch.where(defined, variance, 1.0) * defined
    moved = scale[..., None] * (rotation @ source_mean.mT)[..., 0]
    return scale, rotation, target_mean[..., 0, :] - moved
