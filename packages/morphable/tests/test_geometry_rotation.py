import math

import pytest
import torch

from morphable.geometry import (
    axes_flip,
    euler_xyz_from_rotation,
    head_angles,
    ray_rotation,
    rotation_between,
    rotation_from_angles,
    rotation_from_euler_xyz,
    rotation_from_vector,
    skew,
    vector_from_rotation,
)


def random_vectors(count, seed=0):
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_quarter_turn_about_y_by_hand():
    # A right-handed quarter turn about y takes z to x and x to -z.
    expected = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    for rotation in (
        rotation_from_vector(torch.tensor([0.0, math.pi / 2, 0.0])),
        rotation_from_euler_xyz(torch.tensor([0.0, math.pi / 2, 0.0])),
    ):
        torch.testing.assert_close(rotation, expected)


def test_euler_xyz_composes_x_first():
    angles = torch.tensor([0.3, -0.5, 0.7], dtype=torch.float64)
    axes = torch.diag(angles)
    x, y, z = (rotation_from_vector(axis) for axis in axes)
    torch.testing.assert_close(rotation_from_euler_xyz(angles), z @ y @ x)


@pytest.mark.parametrize(
    ("back", "forth"),
    [
        (vector_from_rotation, rotation_from_vector),
        (euler_xyz_from_rotation, rotation_from_euler_xyz),
        (head_angles, rotation_from_angles),
    ],
)
def test_round_trip_is_a_rotation(back, forth):
    rotation = rotation_from_vector(random_vectors(200) * 2).unflatten(0, (20, 10))
    again = forth(back(rotation))
    torch.testing.assert_close(again, rotation)
    torch.testing.assert_close(again @ again.mT, torch.eye(3, dtype=torch.float64).expand(20, 10, 3, 3))
    assert (torch.linalg.det(again) > 0).all()


def test_head_angles_follow_the_formula_within_90_degrees():
    angles = torch.tensor([0.2, -0.9, 0.4], dtype=torch.float64)
    R = rotation_from_angles(angles)
    by_formula = torch.stack([torch.atan2(R[1, 2], R[2, 2]), torch.asin(-R[0, 2]), torch.atan2(R[0, 1], R[0, 0])])
    torch.testing.assert_close(by_formula, angles)
    torch.testing.assert_close(head_angles(R), angles)


@pytest.mark.parametrize("yaw_deg", [-170.0, -95.0, 0.0, 89.0, 91.0, 120.0])
def test_head_angles_beyond_profile_keep_pitch_and_roll_small(yaw_deg):
    angles = torch.tensor([0.1, math.radians(yaw_deg), -0.2], dtype=torch.float64)
    torch.testing.assert_close(head_angles(rotation_from_angles(angles)), angles)


def test_head_turns_where_its_angles_say():
    # The gaze of R_head is its third column, y up, z to the viewer. 3DDFA: positive yaw looks to the viewer's left.
    gaze = rotation_from_angles(torch.tensor([[0.0, 0.5, 0.0], [0.5, 0.0, 0.0]]))[:, :, 2]
    assert gaze[0, 0] < 0
    assert gaze[1, 1] > 0


def test_angles_are_turns_about_x_then_y_then_z_backwards():
    angles = random_vectors(5)
    x, y, z = (rotation_from_vector(-angles[:, axis, None] * torch.eye(3)[axis].double()) for axis in range(3))
    torch.testing.assert_close(rotation_from_angles(angles), x @ y @ z)


def test_rotation_between_takes_one_direction_to_the_other():
    a, b = random_vectors(7), random_vectors(7, seed=1)
    turned = (rotation_between(a, b) @ a[..., None])[..., 0]
    torch.testing.assert_close(turned / turned.norm(dim=-1, keepdim=True), b / b.norm(dim=-1, keepdim=True))


def test_ray_rotation_turns_the_optical_axis_in_the_axes_of_the_head():
    ray_xy = random_vectors(6)[:, :2]
    ray = torch.nn.functional.pad(ray_xy, (0, 1), value=1.0)
    flip = axes_flip(ray)
    in_camera = rotation_between(torch.tensor([0.0, 0.0, 1.0]).double().expand(6, 3), ray)
    torch.testing.assert_close(ray_rotation(ray_xy), flip[:, None] * in_camera * flip)


def test_skew_is_the_cross_product():
    a, b = random_vectors(4), random_vectors(4, seed=1)
    torch.testing.assert_close((skew(a) @ b[..., None])[..., 0], torch.linalg.cross(a, b))


def test_gradients_also_at_zero_rotation():
    for vector in (torch.zeros(3, dtype=torch.float64), random_vectors(1)[0]):
        assert torch.autograd.gradcheck(rotation_from_vector, [vector.clone().requires_grad_()])
        assert torch.autograd.gradcheck(rotation_from_angles, [vector.clone().requires_grad_()])
        assert torch.autograd.gradcheck(
            lambda v: head_angles(rotation_from_euler_xyz(v)), [vector.clone().requires_grad_()]
        )


def test_wrong_shape_is_refused():
    with pytest.raises(Exception, match="rotation"):
        head_angles(torch.eye(4))
