"""Random coefficients according to a model's prior."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from morphable.model import MorphableModel

MAX_SIGMA = 2.5
"""Normal coefficients are drawn again beyond this."""
ACTIVE_SHARE = 0.04
"""Share of expression activations that are not zero: two or three of 64 actions at once."""


@dataclass(frozen=True)
class Coefficients:
    """Coefficients of several faces."""

    identity: Float[Tensor, "faces id"]
    expression: Float[Tensor, "faces expr"]
    albedo: Float[Tensor, "faces alb"]


def sample_coefficients(model: MorphableModel, count: int, generator: torch.Generator) -> Coefficients:
    """Draw faces from a model's prior.

    Args:
        model: Says how many coefficients there are and what expressions are: normal ones are drawn like identity;
            activations are zero but for a few, which are uniform in [0, 1] and, where the model knows pairs of sides,
            alike on both sides half of the time; `mouthClose` never closes more than `jawOpen` opens.
        count: Number of faces.
        generator: On the CPU; the same seed gives the same faces on any device.
    """
    identity = _normal(count, model.num_identity, generator)
    albedo = _normal(count, model.num_albedo, generator)
    if model.expression_prior == "normal":
        expression = _normal(count, model.num_expression, generator)
    else:
        active = torch.rand(count, model.num_expression, generator=generator) < ACTIVE_SHARE
        expression = torch.rand(count, model.num_expression, generator=generator) * active
        if model.expression_flip is not None and model.expression_flip.ndim == 1:
            both = torch.rand(count, 1, generator=generator) < 0.5
            mirrored = expression[:, model.expression_flip.cpu()]
            expression = torch.where(both, torch.maximum(expression, mirrored), expression)
        _limit(expression, model.expression_names)
    like = model.mean
    return Coefficients(identity.to(like), expression.to(like), albedo.to(like))


def _limit(expression: Float[Tensor, "count expr"], names: tuple[str, ...]) -> None:
    """Cut `mouthClose` in place to `jawOpen`, whose opening it takes back: alone it presses lips through each other."""
    if {"mouthClose", "jawOpen"} <= set(names):
        closing, opening = names.index("mouthClose"), names.index("jawOpen")
        expression[:, closing] = torch.minimum(expression[:, closing], expression[:, opening])


def _normal(count: int, modes: int, generator: torch.Generator) -> Float[Tensor, "count modes"]:
    """Draw standard normal numbers, none beyond `MAX_SIGMA`."""
    drawn = torch.empty(count, modes)
    return torch.nn.init.trunc_normal_(drawn, a=-MAX_SIGMA, b=MAX_SIGMA, generator=generator)
