"""The overlap of segmentations as a loss."""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def overlap_loss(
    logits: Float[Tensor, "batch classes rows cols"], target: Int[Tensor, "batch rows cols"]
) -> Float[Tensor, ""]:
    """Return one minus the mean intersection over union, a pixel belonging to each class by its probability.

    The mean is over the classes that occur in the batch (Rahman and Wang, "Optimizing intersection-over-union in deep
    neural networks", 2016).

    Args:
        logits: Scores of the classes before the softmax.
        target: True class of every pixel.

    Returns:
        A loss from 0 to 1; zero without pixels.

    >>> overlap_loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64))  # half of each pixel is right
    tensor(0.5000)
    """
    if target.numel() == 0:
        return logits.sum()
    found = logits.softmax(1)
    true = F.one_hot(target, logits.shape[1]).movedim(-1, 1).to(found.dtype)
    hit = (found * true).sum((0, 2, 3))
    area = true.sum((0, 2, 3))
    occurs = area > 0
    return 1 - (hit / (found.sum((0, 2, 3)) + area - hit))[occurs].mean()
