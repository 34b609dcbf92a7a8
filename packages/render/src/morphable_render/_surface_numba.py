"""CPU kernels of interpolation and normals, forward and backward, and their autograd functions.

Pixels and meshes are split among threads so that no two threads add to the same vertex: sums come out
in one order, whatever the number of threads.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from morphable_render._compiled import compiled
from morphable_render._threads import run_all

Ranges = Sequence[tuple[int, int]]


@compiled
def _barycentric_forward(vertices, corner, ray, least_area, start, stop, out):  # type: ignore[no-untyped-def]
    """Weights of the corners where rays (x, y, 1) meet their triangles; slivers keep what `out` holds."""
    for p in range(start, stop):
        a, b, c = corner[p, 0], corner[p, 1], corner[p, 2]
        rx, ry = np.float64(ray[p, 0]), np.float64(ray[p, 1])
        xa, ya = vertices[a, 0] - vertices[a, 2] * rx, vertices[a, 1] - vertices[a, 2] * ry
        xb, yb = vertices[b, 0] - vertices[b, 2] * rx, vertices[b, 1] - vertices[b, 2] * ry
        xc, yc = vertices[c, 0] - vertices[c, 2] * rx, vertices[c, 1] - vertices[c, 2] * ry
        wa, wb, wc = xb * yc - yb * xc, xc * ya - yc * xa, xa * yb - ya * xb
        total = wa + wb + wc
        extent = max(xa * xa + ya * ya, max(xb * xb + yb * yb, xc * xc + yc * yc))
        if abs(total) > least_area * extent:
            out[p, 0], out[p, 1], out[p, 2] = wa / total, wb / total, wc / total


@compiled
def _barycentric_backward(vertices, corner, ray, least_area, start, stop, grad, grad_vertices, grad_ray):  # type: ignore[no-untyped-def]
    """Add the gradients of vertices and rays."""
    for p in range(start, stop):
        a, b, c = corner[p, 0], corner[p, 1], corner[p, 2]
        rx, ry = np.float64(ray[p, 0]), np.float64(ray[p, 1])
        za, zb, zc = vertices[a, 2], vertices[b, 2], vertices[c, 2]
        xa, ya = vertices[a, 0] - za * rx, vertices[a, 1] - za * ry
        xb, yb = vertices[b, 0] - zb * rx, vertices[b, 1] - zb * ry
        xc, yc = vertices[c, 0] - zc * rx, vertices[c, 1] - zc * ry
        wa, wb, wc = xb * yc - yb * xc, xc * ya - yc * xa, xa * yb - ya * xb
        total = wa + wb + wc
        extent = max(xa * xa + ya * ya, max(xb * xb + yb * yb, xc * xc + yc * yc))
        if abs(total) > least_area * extent:
            mean = (grad[p, 0] * wa + grad[p, 1] * wb + grad[p, 2] * wc) / total
            ga, gb, gc = (grad[p, 0] - mean) / total, (grad[p, 1] - mean) / total, (grad[p, 2] - mean) / total
            gxa, gya = gc * yb - gb * yc, gb * xc - gc * xb
            gxb, gyb = ga * yc - gc * ya, gc * xa - ga * xc
            gxc, gyc = gb * ya - ga * yb, ga * xb - gb * xa
            grad_vertices[a, 0] += gxa
            grad_vertices[a, 1] += gya
            grad_vertices[a, 2] -= gxa * rx + gya * ry
            grad_vertices[b, 0] += gxb
            grad_vertices[b, 1] += gyb
            grad_vertices[b, 2] -= gxb * rx + gyb * ry
            grad_vertices[c, 0] += gxc
            grad_vertices[c, 1] += gyc
            grad_vertices[c, 2] -= gxc * rx + gyc * ry
            grad_ray[p, 0] = -(gxa * za + gxb * zb + gxc * zc)
            grad_ray[p, 1] = -(gya * za + gyb * zb + gyc * zc)


@compiled
def _gather_forward(values, corner, barycentric, start, stop, out):  # type: ignore[no-untyped-def]
    """Weighted sum of three rows per pixel."""
    for p in range(start, stop):
        a, b, c = corner[p, 0], corner[p, 1], corner[p, 2]
        wa, wb, wc = barycentric[p, 0], barycentric[p, 1], barycentric[p, 2]
        for k in range(values.shape[1]):
            out[p, k] = wa * values[a, k] + wb * values[b, k] + wc * values[c, k]


@compiled
def _gather_backward(values, corner, barycentric, start, stop, grad, grad_values, grad_barycentric):  # type: ignore[no-untyped-def]
    """Add the gradients of rows and weights."""
    for p in range(start, stop):
        a, b, c = corner[p, 0], corner[p, 1], corner[p, 2]
        wa, wb, wc = barycentric[p, 0], barycentric[p, 1], barycentric[p, 2]
        ga = gb = gc = 0.0
        for k in range(values.shape[1]):
            g = grad[p, k]
            grad_values[a, k] += wa * g
            grad_values[b, k] += wb * g
            grad_values[c, k] += wc * g
            ga += values[a, k] * g
            gb += values[b, k] * g
            gc += values[c, k] * g
        grad_barycentric[p, 0], grad_barycentric[p, 1], grad_barycentric[p, 2] = ga, gb, gc


class Barycentric(torch.autograd.Function):
    """Weights of triangle corners at rays, given rows of corners, detached weights and the pixels' ranges."""

    @staticmethod
    def forward(
        ctx: Any, vertices: Tensor, ray: Tensor, corner: Tensor, detached: Tensor, least_area: float, ranges: Ranges
    ) -> Tensor:
        ctx.save_for_backward(vertices, ray, corner)
        ctx.least_area, ctx.ranges = least_area, ranges
        out = detached.clone()
        arrays = vertices.detach().numpy(), corner.numpy(), ray.detach().numpy()
        run_all([partial(_barycentric_forward, *arrays, least_area, *r, out.numpy()) for r in ranges])
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        vertices, ray, corner = ctx.saved_tensors
        grad_vertices, grad_ray = torch.zeros_like(vertices), torch.zeros_like(ray)
        arrays = vertices.numpy(), corner.numpy(), ray.numpy()
        grads = grad.contiguous().numpy(), grad_vertices.numpy(), grad_ray.numpy()
        run_all([partial(_barycentric_backward, *arrays, ctx.least_area, *r, *grads) for r in ctx.ranges])
        return grad_vertices, grad_ray, None, None, None, None


class Gather(torch.autograd.Function):
    """Weighted sums of rows of values, given rows of corners and the pixels' ranges."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, barycentric: Tensor, corner: Tensor, ranges: Ranges) -> Tensor:
        ctx.save_for_backward(values, barycentric, corner)
        ctx.ranges = ranges
        out = values.new_empty(len(corner), values.shape[1])
        arrays = values.detach().numpy(), corner.numpy(), barycentric.detach().numpy()
        run_all([partial(_gather_forward, *arrays, *r, out.numpy()) for r in ranges])
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        values, barycentric, corner = ctx.saved_tensors
        grad_values, grad_barycentric = torch.zeros_like(values), torch.zeros_like(barycentric)
        arrays = values.numpy(), corner.numpy(), barycentric.numpy()
        grads = grad.contiguous().numpy(), grad_values.numpy(), grad_barycentric.numpy()
        run_all([partial(_gather_backward, *arrays, *r, *grads) for r in ctx.ranges])
        return grad_values, grad_barycentric, None, None
