"""Landmark reprojection losses."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from morphable.landmarks import EYES, INNER_LIPS, MOUTH, NOSE, NOSE_RIDGE, NUM_IBUG68

from ._reduce import face_mean, safe_norm

EMPHASIS = 20.0


def landmark_weights(
    emphasized: Literal["nose_mouth", "nose_inner_mouth", "dfmvr_code"] = "nose_mouth",
    *,
    emphasis: float = EMPHASIS,
) -> Float[Tensor, " lmk"]:
    """Give the weight of each of the 68 iBUG points.

    Args:
        emphasized: The points that count more. `nose_mouth` is WM3DR's text (27-35, 48-67),
            `nose_inner_mouth` DF-MVR's (27-35, 60-67), `dfmvr_code` what DF-MVR's released code
            does (28-30, 36-47, 60-67).
        emphasis: Their weight; the others have one.
    """
    chosen = {
        "nose_mouth": [*NOSE, *MOUTH],
        "nose_inner_mouth": [*NOSE, *INNER_LIPS],
        "dfmvr_code": [*NOSE_RIDGE[1:], *EYES, *INNER_LIPS],
    }
    weights = torch.ones(NUM_IBUG68)
    weights[chosen[emphasized]] = emphasis
    return weights


def landmark_loss(
    predicted_px: Float[Tensor, "*batch lmk 2"],
    target_px: Float[Tensor, "*batch lmk 2"],
    weights: Float[Tensor, " lmk"],
    *,
    present: Bool[Tensor, "*batch"] | None = None,
    known: Bool[Tensor, "*batch lmk"] | None = None,
    unit_px: Float[Tensor, "*batch"] | None = None,
    squared: bool = True,
) -> Float[Tensor, ""]:
    """Compare projected landmarks with given ones (WM3DR equation 12).

    The paper leaves the reduction over the points open; here it is their mean, as Deep3DFaceRecon's: the
    weighted sum divided by the number of points, unknown ones included, then the mean over faces.

    Args:
        predicted_px: Projected landmarks in pixels of the network's input.
        target_px: Given landmarks; any value where not known or not present.
        weights: Weight per point, see `landmark_weights`.
        present: False on padding.
        known: False for points without a label; they count zero.
        unit_px: Length per face that errors are measured in, e.g. a hundredth of its size, so that near
            faces do not outweigh far ones; one pixel if None, as in the paper.
        squared: Squared distance (WM3DR), or the plain distance (DF-MVR's unsquared norm).

    Returns:
        The loss; zero without faces.

    >>> landmark_loss(torch.zeros(1, 68, 2), torch.ones(1, 68, 2), torch.ones(68))
    tensor(2.)
    """
    counted = torch.ones_like(predicted_px[..., 0], dtype=torch.bool) if known is None else known
    if present is not None:
        counted = counted & present[..., None]
    error = torch.where(counted[..., None], predicted_px - target_px, 0.0)
    if unit_px is not None:
        unit = unit_px if present is None else torch.where(present, unit_px, 1.0)
        error = error / unit[..., None, None]
    distance = error.square().sum(-1) if squared else safe_norm(error)
    return face_mean((distance * weights).sum(-1) / weights.numel(), present)
