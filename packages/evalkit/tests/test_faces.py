from dataclasses import replace

import numpy as np
import pytest

from morphable_evalkit.alignment.faces import summarize_faces, summarize_placement
from morphable_evalkit.alignment.scores import score_alignment
from morphable_evalkit.datasets.ground_truth import GroundTruth


@pytest.fixture
def truth(face_points) -> GroundTruth:
    """Two pictures: one with two faces, one with one."""
    points = [face_points((60, 60)), face_points((200, 60), seed=1), face_points((100, 100), seed=2)]
    return GroundTruth(
        name="groups",
        images=("a.jpg", "b.jpg"),
        image=("a.jpg", "a.jpg", "b.jpg"),
        points_px=np.stack(points),
        translation_m=np.array([[0.0, 0, 2], [1.0, 0, 2], [0, 0, 1]]),
    )


def _predict(truth, make_predictions, extra=(), keep=slice(None), **fields):
    faces = [*zip(truth.image, truth.points_px + [2.0, 0.0], strict=True)][keep]
    return make_predictions([*faces, *extra], images=list(truth.images), **fields)


def test_recall_precision_and_shares_by_hand(truth, make_predictions, face_points):
    # face of b.jpg missed, one false face: recall 2 / 3, precision 2 / 3, errors 2 / 50 = 0.04
    predictions = _predict(truth, make_predictions, extra=[("b.jpg", face_points((250, 150)))], keep=slice(2))
    summary = summarize_faces(score_alignment(predictions, truth, one_to_one=True), truth)
    assert summary.recall == pytest.approx(2 / 3)
    assert summary.precision == pytest.approx(2 / 3)
    assert summary.mean == pytest.approx(0.04)
    assert summary.share_below_5 == pytest.approx(2 / 3)
    assert summary.unmatched_per_image == 0.5


def test_precision_is_not_defined_where_faces_lack_annotation(truth, make_predictions):
    partly = replace(truth, every_face_annotated=False)
    scores = score_alignment(_predict(truth, make_predictions), partly, one_to_one=True)
    assert np.isnan(summarize_faces(scores, partly).precision)


def test_one_prediction_serves_one_face_only(face_points, make_predictions):
    near = GroundTruth(
        name="near",
        images=("a.jpg",),
        image=("a.jpg", "a.jpg"),
        points_px=np.stack([face_points(), face_points() + 5.0]),
    )
    scores = score_alignment(make_predictions([("a.jpg", face_points())]), near, one_to_one=True)
    assert scores.found.tolist() == [True, False]


def test_pictures_without_faces_count_false_ones(make_predictions, face_points):
    empty = GroundTruth(name="none", images=("a.jpg", "b.jpg"), image=(), points_px=np.empty((0, 68, 2)))
    predictions = make_predictions([("a.jpg", face_points())], images=["a.jpg", "b.jpg"])
    summary = summarize_faces(score_alignment(predictions, empty, one_to_one=True), empty)
    assert (summary.num_faces, summary.num_unmatched, summary.unmatched_per_image) == (0, 1, 0.5)
    assert summary.precision == 0.0
    assert np.isnan(summary.recall)


def test_placement_by_hand(truth, make_predictions):
    # everything twice as far: position off by |t|, so 100 %; the pair's distance 2 instead of 1: 100 %
    predictions = _predict(truth, make_predictions, translation_m=2 * truth.translation_m)
    scores = score_alignment(predictions, truth, one_to_one=True)
    placement = summarize_placement(scores, predictions, truth)
    assert placement.position_error_relative == pytest.approx(1.0)
    assert placement.distance_error_relative == pytest.approx(1.0)
    assert placement.num_pairs == 1
    assert placement.position_error_m == pytest.approx((2 + np.sqrt(5) + 1) / 3)


def test_exact_placement_and_depth_order(truth, make_predictions):
    ordered = replace(truth, translation_m=np.array([[0.0, 0, 2], [1.0, 0, 3], [0, 0, 1]]))
    exact = _predict(ordered, make_predictions, translation_m=ordered.translation_m)
    placement = summarize_placement(score_alignment(exact, ordered, one_to_one=True), exact, ordered)
    assert (placement.position_error_m, placement.distance_error_relative, placement.depth_order_share) == (0, 0, 1)
    swapped = _predict(ordered, make_predictions, translation_m=ordered.translation_m[[1, 0, 2]])
    wrong = summarize_placement(score_alignment(swapped, ordered, one_to_one=True), swapped, ordered)
    assert wrong.depth_order_share == 0.0


def test_placement_needs_positions_and_faces(truth, make_predictions):
    predictions = _predict(truth, make_predictions)
    scores = score_alignment(predictions, truth, one_to_one=True)
    with pytest.raises(ValueError, match="preds must hold translation_m"):
        summarize_placement(scores, predictions, truth)
    nothing = make_predictions([], images=list(truth.images), translation_m=np.empty((0, 3)))
    with pytest.raises(ValueError, match="match at least one face"):
        summarize_placement(score_alignment(nothing, truth, one_to_one=True), nothing, truth)
