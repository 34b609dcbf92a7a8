import math

import pytest
import torch

from morphable.geometry import Pinhole, camera_from_model, resolve_pose, rotation_from_vector


def face(seed=0, count=68):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return points * torch.tensor([0.05, 0.06, 0.03], dtype=torch.float64)


def pose(yaw, x, y, z):
    return rotation_from_vector(torch.tensor([0.1, yaw, 0.05]).double()), torch.tensor([x, y, z]).double()


def angle_deg(a, b):
    cosine = ((a.mT @ b).diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    return torch.rad2deg(torch.arccos(cosine.clamp(-1, 1)))


def test_same_focal_length_changes_nothing():
    rotation, translation = pose(0.4, 0.2, -0.1, 0.8)
    same = resolve_pose(
        face(), rotation, translation, source=Pinhole((512, 512), 1015), target=Pinhole((512, 512), 1015)
    )
    torch.testing.assert_close(same.rotation_head, rotation)
    torch.testing.assert_close(same.translation_m, translation)
    assert same.residual_px < 1e-6


def test_depth_scales_and_lateral_place_stays_on_the_axis():
    rotation, translation = pose(0.3, 0.0, 0.0, 2.0)
    doubled = resolve_pose(
        face(), rotation, translation, source=Pinhole((512, 512), 1015), target=Pinhole((512, 512), 2030)
    )
    # The face has depth, so that the best fit is a per cent off the pure rescale.
    torch.testing.assert_close(
        doubled.translation_m, torch.tensor([0.0, 0.0, 4.0], dtype=torch.float64), atol=0.08, rtol=0
    )
    assert angle_deg(doubled.rotation_head, rotation) < 2.0


def test_picture_stays_also_far_off_the_axis():
    """Where the bare rescale of the depth is wrong by tens of pixels."""
    size, points = (1080, 1920), face()
    rotation, translation = pose(-0.5, 0.9, 0.3, 1.2)
    target = Pinhole(size, 1015.0).project(camera_from_model(points, rotation, translation))
    rescaled = translation * torch.tensor([1.0, 1.0, 1.6], dtype=torch.float64)
    naive = Pinhole(size, 1015.0 * 1.6).project(camera_from_model(points, rotation, rescaled))
    assert (naive - target).norm(dim=-1).max() > 20
    solved = resolve_pose(
        points, rotation, translation, source=Pinhole(size, 1015.0), target=Pinhole(size, 1015.0 * 1.6)
    )
    again = Pinhole(size, 1015.0 * 1.6).project(camera_from_model(points, solved.rotation_head, solved.translation_m))
    rms = (again - target).square().sum(-1).mean().sqrt()
    torch.testing.assert_close(rms, solved.residual_px)
    assert rms < 5
    # The head is turned by about the change of its viewing ray.
    before, after = math.atan2(0.9, 1.2), math.atan2(0.9, 1.92)
    assert angle_deg(solved.rotation_head, rotation).item() == pytest.approx(math.degrees(before - after), abs=6)


def test_recovers_the_true_pose_of_a_true_camera():
    """A pose fitted under a wrong focal length leads back to the one that took the picture."""
    size, points = (720, 1280), face(1)
    rotation, translation = pose(0.6, -0.25, 0.1, 0.9)
    wrong = resolve_pose(points, rotation, translation, source=Pinhole(size, 1400.0), target=Pinhole(size, 1015.0))
    back = resolve_pose(
        points, wrong.rotation_head, wrong.translation_m, source=Pinhole(size, 1015.0), target=Pinhole(size, 1400.0)
    )
    # The wrong camera cannot show the same perspective: what it misses (its residual) is lost on the way.
    assert 0 < wrong.residual_px < 5
    assert angle_deg(back.rotation_head, rotation) < 3
    torch.testing.assert_close(back.translation_m, translation, atol=0.02, rtol=0.02)


def test_another_principal_point_turns_the_camera():
    """A camera whose principal point is moved by f tan(a) sees far things as if the head turned by a."""
    points, (rotation, translation) = face(2), pose(0.2, 0.0, 0.0, 40.0)
    size, focal = (400, 600), 4000.0
    offset = 4000.0 * math.tan(0.1)
    beside = Pinhole(size, focal, (300.0 - offset, 200.0))
    moved = resolve_pose(points, rotation, translation, source=Pinhole(size, focal), target=beside)
    assert moved.residual_px < 0.05  # 40 m away, perspective within the face is 0.003 of its size
    assert (moved.translation_m[0] / moved.translation_m[2]).item() == pytest.approx(math.tan(0.1), abs=1e-4)
    # x_cam turns from +z toward +x, about the camera's +y, which is the head frame's -y
    expected = rotation_from_vector(torch.tensor([0.0, -0.1, 0.0]).double()) @ rotation
    assert angle_deg(moved.rotation_head, expected) < 0.3
    same = Pinhole(size, focal, (100.0, 50.0))
    crop = resolve_pose(points, rotation, translation, source=same, target=same)
    torch.testing.assert_close(crop.rotation_head, rotation)


def test_batch_equals_single_and_mixed_focal_lengths():
    poses = [pose(0.1 * k, 0.1 * k, 0.0, 1.0 + k) for k in range(3)]
    rotation, translation = (torch.stack(part) for part in zip(*poses, strict=True))
    true = torch.tensor([800.0, 1015.0, 3000.0]).double()
    points = face().expand(3, -1, 3)
    batch = resolve_pose(
        points, rotation, translation, source=Pinhole((600, 800), 1015.0), target=Pinhole((600, 800), true)
    )
    for k in range(3):
        one = resolve_pose(
            points[k], *poses[k], source=Pinhole((600, 800), 1015.0), target=Pinhole((600, 800), true[k])
        )
        torch.testing.assert_close(batch.rotation_head[k], one.rotation_head)
        torch.testing.assert_close(batch.residual_px[k], one.residual_px)


def test_refusals():
    rotation, translation = pose(0.1, 0.0, 0.0, 1.0)
    with pytest.raises(ValueError, match=r"target\.focal_px must be positive"):
        resolve_pose(face(), rotation, translation, source=Pinhole((64, 64), 1015.0), target=Pinhole((64, 64), 0.0))
    with pytest.raises(Exception, match="translation_m"):
        resolve_pose(
            face(), rotation, translation[:2], source=Pinhole((64, 64), 1015.0), target=Pinhole((64, 64), 900.0)
        )
