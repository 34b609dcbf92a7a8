"""Errors of per-face networks on faces whose truth is known."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from morphable.geometry import fit_similarity
from morphable_train.data.batch import FaceTargets

MEAN_FACES = 512
"""Training pictures whose mean is the mean face that errors are compared with."""


def training_mean(of_step: Callable[[int], Tensor], pictures_per_step: int) -> Tensor:
    """Average `of_step(step)` over the steps that cover the first `MEAN_FACES` pictures."""
    return torch.stack([of_step(step) for step in range(max(1, MEAN_FACES // pictures_per_step))]).mean(0)


def landmark_nme(predicted_px: Float[Tensor, "faces 68 2"], truth: FaceTargets) -> Float[Tensor, " faces"]:
    """Return the mean distance of the annotated points over the square root of the area of their true box."""
    error, known = (predicted_px - truth.landmarks68_px).norm(dim=-1), truth.landmark_weight
    return (error * known).sum(1) / known.sum(1) / truth.sizes_px()


def dense_nme(
    predicted_px: Float[Tensor, "faces points 3"], true_px: Float[Tensor, "faces points 3"], truth: FaceTargets
) -> Float[Tensor, " faces"]:
    """Return the same in three dimensions for any points, after bringing their mean depths together."""
    error = predicted_px - true_px
    shift = torch.cat([torch.zeros_like(error[:, :1, :2]), error[..., 2:].mean(1, keepdim=True)], dim=-1)
    return (error - shift).norm(dim=-1).mean(1) / truth.sizes_px()


def shape_error_mm(
    predicted_m: Float[Tensor, "faces points 3"], true_m: Float[Tensor, "faces points 3"]
) -> Float[Tensor, " faces"]:
    """Return the mean distance of corresponding surface points after the best similarity, in millimeters."""
    scale, rotation, translation = fit_similarity(predicted_m, true_m)
    moved = scale[:, None, None] * predicted_m @ rotation.mT + translation[:, None]
    return (moved - true_m).norm(dim=-1).mean(1) * 1000.0


def rotation_error_deg(
    predicted: Float[Tensor, "faces 3 3"], truth: Float[Tensor, "faces 3 3"]
) -> Float[Tensor, " faces"]:
    """Return the angle between head rotations."""
    cosine = ((predicted * truth).sum((1, 2)) - 1) / 2
    return torch.rad2deg(torch.acos(cosine.clamp(-1, 1)))
