import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from morphable_evalkit.measures.points import box_iou, box_size, face_size, mean_point_error, nme, tight_box


def _face(width: float = 40.0, height: float = 10.0) -> np.ndarray:
    points = np.zeros((1, 68, 2))
    points[0, 0], points[0, 1] = (0, 0), (width, height)
    return points


def test_nme_is_mean_distance_over_root_of_box_area():
    # every point moved by (3, 4): distance 5; box 40 x 10: sqrt(400) = 20; 5 / 20 = 0.25
    target = _face()
    np.testing.assert_allclose(nme(target + [3.0, 4.0], target), [0.25])


def test_interocular_normaliser_is_the_distance_of_the_outer_eye_corners():
    # outer corners 30 and 40 apart in x and y: 50; error 5; 5 / 50 = 0.1
    target = _face()
    target[0, 45] = (30.0, 40.0)
    np.testing.assert_allclose(nme(target + [3.0, 4.0], target, normalizer="interocular"), [0.1])


def test_invisible_points_do_not_count():
    target = np.zeros((1, 4, 2))
    predicted = target + np.array([[1.0, 0], [3.0, 0], [100, 0], [np.nan, 0]])
    visible = np.array([[True, True, False, False]])
    np.testing.assert_allclose(mean_point_error(predicted, target, visible), [2.0])
    assert np.isnan(mean_point_error(predicted, target, np.zeros((1, 4), bool)))[0]


def test_a_prediction_that_is_not_finite_stays_nan_and_touches_no_other_face():
    target = np.concatenate([_face(), _face()])
    predicted = target + [3.0, 4.0]
    predicted[0, 5] = np.nan
    result = nme(predicted, target)
    assert np.isnan(result[0])
    assert result[1] == pytest.approx(0.25)


@given(st.floats(0.1, 50), st.floats(-500, 500), st.floats(-500, 500))
def test_nme_does_not_change_with_scale_and_shift_of_the_picture(scale, dx, dy):
    rng = np.random.default_rng(0)
    target, predicted = rng.normal(size=(2, 3, 68, 2))
    moved = nme(predicted * scale + [dx, dy], target * scale + [dx, dy])
    np.testing.assert_allclose(moved, nme(predicted, target), rtol=1e-6)


def test_boxes_and_overlaps_by_hand():
    box = np.array([[0.0, 0.0, 4.0, 9.0]])
    assert box_size(box)[0] == 6.0
    # inside 2 x 9 = 18, union 36 + 36 - 18 = 54
    other = np.array([[2.0, 0.0, 6.0, 9.0], [4.0, 0.0, 5.0, 1.0], [np.nan] * 4, [0, 0, 0, 0]])
    np.testing.assert_allclose(box_iou(box, other), [[18 / 54, 0.0, 0.0, 0.0]])
    assert tight_box(_face()).tolist() == [[0.0, 0.0, 40.0, 10.0]]


def test_a_face_without_extent_is_refused():
    with pytest.raises(ValueError, match="positive bbox size, got none in row 1"):
        face_size(np.concatenate([_face(), np.zeros((1, 68, 2))]), "bbox")
