import numpy as np
import pytest

from morphable_evalkit.measures.matching import match_best, match_greedy


def _box(x: float, size: float = 10.0) -> list[float]:
    return [x, 0.0, x + size, size]


def test_best_overlap_wins_whatever_the_score():
    match = match_best(np.array([_box(8), _box(1), _box(50)]), np.array([_box(0), _box(100)]))
    assert match.prediction[0] == 1
    assert match.found.tolist() == [True, False]
    assert match.iou[0] == pytest.approx(9 / 11)


def test_greedy_gives_each_prediction_one_face_in_order_of_score():
    truth = np.array([_box(0), _box(4)])
    # both predictions overlap face 0 most; the confident one takes it, the other gets face 1 (overlap 8 / 12)
    predicted = np.array([_box(1), _box(2)])
    match = match_greedy(predicted, np.array([0.9, 0.8]), truth)
    assert match.prediction.tolist() == [0, 1]
    swapped = match_greedy(predicted, np.array([0.8, 0.9]), truth)
    assert swapped.found.tolist() == [True, True]
    assert swapped.prediction.tolist() == [1, 0] or swapped.prediction.tolist() == [0, 1]


def test_a_duplicate_prediction_stays_unmatched():
    match = match_greedy(np.array([_box(0), _box(1)]), np.array([0.5, 0.9]), np.array([_box(0)]))
    assert match.found.tolist() == [True]
    assert match.prediction.tolist() == [1]


def test_overlap_of_exactly_one_half_matches_and_less_does_not():
    # 10 x 10 against 10 x 20: overlap 100 / 200
    truth = np.array([[0.0, 0.0, 10.0, 20.0]])
    assert match_greedy(np.array([_box(0)]), np.array([1.0]), truth).found[0]
    assert not match_greedy(np.array([_box(0.1)]), np.array([1.0]), truth).found[0]


def test_no_prediction_and_no_face():
    none = np.empty((0, 4))
    assert match_best(none, np.array([_box(0)])).found.tolist() == [False]
    assert match_greedy(none, np.empty(0), np.array([_box(0)])).found.tolist() == [False]
    assert match_greedy(np.array([_box(0)]), np.array([1.0]), none).found.tolist() == []


def test_refusal():
    with pytest.raises(ValueError, match=r"min_iou must be in \(0, 1\], got 0"):
        match_greedy(np.empty((0, 4)), np.empty(0), np.empty((0, 4)), min_iou=0.0)
