"""CPU rasteriser: Numba kernels without the interpreter lock, over row bands, in a thread pool.

Coverage is decided in float64 from pixel coordinates relative to the pixel's centre, `x_a * y_b - y_a * x_b`,
which is exactly antisymmetric in its two points: neighbours agree on which side of their edge a pixel lies.
"""

import math
from functools import partial

import numpy as np

from morphable_render._compiled import compiled
from morphable_render._threads import num_threads, run_all

OK, BAD_INDEX, NOT_FINITE = 0, 1, 2
"""What a kernel reports: all well, a triangle that points past its vertices, a vertex that is NaN or infinite."""

NOT_FINITE_MESSAGE = "vertices_cam must be finite, got NaN or infinity; check the values they were decoded from"
BAD_INDEX_MESSAGE = "triangles must index vertices_cam, got an index out of range; do the two belong together?"


@compiled
def project_vertices(vertices_cam, focal_px, center_x, center_y, near_m, screen, rows_used):  # type: ignore[no-untyped-def]
    """Fill `screen` with (x px, y px, 1/z) per vertex, 1/z being 0 up to the near plane; count vertices per row."""
    height = rows_used.shape[0]
    status = OK
    for v in range(vertices_cam.shape[0]):
        x, y, z = np.float64(vertices_cam[v, 0]), np.float64(vertices_cam[v, 1]), np.float64(vertices_cam[v, 2])
        if not math.isfinite(x + y + z):
            status = NOT_FINITE
        if z > near_m:
            inverse = 1.0 / z
            y_px = y * inverse * focal_px + center_y
            screen[v, 0] = x * inverse * focal_px + center_x
            screen[v, 1] = y_px
            screen[v, 2] = inverse
            rows_used[int(min(max(y_px, 0.0), height - 1.0))] += 1
        else:
            screen[v, 2] = 0.0
    return status


@compiled
def clear_rows(row0, row1, face, triangle, barycentric, z_buffer):  # type: ignore[no-untyped-def]
    """Empty the rows of a band; infinite depth marks background."""
    face[row0:row1] = 0
    triangle[row0:row1] = 0
    barycentric[row0:row1] = 0.0
    z_buffer[row0:row1] = np.inf


@compiled
def close_rows(row0, row1, z_buffer, depth_m, mask):  # type: ignore[no-untyped-def]
    """Write depth and mask of a band; the background's depth is 0."""
    for row in range(row0, row1):
        for col in range(z_buffer.shape[1]):
            covered = z_buffer[row, col] < np.inf
            mask[row, col] = covered
            depth_m[row, col] = z_buffer[row, col] if covered else 0.0


@compiled
def _pixel_range(a, b, c, first, stop):  # type: ignore[no-untyped-def]
    """Return the first and last pixel of [first, stop) whose centre lies in the range of three coordinates."""
    low = max(min(a, min(b, c)) - 0.5, first - 1.0)
    high = min(max(a, max(b, c)) - 0.5, stop + 1.0)
    return max(math.ceil(low), first), min(math.floor(high), stop - 1)


@compiled
def _owns(weight, dx, dy):  # type: ignore[no-untyped-def]
    """Top-left rule: whether an edge keeps a pixel with this weight (y points down, interior on the right)."""
    return weight > 0.0 or (weight == 0.0 and (dy < 0.0 or (dy == 0.0 and dx > 0.0)))


@compiled
def fill_rows(vertices_cam, screen, triangles, camera, row0, row1, face_index, face, triangle, barycentric, z_buffer):  # type: ignore[no-untyped-def]  # fmt: skip
    """Draw one mesh into the rows of a band; `camera` is (focal, center x, center y, near)."""
    num_vertices, width = np.uint64(screen.shape[0]), z_buffer.shape[1]
    status = OK
    for t in range(triangles.shape[0]):
        a, b, c = np.uint64(triangles[t, 0]), np.uint64(triangles[t, 1]), np.uint64(triangles[t, 2])
        if a >= num_vertices or b >= num_vertices or c >= num_vertices:  # negative ones have wrapped around
            status = BAD_INDEX
            continue
        xa, ya, qa = screen[a, 0], screen[a, 1], screen[a, 2]
        xb, yb, qb = screen[b, 0], screen[b, 1], screen[b, 2]
        xc, yc, qc = screen[c, 0], screen[c, 1], screen[c, 2]
        if min(qa, min(qb, qc)) == 0.0:
            if max(qa, max(qb, qc)) > 0.0:
                _fill_crossing(vertices_cam, a, b, c, camera, row0, row1, face_index, t, face, triangle, barycentric, z_buffer)  # fmt: skip  # noqa: E501
            continue
        first_row, last_row = _pixel_range(ya, yb, yc, row0, row1)
        first_col, last_col = _pixel_range(xa, xb, xc, 0, width)
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        sign = 1.0 if area > 0.0 else -1.0
        if area == 0.0:
            continue
        for row in range(first_row, last_row + 1):
            y0, y1, y2 = ya - (row + 0.5), yb - (row + 0.5), yc - (row + 0.5)
            for col in range(first_col, last_col + 1):
                x0, x1, x2 = xa - (col + 0.5), xb - (col + 0.5), xc - (col + 0.5)
                wa, wb, wc = sign * (x1 * y2 - y1 * x2), sign * (x2 * y0 - y2 * x0), sign * (x0 * y1 - y0 * x1)
                lowest = min(wa, min(wb, wc))
                if lowest < 0.0:
                    continue
                if lowest == 0.0 and not (
                    _owns(wa, sign * (xc - xb), sign * (yc - yb))
                    and _owns(wb, sign * (xa - xc), sign * (ya - yc))
                    and _owns(wc, sign * (xb - xa), sign * (yb - ya))
                ):
                    continue
                va, vb, vc = wa * qa, wb * qb, wc * qc
                scale = 1.0 / (va + vb + vc)
                depth = (wa + wb + wc) * scale
                if depth < z_buffer[row, col]:
                    z_buffer[row, col] = depth
                    face[row, col] = face_index
                    triangle[row, col] = t
                    barycentric[row, col, 0] = va * scale
                    barycentric[row, col, 1] = vb * scale
                    barycentric[row, col, 2] = vc * scale
    return status


@compiled
def _fill_crossing(vertices_cam, a, b, c, camera, row0, row1, face_index, t, face, triangle, barycentric, z_buffer):  # type: ignore[no-untyped-def]  # fmt: skip
    """Draw one triangle that crosses the near plane: the same edge functions without dividing by depth."""
    focal_px, center_x, center_y, near_m = camera
    ax, ay, az = np.float64(vertices_cam[a, 0]), np.float64(vertices_cam[a, 1]), np.float64(vertices_cam[a, 2])
    bx, by, bz = np.float64(vertices_cam[b, 0]), np.float64(vertices_cam[b, 1]), np.float64(vertices_cam[b, 2])
    cx, cy, cz = np.float64(vertices_cam[c, 0]), np.float64(vertices_cam[c, 1]), np.float64(vertices_cam[c, 2])
    for row in range(row0, row1):
        ray_y = (row + 0.5 - center_y) / focal_px
        y0, y1, y2 = ay - az * ray_y, by - bz * ray_y, cy - cz * ray_y
        for col in range(z_buffer.shape[1]):
            ray_x = (col + 0.5 - center_x) / focal_px
            x0, x1, x2 = ax - az * ray_x, bx - bz * ray_x, cx - cz * ray_x
            wa, wb, wc = x1 * y2 - y1 * x2, x2 * y0 - y2 * x0, x0 * y1 - y0 * x1
            total = wa + wb + wc
            if total == 0.0:
                continue
            wa, wb, wc = wa / total, wb / total, wc / total
            depth = wa * az + wb * bz + wc * cz
            if min(wa, min(wb, wc)) >= 0.0 and depth > near_m and depth < z_buffer[row, col]:
                z_buffer[row, col] = depth
                face[row, col] = face_index
                triangle[row, col] = t
                barycentric[row, col, 0] = wa
                barycentric[row, col, 1] = wb
                barycentric[row, col, 2] = wc


def _bands(rows_used: np.ndarray, count: int) -> list[tuple[int, int]]:
    """Cut the rows into bands with about equally many vertices each."""
    height = len(rows_used)
    work = np.cumsum(rows_used + 1)
    cuts = np.searchsorted(work, work[-1] * np.arange(1, count) / count) + 1
    edges = np.unique(np.concatenate([[0], cuts, [height]]))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def draw(
    vertices_cam: np.ndarray,
    triangles: np.ndarray,
    image_index: np.ndarray,
    *,
    focal_px: np.ndarray,
    size_hw: tuple[int, int],
    near_m: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rasterise faces into images; see `morphable_render.rasterize.rasterize_faces` for the meaning.

    Args:
        vertices_cam: float32 (faces, verts, 3).
        triangles: int64 (1 or faces, tris, 3).
        image_index: int64 (faces,), the image that each face is drawn into.
        focal_px: float64 (images,).
        size_hw: Image size.
        near_m: Near plane.

    Returns:
        face, triangle, barycentric, depth_m, mask; each (images, rows, cols, ...).
    """
    height, width = size_hw
    num_images, num_faces = len(focal_px), len(vertices_cam)
    screen = np.empty((num_faces, vertices_cam.shape[1], 3))
    rows_used = np.zeros((num_faces, height), np.int64)
    canvas = (
        np.empty((num_images, height, width), np.int64),
        np.empty((num_images, height, width), np.int64),
        np.empty((num_images, height, width, 3), np.float32),
        np.empty((num_images, height, width)),
    )
    depth_m = np.empty((num_images, height, width), np.float32)
    mask = np.empty((num_images, height, width), np.bool_)

    def project(f: int) -> int:
        focal = focal_px[image_index[f]]
        return project_vertices(vertices_cam[f], focal, width / 2, height / 2, near_m, screen[f], rows_used[f])

    def band(image: int, row0: int, row1: int) -> int:
        image_canvas = tuple(layer[image] for layer in canvas)
        clear_rows(row0, row1, *image_canvas)
        camera = (focal_px[image], width / 2, height / 2, near_m)
        status = OK
        for f in np.flatnonzero(image_index == image):
            mesh = triangles[f if len(triangles) > 1 else 0]
            status = max(status, fill_rows(vertices_cam[f], screen[f], mesh, camera, row0, row1, f, *image_canvas))
        close_rows(row0, row1, canvas[3][image], depth_m[image], mask[image])
        return status

    check(run_all([partial(project, f) for f in range(num_faces)]))
    bands_each = max(1, -(-num_threads() // max(num_images, 1)))
    tasks = []
    for image in range(num_images):
        used = rows_used[image_index == image].sum(axis=0)
        tasks += [partial(band, image, row0, row1) for row0, row1 in _bands(used, bands_each)]
    check(run_all(tasks))
    return *canvas[:3], depth_m, mask


def check(statuses: list[int]) -> None:
    """Raise what a kernel reported."""
    worst = max(statuses, default=OK)
    if worst == NOT_FINITE:
        raise ValueError(NOT_FINITE_MESSAGE)
    if worst == BAD_INDEX:
        raise ValueError(BAD_INDEX_MESSAGE)
