"""CPU kernels of vertex normals, forward and backward, and their autograd function."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor

from morphable_render._compiled import compiled
from morphable_render._threads import run_all


@compiled
def _normals_forward(vertices, triangles, length, normals):  # type: ignore[no-untyped-def]
    """Sum area vectors around each vertex and normalize; keep the sums' lengths. Outputs start at zero."""
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for v in (a, b, c):
            normals[v, 0] += x
            normals[v, 1] += y
            normals[v, 2] += z
    for v in range(normals.shape[0]):
        size = math.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2)
        length[v] = size
        if size > 0.0:
            normals[v, 0] /= size
            normals[v, 1] /= size
            normals[v, 2] /= size


@compiled
def _normals_backward(vertices, triangles, length, normals, grad, grad_sum, grad_vertices):  # type: ignore[no-untyped-def]
    """Add the gradient of the vertices; `grad_sum` is scratch for that of the summed area vectors."""
    for v in range(normals.shape[0]):
        if length[v] > 0.0:
            along = grad[v, 0] * normals[v, 0] + grad[v, 1] * normals[v, 1] + grad[v, 2] * normals[v, 2]
            for k in range(3):
                grad_sum[v, k] = (grad[v, k] - along * normals[v, k]) / length[v]
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        gx = grad_sum[a, 0] + grad_sum[b, 0] + grad_sum[c, 0]
        gy = grad_sum[a, 1] + grad_sum[b, 1] + grad_sum[c, 1]
        gz = grad_sum[a, 2] + grad_sum[b, 2] + grad_sum[c, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        # d(u x v) . g: the gradient of u is v x g, that of v is g x u
        bx, by, bz = vy * gz - vz * gy, vz * gx - vx * gz, vx * gy - vy * gx
        cx, cy, cz = gy * uz - gz * uy, gz * ux - gx * uz, gx * uy - gy * ux
        grad_vertices[b, 0] += bx
        grad_vertices[b, 1] += by
        grad_vertices[b, 2] += bz
        grad_vertices[c, 0] += cx
        grad_vertices[c, 1] += cy
        grad_vertices[c, 2] += cz
        grad_vertices[a, 0] -= bx + cx
        grad_vertices[a, 1] -= by + cy
        grad_vertices[a, 2] -= bz + cz


class VertexNormals(torch.autograd.Function):
    """Unit vertex normals of meshes (mesh, verts, 3) with common triangles."""

    @staticmethod
    def forward(ctx: Any, vertices: Tensor, triangles: Tensor) -> Tensor:
        vertices = vertices.contiguous()
        normals, length = torch.zeros_like(vertices), torch.zeros_like(vertices[..., 0])
        arrays = vertices.detach().numpy(), length.numpy(), normals.numpy()
        mesh = triangles.contiguous().numpy()
        run_all([partial(_normals_forward, v, mesh, size, n) for v, size, n in zip(*arrays, strict=True)])
        ctx.save_for_backward(vertices, triangles, length, normals)
        return normals

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        vertices, triangles, length, normals = ctx.saved_tensors
        grad_vertices, scratch = torch.zeros_like(vertices), torch.zeros_like(vertices)
        mesh, layers = triangles.contiguous().numpy(), (length, normals, grad.contiguous(), scratch, grad_vertices)
        run_all(
            [
                partial(_normals_backward, v, mesh, *others)
                for v, *others in zip(vertices.numpy(), *(layer.numpy() for layer in layers), strict=True)
            ]
        )
        return grad_vertices, None
