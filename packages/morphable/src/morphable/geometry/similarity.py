"""Least-squares similarities between point sets (Umeyama 1991), differentiable."""

import torch
from jaxtyping import Float
from torch import Tensor


def nearest_rotation(
    matrix: Float[Tensor, "*batch dims dims"],
) -> tuple[Float[Tensor, "*batch dims dims"], Float[Tensor, "*batch"]]:
    """Return the rotation nearest to a scaled one, and the scale: `matrix ~ scale rotation`."""
    rotation, spread = _rotation_and_spread(matrix)
    return rotation, spread.mean(-1)


def fit_similarity(
    source: Float[Tensor, "*#batch points dims"],
    target: Float[Tensor, "*#batch points dims"],
    weights: Float[Tensor, " points"] | None = None,
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch dims dims"], Float[Tensor, "*batch dims"]]:
    """Find scale, rotation, translation with `target ~ scale R source + translation`, in closed form.

    Differentiable in both point sets where the fit is unique. Give at least as many points as dimensions that are not
    on one line: for degenerate sets the rotation is some minimizer and its gradient is not defined.

    Args:
        source: Points to be moved, in 2D or 3D.
        target: Where the points should come to lie.
        weights: How much each point counts; all alike if None.

    Returns:
        Scale (0 if all source points coincide), rotation (determinant +1), translation.
    """
    if weights is None:
        source_mean, target_mean = source.mean(-2, keepdim=True), target.mean(-2, keepdim=True)
        centered, goal = source - source_mean, target - target_mean
        weighted = goal
    else:
        share = (weights / weights.sum())[:, None]
        source_mean, target_mean = ((share * points).sum(-2, keepdim=True) for points in (source, target))
        centered, goal = source - source_mean, target - target_mean
        weighted = share * goal
    rotation, spread = _rotation_and_spread(weighted.mT @ centered)
    variance = (centered.square() if weights is None else share * centered.square()).sum((-2, -1))
    defined = variance > 0
    scale = spread.sum(-1) / torch.where(defined, variance, 1.0) * defined
    moved = scale[..., None] * (rotation @ source_mean.mT)[..., 0]
    return scale, rotation, target_mean[..., 0, :] - moved


def _rotation_and_spread(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rotation of a polar decomposition, and the stretches with their signs."""
    left, spread, right = torch.linalg.svd(matrix)
    handedness = torch.linalg.det(left @ right).sign().detach()
    signs = torch.cat([torch.ones_like(spread[..., 1:]), handedness[..., None]], dim=-1)
    return left @ (signs[..., None] * right), spread * signs
