import pytest
import torch

from morphable_render import rasterize, sample_image, uv_layout
from morphable_render.uv import UvMesh, mirrored_uv, uv_at_surface, uv_map_from_vertices, vertices_from_uv_map


@pytest.fixture
def sheet(reference):
    """A bulged sheet whose texture coordinates are its own (x, y); row 6 is the mirror axis of columns."""
    vertices, triangles = reference.grid(9, 13, width=1.0, height=1.0, bulge=0.3)
    vertices, triangles = torch.tensor(vertices.tolist()), torch.as_tensor(triangles)
    uv = vertices[:, :2] * 0.9 + 0.5
    mirror = torch.arange(9 * 13).reshape(9, 13).flip(1).reshape(-1)
    return vertices, UvMesh(triangles, uv, triangles, mirror)


def test_texel_centres_read_their_own_coordinates(sheet):
    vertices, mesh = sheet
    layout = uv_layout(mesh, 40, margin=0)
    row, col = layout.mask.nonzero(as_tuple=True)
    # 0.9 x 0.9 of the plane: texels 2 to 37
    assert (row.min(), row.max(), col.min(), col.max()) == (2, 37, 2, 37)
    at = uv_at_surface(layout.triangle[row, col], layout.barycentric[row, col], mesh)
    torch.testing.assert_close(at, (torch.stack([col, row], -1) + 0.5) / 40, atol=1e-6, rtol=0)
    position = uv_map_from_vertices(vertices, layout)
    torch.testing.assert_close(position[row, col, :2] * 0.9 + 0.5, at, atol=1e-6, rtol=0)
    assert (position[~layout.mask] == 0).all()


def test_mesh_comes_back_from_its_position_map(sheet):
    vertices, mesh = sheet
    layout = uv_layout(mesh, 256)
    back = vertices_from_uv_map(uv_map_from_vertices(vertices.expand(2, -1, 3), layout), layout)
    assert back.shape == (2, len(vertices), 3)
    # Between texels that straddle an edge, bilinear reading rounds it off: texels of 4 mm, 30-degree edges
    assert (back[0] - vertices).norm(dim=-1).max() < 1.5e-3
    assert (back[0] - vertices).norm(dim=-1).median() < 3e-4


def test_seam_vertices_take_the_mean():
    vertices = torch.rand(4, 2)
    triangles = torch.tensor([[0, 1, 2], [1, 3, 2]])
    islands = torch.tensor([[0.1, 0.1], [0.4, 0.1], [0.1, 0.9], [0.9, 0.1], [0.9, 0.9], [0.6, 0.9]])
    layout = uv_layout(UvMesh(triangles, islands, torch.tensor([[0, 1, 2], [3, 4, 5]])), 512)
    back = vertices_from_uv_map(uv_map_from_vertices(vertices, layout), layout)
    torch.testing.assert_close(back, vertices, atol=1e-4, rtol=0)


def test_mirrored_coordinates_are_those_of_the_mirrored_vertex(sheet):
    vertices, mesh = sheet
    layout = uv_layout(mesh, 64)
    at, known = mirrored_uv(layout)
    torch.testing.assert_close(known, layout.mask)
    own = uv_map_from_vertices(vertices, layout)[known]
    there = sample_image(uv_map_from_vertices(vertices, layout), at[known], layout.mask)
    # the sheet's diagonals do not mirror: positions agree within the bulge's sag across a cell
    torch.testing.assert_close(there * torch.tensor([-1.0, 1.0, 1.0]), own, atol=1.2e-2, rtol=0)


def test_margin_continues_the_surface(sheet):
    vertices, mesh = sheet
    bare, wide = uv_layout(mesh, 40, margin=0), uv_layout(mesh, 40, margin=2)
    assert wide.mask.sum() == 40 * 40
    assert bare.mask.sum() == 36 * 36
    torch.testing.assert_close(wide.triangle[bare.mask], bare.triangle[bare.mask])
    position = uv_map_from_vertices(vertices, wide)
    row, col = wide.mask.nonzero(as_tuple=True)
    expected = ((torch.stack([col, row], -1) + 0.5) / 40 - 0.5) / 0.9
    torch.testing.assert_close(position[row, col, :2], expected, atol=1e-5, rtol=0)


def test_sample_image_is_bilinear_and_ignores_invalid_pixels():
    image = torch.tensor([[[0.0], [10.0]], [[20.0], [30.0]]])
    at = torch.tensor([[0.5, 0.5], [0.25, 0.25], [0.5, 0.25], [0.0, 1.0]])
    torch.testing.assert_close(sample_image(image, at)[:, 0], torch.tensor([15.0, 0.0, 5.0, 20.0]))
    mask = torch.tensor([[True, False], [True, True]])
    # without the 10: (0 + 20 + 30) / 3
    torch.testing.assert_close(sample_image(image, at, mask)[:1, 0], torch.tensor([50.0 / 3]))
    assert sample_image(image, torch.tensor([[0.75, 0.25]]), mask).item() == 0.0


def test_gradients(sheet):
    vertices, mesh = sheet
    layout = uv_layout(mesh, 12)
    values = torch.rand(len(vertices), 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: uv_map_from_vertices(v, layout), [values])
    image = torch.rand(12, 12, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda i: vertices_from_uv_map(i, layout), [image])


def test_textured_picture_through_pixel_coordinates(sheet):
    vertices, mesh = sheet
    fragments = rasterize(vertices + torch.tensor([0, 0, 2.0]), mesh.triangles, focal_px=60.0, size_hw=(32, 32))
    at = uv_at_surface(fragments.triangle[fragments.mask], fragments.barycentric[fragments.mask], mesh)
    ramp = (torch.arange(128) + 0.5)[None, :, None].expand(128, -1, 1) / 128
    torch.testing.assert_close(sample_image(ramp.contiguous(), at)[:, 0], at[:, 0], atol=1e-5, rtol=0)


def test_refusals(sheet):
    mesh = sheet[1]
    with pytest.raises(ValueError, match="size_hw must be at least"):
        uv_layout(mesh, 0)
    with pytest.raises(ValueError, match="mirror_vertices"):
        mirrored_uv(uv_layout(UvMesh(mesh.triangles, mesh.uv, mesh.uv_triangles), 8))
