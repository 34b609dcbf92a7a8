"""The second look: where it samples, that it starts as no change, what its gradient reaches."""

import pytest
import roma
import torch

from morphable import FaceParameters
from morphable_detector_head import DetectorConfig, build_detector
from morphable_detector_head.layout import ParameterLayout
from morphable_detector_head.refinement import face_grid, place_on_face, sample_features

LAYOUT = ParameterLayout(num_identity=3, num_expression=2, num_albedo=2)
CONFIG = DetectorConfig(
    backbone="mobilenet_v3_small",
    width=16,
    center_width=8,
    parameter_width=16,
    refinement_width=12,
    fine_refinement_width=12,
    color_width=10,
    layout=LAYOUT,
)


def estimate(batch: int = 2, top: int = 3) -> FaceParameters:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(batch, top, *shape, generator=generator, dtype=torch.float64)

    return FaceParameters(
        identity=normal(3),
        expression=normal(2),
        albedo=normal(2),
        rotation_head=roma.rotvec_to_rotmat(normal(3) * 0.5),
        translation_m=normal(3) * 0.2 + torch.tensor([0.0, 0.0, 2.0]),
        illumination=normal(9, 3),
    )


def detector():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_detector(CONFIG)


def pictures(batch: int) -> torch.Tensor:
    return torch.rand(batch, 3, 96, 64, generator=torch.Generator().manual_seed(1))


def test_points_are_placed_by_the_shared_camera():
    faces = estimate()
    placed = place_on_face(face_grid().double(), faces)
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    for row in range(2):
        for entry in range(3):
            cam = face_grid().double() @ faces.rotation_head[row, entry].mT @ flip + faces.translation_m[row, entry]
            torch.testing.assert_close(placed[row, entry], 1015.0 * cam[:, :2] / cam[:, 2:])


@pytest.mark.parametrize("points", [7, 14])
def test_the_grid_lies_on_the_front_of_a_face(points):
    grid = face_grid(points).view(points, points, 3)
    assert torch.equal(grid[..., 2].argmax(1), torch.full((points,), (points - 1) // 2))
    assert bool((grid[:-1, :, 1] > grid[1:, :, 1]).all())
    torch.testing.assert_close(grid[:, :, 0], -grid.flip(1)[:, :, 0])


@pytest.mark.parametrize("stride", [4, 8])
def test_sampling_a_linear_map_gives_its_values_and_nothing_outside(stride):
    """Cell (row, col) has its center at pixel (stride (col + 0.5), stride (row + 0.5))."""
    rows, cols = ((torch.arange(side // stride) + 0.5) * stride for side in (48, 80))
    y, x = torch.meshgrid(rows, cols, indexing="ij")
    features = torch.stack([x, y])[None]
    points = torch.tensor([[12.0, 20.0], [40.0, 24.0], [75.5, 43.0], [300.0, 20.0]])
    relative = (points - torch.tensor([40.0, 24.0]))[None, None]
    sampled = sample_features(features, relative, stride_px=stride).view(4, 2)
    torch.testing.assert_close(sampled[:3], points[:3])
    assert float(sampled[3].abs().max()) == 0.0


def test_a_fresh_refinement_changes_nothing():
    network = detector().eval()
    with torch.no_grad():
        first, *refined = network.channels_at(network.features(pictures(2)), torch.tensor([[3, 40], [90, 0]]))
    assert len(refined) == 2
    assert all(torch.equal(first, estimate) for estimate in refined)


def test_a_trained_refinement_is_what_is_detected():
    network = detector().eval()
    torch.nn.init.normal_(network.refinement.output.bias)
    torch.nn.init.normal_(network.fine_refinement.output.bias)
    cell = torch.tensor([[3, 40]])
    with torch.no_grad():
        first = network.channels_at(network.features(pictures(1)), cell)[0]
        predicted = network(pictures(1), cell)
        found = network.detect(pictures(1), top_k=1, min_score=0.0)
        index = ((found.center_px[0, 0] - 4) / 8).long()
        same = network(pictures(1), (index[1] * 8 + index[0]).view(1, 1))
    correction = network.refinement.output.bias + network.fine_refinement.output.bias
    torch.testing.assert_close(predicted.channels - first, correction.expand(1, 2, -1))
    torch.testing.assert_close(found.parameters.identity, same.parameters.identity)


@pytest.mark.parametrize(("estimate", "own"), [(1, "refinement"), (2, "fine_refinement")])
def test_a_correction_trains_features_and_itself_but_no_earlier_estimate(estimate, own):
    network = detector().train()
    torch.nn.init.normal_(network.get_submodule(own).output.weight)
    channels = network.channels_at(network.features(pictures(2)), torch.tensor([[3], [9]]))
    channels[estimate][..., ~network.colors].square().sum().backward()
    trained = {name for name, p in network.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert {name.split(".")[0] for name in trained} == {"backbone", "aggregation", own}
    assert all(bool(p.grad.any()) for p in network.get_submodule(own).parameters())
    assert float(network.aggregation.lateral3.weight.grad.abs().sum()) > 0


def test_colours_are_a_sum_that_all_estimates_learn():
    network = detector().train()
    channels = network.channels_at(network.features(pictures(2)), torch.tensor([[3], [9]]))
    channels[-1][..., network.colors].square().sum().backward()
    for head in (network.parameter_head, network.refinement, network.fine_refinement):
        learning = head.output.weight.grad.flatten(1).abs().sum(1) > 0
        assert torch.equal(learning, network.colors)
    assert bool(network.color_head.output.weight.grad.any(1).all())


def test_the_colour_head_changes_colours_alone():
    network = detector().eval()
    torch.nn.init.normal_(network.color_head.output.bias)
    cell = torch.tensor([[3, 40]])
    with torch.no_grad():
        features = network.features(pictures(1))
        changed = network.channels_at(features, cell)[-1] - network.channels_at(features, cell)[-2]
    expected = network.color_head.output.bias.expand(1, 2, -1)
    torch.testing.assert_close(changed[..., network.colors], expected, atol=1e-5, rtol=0)
    assert not changed[..., ~network.colors].any()


def test_a_face_behind_the_camera_is_placed_without_numbers_that_are_not_finite():
    faces = estimate()
    faces.translation_m[..., 2] = -1.0
    assert bool(place_on_face(face_grid().double(), faces).isfinite().all())


def test_widths_that_make_no_network_are_refused():
    with pytest.raises(ValueError, match="refinement_width must be at least 0, got -1"):
        DetectorConfig(refinement_width=-1)
    with pytest.raises(ValueError, match="refinement_width must be positive with fine_refinement_width 8, got 0"):
        DetectorConfig(fine_refinement_width=8)
