"""Contour landmarks on an ellipsoid, whose outline is known in closed form, and on real meshes where present."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from morphable import ModelData, MorphableModel, SurfacePoints, load_model
from morphable.contour import space_evenly
from morphable.contour_lines import trace_contour_lines

HALF_AXES = torch.tensor([0.07, 0.11, 0.09])
CAMERA = torch.tensor([1.0, -1.0, -1.0])


def ellipsoid(rows: int = 60, cols: int = 120) -> tuple[torch.Tensor, torch.Tensor]:
    """A closed ellipsoid; triangles counter-clockwise seen from outside."""
    polar = torch.linspace(0, math.pi, rows + 1)
    around = torch.linspace(-math.pi, math.pi, cols + 1)[:-1]
    x = polar.sin()[:, None] * around.sin()
    z = polar.sin()[:, None] * around.cos()
    y = polar.cos()[:, None].expand_as(x)
    corner = torch.arange(rows)[:, None] * cols + torch.arange(cols)
    right = torch.arange(rows)[:, None] * cols + (torch.arange(cols) + 1) % cols
    first = torch.stack([corner, corner + cols, right], dim=-1)
    second = torch.stack([right, corner + cols, right + cols], dim=-1)
    vertices = torch.stack([x, y, z], dim=-1).reshape(-1, 3) * HALF_AXES
    return vertices, torch.cat([first, second], dim=2).reshape(-1, 3)


def head() -> MorphableModel:
    """The ellipsoid as a face model: jaw points half-way back, the others where a face has them."""
    vertices, triangles = ellipsoid()
    angle = torch.linspace(-0.9 * math.pi, 0.9 * math.pi, 17) / 2  # from the right ear over the chin to the left
    jaw = torch.stack([angle.sin(), -(angle.cos().clamp(min=0) ** 0.5), torch.full((17,), -0.1)], dim=-1)
    points = torch.zeros(68, 3)
    points[:17] = jaw
    grid = torch.linspace(-0.4, 0.4, 51)
    points[17:] = torch.stack([grid, 0.5 * torch.cos(7 * grid), torch.ones(51)], dim=-1)
    points[31], points[33], points[35] = torch.tensor([[-0.2, 0.0, 1], [0.0, 0.0, 1], [0.2, 0.0, 1]])
    points[57] = torch.tensor([0.0, -0.4, 1])
    wanted = torch.nn.functional.normalize(points, dim=-1) * HALF_AXES
    vertex = torch.cdist(wanted, vertices).argmin(-1)
    corner = triangles[None] == vertex[:, None, None]
    triangle = corner.any(-1).int().argmax(-1)
    landmarks = SurfacePoints(triangle, corner[torch.arange(68), triangle].float())
    empty = torch.zeros(0, len(vertices), 3)
    data = ModelData(
        name="head",
        mean=vertices,
        identity_basis=empty,
        expression_basis=empty,
        mean_albedo=vertices,
        albedo_basis=empty,
        triangles=triangles,
        landmarks={"ibug68_3d": landmarks},
    )
    return MorphableModel(replace(data, contour=trace_contour_lines(vertices, triangles, landmarks)))


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    """The ellipsoid; no test changes it."""
    return head()


def yaw_rotation(degrees: float) -> torch.Tensor:
    """Head rotation that turns the nose to the image's right for positive angles."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def posed(
    vertices: torch.Tensor, rotation_head: torch.Tensor, offset: tuple[float, float] = (0.0, 0.0)
) -> torch.Tensor:
    """Put a model-frame mesh 0.8 m in front of the camera."""
    return (vertices @ rotation_head.T) * CAMERA + torch.tensor([*offset, 0.8])


def facing(points: torch.Tensor, rotation_head: torch.Tensor, offset: tuple[float, float] = (0.0, 0.0)) -> torch.Tensor:
    """Cosine between the ellipsoid's outward normal at camera-frame points and the direction to the camera."""
    model_points = ((points - torch.tensor([*offset, 0.8])) * CAMERA) @ rotation_head
    normal = torch.nn.functional.normalize(model_points / HALF_AXES**2, dim=-1) @ rotation_head.T * CAMERA
    return -(normal * torch.nn.functional.normalize(points, dim=-1)).sum(-1)


@pytest.mark.parametrize("yaw", [0, 30, 60, -45])
@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.25, -0.15)])
def test_jaw_points_are_visible_and_on_the_outline_if_they_slid(yaw, offset, model):
    rotation = yaw_rotation(yaw)
    cam = posed(model.mean, rotation, offset)
    jaw, static = model.jaw_outline(cam), model.landmarks(cam)[:17]
    cosine = facing(jaw, rotation, offset)
    slid = (jaw - static).norm(dim=-1) > 1e-3
    inner = SurfacePoints(model.contour_triangle[:, 0], model.contour_barycentric[:, 0]).on(cam, model.triangles)
    at_inner_end = (jaw - inner).norm(dim=-1) < 1e-6  # from aside the outline is nose and lips, past the lines
    # On the outline the normal is across the view; candidates and triangles are 3 degrees (0.05) apart, and the lines
    # do not cross the outline at right angles.
    assert bool((cosine[slid & ~at_inner_end].abs() < 0.15).all())
    assert bool((cosine[~at_inner_end] > -0.15).all())
    if abs(yaw) <= 45:
        assert not bool(at_inner_end.any())


def test_near_side_stays_and_far_side_slides(model):
    cam = posed(model.mean, yaw_rotation(60.0))  # nose to the image's right: the person's left side is hidden
    moved = (model.jaw_outline(cam) - model.landmarks(cam)[:17]).norm(dim=-1)
    assert bool((moved[:5] < 1e-6).all())  # right side: faces the camera
    assert bool((moved[12:17] > 0.01).all())  # left side: hidden jaw, slides by centimeters
    assert torch.equal(model.contour_landmarks(cam)[17:], model.landmarks(cam)[17:])


def test_in_profile_the_near_side_stays_and_the_far_side_comes_to_the_front(model):
    vertices = model.mean
    cam = posed(vertices, yaw_rotation(90.0))
    slid = (model.jaw_outline(cam) - model.landmarks(cam)[:17]).norm(dim=-1)
    assert bool((slid[:6] < 1e-6).all())
    # The outline is the middle of the face; lines end beside the nose, at most 21 mm from it (1.5 half nose widths).
    assert bool((model.jaw_outline(cam)[9:17, 2] - 0.8).abs().max() < 0.025)
    assert bool((slid[12:] > 0.01).all())


@pytest.mark.parametrize("yaw", [0, 30, -60])
def test_each_half_of_the_contour_is_divided_evenly_along_the_outline(yaw, model):
    cam = posed(model.mean, yaw_rotation(yaw))
    outline, jaw = model.jaw_outline(cam), model.contour_landmarks(cam)[:17]
    torch.testing.assert_close(jaw[[0, 8, 16]], outline[[0, 8, 16]])
    steps = (jaw[:, :2] / jaw[:, 2:]).diff(dim=0).norm(dim=-1)
    for half in (steps[:8], steps[8:]):
        # chords cut corners of the outline, and perspective shifts a point of a chord: a few per cent
        torch.testing.assert_close(half, half.mean().expand(8), rtol=0.08, atol=0)
    to_outline = torch.cdist(jaw, outline).amin(-1)
    assert float(to_outline.max()) < float(outline.diff(dim=0).norm(dim=-1).max())


def test_evenly_spaced_points_stay_and_coinciding_ones_have_finite_gradients():
    line = torch.stack([torch.linspace(-1, 1, 17), torch.zeros(17), torch.ones(17)], dim=-1)
    torch.testing.assert_close(space_evenly(line), line)
    bunched = line.clone()
    bunched[:9] = bunched[8]
    bunched.requires_grad_()
    moved = space_evenly(bunched)
    moved.square().sum().backward()
    torch.testing.assert_close(moved.detach(), bunched.detach())
    assert bunched.grad is not None
    assert bool(bunched.grad.isfinite().all())


def test_contour_of_the_mirrored_view_is_mirrored(model):
    right, left = (model.contour_landmarks(posed(model.mean, yaw_rotation(angle)))[:17] for angle in (50.0, -50.0))
    mirrored = left.flip(0) * torch.tensor([-1.0, 1.0, 1.0])
    # Candidates are 3 mm apart, and the two sides' lines start at nearest vertices: within one of them.
    torch.testing.assert_close(mirrored, right, atol=4e-3, rtol=0)


def test_in_plane_rotation_turns_the_contour_with_it(model):
    c, s = math.cos(0.7), math.sin(0.7)
    roll = torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    cam = posed(model.mean, yaw_rotation(35.0))
    torch.testing.assert_close(model.contour_landmarks(cam @ roll.T), model.contour_landmarks(cam) @ roll.T)


def test_gradient_reaches_the_vertices_of_chosen_candidates_only(model):
    cam = posed(model.mean, yaw_rotation(40.0)).requires_grad_()
    model.jaw_outline(cam).sum().backward()
    assert cam.grad is not None
    # every point is a mean of three vertices: weights sum to one per point and coordinate
    torch.testing.assert_close(cam.grad.sum(), torch.tensor(51.0))
    assert int((cam.grad.abs().sum(-1) > 0).sum()) <= 17 * 3


def test_lines_end_at_the_jaw_and_lie_on_the_surface(model):
    lines = SurfacePoints(model.contour_triangle, model.contour_barycentric).on(model.mean, model.triangles)
    torch.testing.assert_close(lines[:, -1], model.landmarks(model.mean)[:17])
    radius = (lines / HALF_AXES).norm(dim=-1)
    # inscribed triangles of 3 degrees: 1 - cos(1.5 degrees) twice over
    torch.testing.assert_close(radius, torch.ones_like(radius), atol=2e-3, rtol=0)
    assert float(lines.diff(dim=1).norm(dim=-1).max()) < 0.012


@pytest.mark.parametrize("yaw", [0, 30, 60, -60])
def test_contour_of_a_real_head_is_the_cheek_outline(yaw, ict_head):
    """Far-side jaw points lie on the outline of the face without the back of the head, found by brute force."""
    model = ict_head
    cam = posed(model.mean, yaw_rotation(yaw))
    jaw = model.jaw_outline(cam)
    rays = cam[:, :2] / cam[:, 2:]
    side = slice(11, 16) if yaw >= 0 else slice(1, 6)
    sign = 1.0 if yaw >= 0 else -1.0
    face = model.region("face")
    for point in jaw[side]:
        x, y = (point[:2] / point[2]).tolist()
        row = face & ((rays[:, 1] - y).abs() < 0.004)  # within 3 mm of the same height in the image
        outline = float((sign * rays[row, 0]).max())
        assert sign * x < outline + 0.002
        if abs(yaw) == 30:  # nothing but the cheek on that side: no nose, no ear in front of the outline
            assert sign * x > outline - 0.006


def face_outline_px(model: MorphableModel, cam: torch.Tensor, px_per_m: float, size: int) -> np.ndarray:
    """Pixels on the outline of the face without ears, neck, scalp and mouth cavity, drawn by brute force."""
    away = [model.part_names.index(name) for name in ("ears", "neck", "scalp", "inner_mouth")]
    kept = model.triangles[~torch.isin(model.part_labels, torch.tensor(away))]
    xy = (cam[:, :2] / cam[:, 2:] * cam[:, 2].mean() * px_per_m + size / 2).numpy()
    image = Image.new("1", (size, size))
    draw = ImageDraw.Draw(image)
    for polygon in xy[kept.numpy()].reshape(-1, 6).tolist():
        draw.polygon(polygon, fill=1)
    inside = np.pad(np.asarray(image), 1)
    surrounded = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    rows, cols = np.nonzero(inside[1:-1, 1:-1] & ~surrounded)
    return np.stack([cols, rows], axis=-1) + 0.5


@pytest.mark.parametrize("yaw", [20, -45])
def test_contour_of_the_open_model_is_its_drawn_outline(yaw):
    model = load_model("open")
    size, px_per_m = 600, 2000.0
    drawn = model.sample(2, torch.Generator().manual_seed(0))
    for vertices in model.decode_shape(drawn.identity, 0 * drawn.expression):
        cam = posed(vertices, yaw_rotation(yaw))
        jaw, static = model.jaw_outline(cam), model.landmarks(cam)[:17]
        slid = jaw[(jaw - static).norm(dim=-1) > 4e-3]
        assert 3 <= len(slid) <= 10
        xy = (slid[:, :2] / slid[:, 2:] * cam[:, 2].mean() * px_per_m + size / 2).numpy()
        outline = face_outline_px(model, cam, px_per_m, size)
        distance_m = np.linalg.norm(xy[:, None] - outline[None], axis=-1).min(-1) / px_per_m
        # At 45 degrees the brow's edge stands up to 3 mm outside the topmost line.
        assert np.median(distance_m) < 1e-3
        assert distance_m.max() < 4e-3
