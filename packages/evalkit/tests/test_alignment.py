from dataclasses import replace

import numpy as np
import pytest

from morphable_evalkit.alignment.point_sets import aflw21_from_68, read_vertex_map
from morphable_evalkit.alignment.scores import check_coverage, score_alignment
from morphable_evalkit.datasets.ground_truth import GroundTruth
from morphable_evalkit.measures.summaries import summarize


@pytest.fixture
def truth(face_points) -> GroundTruth:
    """Three pictures, one face each; boxes of 50 x 50."""
    return GroundTruth(
        name="made up",
        images=("a.jpg", "b.jpg", "c.jpg"),
        image=("a.jpg", "b.jpg", "c.jpg"),
        points_px=np.stack([face_points(seed=s) for s in range(3)]),
        yaw_deg=np.array([0.0, 40.0, 80.0]),
        size_hw=dict.fromkeys(("a.jpg", "b.jpg", "c.jpg"), (200, 300)),
    )


def _shifted(truth, pixels: float) -> list[tuple[str, np.ndarray]]:
    return [(name, points + [pixels, 0.0]) for name, points in zip(truth.image, truth.points_px, strict=True)]


def test_a_known_shift_gives_that_error(truth, make_predictions):
    # 2 px over sqrt(50 * 50) = 0.04
    scores = score_alignment(make_predictions(_shifted(truth, 2.0)), truth)
    np.testing.assert_allclose(scores.error, 0.04)
    assert summarize(scores.error, scores.yaw_deg).balanced_mean == pytest.approx(0.04)


def test_order_of_the_predictions_does_not_matter(truth, make_predictions):
    faces = _shifted(truth, 1.0)
    forward = score_alignment(make_predictions(faces), truth)
    backward = score_alignment(make_predictions(faces[::-1], images=["c.jpg", "a.jpg", "b.jpg"]), truth)
    np.testing.assert_array_equal(forward.error, backward.error)


def test_a_picture_without_prediction_and_one_with_nan_are_failures(truth, make_predictions):
    faces = _shifted(truth, 2.0)[:2]
    faces[1][1][3] = np.nan
    scores = score_alignment(make_predictions(faces, images=list(truth.images)), truth)
    assert np.isnan(scores.error).tolist() == [False, True, True]
    assert summarize(scores.error).num_failed == 2


def test_the_best_overlapping_of_several_predictions_is_scored(truth, make_predictions, face_points):
    faces = [("a.jpg", face_points(center=(200, 100))), *_shifted(truth, 2.0)]
    scores = score_alignment(make_predictions(faces), truth)
    np.testing.assert_allclose(scores.error, 0.04)
    assert scores.num_unmatched == 1


def test_faces_elsewhere_are_misses_not_large_errors(truth, make_predictions, face_points):
    faces = [(name, face_points(center=(220, 100))) for name in truth.images]
    scores = score_alignment(make_predictions(faces), truth)
    assert not scores.found.any()
    assert np.isnan(scores.error).all()


def test_contour_points_are_scored_for_contour_labels(truth, make_predictions):
    contour = replace(truth, jaw="contour")
    faces = _shifted(truth, 4.0)
    exact = np.stack([p for _, p in _shifted(truth, 1.0)])
    predictions = make_predictions(faces, landmarks68_contour_px=exact)
    np.testing.assert_allclose(score_alignment(predictions, contour).error, 0.02)
    np.testing.assert_allclose(score_alignment(predictions, contour, points="static").error, 0.08)
    np.testing.assert_allclose(score_alignment(predictions, truth, points="contour").error, 0.02)
    mixed = score_alignment(predictions, contour, points="static")
    assert mixed.protocol["points"] == "68, static points against contour labels"


def test_without_contour_points_contour_labels_are_refused_but_inner_points_score(truth, make_predictions):
    contour = replace(truth, jaw="contour")
    predictions = make_predictions(_shifted(truth, 2.0))
    with pytest.raises(ValueError, match="must hold landmarks68_contour_px"):
        score_alignment(predictions, contour)
    inner = score_alignment(predictions, contour, points="inner51")
    np.testing.assert_allclose(inner.error, 0.04)
    assert inner.protocol["points"] == "51, without the jaw"


def test_inner_points_ignore_the_jaw(truth, make_predictions):
    faces = _shifted(truth, 0.0)
    for _, points in faces:
        points[2:17] += 3.0
    np.testing.assert_allclose(score_alignment(make_predictions(faces), truth, points="inner51").error, 0.0, atol=1e-12)


def test_depth_counts_in_three_dimensions_only(truth, make_predictions):
    depth = np.random.default_rng(0).normal(size=(3, 68))
    solid = replace(truth, depth_px=depth)
    # every second point 6 px deeper, the rest 6 px nearer: mean unchanged, each error 6 px: 6 / 50 = 0.12
    off = depth + np.where(np.arange(68) % 2 == 0, 6.0, -6.0)
    predictions = make_predictions(_shifted(truth, 0.0), landmarks68_depth_px=off + 1000.0)
    np.testing.assert_allclose(score_alignment(predictions, solid, dims=2).error, 0.0, atol=1e-12)
    np.testing.assert_allclose(score_alignment(predictions, solid, dims=3).error, 0.12)


def test_camera_points_give_depth_in_pixels_by_the_scale_of_the_mean_depth(truth, make_predictions):
    # 1 cm behind the mean at 2 m with 1000 px focal length: 0.01 / 2 * 1000 = 5 px
    cam = np.zeros((3, 68, 3))
    cam[..., 2] = 2.0 + np.where(np.arange(68) % 2 == 0, 0.01, -0.01)
    faces = make_predictions(_shifted(truth, 0.0), landmarks68_cam_m=cam, focal_px=np.full(3, 1000.0))
    expected = np.where(np.arange(68) % 2 == 0, 5.0, -5.0)
    np.testing.assert_allclose(faces.depths_px(), np.tile(expected, (3, 1)))


def test_depth_is_refused_where_either_side_has_none(truth, make_predictions):
    predictions = make_predictions(_shifted(truth, 0.0))
    with pytest.raises(ValueError, match="landmarks68_cam_m and focal_px"):
        score_alignment(predictions, truth, dims=3)
    with_depth = make_predictions(_shifted(truth, 0.0), landmarks68_depth_px=np.zeros((3, 68)))
    with pytest.raises(ValueError, match="dims must be 2 for made up"):
        score_alignment(with_depth, truth, dims=3)


def test_crops_need_exactly_one_prediction_per_face_in_the_right_order(truth, make_predictions, face_points):
    faces = _shifted(truth, 2.0)
    np.testing.assert_allclose(score_alignment(make_predictions(faces), truth, form="gt-crop").error, 0.04)
    double = [*faces, ("a.jpg", face_points(seed=9))]
    with pytest.raises(ValueError, match=r"1 face\(s\) for a.jpg with --form gt-crop, got 2"):
        score_alignment(make_predictions(double), truth, form="gt-crop")
    elsewhere = [(name, points + [90.0, 0.0]) for name, points in faces]
    with pytest.raises(ValueError, match="order of the sorted file names"):
        score_alignment(make_predictions(elsewhere), truth, form="gt-crop")


def test_a_crop_far_off_is_an_error_value_not_a_miss(truth, make_predictions):
    faces = _shifted(truth, 0.0)
    faces[0] = ("a.jpg", faces[0][1] + [100.0, 0.0])
    scores = score_alignment(make_predictions(faces), truth, form="gt-crop")
    np.testing.assert_allclose(scores.error, [2.0, 0.0, 0.0], atol=1e-12)


def test_unknown_missing_and_resized_pictures_are_refused(truth, make_predictions):
    faces = _shifted(truth, 0.0)
    with pytest.raises(ValueError, match=r"got 1 unknown \(d.jpg\)"):
        check_coverage(make_predictions(faces, images=[*truth.images, "d.jpg"]), truth)
    with pytest.raises(ValueError, match=r"must cover all 3 pictures of made up, got 2; missing: c\.jpg"):
        check_coverage(make_predictions(faces[:2]), truth)
    small = np.tile(np.int64([100, 150]), (3, 1))
    with pytest.raises(ValueError, match=r"processed_size_hw of a.jpg must be \(200, 300\)"):
        check_coverage(make_predictions(faces, processed_size_hw=small, image_size_hw=small), truth)


def test_part_of_a_data_set_is_scored_only_on_request_and_says_so(truth, make_predictions):
    predictions = make_predictions(_shifted(truth, 2.0)[1:])
    part = check_coverage(predictions, truth, partial=True)
    scores = score_alignment(predictions, part)
    assert scores.protocol["data set"] == "made up (PARTIAL: 2 of 3 pictures)"
    np.testing.assert_allclose(scores.error, 0.04)
    assert scores.yaw_deg.tolist() == [40.0, 80.0]


def test_aflws_21_points_are_single_points_and_means():
    points = np.arange(68.0)[None, :, None] * np.ones(2)
    rows = aflw21_from_68(points)[0, :, 0]
    # 1-based: 18 20 22 23 25 27 37 37..42 40 43 43..48 46 3 32 31 36 15 49 61..68 55 9
    one_based = [18, 20, 22, 23, 25, 27, 37, 39.5, 40, 43, 45.5, 46, 3, 32, 31, 36, 15, 49, 64.5, 55, 9]
    np.testing.assert_allclose(rows, np.array(one_based) - 1)


def test_21_points_count_visible_ones_with_the_face_box(truth, make_predictions):
    points = aflw21_from_68(truth.points_px)
    visible = np.ones((3, 21), bool)
    points[0, 5], visible[0, 5] = 1e6, False
    sparse = replace(truth, points_px=points, visible=visible, box_xyxy_px=np.tile([75.0, 75, 125, 125], (3, 1)))
    scores = score_alignment(make_predictions(_shifted(truth, 2.0)), sparse)
    np.testing.assert_allclose(scores.error, 0.04)


def test_34_points_come_from_the_users_vertex_map(truth, make_predictions, tmp_path):
    vertices = np.random.default_rng(1).uniform(75, 125, (3, 50, 3))
    chosen = np.arange(34)[::-1].copy()
    sparse = replace(
        truth, points_px=vertices[:, chosen, :2] + [1.0, 0], box_xyxy_px=np.tile([75.0, 75, 125, 125], (3, 1))
    )
    predictions = make_predictions(_shifted(truth, 0.0), vertices_px=vertices)
    with pytest.raises(ValueError, match="--point-map"):
        score_alignment(predictions, sparse)
    np.testing.assert_allclose(score_alignment(predictions, sparse, point_map=chosen).error, 0.02)
    with pytest.raises(ValueError, match="below 50, got 99"):
        score_alignment(predictions, sparse, point_map=chosen + 66)
    path = tmp_path / "map.json"
    path.write_text(str(chosen.tolist()))
    np.testing.assert_array_equal(read_vertex_map(path, 34), chosen)
    with pytest.raises(ValueError, match="must name 21 vertices, got 34"):
        read_vertex_map(path, 21)
    path.write_text("[1.5]")
    with pytest.raises(ValueError, match="JSON list of vertex indices"):
        read_vertex_map(path, 1)
