"""Crops, codecs and poses around the networks."""

import math
from dataclasses import replace

import pytest
import torch

from morphable.geometry import GLOBAL_FOCAL_PX, nearest_rotation
from morphable_regressors import CropRule, SystemSpec, build_system, crop_matrices, cut_crops, load_system
from morphable_regressors.backbones import BACKBONES, build_backbone
from morphable_regressors.crops import boxes_of_landmarks
from morphable_regressors.dfmvr import MultiViewParameters
from morphable_regressors.face_codec import FaceCodec, OrthographicFaces
from morphable_regressors.parsing import parsing_channel
from morphable_regressors.poses import similarity_pose, view_poses
from morphable_regressors.position_map import map_of_points, points_of_map
from morphable_regressors.systems import (
    MultiViewConfig,
    MultiViewRegressor,
    ParameterConfig,
    ParameterRegressor,
    PositionMapConfig,
    PositionMapRegressor,
)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rotations(count: int, seed: int = 0) -> torch.Tensor:
    v = normal(count, 3, seed=seed) * 0.5
    zero = torch.zeros(count)
    skew = torch.stack([zero, -v[:, 2], v[:, 1], v[:, 2], zero, -v[:, 0], -v[:, 1], v[:, 0], zero], -1)
    return torch.linalg.matrix_exp(skew.unflatten(-1, (3, 3)))


def test_crop_is_the_benchmarks_square():
    # A 60 x 80 box: the square is 80 sqrt(2) = 113.14 px about (130, 140), so 120 px mean a scale of 120 / 113.14.
    matrix = crop_matrices(torch.tensor([[100.0, 100.0, 160.0, 180.0]]), CropRule())[0]
    assert float(matrix[0, 0]) == pytest.approx(120 / (80 * math.sqrt(2)), rel=1e-6)
    torch.testing.assert_close(matrix @ torch.tensor([130.0, 140.0, 1.0]), torch.tensor([60.0, 60.0, 1.0]))
    box = boxes_of_landmarks(torch.tensor([[[100.0, 180.0], [160.0, 100.0], [120.0, 120.0]]]))
    assert box.tolist() == [[100.0, 100.0, 160.0, 180.0]]


@pytest.mark.parametrize("size", [40, 400])
def test_crop_shows_at_each_pixel_what_lies_there(size):
    """A picture whose colors are its coordinates, cut small and large; away from the border, where edges repeat."""
    at = (torch.arange(512) + 0.5) / 512
    picture = torch.stack([at[None].expand(512, -1), at[:, None].expand(-1, 512), torch.zeros(512, 512)])
    box = torch.tensor([[250.0 - size / 2, 260.0 - size / 2, 250.0 + size / 2, 260.0 + size / 2]])
    rule = CropRule(side_px=64, face_share=0.9)
    matrix = crop_matrices(box, rule)
    crop = cut_crops(picture, matrix, rule.side_px)[0]
    col, row = 20, 40
    x, y, _ = torch.linalg.inv(matrix[0]) @ torch.tensor([col + 0.5, row + 0.5, 1.0])
    torch.testing.assert_close(crop[:2, row, col] * 512, torch.stack([x, y]), atol=1e-2, rtol=0)


def test_no_face_gives_no_crop():
    assert cut_crops(torch.zeros(3, 8, 8), torch.zeros(0, 3, 3), 32).shape == (0, 3, 32, 32)


def fitted_codec() -> tuple[FaceCodec, OrthographicFaces]:
    codec = FaceCodec(num_identity=4, num_expression=3, model_identity=6, model_expression=5)
    # Activations of rank three are kept whole by three directions.
    expression = normal(40, 3) @ normal(3, 5, seed=1) + 0.3
    faces = OrthographicFaces(
        rotation_head=rotations(40),
        scale_px_per_m=600 + 50 * normal(40, seed=2),
        offset_px=60 + 5 * normal(40, 2, seed=3),
        identity=torch.nn.functional.pad(normal(40, 4, seed=4), (0, 2)),
        expression=expression,
    )
    codec.fit_expressions(expression, normal(5, 7, 3, seed=5))
    codec.fit_whitening(codec.pack(faces))
    return codec, faces


def test_parameters_survive_packing_and_whitening():
    codec, faces = fitted_codec()
    raw = codec.pack(faces)
    white = codec.whiten(raw)
    torch.testing.assert_close(white.mean(0), torch.zeros(19), atol=1e-4, rtol=0)
    spread = white.std(0, correction=0)
    torch.testing.assert_close(spread, torch.ones(19).index_fill(0, torch.tensor(11), 0.0), atol=1e-3, rtol=0)
    torch.testing.assert_close(codec.unwhiten(white), raw, atol=1e-2, rtol=1e-4)  # pose entries are hundreds
    again = codec.unpack(codec.unwhiten(white))
    for name, value in vars(faces).items():
        torch.testing.assert_close(getattr(again, name), value, atol=2e-3, rtol=1e-4, msg=name)


def test_expression_directions_come_in_the_order_of_what_they_move():
    codec = FaceCodec(num_identity=1, num_expression=1, model_identity=1, model_expression=2)
    # Both activations vary alike, the second moves the surface ten times as far.
    codec.fit_expressions(normal(200, 2), torch.tensor([[[1.0, 0, 0]], [[0, 10.0, 0]]]))
    direction = codec.expression_basis[0].abs()
    assert float(direction[1]) > 5 * float(direction[0])


def test_pose_is_rows_of_the_matrix_with_image_axes():
    # R = I: x right, y down = -y up, depth = -z; scale 500 px/m, origin at (60, 50).
    codec = FaceCodec(num_identity=1, num_expression=1, model_identity=1, model_expression=1)
    zeros = torch.zeros(1, 1)
    face = OrthographicFaces(torch.eye(3)[None], torch.tensor([500.0]), torch.tensor([[60.0, 50.0]]), zeros, zeros)
    assert codec.pack(face)[0, :12].tolist() == [500, 0, 0, 60, 0, -500, 0, 50, 0, 0, -500, 0]


def test_similarity_pose_recovers_the_pose_of_projected_points():
    rotation, points = rotations(5, seed=3), normal(5, 30, 3, seed=4) * 0.07
    turned = points @ rotation.mT * torch.tensor([1.0, -1.0, -1.0])
    offset = torch.tensor([40.0, 70.0])
    px = turned * 700.0 + torch.tensor([40.0, 70.0, 11.0])
    found, scale, origin = similarity_pose(px, points)
    torch.testing.assert_close(found, rotation, atol=1e-4, rtol=0)
    torch.testing.assert_close(scale, torch.full((5,), 700.0))
    torch.testing.assert_close(origin, offset.expand(5, 2), atol=1e-2, rtol=0)


def test_nearest_rotation_of_a_mirror_is_still_a_rotation():
    turn, scale = nearest_rotation(torch.diag(torch.tensor([2.0, 2.0, -2.0])))
    assert float(torch.linalg.det(turn)) == pytest.approx(1.0)
    assert float(scale) == pytest.approx(2 / 3)


def test_nearest_rotation_has_the_right_gradient():
    matrix = (rotations(2).double() * 3 + 0.05 * normal(2, 3, 3, seed=1)).requires_grad_()
    assert torch.autograd.gradcheck(nearest_rotation, (matrix,))


def test_map_values_of_a_point_by_hand_and_back():
    points = torch.tensor([[10.0, 20.0, -30.0]])  # 30 px before the origin: 64 + 15
    values = map_of_points(points, 128)
    assert values.tolist() == [[10.0, 20.0, 79.0]]
    torch.testing.assert_close(points_of_map(values, 128), points)


def raw_views(value: float = 0.0) -> MultiViewParameters:
    full = torch.full
    return MultiViewParameters(
        full((1, 2), 0.0), full((1, 2), 0.0), full((1, 2), 0.0), full((1, 9, 3), 0.0),
        full((1, 3, 3), value), full((1, 3, 2), value), full((1, 3), value),
    )  # fmt: skip


def test_points_are_projected_along_parallel_rays():
    faces = OrthographicFaces(
        rotation_head=torch.eye(3)[None],
        scale_px_per_m=torch.tensor([1000.0]),
        offset_px=torch.tensor([[10.0, 20.0]]),
        identity=torch.zeros(1, 80),
        expression=torch.zeros(1, 64),
    )
    # x = 10 + 1000 * 0.01, y = 20 - 1000 * 0.02 (up in the model is up in the picture), nearer by 1000 * 0.03.
    expected = torch.tensor([[[20.0, 0.0, -30.0]]])
    torch.testing.assert_close(faces.project(torch.tensor([[[0.01, 0.02, 0.03]]])), expected)


def test_raw_zeros_are_a_face_of_the_rules_size_in_the_middle():
    rule = CropRule(side_px=112, face_share=0.6)
    rotation, translation = view_poses(raw_views(), rule)
    torch.testing.assert_close(rotation, torch.eye(3).expand(1, 3, 3, 3))
    # 0.145 m at this depth spans 0.6 * 112 = 67.2 px.
    assert float(0.145 * GLOBAL_FOCAL_PX / translation[0, 0, 2]) == pytest.approx(67.2)
    assert translation[..., :2].abs().max() == 0


def test_offsets_are_in_crop_sides():
    rule = CropRule(side_px=112, face_share=0.6)
    _, translation = view_poses(raw_views(0.1), rule)
    px = GLOBAL_FOCAL_PX * translation[..., :2] / translation[..., 2:]
    torch.testing.assert_close(px, torch.full((1, 3, 2), 11.2))


def test_view_poses_have_the_right_gradient():
    def poses(vector, offset, depth):
        given = replace(raw_views(), rotation_vector=vector, offset=offset, depth=depth)
        return view_poses(given, CropRule(side_px=112))

    inputs = (normal(1, 3, 3).double(), normal(1, 3, 2).double(), normal(1, 3).double() * 0.1)
    assert torch.autograd.gradcheck(poses, tuple(x.requires_grad_() for x in inputs))


SPECS = [
    SystemSpec(crop=CropRule(), config=ParameterConfig(backbone="mobile_frnet")),
    SystemSpec(crop=CropRule(side_px=64), config=PositionMapConfig(width=4)),
    SystemSpec(crop=CropRule(side_px=64), config=MultiViewConfig(width=0.25, with_parser=False)),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.network)
def test_a_system_is_rebuilt_from_its_description(spec):
    again = SystemSpec.from_json(spec.to_json())
    assert again == spec
    state = build_system(spec).state_dict()
    system = load_system(again, state)
    assert not system.training
    assert set(system.state_dict()) == set(state)


def test_systems_answer_in_the_crops_pixels():
    crops = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        faces = ParameterRegressor().eval().faces(crops)
        assert faces.identity.shape == (2, 80)
        assert faces.expression.shape == (2, 64)
        positions = PositionMapRegressor(PositionMapConfig(width=4)).eval().positions(crops)
        assert positions.shape == (2, 64, 64, 3)
        assert float(positions[..., :2].max()) <= 1.1 * 64


def test_multi_view_parser_stays_frozen_and_in_evaluation():
    system = MultiViewRegressor(MultiViewConfig(width=0.25)).train()
    assert system.network.training
    assert not system.parser.training
    assert not any(p.requires_grad for p in system.parser.parameters())
    channel = system.parse(torch.rand(1, 3, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert channel.shape == (1, 3, 64, 64)
    assert float(channel.max()) <= 1.0


@pytest.mark.parametrize("options", [{"fusion": "unet"}, {"fusion": "cnn"}, {"involution": False}])
def test_variants_of_the_ablation_run(options):
    system = MultiViewRegressor(MultiViewConfig(width=0.25, with_parser=False, **options)).eval()
    with torch.no_grad():
        found = system(torch.zeros(1, 3, 3, 64, 64), parsing_channel(torch.ones(1, 3, 64, 64).long()))
    assert found.identity.shape == (1, 80)
    assert found.depth.shape == (1, 3)


def test_no_parsing_channel_needs_no_parser():
    system = MultiViewRegressor(MultiViewConfig(width=0.25, parsing_channel=False)).eval()
    assert system.parser is None
    with torch.no_grad():
        assert system(torch.zeros(1, 3, 3, 64, 64)).albedo.shape == (1, 80)


@pytest.mark.parametrize("name", BACKBONES)
def test_backbones_answer_with_as_many_numbers_as_asked(name):
    with torch.no_grad():
        assert build_backbone(name, 62).eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 62)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CropRule(side_px=8), "side_px must be at least 32"),
        (lambda: CropRule(face_share=1.5), "face_share must be in"),
        (lambda: crop_matrices(torch.tensor([[5.0, 5.0, 5.0, 5.0]]), CropRule()), "boxes_px must be finite"),
        (lambda: crop_matrices(torch.tensor([[0.0, 0.0, torch.nan, 5.0]]), CropRule()), "boxes_px must be finite"),
        (lambda: FaceCodec(num_identity=90), "num_identity and num_expression must be"),
        (lambda: build_backbone("vgg", 62), "backbone must be one of mobile_frnet"),
        (
            lambda: SystemSpec.from_json({"network": "vgg", "crop": {"side_px": 64}}),
            "network must be one of mobile_frnet, prnet",
        ),
        (lambda: SystemSpec.from_json({"backbone": "resnet50"}), "architecture must name a per-face network"),
        (
            lambda: SystemSpec.from_json({"network": "prnet", "crop": {}, "options": {"depth": 3}}),
            "options must have no unknown keys, got depth",
        ),
        (lambda: load_system(SPECS[1], {}), "weights must fit the network"),
        (
            lambda: MultiViewRegressor(MultiViewConfig(width=0.25, with_parser=False))(torch.zeros(1, 3, 3, 64, 64)),
            "parsing must be given",
        ),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
