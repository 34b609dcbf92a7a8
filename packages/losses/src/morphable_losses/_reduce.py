"""Reductions that stay defined on nothing: the mean of no faces is zero, with zero gradients."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def face_mean(value: Float[Tensor, "*batch"], present: Bool[Tensor, "*batch"] | None) -> Float[Tensor, ""]:
    """Average over the faces that are present; zero if there are none."""
    if present is None:
        return value.sum() / max(value.numel(), 1)
    return torch.where(present, value, 0.0).sum() / present.sum().clamp(min=1)


def keep_present(value: Float[Tensor, "*batch c"], present: Bool[Tensor, "*batch"] | None) -> Tensor:
    """Zero the rows of absent faces before anything non-linear, so that no gradient of theirs is NaN."""
    return value if present is None else torch.where(present[..., None], value, 0.0)


def safe_norm(vector: Float[Tensor, "*batch c"]) -> Float[Tensor, "*batch"]:
    """Euclidean length over the last axis, with gradient zero (not NaN) at zero."""
    square = vector.square().sum(-1)
    positive = square > 0
    return torch.where(positive, square, 1.0).sqrt() * positive
