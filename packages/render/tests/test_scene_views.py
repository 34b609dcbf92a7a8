import pytest
import torch

from morphable_render import render_view, views
from morphable_render.scene_views import view_rotation


@pytest.fixture
def three_balls(reference):
    """Left near, middle far, right nearest and low."""
    vertices, triangles = reference.sphere(8, 12, 0.1)
    position = torch.tensor([[-0.5, 0.0, 1.5], [0.0, 0.0, 2.5], [0.4, 0.3, 1.0]])
    return torch.tensor(vertices.tolist()) + position[:, None], torch.as_tensor(triangles), position


def centres(image):
    found = {}
    for face in range(3):
        row, col = (image.mask & (image.face == face)).nonzero(as_tuple=True)
        found[face] = torch.stack([col.float().mean(), row.float().mean()])
    return torch.stack([found[k] for k in range(3)])


def test_views_keep_relative_places(three_balls):
    vertices, triangles, position = three_balls
    result = views(vertices, triangles, torch.rand_like(vertices), background=torch.ones(200, 200, 3))
    # Which metric axis runs right and down in each view.
    for image, axes in ((result.front, [0, 1]), (result.right, [2, 1]), (result.top, [0, 2])):
        px = centres(image)
        metric = position[:, axes] * torch.tensor([1.0, -1.0 if image is result.top else 1.0])
        scale = (px[1] - px[0]).norm() / (metric[1] - metric[0]).norm()
        # 12 radii away: perspective bends distances by up to 1/12
        torch.testing.assert_close(px - px[0], (metric - metric[0]) * scale, atol=0.09 * 100, rtol=0.09)


def test_everything_fits_and_nothing_is_background_coloured(three_balls):
    vertices, triangles, _ = three_balls
    result = views(vertices, triangles, torch.zeros_like(vertices), background=torch.ones(90, 160, 3))
    for image in (result.front, result.right, result.top):
        edge = torch.cat([image.mask[0], image.mask[-1], image.mask[:, 0], image.mask[:, -1]])
        assert not edge.any()
        assert (image.rgb[image.mask] == 0).all()
        assert (image.rgb[~image.mask] == 1).all()


def test_rotations_are_proper_and_orthogonal():
    for view in ("front", "right", "top"):
        rotation = view_rotation(view, torch.zeros(1, dtype=torch.float64))
        torch.testing.assert_close(rotation @ rotation.T, torch.eye(3, dtype=torch.float64))
        assert torch.linalg.det(rotation) > 0


def test_front_view_of_one_face_is_centred(three_balls):
    vertices, triangles, _ = three_balls
    image = render_view(
        vertices[:1], triangles, torch.zeros_like(vertices[:1]), view="front", background=torch.ones(101, 101, 3)
    )
    row, col = image.mask.nonzero(as_tuple=True)
    assert (row.float().mean().item(), col.float().mean().item()) == pytest.approx((50, 50), abs=0.5)
    # 92 % of 101 px, seen as a sphere
    assert row.max() - row.min() + 1 == pytest.approx(93, abs=2)


def test_empty_scene_is_background():
    image = render_view(
        torch.zeros(0, 4, 3),
        torch.tensor([[0, 1, 2]]),
        torch.zeros(0, 4, 3),
        view="top",
        background=torch.ones(9, 9, 3),
    )
    assert (image.rgb == 1).all()


def test_gradients_reach_the_scene(three_balls):
    vertices, triangles, _ = three_balls
    vertices = vertices.clone().requires_grad_()
    image = render_view(vertices, triangles, torch.rand_like(vertices), view="right", background=torch.ones(64, 64, 3))
    image.rgb.square().sum().backward()
    assert vertices.grad.isfinite().all()
    assert vertices.grad.abs().sum() > 0


def test_unknown_view_is_refused():
    with pytest.raises(ValueError, match="front, right, top"):
        view_rotation.__wrapped__("left", torch.zeros(1))
