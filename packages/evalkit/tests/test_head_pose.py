import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from morphable_evalkit.alignment.pose import score_pose, summarize_pose
from morphable_evalkit.datasets.ground_truth import GroundTruth
from morphable_evalkit.measures.head_pose import (
    angle_errors,
    angles_from_rotation,
    look_at_rotation,
    rotation_from_angles,
    within_benchmark,
)

FLIP = np.diag([1.0, -1.0, -1.0])


@given(st.floats(-3.1, 3.1), st.floats(-1.55, 1.55), st.floats(-3.1, 3.1))
def test_angles_survive_the_matrix(pitch, yaw, roll):
    angles = np.array([pitch, yaw, roll])
    R = rotation_from_angles(angles)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(angles_from_rotation(R), angles, atol=1e-6)


def test_single_angles_by_hand():
    # Ry(-yaw) with yaw 90 degrees: R02 = sin(-90) = -1, so yaw = asin(1) = 90
    R = rotation_from_angles(np.array([0.0, np.pi / 2, 0.0]))
    np.testing.assert_allclose(R, [[0, 0, -1], [0, 1, 0], [1, 0, 0]], atol=1e-12)
    # roll 90: Rz(-90) takes model +x (right) to -y (down): R10 = -1
    np.testing.assert_allclose(rotation_from_angles(np.array([0.0, 0, np.pi / 2]))[:, 0], [0, -1, 0], atol=1e-12)


def test_beyond_a_right_angle_the_other_two_angles_turn_over():
    turned = np.rad2deg(angles_from_rotation(rotation_from_angles(np.deg2rad([0.0, 100.0, 0.0]))))
    np.testing.assert_allclose(np.abs(turned), [180.0, 80.0, 180.0], atol=1e-9)


def test_a_face_that_looks_at_the_camera_has_no_angle_wherever_it_stands():
    # stand at 30 degrees to the right and turn the head so that it looks at the camera
    angle = np.deg2rad(30.0)
    position = np.array([[np.sin(angle), 0.0, np.cos(angle)]])
    # model +z must point from the face to the camera: FLIP @ R @ z = -position
    toward = FLIP @ -position[0]
    yaw = np.arctan2(toward[0], toward[2])
    R = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    np.testing.assert_allclose(FLIP @ R @ [0, 0, 1.0], -position[0], atol=1e-12)
    corrected = angles_from_rotation(look_at_rotation(R[None], position))
    np.testing.assert_allclose(corrected, 0.0, atol=1e-12)
    assert abs(np.rad2deg(angles_from_rotation(R[None])[0, 1])) == pytest.approx(30.0)


def test_in_the_middle_of_the_picture_nothing_is_corrected():
    R = rotation_from_angles(np.random.default_rng(0).uniform(-1, 1, (5, 3)))
    np.testing.assert_allclose(look_at_rotation(R, np.tile([0.0, 0, 2.0], (5, 1))), R, atol=1e-12)


def test_correction_gives_rotations_and_refuses_positions_at_the_camera():
    rng = np.random.default_rng(1)
    R = rotation_from_angles(rng.uniform(-1, 1, (5, 3)))
    out = look_at_rotation(R, rng.normal(size=(5, 3)) + [0, 0, 4])
    np.testing.assert_allclose(out @ out.transpose(0, 2, 1), np.tile(np.eye(3), (5, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(out), 1.0)
    for position in ([0.0, 0, 0], [0.0, 3.0, 0]):
        with pytest.raises(ValueError, match="straight above its origin"):
            look_at_rotation(R[:1], np.array([position]))


def test_wrapping_matters_at_half_a_turn_only():
    predicted, target = np.array([[179.0, 10.0, 0.0]]), np.array([[-179.0, 8.0, 0.0]])
    assert angle_errors(predicted, target, wrap=False).tolist() == [[358.0, 2.0, 0.0]]
    assert angle_errors(predicted, target, wrap=True).tolist() == [[2.0, 2.0, 0.0]]


def test_angles_beyond_99_degrees_are_left_out():
    assert within_benchmark(np.array([[99.0, 0, 0], [0, -99.1, 0]])).tolist() == [True, False]


@pytest.fixture
def truth(face_points) -> GroundTruth:
    angles = np.array([[10.0, 20.0, -5.0], [0.0, -60.0, 30.0], [120.0, 0.0, 0.0]])
    names = ("a.jpg", "b.jpg", "c.jpg")
    return GroundTruth(
        name="poses",
        images=names,
        image=names,
        points_px=np.stack([face_points(seed=s) for s in range(3)]),
        yaw_deg=angles[:, 1],
        angles_deg=angles,
    )


def _predict(truth, make_predictions, degrees, **fields):
    R = rotation_from_angles(np.deg2rad(degrees))
    faces = list(zip(truth.image, truth.points_px, strict=True))[: len(degrees)]
    return make_predictions(faces, images=list(truth.images), rotation_head=R, **fields)


def test_known_differences_give_those_errors(truth, make_predictions):
    # off by 1, 2, 3 degrees: mean 2; the third face is left out, whatever is predicted
    predictions = _predict(truth, make_predictions, truth.angles_deg + [1.0, 2.0, 3.0])
    summary = summarize_pose(score_pose(predictions, truth, look_at=False))
    np.testing.assert_allclose([summary.pitch, summary.yaw, summary.roll, summary.mae], [1, 2, 3, 2])
    assert (summary.num_scored, summary.num_left_out, summary.num_failed) == (2, 1, 0)


def test_missed_faces_are_counted(truth, make_predictions):
    predictions = _predict(truth, make_predictions, truth.angles_deg[:1])
    assert summarize_pose(score_pose(predictions, truth, look_at=False)).num_failed == 1


def test_yaws_alone_give_a_yaw_error(truth, make_predictions):
    from dataclasses import replace

    predictions = _predict(truth, make_predictions, truth.angles_deg + [40.0, 2.0, 3.0])
    summary = summarize_pose(score_pose(predictions, replace(truth, angles_deg=None), look_at=False))
    assert summary.yaw == pytest.approx(2.0)
    assert np.isnan(summary.mae)
    assert summary.num_scored == 3
    assert summary.num_failed == 0


def test_the_correction_uses_the_position(truth, make_predictions):
    positions = np.tile([0.0, 0, 1.0], (3, 1))
    predictions = _predict(truth, make_predictions, truth.angles_deg, translation_m=positions)
    assert summarize_pose(score_pose(predictions, truth)).mae == pytest.approx(0.0, abs=1e-9)
    aside = _predict(truth, make_predictions, truth.angles_deg, translation_m=positions + [0.25, 0, 0])
    assert summarize_pose(score_pose(aside, truth)).yaw > 5.0


def test_missing_rotations_positions_or_labels_are_named(truth, make_predictions):
    from dataclasses import replace

    predictions = _predict(truth, make_predictions, truth.angles_deg)
    with pytest.raises(ValueError, match="--no-look-at"):
        score_pose(predictions, truth)
    with pytest.raises(ValueError, match="must hold rotation_head"):
        score_pose(replace(predictions, rotation_head=None), truth)
    with pytest.raises(ValueError, match="must have pitch, yaw, roll or yaw labels"):
        score_pose(predictions, replace(truth, angles_deg=None, yaw_deg=None), look_at=False)
