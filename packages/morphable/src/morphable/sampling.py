"""Random coefficients according to a model's prior."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

MAX_SIGMA = 2.5
"""Normal coefficients are drawn again beyond this."""
ACTIVE_SHARE = 0.04
"""Share of expression activations that are not zero: two or three of 64 actions at once."""


def sample_normal(count: int, modes: int, generator: torch.Generator) -> Float[Tensor, "count modes"]:
    """Draw standard normal numbers, none beyond `MAX_SIGMA`."""
    drawn = torch.empty(count, modes)
    return torch.nn.init.trunc_normal_(drawn, a=-MAX_SIGMA, b=MAX_SIGMA, generator=generator)


def sample_activations(
    count: int, names: tuple[str, ...], flip: Int[Tensor, " expr"] | None, generator: torch.Generator
) -> Float[Tensor, "count expr"]:
    """Draw activations: zero but for a few, which are uniform in [0, 1].

    Args:
        count: Number of faces.
        names: Names of the activations; `mouthClose` never closes more than `jawOpen` opens.
        flip: For each activation its counterpart on the other side: half of the faces then do the same on both sides.
        generator: Source of the numbers, on the CPU.
    """
    active = torch.rand(count, len(names), generator=generator) < ACTIVE_SHARE
    expression = torch.rand(count, len(names), generator=generator) * active
    if flip is not None:
        both = torch.rand(count, 1, generator=generator) < 0.5
        mirrored = expression[:, flip]
        expression = torch.where(both, torch.maximum(expression, mirrored), expression)
    _limit(expression, names)
    return expression


def _limit(expression: Float[Tensor, "count expr"], names: tuple[str, ...]) -> None:
    """Cut `mouthClose` in place to `jawOpen`, whose opening it takes back: alone it presses lips through each other."""
    if {"mouthClose", "jawOpen"} <= set(names):
        closing, opening = names.index("mouthClose"), names.index("jawOpen")
        expression[:, closing] = torch.minimum(expression[:, closing], expression[:, opening])
