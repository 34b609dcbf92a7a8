import math

import pytest
import torch
from torch.autograd import gradcheck

from morphable.geometry import GLOBAL_FOCAL_PX
from morphable_detector_head.cells import cells_from_parameters, parameters_from_cells
from morphable_detector_head.layout import ParameterLayout

SMALL = {"num_identity": 2, "num_expression": 1, "num_albedo": 1}
LAYOUTS = [
    ParameterLayout(**SMALL),
    ParameterLayout(**SMALL, rotation_frame="camera"),
    ParameterLayout(**SMALL, rotation="euler_xyz", rotation_frame="camera", depth="offset", offset_unit_px=1.0),
]
SIZE_HW = (256, 512)


def random_channels(layout: ParameterLayout, *batch: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return 0.4 * torch.randn(*batch, layout.num_channels, generator=generator, dtype=torch.float64)


def random_cells(*batch: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.rand(*batch, 2, generator=generator, dtype=torch.float64) * torch.tensor([512.0, 256.0])


def test_channel_count_is_the_papers():
    assert ParameterLayout().num_channels == 257


def test_layout_follows_the_model():
    import morphable

    assert ParameterLayout.of_model(morphable.load_model("open")) == ParameterLayout()


def test_translation_is_equation_5():
    # offsets 2 and -1 units of 8 px, center (100, 60) in a 512x256 input, depth one meter:
    # t_x = (16 + 100 - 256) / 1015,  t_y = (-8 + 60 - 128) / 1015
    layout = ParameterLayout(num_identity=0, num_expression=0, num_albedo=0, depth="offset")
    channels = torch.zeros(layout.num_channels)
    channels[3:5] = torch.tensor([2.0, -1.0])
    parameters = parameters_from_cells(channels, torch.tensor([100.0, 60.0]), SIZE_HW, layout)
    expected = torch.tensor([-140 / GLOBAL_FOCAL_PX, -76 / GLOBAL_FOCAL_PX, 1.0])
    torch.testing.assert_close(parameters.translation_m, expected)


@pytest.mark.parametrize(("channel", "depth_m"), [(-1.0, 0.5), (1.0, 13.0), (0.0, math.sqrt(6.5))])
def test_log_depth_spans_its_range(channel: float, depth_m: float):
    layout = ParameterLayout(**SMALL)
    channels = torch.zeros(layout.num_channels)
    channels[9] = channel
    parameters = parameters_from_cells(channels, torch.zeros(2), SIZE_HW, layout)
    torch.testing.assert_close(parameters.translation_m[2], torch.tensor(depth_m))


def test_depth_stays_positive_and_finite():
    layout = ParameterLayout(**SMALL)
    channels = torch.full((2, layout.num_channels), 1e4)
    channels[1] = -1e4
    depth = parameters_from_cells(channels, torch.zeros(2, 2), SIZE_HW, layout).translation_m[:, 2]
    assert (depth > 0).all()
    assert depth.isfinite().all()


def test_zero_rotation_vector_looks_along_the_ray():
    """The model's +z axis points back along the viewing ray; its x axis stays horizontal to first order."""
    layout = ParameterLayout(**SMALL)
    cell = torch.tensor([400.0, 30.0])
    rotation = parameters_from_cells(torch.zeros(layout.num_channels), cell, SIZE_HW, layout).rotation_head
    forward_cam = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ rotation @ torch.tensor([0.0, 0.0, 1.0])
    ray = torch.tensor([400.0 - 256, 30.0 - 128, GLOBAL_FOCAL_PX])
    torch.testing.assert_close(forward_cam, -ray / ray.norm())
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3))
    torch.testing.assert_close(rotation.det(), torch.tensor(1.0))


def test_camera_frame_zero_rotation_is_identity():
    layout = ParameterLayout(**SMALL, rotation_frame="camera")
    channels = torch.zeros(layout.num_channels)
    parameters = parameters_from_cells(channels, torch.tensor([400.0, 30.0]), SIZE_HW, layout)
    torch.testing.assert_close(parameters.rotation_head, torch.eye(3))


def test_euler_order():
    # a quarter turn about x, then about z: (0, 1, 0) -> (0, 0, 1) -> (0, 0, 1); (0, 0, 1) -> (0, -1, 0) -> (1, 0, 0)
    layout = ParameterLayout(**SMALL, rotation="euler_xyz", rotation_frame="camera")
    channels = torch.zeros(layout.num_channels)
    channels[4:7] = torch.tensor([math.pi / 2, 0.0, math.pi / 2])
    rotation = parameters_from_cells(channels, torch.zeros(2), SIZE_HW, layout).rotation_head
    expected = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    torch.testing.assert_close(rotation, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("batch", [(), (5,), (2, 3), (0,), (2, 0)])
def test_round_trip(layout: ParameterLayout, batch: tuple[int, ...]):
    channels, cells = random_channels(layout, *batch), random_cells(*batch)
    parameters = parameters_from_cells(channels, cells, SIZE_HW, layout)
    torch.testing.assert_close(cells_from_parameters(parameters, cells, SIZE_HW, layout), channels)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradient(layout: ParameterLayout):
    cells = random_cells(2)

    def decode(channels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        parameters = parameters_from_cells(channels, cells, SIZE_HW, layout)
        return parameters.rotation_head, parameters.translation_m, parameters.illumination

    assert gradcheck(decode, random_channels(layout, 2).requires_grad_())
    assert gradcheck(decode, torch.zeros(2, layout.num_channels, dtype=torch.float64).requires_grad_())


def test_moving_the_cell_moves_only_the_pose():
    layout = ParameterLayout(**SMALL)
    channels = random_channels(layout)
    here, there = (
        parameters_from_cells(channels, torch.tensor(cell, dtype=torch.float64), SIZE_HW, layout)
        for cell in ([256.0, 128.0], [400.0, 30.0])
    )
    torch.testing.assert_close(here.identity, there.identity)
    torch.testing.assert_close(here.translation_m[2], there.translation_m[2])
    assert not torch.allclose(here.rotation_head, there.rotation_head)


def test_indexing():
    layout = ParameterLayout(**SMALL)
    parameters = parameters_from_cells(random_channels(layout, 2, 3), random_cells(2, 3), SIZE_HW, layout)
    mask = torch.tensor([[True, False, False], [False, True, True]])
    assert parameters[mask].identity.shape == (3, 2)
    torch.testing.assert_close(parameters[1].rotation_head, parameters.rotation_head[1])
    assert parameters.map(lambda tensor: tensor.float()).translation_m.dtype == torch.float32


def test_refusals():
    layout = ParameterLayout(**SMALL)
    with pytest.raises(ValueError, match="channels must be 37 for this layout, got 36"):
        parameters_from_cells(torch.zeros(36), torch.zeros(2), SIZE_HW, layout)
    with pytest.raises(ValueError, match="num_identity must be at least 0, got -1"):
        ParameterLayout(num_identity=-1)
    with pytest.raises(ValueError, match="offset_unit_px must be positive, got 0"):
        ParameterLayout(offset_unit_px=0.0)
