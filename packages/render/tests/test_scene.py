import math

import pytest
import torch

from morphable_render import render_faces


@pytest.fixture
def two_balls(reference):
    vertices, triangles = reference.sphere(30, 60, 0.3)
    near, far = vertices + [0.1, 0.0, 1.5], vertices + [-0.1, 0.0, 3.0]
    vertices = torch.tensor([near.tolist(), far.tolist()])
    albedo = torch.tensor([[1.0, 0.2, 0.1], [0.1, 0.3, 1.0]])[:, None].expand(vertices.shape)
    return vertices, torch.as_tensor(triangles), albedo


def test_nearer_hides_farther_in_every_layer(two_balls):
    vertices, triangles, albedo = two_balls
    labels = torch.arange(len(triangles)) % 5
    image = render_faces(
        vertices, triangles, albedo, focal_px=120.0, background=torch.zeros(64, 96, 3), part_labels=labels
    )
    # Ball centers: 48 + 120 * 0.1 / 1.5 = 56 (radius 24 px), 48 - 4 = 44 (radius 12 px, 32..56)
    assert image.face[32, 44] == 0
    assert image.face[32, 34] == 0
    assert image.mask[32, 56]
    alone = render_faces(
        vertices[:1], triangles, albedo[:1], focal_px=120.0, background=torch.zeros(64, 96, 3), part_labels=labels
    )
    near = alone.mask
    for field in ("rgb", "depth_m", "normals", "part", "face", "triangle"):
        torch.testing.assert_close(getattr(image, field)[near], getattr(alone, field)[near])
    assert (image.depth_m[image.mask & ~near] > 2.5).all()
    # Order of the faces in the list does not matter but for their numbers.
    swapped = render_faces(
        vertices.flip(0), triangles, albedo.flip(0), focal_px=120.0, background=torch.zeros(64, 96, 3)
    )
    torch.testing.assert_close(swapped.rgb, image.rgb)
    torch.testing.assert_close(1 - swapped.face[image.mask], image.face[image.mask])


def test_normals_depth_and_colour_of_the_point_straight_ahead(reference):
    vertices, triangles = reference.sphere(60, 120, 0.3)
    vertices = torch.tensor((vertices + [0, 0, 1.5]).tolist())[None]
    light = torch.zeros(1, 9, 3)
    light[0, 2] = torch.tensor([0.1, 0.0, -0.1])
    albedo = torch.full_like(vertices, 0.5)
    image = render_faces(
        vertices,
        torch.as_tensor(triangles),
        albedo,
        illumination=light,
        focal_px=60.0,
        background=torch.zeros(31, 31, 3),
    )
    # 3-degree facets: depth within 0.2 mm
    assert image.depth_m[15, 15].item() == pytest.approx(1.2, abs=2e-4)
    torch.testing.assert_close(image.normals[15, 15], torch.tensor([0.0, 0.0, -1.0]), atol=2e-3, rtol=0)
    # 0.5 (0.8 sqrt(pi)/2 + l_z sqrt(pi)): the light's +z is toward the viewer
    expected = 0.5 * math.sqrt(math.pi) * (0.4 + torch.tensor([0.1, 0.0, -0.1]))
    torch.testing.assert_close(image.rgb[15, 15], expected, atol=1e-3, rtol=0)


def test_no_face_is_the_background(two_balls):
    vertices, triangles, albedo = two_balls
    background = torch.rand(8, 9, 3)
    image = render_faces(vertices[:0], triangles, albedo[:0], focal_px=100.0, background=background)
    torch.testing.assert_close(image.rgb, background)
    assert not image.mask.any()


def test_gradients_reach_everything(two_balls):
    vertices, triangles, albedo = two_balls
    inputs = [vertices.clone(), albedo.clone(), torch.zeros(2, 9, 3), torch.tensor(120.0)]
    vertices, albedo, light, focal = (x.requires_grad_() for x in inputs)
    image = render_faces(
        vertices, triangles, albedo, illumination=light, focal_px=focal, background=torch.zeros(64, 96, 3)
    )
    (image.rgb.square().mean() + image.depth_m.mean() + image.normals.square().mean()).backward()
    for leaf in (vertices, albedo, light, focal):
        assert leaf.grad.isfinite().all()
        assert leaf.grad.abs().sum() > 0


def test_wrong_background_is_refused(two_balls):
    vertices, triangles, albedo = two_balls
    with pytest.raises(Exception, match="background"):
        render_faces(vertices, triangles, albedo, focal_px=100.0, background=torch.zeros(3, 8))
