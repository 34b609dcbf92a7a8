"""Eyeballs, irises and gaze of decoded faces."""

import math

import pytest
import torch

import morphable
from morphable.eyes import EyeReader, gaze_angles, has_eyes


@pytest.fixture(scope="module")
def open_model():
    return morphable.load_model("open")


def looking(model, **activations):
    expression = torch.zeros(model.num_expression)
    for name, value in activations.items():
        expression[model.expression_names.index(name)] = value
    return model.decode_shape(torch.zeros(model.num_identity), expression)


@pytest.mark.parametrize(
    ("activations", "right_deg", "left_deg"),
    [
        # The open model turns its eyeballs by 35 degrees in and out, 25 up and 30 down at activation 1.
        ({}, (0, 0), (0, 0)),
        ({"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0}, (35, 0), (35, 0)),
        ({"eyeLookInLeft": 1.0}, (0, 0), (-35, 0)),
        ({"eyeLookUpRight": 1.0}, (0, 25), (0, 0)),
        ({"eyeLookDownRight": 1.0, "eyeLookDownLeft": 0.5}, (0, -30), (0, -15)),
        ({"eyeBlinkLeft": 1.0, "jawOpen": 1.0}, (0, 0), (0, 0)),
    ],
)
def test_gaze_follows_the_eyeballs(open_model, activations, right_deg, left_deg):
    eyes = EyeReader(open_model)(looking(open_model, **activations))
    expected = torch.tensor([right_deg, left_deg], dtype=torch.float32)
    torch.testing.assert_close(gaze_angles(eyes.gaze).rad2deg(), expected, atol=0.5, rtol=0)


def test_the_iris_is_the_middle_of_its_rim(open_model):
    """The rim of the left iris are the vertices 27 to 29.5 degrees from the axis of the mean eye."""
    vertices, reader = looking(open_model, eyeLookInLeft=1.0, eyeLookUpLeft=0.3), EyeReader(open_model)
    ball = reader._balls[1]
    polar = torch.rad2deg(torch.acos((ball.points_m - ball.center_m)[:, 2] / ball.radius_m))
    rim = ball.vertex[(polar > 26) & (polar < 30)]
    assert len(rim) == 32
    torch.testing.assert_close(reader(vertices).iris_m[1], vertices[rim].mean(0), atol=2e-4, rtol=0)


def test_batches_poses_and_gradients(open_model):
    faces = open_model.sample(3, torch.Generator().manual_seed(0))
    reader = EyeReader(open_model)
    shape = open_model.decode_shape(faces.identity, faces.expression)
    together = reader(shape)
    torch.testing.assert_close(reader(shape[1]).gaze, together.gaze[1])
    turn = torch.linalg.matrix_exp(torch.tensor([[0.0, -0.3, 0.2], [0.3, 0.0, -0.1], [-0.2, 0.1, 0.0]]))
    moved = reader(shape @ turn.T + torch.tensor([0.1, -0.2, 1.0]))
    torch.testing.assert_close(moved.gaze, together.gaze @ turn.T, atol=1e-5, rtol=0)
    torch.testing.assert_close(moved.iris_m, together.iris_m @ turn.T + torch.tensor([0.1, -0.2, 1.0]))
    vertices = shape.clone().requires_grad_()
    reader(vertices).iris_m.sum().backward()
    assert vertices.grad.isfinite().all()
    assert vertices.grad.abs().sum() > 0


def test_directions_become_yaw_to_the_left_and_pitch_upward():
    # (sin 30, 0, cos 30): 30 degrees to the person's left; (0, 1, 1): 45 degrees up
    gaze = torch.tensor([[0.5, 0.0, math.sqrt(0.75)], [0.0, 1.0, 1.0]])
    torch.testing.assert_close(gaze_angles(gaze).rad2deg(), torch.tensor([[30.0, 0.0], [0.0, 45.0]]))


def test_models_without_eyeballs_are_refused(model):
    assert not has_eyes(model)
    with pytest.raises(ValueError, match="model must have an eyeball of its own in its part right_eye"):
        EyeReader(model)
