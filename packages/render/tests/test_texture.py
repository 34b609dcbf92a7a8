import math

import pytest
import torch

from morphable.geometry import rotation_from_vector
from morphable_render import bake_texture, rasterize, render_faces, uv_layout, vertex_normals
from morphable_render.lighting import irradiance_sh, lighting_normals
from morphable_render.texture import surface_visibility
from morphable_render.uv import UvMesh, uv_map_from_vertices


@pytest.fixture
def half_pipe():
    """An upright half cylinder, radius 10 cm, facing the camera at angle 0; u runs over its 180 degrees."""
    angles, heights = torch.linspace(-math.pi / 2, math.pi / 2, 61), torch.linspace(-0.1, 0.1, 21)
    angle, height = torch.meshgrid(angles, heights, indexing="ij")
    vertices = torch.stack([0.1 * angle.sin(), height, -0.1 * angle.cos()], -1).reshape(-1, 3)
    i = torch.arange(61 * 21).reshape(61, 21)
    a, b, c, d = (k.flatten() for k in (i[:-1, :-1], i[1:, :-1], i[:-1, 1:], i[1:, 1:]))
    triangles = torch.cat([torch.stack([a, c, b], -1), torch.stack([b, c, d], -1)])
    uv = torch.stack([angle / math.pi + 0.5, (height + 0.1) / 0.2], -1).reshape(-1, 2) * 0.96 + 0.02
    mirror = i.flip(0).reshape(-1)
    return vertices, UvMesh(triangles, uv, triangles, mirror)


def turned(vertices, degrees, distance=1.0):
    rotation = rotation_from_vector(torch.tensor([0.0, math.radians(degrees), 0.0]))
    return vertices @ rotation.T + torch.tensor([0.0, 0.0, distance])


def photograph(vertices_cam, mesh, albedo, **light):
    return render_faces(
        vertices_cam[None], mesh.triangles, albedo[None], focal_px=900.0, background=torch.zeros(224, 224, 3), **light
    )


def stripes(vertices):
    return torch.stack([0.5 + 0.4 * torch.sin(40 * vertices[:, k]) for k in (0, 1, 2)], -1)


def test_normals_face_the_camera(half_pipe):
    vertices, mesh = half_pipe
    assert (vertex_normals(vertices, mesh.triangles)[:, 2] < 0.03).all()


def test_visibility_is_full_ahead_and_zero_at_grazing_angles(half_pipe):
    vertices, mesh = half_pipe
    layout = uv_layout(mesh, 64)
    weight = surface_visibility(turned(vertices, 0), layout, focal_px=900.0, size_hw=(224, 224))
    middle = weight[32]
    # |angle| <= 50 degrees: cosine > 0.5 even with the rays' 5 degrees; beyond 85 degrees: grazing
    assert (middle[16:48] == 1).all()
    assert (middle[:2] == 0).all()
    assert (middle[-2:] == 0).all()
    # cells are cut by diagonals that do not mirror: 0.07 on the ramp, and one pixel at its end
    assert (weight - weight.flip(1)).abs().median() < 1e-3
    assert ((weight - weight.flip(1)).abs() > 0.1).float().mean() < 0.02


def test_texture_of_the_seen_side_is_the_surface_colour(half_pipe):
    vertices, mesh = half_pipe
    layout, albedo = uv_layout(mesh, 96), stripes(vertices)
    cam = turned(vertices, 0)
    baked = bake_texture(photograph(cam, mesh, albedo).rgb, cam, layout, focal_px=900.0)
    expected = uv_map_from_vertices(albedo, layout)
    sure = baked.weight > 0.9
    assert sure.float().mean() > 0.5
    # one pixel is 1.1 mm: stripes of 157 mm blur by less than 0.02
    torch.testing.assert_close(baked.rgb[sure], expected[sure], atol=0.02, rtol=0)


def test_hidden_side_is_filled_from_the_mirrored_one_not_smeared(half_pipe):
    vertices, mesh = half_pipe
    layout = uv_layout(mesh, 96)
    symmetric = stripes(vertices.abs())
    cam = turned(vertices, 60)  # the camera sees one side; the other is hidden behind the edge
    baked = bake_texture(photograph(cam, mesh, symmetric).rgb, cam, layout, focal_px=900.0)
    expected = uv_map_from_vertices(symmetric, layout)
    mirrored = baked.mirrored > 0.99
    assert mirrored.float().mean() > 0.2
    # the far end of it was seen at 70 degrees, where a pixel is 3 mm wide
    torch.testing.assert_close(baked.rgb[mirrored], expected[mirrored], atol=0.06, rtol=0)
    assert (baked.rgb[mirrored] - expected[mirrored]).abs().median() < 0.01
    without = UvMesh(mesh.triangles, mesh.uv, mesh.uv_triangles)
    bare = bake_texture(photograph(cam, mesh, symmetric).rgb, cam, uv_layout(without, 96), focal_px=900.0)
    assert (bare.rgb[mirrored & (bare.weight == 0)] == 0).all()


def test_fallback_fills_the_rest_in_the_tone_of_the_skin(half_pipe):
    vertices, mesh = half_pipe
    layout = uv_layout(mesh, 48)
    skin, grey = torch.tensor([0.6, 0.4, 0.3]).expand_as(vertices), torch.full_like(vertices, 0.5)
    cam = turned(vertices, 0)
    baked = bake_texture(photograph(cam, mesh, skin).rgb, cam, layout, focal_px=900.0, fallback=grey)
    assert (baked.filled[layout.mask] > 0.99).any()
    rest = baked.filled > 0.99
    torch.testing.assert_close(baked.rgb[rest], skin[:1].expand(int(rest.sum()), 3), atol=0.02, rtol=0)
    shares = baked.filled + baked.mirrored
    assert ((shares >= 0) & (shares <= 1 + 1e-6)).all()


def test_what_stands_in_front_is_left_out(half_pipe):
    vertices, mesh = half_pipe
    layout = uv_layout(mesh, 64)
    cam = turned(vertices, 0)
    near = cam * 0.5  # the same silhouette at half the distance, moved to the right half of the picture
    near = near + torch.tensor([0.05, 0.0, 0.0])
    both = torch.stack([near, cam])
    scene = render_faces(
        both, mesh.triangles, torch.rand_like(both), focal_px=900.0, background=torch.zeros(224, 224, 3)
    )
    weight = surface_visibility(cam, layout, focal_px=900.0, size_hw=(224, 224), depth_m=scene.depth_m)
    alone = surface_visibility(cam, layout, focal_px=900.0, size_hw=(224, 224))
    assert (weight[32, 36:] == 0).all()
    torch.testing.assert_close(weight[32, :28], alone[32, :28])
    usable = torch.ones(224, 224, dtype=torch.bool)
    usable[:112] = False
    masked = bake_texture(scene.rgb, cam, layout, focal_px=900.0, usable=usable)
    assert (masked.weight[:30] == 0).all()
    assert (masked.weight[34:] > 0).any()


def test_light_is_divided_out(half_pipe):
    vertices, mesh = half_pipe
    layout, albedo = uv_layout(mesh, 64), stripes(vertices)
    cam = turned(vertices, 10)
    light = torch.zeros(9, 3)
    light[3] = 0.15  # from one side
    lit = photograph(cam, mesh, albedo, illumination=light[None])
    baked = bake_texture(lit.rgb, cam, layout, focal_px=900.0, illumination=light)
    sure = baked.weight > 0.9
    torch.testing.assert_close(baked.rgb[sure], uv_map_from_vertices(albedo, layout)[sure], atol=0.03, rtol=0)
    normals = lighting_normals(vertex_normals(cam, mesh.triangles))
    spread = irradiance_sh(normals, light)
    assert spread.max() > 1.5 * spread.min()


def test_refusals(half_pipe):
    vertices, mesh = half_pipe
    layout = uv_layout(mesh, 8)
    with pytest.raises(ValueError, match="finite"):
        bake_texture(torch.rand(8, 8, 3), vertices * torch.nan, layout, focal_px=9.0)
    with pytest.raises(Exception, match="photograph"):
        bake_texture(torch.rand(3, 8, 8), turned(vertices, 0), layout, focal_px=9.0)
    assert rasterize(turned(vertices, 0), mesh.triangles, focal_px=9.0, size_hw=(8, 8)).mask.any()
