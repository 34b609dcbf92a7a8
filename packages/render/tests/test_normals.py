import pytest
import torch

from morphable.geometry import camera_from_model, rotation_from_vector
from morphable_render import vertex_normals


def test_square_faces_along_its_right_hand_normal():
    vertices = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [5.0, 5.0, 5.0]])
    normals = vertex_normals(vertices, torch.tensor([[0, 1, 2], [0, 2, 3]]))
    torch.testing.assert_close(normals[:4], torch.tensor([[0.0, 0.0, 1.0]]).expand(4, 3))
    assert normals[4].tolist() == [0.0, 0.0, 0.0]  # belongs to no triangle


def test_sphere_normals_point_outward(reference):
    vertices, triangles = reference.sphere(60, 120)
    normals = vertex_normals(torch.as_tensor(vertices), torch.as_tensor(triangles))
    # 3-degree facets, cut into lopsided triangles: half a degree off beside the poles, cos 0.5 deg = 0.99996
    assert ((normals * torch.as_tensor(vertices)).sum(-1) > 0.99995).all()


def test_large_triangles_weigh_more():
    # Around vertex 0: area 1/2 toward +z, area 3/2 toward +x: (3, 0, 1)/sqrt(10)
    vertices = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 3.0]])
    normal = vertex_normals(vertices, torch.tensor([[0, 1, 2], [0, 2, 3]]))[0]
    torch.testing.assert_close(normal, torch.tensor([3.0, 0.0, 1.0]) / 10**0.5)


def test_normals_turn_with_the_mesh_and_batch(reference):
    vertices, triangles = (torch.as_tensor(x) for x in reference.cube())
    rotation = rotation_from_vector(torch.randn(2, 3, 3, dtype=torch.float64))
    turned = camera_from_model(vertices.expand(2, 3, 8, 3), rotation, torch.zeros(3, dtype=torch.float64))
    normals = vertex_normals(vertices, triangles)
    expected = camera_from_model(normals, rotation[1, 2], torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(vertex_normals(turned, triangles)[1, 2], expected)


def test_gradients(reference):
    vertices, triangles = (torch.as_tensor(x) for x in reference.cube())
    assert torch.autograd.gradcheck(lambda v: vertex_normals(v, triangles), [vertices.requires_grad_()])


def test_wrong_shape_is_refused():
    with pytest.raises(Exception, match="triangles"):
        vertex_normals(torch.rand(4, 3), torch.tensor([[0, 1]]))
