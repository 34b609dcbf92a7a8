"""GPU rasterizer in Triton: the CPU rasterizer's float64 arithmetic, operation by operation, so that both agree.

Pass 1 finds the nearest depth of every pixel, pass 2 the lowest triangle at that depth (atomic minima, so that
the order of threads does not matter), pass 3 computes that triangle's barycentrics.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK_TRIANGLES, BLOCK_PIXELS = 128, 256
PARALLEL_WORK = 1 << 16
"""With fewer triangles than this, several programs share the pixels of each."""

DEPTH, OWNER = 0, 1
NO_OWNER = torch.iinfo(torch.int64).max


@triton.jit
def _owns(weight, dx, dy):  # type: ignore[no-untyped-def]
    """Top-left rule."""
    return (weight > 0) | ((weight == 0) & ((dy < 0) | ((dy == 0) & (dx > 0))))


@triton.jit
def _corner(points, face, vertex, num_vertices, mask):  # type: ignore[no-untyped-def]
    """Load one point per lane as float64."""
    at = points + (face * num_vertices + vertex) * 3
    x = tl.load(at, mask=mask, other=0.0).to(tl.float64)
    y = tl.load(at + 1, mask=mask, other=0.0).to(tl.float64)
    return x, y, tl.load(at + 2, mask=mask, other=0.0).to(tl.float64)


@triton.jit
def _weights(row, col, ax, ay, az, bx, by, bz, cx, cy, cz, focal, width, height, CROSSING: tl.constexpr):  # type: ignore[no-untyped-def]  # fmt: skip
    """Edge functions of a pixel: from screen coordinates, or from camera coordinates across the near plane."""
    if CROSSING:
        ray_x, ray_y = (col + 0.5 - width / 2.0) / focal, (row + 0.5 - height / 2.0) / focal
        x0, x1, x2 = ax - az * ray_x, bx - bz * ray_x, cx - cz * ray_x
        y0, y1, y2 = ay - az * ray_y, by - bz * ray_y, cy - cz * ray_y
    else:
        x0, x1, x2 = ax - (col + 0.5), bx - (col + 0.5), cx - (col + 0.5)
        y0, y1, y2 = ay - (row + 0.5), by - (row + 0.5), cy - (row + 0.5)
    return x1 * y2 - y1 * x2, x2 * y0 - y2 * x0, x0 * y1 - y0 * x1


@triton.jit
def _box(ax, ay, bx, by, cx, cy, width, height):  # type: ignore[no-untyped-def]
    """First row and column, and number of rows and columns, of the pixels whose centers lie in a triangle's box."""
    top, bottom = tl.minimum(ay, tl.minimum(by, cy)) - 0.5, tl.maximum(ay, tl.maximum(by, cy)) - 0.5
    left, right = tl.minimum(ax, tl.minimum(bx, cx)) - 0.5, tl.maximum(ax, tl.maximum(bx, cx)) - 0.5
    row0 = tl.ceil(tl.minimum(tl.maximum(top, 0.0), height + 0.0)).to(tl.int64)
    col0 = tl.ceil(tl.minimum(tl.maximum(left, 0.0), width + 0.0)).to(tl.int64)
    rows = tl.floor(tl.maximum(tl.minimum(bottom, height - 1.0), -1.0)).to(tl.int64) + 1 - row0
    cols = tl.floor(tl.maximum(tl.minimum(right, width - 1.0), -1.0)).to(tl.int64) + 1 - col0
    return row0, col0, rows, cols


@triton.jit
def _hit(row, col, ax, ay, qa, bx, by, qb, cx, cy, qc, focal, width, height, near_m, CROSSING: tl.constexpr):  # type: ignore[no-untyped-def]  # fmt: skip
    """Whether a triangle owns a pixel's center, and its depth there."""
    wa, wb, wc = _weights(row, col, ax, ay, qa, bx, by, qb, cx, cy, qc, focal, width, height, CROSSING)
    if CROSSING:
        total = wa + wb + wc
        solid = total != 0
        divisor = tl.where(solid, total, 1.0)
        wa, wb, wc = wa / divisor, wb / divisor, wc / divisor
        depth = wa * qa + wb * qb + wc * qc
        hit = solid & (tl.minimum(wa, tl.minimum(wb, wc)) >= 0) & (depth > near_m)
    else:
        sign = tl.where((bx - ax) * (cy - ay) - (cx - ax) * (by - ay) > 0, 1.0, -1.0)
        wa, wb, wc = sign * wa, sign * wb, sign * wc
        hit = _owns(wa, sign * (cx - bx), sign * (cy - by))
        hit = hit & _owns(wb, sign * (ax - cx), sign * (ay - cy)) & _owns(wc, sign * (bx - ax), sign * (by - ay))
        inverse = wa * qa + wb * qb + wc * qc
        depth = (wa + wb + wc) * (1.0 / tl.where(hit, inverse, 1.0))
    return hit, depth


@triton.jit
def _draw(screen, camera, triangles, image_index, focal_px, z_bits, owner, near_m, num_faces, num_vertices, num_triangles, width, height, SHARED: tl.constexpr, PASS: tl.constexpr, CROSSING: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]  # fmt: skip  # noqa: E501
    """Pass 1 or 2 for a block of triangles; the second grid axis shares out the pixels of their boxes."""
    code = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    lane = code < num_faces * num_triangles
    face, t = code // num_triangles, code % num_triangles
    image = tl.load(image_index + face, mask=lane, other=0)
    focal = tl.load(focal_px + image, mask=lane, other=1.0)
    at = triangles + (t if SHARED else code) * 3
    a, b, c = tl.load(at, mask=lane, other=0), tl.load(at + 1, mask=lane, other=0), tl.load(at + 2, mask=lane, other=0)
    ax, ay, qa = _corner(screen, face, a, num_vertices, lane)
    bx, by, qb = _corner(screen, face, b, num_vertices, lane)
    cx, cy, qc = _corner(screen, face, c, num_vertices, lane)
    least, most = tl.minimum(qa, tl.minimum(qb, qc)), tl.maximum(qa, tl.maximum(qb, qc))
    if CROSSING:
        lane = lane & (least == 0) & (most > 0)
        ax, ay, qa = _corner(camera, face, a, num_vertices, lane)
        bx, by, qb = _corner(camera, face, b, num_vertices, lane)
        cx, cy, qc = _corner(camera, face, c, num_vertices, lane)
        row0, col0 = tl.zeros_like(code), tl.zeros_like(code)
        rows, cols = row0 + height, col0 + width
    else:
        lane = lane & (least > 0) & ((bx - ax) * (cy - ay) - (cx - ax) * (by - ay) != 0)
        row0, col0, rows, cols = _box(ax, ay, bx, by, cx, cy, width, height)
    lane = lane & (rows > 0) & (cols > 0)
    count = tl.where(lane, rows * cols, 0)
    width_or_1 = tl.maximum(cols, 1)
    for i in range(tl.program_id(1), tl.max(count), tl.num_programs(1)):
        row, col = row0 + i // width_or_1, col0 + i % width_or_1
        hit, depth = _hit(row, col, ax, ay, qa, bx, by, qb, cx, cy, qc, focal, width, height, near_m, CROSSING)
        hit = hit & (i < count)
        pixel = (image * height + row) * width + col
        bits = depth.to(tl.int64, bitcast=True)  # positive floats sort like their bits
        if PASS == 0:
            tl.atomic_min(z_bits + pixel, bits, mask=hit)
        else:
            nearest = hit & (tl.load(z_bits + pixel, mask=hit, other=0) == bits)
            tl.atomic_min(owner + pixel, code, mask=nearest)


@triton.jit
def _resolve(screen, camera, triangles, focal_px, z_bits, owner, face_out, triangle_out, barycentric_out, depth_out, num_pixels, num_vertices, num_triangles, width, height, SHARED: tl.constexpr, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]  # fmt: skip  # noqa: E501
    """Pass 3 for a block of pixels."""
    pixel = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < num_pixels
    code = tl.load(owner + pixel, mask=inside, other=9223372036854775807)
    covered = inside & (code != 9223372036854775807)
    code = tl.where(covered, code, 0)
    face, t = code // num_triangles, code % num_triangles
    row, col = pixel // width % height, pixel % width
    focal = tl.load(focal_px + pixel // width // height, mask=inside, other=1.0)
    at = triangles + (t if SHARED else code) * 3
    a, b, c = (tl.load(at, mask=covered, other=0), tl.load(at + 1, mask=covered, other=0), tl.load(at + 2, mask=covered, other=0))  # fmt: skip  # noqa: E501
    ax, ay, qa = _corner(screen, face, a, num_vertices, covered)
    bx, by, qb = _corner(screen, face, b, num_vertices, covered)
    cx, cy, qc = _corner(screen, face, c, num_vertices, covered)
    wa, wb, wc = _weights(row, col, ax, ay, qa, bx, by, qb, cx, cy, qc, focal, width, height, False)
    wa, wb, wc = wa * qa, wb * qb, wc * qc
    dx, dy, dz = _corner(camera, face, a, num_vertices, covered)
    ex, ey, ez = _corner(camera, face, b, num_vertices, covered)
    fx, fy, fz = _corner(camera, face, c, num_vertices, covered)
    va, vb, vc = _weights(row, col, dx, dy, dz, ex, ey, ez, fx, fy, fz, focal, width, height, True)
    crossing = tl.minimum(qa, tl.minimum(qb, qc)) == 0
    wa, wb, wc = tl.where(crossing, va, wa), tl.where(crossing, vb, wb), tl.where(crossing, vc, wc)
    total = wa + wb + wc
    scale = 1.0 / tl.where(covered, total, 1.0)
    depth = tl.load(z_bits + pixel, mask=covered, other=0).to(tl.float64, bitcast=True)
    tl.store(face_out + pixel, tl.where(covered, face, 0), mask=inside)
    tl.store(triangle_out + pixel, tl.where(covered, t, 0), mask=inside)
    tl.store(depth_out + pixel, tl.where(covered, depth, 0.0).to(tl.float32), mask=inside)
    tl.store(barycentric_out + pixel * 3, tl.where(covered, wa * scale, 0.0).to(tl.float32), mask=inside)
    tl.store(barycentric_out + pixel * 3 + 1, tl.where(covered, wb * scale, 0.0).to(tl.float32), mask=inside)
    tl.store(barycentric_out + pixel * 3 + 2, tl.where(covered, wc * scale, 0.0).to(tl.float32), mask=inside)


def _project(vertices_cam: Tensor, focal_px: Tensor, size_hw: tuple[int, int], near_m: float) -> Tensor:
    """Return (x px, y px, 1/z) in float64, 1/z being 0 up to the near plane."""
    points = vertices_cam.double()
    in_front = points[..., 2:] > near_m
    inverse = torch.where(in_front, 1.0 / torch.where(in_front, points[..., 2:], 1.0), 0.0)
    center = points.new_tensor([size_hw[1] / 2, size_hw[0] / 2])
    return torch.cat([points[..., :2] * inverse * focal_px[:, None, None] + center, inverse], dim=-1).contiguous()


def draw(
    vertices_cam: Tensor,
    triangles: Tensor,
    image_index: Tensor,
    *,
    focal_px: Tensor,
    size_hw: tuple[int, int],
    near_m: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Rasterize faces into images; arguments and results as in `_raster_numba.draw`, as tensors on one device."""
    (height, width), (num_faces, num_vertices, _) = size_hw, vertices_cam.shape
    num_meshes, num_triangles, _ = triangles.shape
    vertices_cam, triangles, image_index = vertices_cam.contiguous(), triangles.long().contiguous(), image_index.long()
    screen = _project(vertices_cam, focal_px[image_index], size_hw, near_m)
    behind = bool((screen[..., 2] == 0).any())
    layers = (len(focal_px), height, width)
    z_bits = torch.full(layers, torch.inf, dtype=torch.float64, device=screen.device).view(torch.int64)
    owner = torch.full(layers, NO_OWNER, device=screen.device)
    shape, shared = (num_vertices, num_triangles, width, height), num_meshes == 1
    num_codes = num_faces * num_triangles
    grid = (triton.cdiv(num_codes, BLOCK_TRIANGLES), max(1, min(256, PARALLEL_WORK // max(num_codes, 1))))
    if num_codes > 0:
        for stage in (DEPTH, OWNER):
            for crossing in (False, True) if behind else (False,):
                _draw[grid](
                    screen, vertices_cam, triangles, image_index, focal_px, z_bits, owner, near_m, num_faces, *shape,
                    SHARED=shared, PASS=stage, CROSSING=crossing, BLOCK=BLOCK_TRIANGLES, enable_fp_fusion=False,
                )  # fmt: skip
    face, triangle = torch.zeros_like(owner), torch.zeros_like(owner)
    depth_m = torch.zeros(layers, device=screen.device)
    barycentric = torch.zeros(*layers, 3, device=screen.device)
    if num_codes > 0:
        _resolve[(triton.cdiv(owner.numel(), BLOCK_PIXELS),)](
            screen, vertices_cam, triangles, focal_px, z_bits, owner, face, triangle, barycentric, depth_m,
            owner.numel(), *shape, SHARED=shared, BLOCK=BLOCK_PIXELS, enable_fp_fusion=False,
        )  # fmt: skip
    return face, triangle, barycentric, depth_m, owner != NO_OWNER
