"""evalkit imports no other package and no PyTorch: its own geometry says the same as that of `morphable`."""

from contextlib import suppress

import numpy as np
import pytest
import torch

from morphable import derive_landmarks
from morphable.geometry import (
    Pinhole,
    axes_flip,
    box_iou,
    box_of_points,
    camera_from_model,
    fit_similarity,
    head_angles,
    rotation_from_angles,
    rotation_from_vector,
)
from morphable.geometry.orthographic import project_scaled_orthographic
from morphable.landmarks import LEFT_EYE, NUM_JAW, RIGHT_EYE
from morphable_evalkit import files as evalkit_files
from morphable_evalkit.alignment import point_sets
from morphable_evalkit.datasets import basel
from morphable_evalkit.measures import head_pose, points
from morphable_evalkit.predictions.file import Predictions
from morphable_evalkit.scans import registration, surface


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def angles(count: int) -> np.ndarray:
    """Pitch, yaw, roll short of a profile."""
    return np.random.default_rng(1).uniform(-1.4, 1.4, (count, 3))


def test_head_angles_and_rotations():
    wanted = angles(20)
    rotation = rotation_from_angles(torch.from_numpy(wanted)).numpy()
    np.testing.assert_allclose(head_pose.rotation_from_angles(wanted), rotation, atol=1e-12)
    np.testing.assert_allclose(head_pose.angles_from_rotation(rotation), wanted, atol=1e-9)
    np.testing.assert_allclose(head_angles(torch.from_numpy(rotation)).numpy(), wanted, atol=1e-9)


def test_past_profile_both_read_a_rotation_that_is_the_same():
    turned = np.array([[0.1, 2.0, -0.2]])
    rotation = head_pose.rotation_from_angles(turned)
    np.testing.assert_allclose(head_angles(torch.from_numpy(rotation)).numpy(), turned, atol=1e-9)
    folded = head_pose.angles_from_rotation(rotation)
    assert abs(folded[0, 1]) < np.pi / 2
    np.testing.assert_allclose(rotation_from_angles(torch.from_numpy(folded)).numpy(), rotation, atol=1e-9)


def test_camera_axes():
    np.testing.assert_array_equal(np.diag(head_pose._FLIP_YZ), axes_flip(torch.zeros(1, dtype=torch.float64)).numpy())


def test_a_camera_turned_to_the_face_sees_it_straight_ahead():
    """The pose that evalkit compares with labels of crops projects the face as the turned camera does."""
    rotation, place = rotation_from_angles(torch.from_numpy(angles(4))), torch.tensor([[0.3, -0.2, 1.5]]).double()
    shape = torch.from_numpy(random(4, 30, 3, seed=2)) * 0.05
    seen = camera_from_model(shape, rotation, place.expand(4, 3))
    forward = torch.nn.functional.normalize(place, dim=-1)
    right = torch.nn.functional.normalize(torch.linalg.cross(torch.tensor([[0.0, 1.0, 0.0]]).double(), forward), dim=-1)
    turned_from_cam = torch.stack([right, torch.linalg.cross(forward, right), forward], -2)
    straight = torch.from_numpy(head_pose.look_at_rotation(rotation.numpy(), place.expand(4, 3).numpy()))
    expected = camera_from_model(shape, straight, torch.tensor([[0.0, 0.0, float(place.norm())]]).double().expand(4, 3))
    torch.testing.assert_close(seen @ turned_from_cam.mT, expected)


def test_similarity_fit():
    source, rotation = random(7, 3), rotation_from_vector(torch.tensor([0.3, -0.5, 0.9])).double().numpy()
    target = 1.7 * source @ rotation.T + [0.1, 0.2, 0.3] + 0.01 * random(7, 3, seed=3)
    scale, turn, shift = fit_similarity(torch.from_numpy(source), torch.from_numpy(target))
    own = registration.align_points(source, target)
    assert own.scale == pytest.approx(float(scale), abs=1e-12)
    np.testing.assert_allclose(own.rotation, turn.numpy(), atol=1e-12)
    np.testing.assert_allclose(own.translation, shift.numpy(), atol=1e-12)


def test_rotation_vectors():
    for vector in (random(3), np.zeros(3), np.array([0.0, 3.1, 0.0])):
        expected = rotation_from_vector(torch.from_numpy(vector)).numpy()
        np.testing.assert_allclose(registration._rotation(vector), expected, atol=1e-12)


def test_boxes_and_their_overlap():
    cloud = random(6, 68, 2) * 40 + 100
    box = points.tight_box(cloud)
    np.testing.assert_allclose(box, box_of_points(torch.from_numpy(cloud)).numpy())
    empty = np.array([[5.0, 5.0, 5.0, 9.0]])
    first, second = np.concatenate([box, empty]), np.concatenate([box[::-1] + 10, empty])
    expected = box_iou(torch.from_numpy(first), torch.from_numpy(second)).numpy()
    np.testing.assert_allclose(points.box_iou(first, second), expected, atol=1e-12)


def test_groups_of_the_68_points():
    cloud = random(3, 68, 3)
    expected = derive_landmarks(torch.from_numpy(cloud), "aflw21").numpy()
    np.testing.assert_allclose(point_sets.aflw21_from_68(cloud), expected)
    assert point_sets.NUM_JAW == NUM_JAW
    assert (RIGHT_EYE.start, LEFT_EYE.start + 3) == points.OUTER_EYE_CORNERS


def test_the_labels_camera_is_the_scaled_orthographic_one():
    """AFLW2000-3D's parameters: y counts upward from the bottom, pixels count from 1, depth points at the viewer."""
    shape = random(10, 3) * 50
    basis = basel.FaceBasis(shape.ravel(), np.zeros((30, 1)), np.zeros((30, 1)), None)
    pose, height = np.array([0.2, -0.5, 0.1, 220.0, 240.0, 7.0, 1.3]), 450
    found = basel.project(basis, basel.FaceFit(np.zeros(1), np.zeros(1), pose, height))
    expected = project_scaled_orthographic(
        torch.from_numpy(shape),
        rotation_from_angles(torch.from_numpy(pose[:3])),
        scale_px_per_m=torch.tensor(pose[6]),
        offset_px=torch.tensor([pose[3] - 0.5, height + 1 - pose[4] - 0.5]).double(),
    ).numpy()
    np.testing.assert_allclose(found[:, :2], expected[:, :2])
    np.testing.assert_allclose(found[:, 2] + pose[5], expected[:, 2])


def test_depth_in_pixels_is_that_of_the_pinhole():
    """A point behind the face's mean depth by the width of one pixel there has depth 1."""
    cam = random(1, 68, 3) * 0.05 + [0.0, 0.0, 1.5]
    mean = cam[..., 2].mean()
    camera = Pinhole((480, 640), 800.0)
    aside = torch.tensor([[[0.0, 0.0, mean], [0.01, 0.0, mean]]]).double()
    px_per_m = float((camera.project(aside)[0, 1] - camera.project(aside)[0, 0])[0]) / 0.01
    found = Predictions.from_points({"a.jpg": np.zeros((1, 68, 2))}, size_hw=(480, 640))
    found = vars(found) | {"landmarks68_cam_m": cam, "focal_px": np.array([800.0])}
    np.testing.assert_allclose(Predictions(**found).depths_px(), (cam[..., 2] - mean) * px_per_m)


def test_normals_point_to_the_same_side():
    vertices, triangles = np.eye(3), np.array([[0, 1, 2]])
    own = surface.TriangleSurface(vertices, triangles).normals()
    np.testing.assert_allclose(own, np.full((1, 3), 3**-0.5))


def test_both_writers_leave_a_whole_file_or_none(tmp_path):
    from morphable import files as morphable_files

    for name, write in (("evalkit", evalkit_files.atomic_path), ("morphable", morphable_files.atomic_path)):
        path = tmp_path / f"{name}.txt"
        path.write_text("before")
        with suppress(RuntimeError), write(path) as temporary:
            assert (temporary.parent, temporary.suffix) == (path.parent, path.suffix)
            temporary.write_text("half")
            raise RuntimeError
        assert path.read_text() == "before"
        with write(path) as temporary:
            temporary.write_text("after")
        assert path.read_text() == "after"
        assert path.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evalkit.txt", "morphable.txt"]
