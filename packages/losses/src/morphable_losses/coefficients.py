"""Regularizers of coefficients, albedo and light."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ._reduce import face_mean, keep_present


def coefficient_norm(
    identity: Float[Tensor, "*batch id"],
    expression: Float[Tensor, "*batch expr"],
    albedo: Float[Tensor, "*batch alb"],
    *,
    identity_weight: float = 1.0,
    expression_weight: float = 0.8,
    albedo_weight: float = 0.0017,
    present: Bool[Tensor, "*batch"] | None = None,
) -> Float[Tensor, ""]:
    """Give the weighted squared length of the coefficients (WM3DR equation 13), averaged over faces.

    Args:
        identity: Identity coefficients.
        expression: Expression coefficients.
        albedo: Albedo coefficients.
        identity_weight: The paper's lambda_id.
        expression_weight: The paper's lambda_exp.
        albedo_weight: The paper's lambda_alb (DF-MVR uses 0.017).
        present: False on padding.

    Returns:
        The loss; zero without faces.

    >>> coefficient_norm(torch.zeros(2, 80), torch.zeros(2, 64), torch.zeros(2, 80))
    tensor(0.)
    """
    weighted = ((identity, identity_weight), (expression, expression_weight), (albedo, albedo_weight))
    squares = [keep_present(value, present).square().sum(-1) * weight for value, weight in weighted]
    return face_mean(torch.stack(squares).sum(0), present)


def albedo_variance(
    albedo: Float[Tensor, "*batch verts 3"],
    region: Bool[Tensor, " verts"],
    *,
    scale: float = 255.0,
    present: Bool[Tensor, "*batch"] | None = None,
) -> Float[Tensor, ""]:
    """Give the variance of the albedo over the skin, summed over colors (WM3DR equation 14).

    The paper's weight of 0.001 is meant for albedo in 0-255; on [0, 1] the term would be inert.

    Args:
        albedo: sRGB-encoded albedo per vertex in [0, 1].
        region: Skin vertices: cheeks, nose, forehead.
        scale: The albedo is multiplied by this first.
        present: False on padding.

    Returns:
        The population variance, averaged over faces; zero without faces or for an empty region.
    """
    skin = albedo[..., region, :] * scale
    if present is not None:
        skin = torch.where(present[..., None, None], skin, 0.0)
    count = max(skin.shape[-2], 1)
    mean = skin.sum(-2, keepdim=True) / count
    return face_mean((skin - mean).square().sum((-2, -1)) / count, present)


def light_prior(
    illumination: Float[Tensor, "*batch 9 3"], *, present: Bool[Tensor, "*batch"] | None = None
) -> Float[Tensor, ""]:
    """Pull the light toward white: mean squared distance of each band's colors from their mean (DF-MVR).

    Args:
        illumination: Spherical-harmonics bands by color.
        present: False on padding.

    Returns:
        The loss; zero without faces, and for any gray light.
    """
    light = illumination if present is None else torch.where(present[..., None, None], illumination, 0.0)
    return face_mean((light - light.mean(-1, keepdim=True)).square().mean((-2, -1)), present)
