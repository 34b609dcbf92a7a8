"""Vertex normals of triangle meshes."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def vertex_normals(
    vertices: Float[Tensor, "*batch verts 3"], triangles: Int[Tensor, "tris 3"]
) -> Float[Tensor, "*batch verts 3"]:
    """Average the normals of the triangles around each vertex, weighted by their areas, to unit length.

    Triangles are counter-clockwise seen from outside (right-hand rule), in whatever frame the vertices
    are; the camera frame is a rotation of the model frame, so outside stays outside. A vertex without
    any area around it gets a zero normal.

    >>> corners = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> vertex_normals(corners, torch.tensor([[0, 1, 2]]))[0]
    tensor([0., 0., 1.])
    """
    flat = vertices.reshape(-1, *vertices.shape[-2:])
    if flat.device.type == "cpu":
        from morphable_render import _normals_numba  # Numba takes most of a second to import

        normals: Tensor = _normals_numba.VertexNormals.apply(flat, triangles.long())
        return normals.reshape(vertices.shape)
    return _vertex_normals(flat, triangles).reshape(vertices.shape)


def _vertex_normals(
    flat: Float[Tensor, "meshes verts 3"], triangles: Int[Tensor, "tris 3"]
) -> Float[Tensor, "meshes verts 3"]:
    """Do it with PyTorch's own operations, on any device."""
    corners = [flat[:, triangles[:, k]] for k in range(3)]
    area_vector = torch.linalg.cross(corners[1] - corners[0], corners[2] - corners[0])
    total = torch.zeros_like(flat)
    for k in range(3):
        total = total.index_add(1, triangles[:, k], area_vector)
    return torch.nn.functional.normalize(total, dim=-1, eps=torch.finfo(flat.dtype).tiny)
