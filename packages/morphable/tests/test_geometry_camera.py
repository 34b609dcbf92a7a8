import math

import pytest
import torch

from morphable.geometry import Pinhole, camera_from_model, model_from_camera, rotation_from_vector


def double(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_identity_head_looks_at_the_camera():
    # diag(1,-1,-1): the nose (+z in the model) comes toward the camera, the crown (+y) goes up (-y).
    nose_and_crown = torch.tensor([[0.0, 0.0, 0.1], [0.0, 0.2, 0.0]])
    cam = camera_from_model(nose_and_crown, torch.eye(3), torch.tensor([0.3, 0.0, 2.0]))
    torch.testing.assert_close(cam, torch.tensor([[0.3, 0.0, 1.9], [0.3, -0.2, 2.0]]))


def test_model_from_camera_undoes_camera_from_model_over_batches():
    vertices, rotation, translation = double(7, 3), rotation_from_vector(double(2, 5, 3)), double(2, 5, 3)
    cam = camera_from_model(vertices.expand(2, 5, 7, 3), rotation, translation)
    torch.testing.assert_close(model_from_camera(cam, rotation, translation), vertices.expand(2, 5, 7, 3))
    torch.testing.assert_close(cam[1, 3], camera_from_model(vertices, rotation[1, 3], translation[1, 3]))


def test_project_matches_hand_computed_pixel_and_matrix():
    # u = 1015 * 0.2 / 2 + 320 = 421.5,  v = 1015 * -0.1 / 2 + 240 = 189.25
    points = torch.tensor([[0.2, -0.1, 2.0]], dtype=torch.float64)
    px = Pinhole((480, 640)).project(points)
    torch.testing.assert_close(px, torch.tensor([[421.5, 189.25]], dtype=torch.float64))
    homogeneous = points @ Pinhole((480, 640)).matrix().double().T
    torch.testing.assert_close(homogeneous[:, :2] / homogeneous[:, 2:], px)


def test_project_keeps_points_behind_the_camera_finite():
    points = torch.tensor([[0.1, 0.1, -1.0], [0.1, 0.1, 0.0]], requires_grad=True)
    px = Pinhole((64, 64), 1015.0).project(points)
    px.sum().backward()
    assert px.isfinite().all()
    assert points.grad.isfinite().all()


def test_unproject_undoes_project_with_focal_per_item():
    points = double(3, 4, 3).abs() + 0.5
    focal = torch.tensor([500.0, 800.0, 1015.0], dtype=torch.float64)
    px = Pinhole((100, 200), focal).project(points)
    torch.testing.assert_close(Pinhole((100, 200), focal).unproject(px, points[..., 2]), points)


def test_scaling_face_and_distance_leaves_the_picture():
    points = double(5, 3).abs() + 0.5
    torch.testing.assert_close(Pinhole((9, 9), 700).project(points * 3), Pinhole((9, 9), 700).project(points))


def test_decode_translation_matches_eq_5_by_hand():
    # t_x = 2 (10 + 60 - 64) / 1015, t_y = 2 (-4 + 20 - 32) / 1015
    delta, center = torch.tensor([10.0, -4.0, 2.0]), torch.tensor([60.0, 20.0])
    translation = Pinhole((64, 128)).translation(delta, center)
    torch.testing.assert_close(translation, torch.tensor([12 / 1015, -32 / 1015, 2.0]))
    pixel = Pinhole((64, 128)).project(translation[None])[0]
    torch.testing.assert_close(pixel, center + delta[:2])


def test_encode_undoes_decode():
    delta, center = double(4, 6, 3), double(4, 6, 2) * 100
    delta[..., 2] = delta[..., 2].abs() + 0.5
    decoded = Pinhole((512, 512)).translation(delta, center)
    torch.testing.assert_close(Pinhole((512, 512)).delta(decoded, center), delta)


def test_gradients_through_camera_and_projection():
    vertices, vector, translation = double(4, 3) * 0.1, double(3), torch.tensor([0.1, -0.2, 1.5]).double()
    focal = torch.tensor(900.0, dtype=torch.float64)

    def chain(vertices, vector, translation, focal):
        cam = camera_from_model(vertices, rotation_from_vector(vector), translation)
        return Pinhole((64, 64), focal).project(cam)

    inputs = [x.requires_grad_() for x in (vertices, vector, translation, focal)]
    assert torch.autograd.gradcheck(chain, inputs)


def test_gradients_of_translation_code():
    delta = torch.tensor([[3.0, -2.0, math.e]], dtype=torch.float64, requires_grad=True)
    center = torch.tensor([[30.0, 40.0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda d: Pinhole((64, 64)).translation(d, center), [delta])
    assert torch.autograd.gradcheck(lambda d: Pinhole((64, 64)).delta(d, center), [delta])


def test_wrong_shape_is_refused():
    with pytest.raises(Exception, match="translation_m"):
        camera_from_model(torch.zeros(4, 3), torch.eye(3), torch.zeros(2))
