"""The open model's data: what its modes mean, and that 1,000 people sampled from it are sound."""

from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

import morphable
from morphable import MorphableModel

NUM_PEOPLE = 1000
MIRROR = torch.tensor([-1.0, 1.0, 1.0])
NUM_EYEBALL = 177
"""Vertices of one eyeball; the left and the right one are the last of the mesh."""
MM = 1e-3


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return morphable.load_model("open")


@pytest.fixture(scope="module")
def people(model: MorphableModel) -> Tensor:
    """Neutral people, (1000, verts, 3)."""
    generator = torch.Generator().manual_seed(0)
    identity = torch.randn(NUM_PEOPLE, model.num_identity, generator=generator)
    with torch.no_grad():
        return torch.cat([model.decode_shape(part, torch.zeros(len(part), 64)) for part in identity.split(100)])


def act(model: MorphableModel, **activations: float) -> Tensor:
    """The mean person with some expressions."""
    expression = torch.zeros(model.num_expression)
    for name, value in activations.items():
        expression[model.expression_names.index(name)] = value
    return model.decode_shape(torch.zeros(model.num_identity), expression)


def part_triangles(model: MorphableModel, *names: str) -> Tensor:
    labels = torch.tensor([model.part_names.index(name) for name in names])
    return model.triangles[torch.isin(model.part_labels, labels)]


def test_dimensions_and_size_of_the_file(model: MorphableModel) -> None:
    assert (model.num_identity, model.num_expression, model.num_albedo) == (80, 64, 80)
    assert 17_000 <= model.num_vertices <= 19_000
    assert Path(str(files("morphable") / "data/open.safetensors")).stat().st_size < 8_000_000
    assert model.part_names == (
        *("skin", "left_brow", "right_brow", "left_eye", "right_eye", "nose", "upper_lip", "lower_lip"),
        *("inner_mouth", "ears", "neck", "scalp"),
    )


def test_frame_unit_and_size(model: MorphableModel) -> None:
    mean = act(model)
    # the origin is the mean before teeth, tongue and lining were seated: about a millimeter from the mean with them
    assert float(mean.mean(0).norm()) < 1.1 * MM
    assert float(mean[:, 0].mean().abs()) < 1e-6
    points = model.landmarks(mean)
    # +x is the person's left: points 42-47 are the left eye; +z out of the face: the nose tip is foremost
    assert points[45, 0] > 0.03 > 0 > points[36, 0]
    assert points[30, 2] == points[:, 2].max()
    assert points[27, 1] > points[8, 1]
    # adults' pupils are 54 to 74 mm apart (Dodgson 2004)
    eyes = model.landmarks(mean, "five")[:2]
    assert 0.054 < float((eyes[0] - eyes[1]).norm()) < 0.074


def test_every_mode_is_symmetric_or_antisymmetric(model: MorphableModel) -> None:
    generator = torch.Generator().manual_seed(1)
    identity, albedo = torch.randn(2, 8, 80, generator=generator)
    expression = torch.rand(8, 64, generator=generator)
    mirrored = model.mirror(model.decode_shape(identity, expression))
    flipped = model.decode_shape(model.flip_identity(identity), model.flip_expression(expression))
    # 144 products with float16 modes up to 2 cm: 1e-2 * 2^-11 * sqrt(144) = 0.06 mm
    torch.testing.assert_close(mirrored, flipped, atol=1e-4, rtol=0)
    colours = model.decode_albedo(albedo)[:, model.mirror_vertices]
    torch.testing.assert_close(colours, model.decode_albedo(model.flip_albedo(albedo)), atol=2e-3, rtol=0)


def test_size_is_not_an_identity_mode(model: MorphableModel, people: Tensor) -> None:
    face = model.region("face")
    centred = people[:, face] - people[:, face].mean(1, keepdim=True)
    spread = centred.square().sum((1, 2)).sqrt()
    # the alignment gave the samples one size; what is left is second order
    assert float(spread.std() / spread.mean()) < 0.03


def test_neutral_lips_touch_without_a_slit(model: MorphableModel, people: Tensor) -> None:
    gap = lip_gap(model, people)
    # the mean's rims meet at gap 0; half a millimeter of overlap is hidden behind the lip in front
    assert float(gap.min()) >= -0.6 * MM
    assert float(gap.max()) < 0.3 * MM


INNER_LIPS = ((61, 67), (62, 66), (63, 65))
"""Pairs of the 68 points, upper and lower, on the rims of the lips."""


def mouth_opening(model: MorphableModel, vertices: Tensor) -> Tensor:
    """Mean distance (faces,) of the pairs of inner-lip points in the frontal view, as a share of the face's size."""
    points = model.landmarks(vertices)[..., :2]
    size = (points.amax(1) - points.amin(1)).prod(1).sqrt()
    pairs = torch.tensor(INNER_LIPS)
    return (points[:, pairs[:, 0]] - points[:, pairs[:, 1]]).norm(dim=-1).mean(1) / size


def drawn_opening(model: MorphableModel, vertices: Tensor, x: float) -> float:
    """Height of the upper lip's lowest over the lower lip's highest point at x, in the frontal view of one face."""
    heights = []
    for name, lowest in (("upper_lip", True), ("lower_lip", False)):
        corners = vertices[part_triangles(model, name)]
        start, end = corners, corners.roll(-1, dims=1)
        share = (x - start[..., 0]) / (end[..., 0] - start[..., 0])
        crossing = (share >= 0) & (share <= 1)
        y = (start[..., 1] + share * (end[..., 1] - start[..., 1]))[crossing]
        heights.append(float(y.min() if lowest else y.max()))
    return heights[0] - heights[1]


def test_shut_lips_have_no_opening_between_the_inner_lip_points(model: MorphableModel, people: Tensor) -> None:
    opening = mouth_opening(model, people)
    assert float(opening.median()) < 0.003
    assert float(opening.max()) < 0.01


@pytest.mark.parametrize("action", [{"jawOpen": 0.3}, {"jawOpen": 1.0}, {"mouthPart": 0.5}, {"mouthUpperUpLeft": 0.8}])
def test_inner_lip_points_follow_the_drawn_gap(model: MorphableModel, action: dict[str, float]) -> None:
    face = act(model, **action)
    points = model.landmarks(face)
    for upper, lower in INNER_LIPS:
        drawn = drawn_opening(model, face, float((points[upper, 0] + points[lower, 0]) / 2))
        # the rims roll as the jaw falls: the lowest line of the neutral upper lip is not that of the open one
        assert abs(float(points[upper, 1] - points[lower, 1]) - drawn) < 0.7 * MM


def test_expressions_do_not_press_lips_through_each_other(model: MorphableModel) -> None:
    names = [name for name in model.expression_names if name != "mouthClose"]
    faces = [act(model, **{name: 1.0}) for name in names] + [act(model, jawOpen=1.0, mouthClose=1.0)]
    crossing = lip_crossing(model, torch.stack(faces))
    assert float(crossing.max()) < 0.8 * MM, names[int(crossing.argmax())]
    drawn = model.sample(NUM_PEOPLE, torch.Generator().manual_seed(1))
    with torch.no_grad():
        parts = zip(drawn.identity.split(100), drawn.expression.split(100), strict=True)
        crossing = torch.cat([lip_crossing(model, model.decode_shape(*part)) for part in parts])
    # measured: 2 of 1,000, in both of which the vertex lies in the corner of a mouth pulled aside or rolled in
    assert float((crossing > 0.8 * MM).float().mean()) < 0.005


MIDDLE_OF_MOUTH = 17.7 * MM
"""Half the width of the inner three quarters of the mean's mouth."""


def lip_gap(model: MorphableModel, vertices: Tensor) -> Tensor:
    """Height of the upper lip's lowest over the lower lip's highest point, smallest of ten columns, at any depth."""
    mean = act(model)
    upper, lower = (part_triangles(model, name).unique() for name in ("upper_lip", "lower_lip"))
    borders = torch.linspace(-MIDDLE_OF_MOUTH, MIDDLE_OF_MOUTH, 11).tolist()
    gaps = []
    for left, right in pairwise(borders):
        above, below = (part[(mean[part, 0] >= left) & (mean[part, 0] < right)] for part in (upper, lower))
        gaps.append(vertices[:, above, 1].amin(1) - vertices[:, below, 1].amax(1))
    return torch.stack(gaps).amin(0)


def lip_crossing(model: MorphableModel, vertices: Tensor) -> Tensor:
    """Depth (faces,) of the upper lip's deepest vertex below the lower lip's surface, of those within 4 mm of it."""
    mean = act(model)
    upper, lower = (part_triangles(model, name).unique() for name in ("upper_lip", "lower_lip"))
    upper = upper[~torch.isin(upper, lower) & (mean[upper, 0].abs() < MIDDLE_OF_MOUTH)]
    normals = model.normals(vertices)[:, lower]
    distance, nearest = torch.cdist(vertices[:, upper], vertices[:, lower]).min(-1)
    rows = torch.arange(len(vertices))[:, None]
    height = ((vertices[:, upper] - vertices[:, lower][rows, nearest]) * normals[rows, nearest]).sum(-1)
    return torch.where(distance < 4 * MM, -height, 0.0).amax(1).clamp(min=0)


def mouth_pieces(model: MorphableModel) -> tuple[Tensor, Tensor, Tensor]:
    """Vertices of upper teeth, lower teeth and tongue: what hangs together inside the mouth, by size and height."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ends = torch.cat([model.triangles[:, [0, 1]], model.triangles[:, [1, 2]]]).numpy().T
    count = model.num_vertices
    piece = torch.from_numpy(connected_components(coo_matrix(([True] * ends.shape[1], ends), (count, count)))[1])
    inside = [piece == k for k in piece.unique() if bool(model.region("inner_mouth")[piece == k].all())]
    small, tongue = sorted(inside, key=lambda mask: int(mask.sum()))[:2], max(inside, key=lambda mask: int(mask.sum()))
    lower, upper = sorted(small, key=lambda mask: float(act(model)[mask, 1].mean()))
    return upper, lower, tongue


@pytest.mark.parametrize("opening", [0.15, 0.3])
def test_parted_lips_show_the_edge_of_the_upper_teeth_and_no_tongue_before_it(
    model: MorphableModel, opening: float
) -> None:
    upper, lower, tongue = mouth_pieces(model)
    face = act(model, jawOpen=opening)
    lips = model.landmarks(face)[[62, 66], 1]
    middle = face[:, 0].abs() < 8 * MM
    edge = face[upper & middle, 1].min()
    assert 0.5 * MM < lips[0] - edge < 4 * MM
    assert edge > lips[1]
    assert face[lower & middle & (face[:, 2] > 25 * MM), 1].max() < edge
    assert face[tongue & middle, 2].max() < face[upper & middle, 2].max() - 10 * MM


def test_lip_crossing_sees_a_raised_lower_lip(model: MorphableModel) -> None:
    lower = part_triangles(model, "lower_lip").unique()
    raised = act(model).clone()
    raised[lower, 1] += 2 * MM
    # the lips touched before
    assert 1.0 * MM < float(lip_crossing(model, raised[None])) < 2.5 * MM
    assert float(lip_crossing(model, act(model)[None])) < 0.4 * MM


def test_lip_gap_sees_parted_and_crossing_lips(model: MorphableModel) -> None:
    neutral = act(model)
    lower = part_triangles(model, "lower_lip").unique()
    for shift in (-3 * MM, 3 * MM):
        moved = neutral.clone()
        moved[lower, 1] += shift
        change = lip_gap(model, moved[None]) - lip_gap(model, neutral[None])
        torch.testing.assert_close(change, torch.tensor([-shift]), atol=0.05 * MM, rtol=0)


def test_neutral_eyes_are_open_and_lids_rest_on_eyeballs(model: MorphableModel, people: Tensor) -> None:
    points = model.landmarks(people)
    for upper, lower, ball in (((43, 44), (47, 46), slice(-2 * NUM_EYEBALL, -NUM_EYEBALL)),
                               ((37, 38), (41, 40), slice(-NUM_EYEBALL, None))):  # fmt: skip
        opening = points[:, list(upper), 1] - points[:, list(lower), 1]
        assert float(opening.min()) > 2 * MM
        assert float(opening.max()) < 20 * MM
        sphere = people[:, ball]
        pole, rim = sphere[:, :1], sphere[:, -16:].mean(1, keepdim=True)
        # the last ring lies 100 degrees from the pole: its center is cos(100) radii along the axis
        radius = (pole - rim).norm(dim=-1, keepdim=True) / (1 + 0.17365)
        center = pole - (pole - rim) / (1 + 0.17365)
        lids = points[:, [*upper, *lower]]
        clearance = (lids - center).norm(dim=-1) - radius[..., 0]
        assert float(clearance.min()) > -1.0 * MM
        assert float(clearance.median()) < 2.5 * MM


def test_no_triangle_of_a_sampled_face_turns_over(model: MorphableModel, people: Tensor) -> None:
    def turned(*parts: str) -> float:
        corners = part_triangles(model, *parts)

        def normals(vertices: Tensor) -> Tensor:
            a, b, c = (vertices[..., corners[:, k], :] for k in range(3))
            return torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1)

        mean = normals(act(model))
        return sum(float(((normals(batch) * mean).sum(-1) < -0.5).float().mean()) for batch in people.split(100)) / 10

    # measured: 4.5e-5, about one of 22,000 triangles per person, beside the lips
    assert turned("skin", "nose", "left_brow", "right_brow", "ears") < 1e-4
    # slivers in the corners of the mouth, tenths of a millimeter long, roll as lips grow thick
    assert turned("upper_lip", "lower_lip") < 3e-3


def test_identity_does_not_open_mouths_or_smile(model: MorphableModel, people: Tensor) -> None:
    points = model.landmarks(people)
    assert float((points[:, 62, 1] - points[:, 66, 1]).std()) < 1.0 * MM
    corners, middle = points[:, [48, 54], 1].mean(1), points[:, [62, 66], 1].mean(1)
    smile = model.landmarks(act(model, mouthSmileLeft=1.0, mouthSmileRight=1.0))
    neutral = model.landmarks(act(model))
    raised = (smile - neutral)[[48, 54], 1].mean() - (smile - neutral)[[62, 66], 1].mean()
    assert float((corners - middle).std()) < 0.35 * float(raised)


def test_expressions_do_what_their_names_say(model: MorphableModel) -> None:
    neutral = model.landmarks(act(model))
    smile = model.landmarks(act(model, mouthSmileLeft=1.0)) - neutral
    assert smile[54, 0] > 2 * MM
    assert smile[54, 1] > 3 * MM
    assert smile[48].norm() < 0.4 * smile[54].norm()
    jaw = model.landmarks(act(model, jawOpen=1.0))
    assert jaw[62, 1] - jaw[66, 1] > 20 * MM
    jaw_left = model.landmarks(act(model, jawLeft=1.0)) - neutral
    assert jaw_left[8, 0] > 2 * MM
    brow = model.landmarks(act(model, browOuterUpLeft=1.0)) - neutral
    assert brow[25, 1] > 2 * MM > brow[18, 1].abs()
    closed = model.landmarks(act(model, jawOpen=1.0, mouthClose=1.0))
    assert (closed[62, 1] - closed[66, 1]).abs() < 4 * MM


@pytest.mark.parametrize(
    ("name", "axis", "sign"),
    [("eyeLookInLeft", 0, -1), ("eyeLookOutLeft", 0, 1), ("eyeLookUpLeft", 1, 1), ("eyeLookDownLeft", 1, -1)],
)
def test_gaze_turns_the_eyeball(model: MorphableModel, name: str, axis: int, sign: int) -> None:
    pole = model.num_vertices - 2 * NUM_EYEBALL
    moved = act(model, **{name: 1.0})[pole] - act(model)[pole]
    assert sign * float(moved[axis]) > 4 * MM
    assert float(act(model, **{name: 1.0})[-1].sub(act(model)[-1]).norm()) == 0.0


def test_blink_brings_the_mean_lids_together(model: MorphableModel) -> None:
    for side, upper, lower in (("Left", (43, 44), (47, 46)), ("Right", (37, 38), (41, 40))):
        points = model.landmarks(act(model, **{f"eyeBlink{side}": 1.0}))
        gap = points[list(upper), 1] - points[list(lower), 1]
        assert float(gap.abs().max()) < 0.6 * MM


def test_landmarks_sit_on_the_parts_they_name(model: MorphableModel) -> None:
    triangle = model.surface_points("ibug68_3d").triangle
    part = [model.part_names[label] for label in model.part_labels[triangle].tolist()]
    assert set(part[51:54] + part[61:64]) <= {"upper_lip", "skin"}
    assert set(part[65:68] + part[56:58]) <= {"lower_lip", "skin"}
    assert set(part[27:36]) <= {"nose", "skin"}
    assert set(part[22:27]) <= {"left_brow", "skin"}


def test_irises_are_where_the_eyes_look(model):
    """The open model's eyeballs are its last vertices, 177 each, the left one and its pole first."""
    first = model.num_vertices - 2 * 177
    assert model.iris_vertices == (first + 177, first)
    neutral = model.decode_shape(torch.zeros(80), torch.zeros(64))
    turned = torch.zeros(64)
    turned[model.expression_names.index("eyeLookUpLeft")] = 1.0
    up = (model.decode_shape(torch.zeros(80), turned) - neutral)[list(model.iris_vertices)]
    assert up[1, 1] > 0.004
    torch.testing.assert_close(up[0], torch.zeros(3))


def test_mediapipe_points_are_left_and_right_alike_and_where_their_names_say(model: MorphableModel) -> None:
    points, static = model.landmarks(act(model), "mediapipe468"), model.landmarks(act(model))
    assert points.shape == (468, 3)
    apart = (points[:, None] - points[None] * MIRROR).norm(dim=-1)
    # mirrored rows of the mesh differ by a rounding of float32 weights
    assert float(apart.min(1).values.max()) < 0.01 * MM
    # outer and inner corners of the eyes and of the lips, base and tip of the nose, middles of the lips: MediaPipe's
    # numbers and those of the 68; the two definitions are up to 5 mm apart
    for number, other in ((33, 36), (133, 39), (362, 42), (263, 45), (61, 48), (291, 54), (78, 60), (308, 64), (4, 30)):
        assert float((points[number] - static[other]).norm()) < 5 * MM, number
    for number, other in ((2, 33), (0, 51), (17, 57), (14, 66)):
        assert float((points[number] - static[other]).norm()) < 4 * MM, number
    # 152 is the chin, 10 between 109 and 338 the top of the forehead; 234 and 454 are before the ears
    assert points[:, 1].argmin() == 152
    assert set(points[:, 1].topk(3).indices.tolist()) == {109, 10, 338}
    assert {int(points[:, 0].argmin()), int(points[:, 0].argmax())} == {234, 454}


def test_points_alone_are_where_the_whole_mesh_has_them():
    model = morphable.load_model("open")
    points = model.surface_points("ibug68_3d")
    alone, faces = model.restrict(points), model.sample(2, torch.Generator().manual_seed(0))
    shape = points.on(model.decode_shape(faces.identity, faces.expression), model.triangles)
    torch.testing.assert_close(alone.decode_shape(faces.identity, faces.expression), shape, atol=1e-6, rtol=0)
    colors = points.on(model.decode_albedo(faces.albedo), model.triangles)
    torch.testing.assert_close(alone.decode_albedo(faces.albedo), colors, atol=1e-5, rtol=0)
