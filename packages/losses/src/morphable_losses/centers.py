"""The center map's focal loss (WM3DR, equations 7-8)."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def center_focal_loss(
    logits: Float[Tensor, "batch rows cols"],
    target: Float[Tensor, "batch rows cols"],
    *,
    gamma: float = 2.0,
    penalty_power: float = 4.0,
    weight: Float[Tensor, "batch rows cols"] | None = None,
) -> Float[Tensor, ""]:
    """Compare a center map with the true one.

    For a target of zeros and ones this is equations 7-8. For a gaussian target it is CenterNet's
    penalty-reduced variant: a cell next to a center counts `(1 - target) ** penalty_power` as background.

    Args:
        logits: Center scores before the sigmoid.
        target: 1 at face centers, below 1 elsewhere.
        gamma: Focusing power.
        penalty_power: How fast the penalty falls near a center; without effect on a 0/1 target.
        weight: Factor per cell, e.g. 0 where a picture has faces that nobody labeled.

    Returns:
        The sum over all cells, divided by the number of faces in the batch, or by one if there are none:
        an empty picture still trains the background.

    >>> target = torch.zeros(1, 2, 2)
    >>> target[0, 0, 0] = 1.0
    >>> good = center_focal_loss(20 * target - 10, target)
    >>> bad = center_focal_loss(10 - 20 * target, target)
    >>> bool(good < 0.01 < bad)
    True
    """
    center = target == 1
    probability = logits.sigmoid()
    positive = (1 - probability) ** gamma * F.logsigmoid(logits)
    negative = (1 - target) ** penalty_power * probability**gamma * F.logsigmoid(-logits)
    loss = -positive.where(center, negative)
    if weight is not None:
        loss = loss * weight
    return loss.sum() / center.sum().clamp(min=1)
