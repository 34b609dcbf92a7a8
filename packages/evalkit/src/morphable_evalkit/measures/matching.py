"""Which predicted face belongs to which annotated face."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from morphable_evalkit.measures.points import box_iou


@dataclass(frozen=True)
class Match:
    """Prediction of every annotated face of one picture."""

    prediction: Int[np.ndarray, " truths"]
    """Row among the picture's predictions; meaningless where not found."""
    found: Bool[np.ndarray, " truths"]
    iou: Float[np.ndarray, " truths"]


def match_best(predicted: Float[np.ndarray, "preds 4"], truth: Float[np.ndarray, "truths 4"]) -> Match:
    """Give every annotated face the prediction that overlaps it most (img2pose's rule for one-face sets).

    A prediction may serve several annotated faces. A face that no prediction overlaps is missed.
    """
    if len(predicted) == 0:
        return _nothing(len(truth))
    iou = box_iou(truth, predicted)
    best = iou.argmax(axis=1)
    value = iou[np.arange(len(truth)), best]
    return Match(best, value > 0, value)


def match_greedy(
    predicted: Float[np.ndarray, "preds 4"],
    score: Float[np.ndarray, " preds"],
    truth: Float[np.ndarray, "truths 4"],
    *,
    min_iou: float = 0.5,
) -> Match:
    """Match one to one: predictions in order of falling score each take the free face they overlap most.

    Args:
        predicted: Boxes of the predictions.
        score: Their confidence; equal scores keep their order.
        truth: Boxes of the annotated faces.
        min_iou: Overlap below which nothing is matched.

    Raises:
        ValueError: `min_iou` is not in (0, 1].
    """
    if not 0 < min_iou <= 1:
        raise ValueError(f"min_iou must be in (0, 1], got {min_iou}")
    match = _nothing(len(truth))
    iou = box_iou(predicted, truth)
    for row in np.argsort(-score, kind="stable"):
        free = np.where(match.found, 0.0, iou[row])
        if len(free) and free.max() >= min_iou:
            best = int(free.argmax())
            match.prediction[best], match.found[best], match.iou[best] = row, True, free[best]
    return match


def _nothing(num_truths: int) -> Match:
    """A picture in which every face is missed."""
    return Match(np.zeros(num_truths, np.int64), np.zeros(num_truths, bool), np.zeros(num_truths))
