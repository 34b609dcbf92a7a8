"""WM3DR's total loss (equation 16)."""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Wm3drWeights:
    """The paper's weights of the terms."""

    center: float = 1.0
    """Center focal loss; 0 in the first stage."""
    pixel: float = 100.0
    """Photometric loss on colors in [0, 1]."""
    perception: float = 0.01
    """Distance of face embeddings."""
    landmark: float = 0.1
    """Landmark reprojection, squared input pixels, mean over the points."""
    norm: float = 1e-4
    """Length of the coefficients."""
    variance: float = 1e-3
    """Variance of the skin's albedo, which must come in 0-255 (`albedo_variance` scales it so)."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) >= 0:
                raise ValueError(f"{field.name} must be at least 0, got {getattr(self, field.name)}")


@dataclass(frozen=True, kw_only=True)
class Wm3drTerms:
    """The terms before weighting; None for a term that a stage does not compute."""

    center: Float[Tensor, ""] | None = None
    pixel: Float[Tensor, ""] | None = None
    perception: Float[Tensor, ""] | None = None
    landmark: Float[Tensor, ""] | None = None
    norm: Float[Tensor, ""] | None = None
    variance: Float[Tensor, ""] | None = None


@dataclass(frozen=True)
class TotalLoss:
    """What is minimized, and its parts for the log."""

    total: Float[Tensor, ""]
    weighted: dict[str, Tensor]
    """Each computed term times its weight; they sum to the total."""


def wm3dr_loss(terms: Wm3drTerms, weights: Wm3drWeights) -> TotalLoss:
    """Add the weighted terms (equations 15-16).

    Args:
        terms: At least one of them computed.
        weights: Factor of each term.

    Raises:
        ValueError: No term was computed.

    >>> wm3dr_loss(Wm3drTerms(landmark=torch.tensor(2.0)), Wm3drWeights()).total
    tensor(0.2000)
    """
    named = {field.name: getattr(terms, field.name) for field in fields(terms)}
    weighted = {name: term * getattr(weights, name) for name, term in named.items() if term is not None}
    if not weighted:
        raise ValueError("terms must hold at least one computed term, got none; pass e.g. landmark=...")
    total = torch.stack(list(weighted.values())).sum()
    return TotalLoss(total, weighted)
