import pytest
import torch

from morphable.geometry import Pinhole, camera_from_model, rotation_from_vector
from morphable.geometry.orthographic import (
    pinhole_from_scaled_orthographic,
    project_scaled_orthographic,
    scaled_orthographic_from_pinhole,
)


def double(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_by_hand():
    # 1000 px per meter: 0.05 m up is 50 px up (-y), 0.02 m toward the viewer is depth -20.
    points = project_scaled_orthographic(
        torch.tensor([[0.01, 0.05, 0.02]]),
        torch.eye(3),
        scale_px_per_m=torch.tensor(1000.0),
        offset_px=torch.tensor([60.0, 60.0]),
    )
    torch.testing.assert_close(points, torch.tensor([[70.0, 10.0, -20.0]]))


def test_far_pinhole_agrees_and_round_trips():
    points, rotation = double(6, 3) * 0.1, rotation_from_vector(double(2, 3))
    translation = torch.tensor([[20.0, -10.0, 500.0], [3.0, 5.0, 800.0]], dtype=torch.float64)
    pinhole = {"focal_px": 4e5, "size_hw": (200, 300)}
    scale, offset = scaled_orthographic_from_pinhole(translation, **pinhole)
    flat = project_scaled_orthographic(points.expand(2, 6, 3), rotation, scale_px_per_m=scale, offset_px=offset)
    seen = Pinhole((200, 300), 4e5).project(camera_from_model(points, rotation, translation))
    # the points' depth of 0.3 m over 500 m, times 80 px off the origin and the origin's 16000 px off the axis
    torch.testing.assert_close(flat[..., :2], seen, atol=20.0, rtol=0)
    centred = translation * torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    scale0, offset0 = scaled_orthographic_from_pinhole(centred, **pinhole)
    flat0 = project_scaled_orthographic(points.expand(2, 6, 3), rotation, scale_px_per_m=scale0, offset_px=offset0)
    seen0 = Pinhole((200, 300), 4e5).project(camera_from_model(points, rotation, centred))
    torch.testing.assert_close(flat0[..., :2], seen0, atol=0.2, rtol=0)
    torch.testing.assert_close(pinhole_from_scaled_orthographic(scale, offset, **pinhole), translation)


def test_gradients():
    points, vector = double(4, 3), double(3, seed=1)
    scale, offset = torch.tensor(900.0).double(), double(2, seed=2)

    def chain(points, vector, scale, offset):
        return project_scaled_orthographic(points, rotation_from_vector(vector), scale_px_per_m=scale, offset_px=offset)

    assert torch.autograd.gradcheck(chain, [x.requires_grad_() for x in (points, vector, scale, offset)])


def test_wrong_shape_is_refused():
    with pytest.raises(Exception, match="offset_px"):
        project_scaled_orthographic(
            torch.rand(4, 3), torch.eye(3), scale_px_per_m=torch.tensor(1.0), offset_px=torch.rand(3)
        )
