"""CPU rasteriser: Numba kernels without the interpreter lock, over row bands, in a thread pool.

Coverage is decided in float64 from pixel coordinates relative to the pixel's centre, `x_a * y_b - y_a * x_b`,
which is exactly antisymmetric in its two points: neighbours agree on which side of their edge a pixel lies.
"""

import math
from functools import partial
from itertools import pairwise

import numpy as np

from morphable_render._compiled import compiled, inlined
from morphable_render._threads import num_threads, run_all, scratch

OK, BAD_INDEX, NOT_FINITE = 0, 1, 2
"""What a kernel reports: all well, a triangle that points past its vertices, a vertex that is NaN or infinite."""

NOT_FINITE_MESSAGE = "vertices_cam must be finite, got NaN or infinity; check the values they were decoded from"
BAD_INDEX_MESSAGE = "triangles must index vertices_cam, got an index out of range; do the two belong together?"


@compiled
def project_vertices(vertices_cam, focal_px, center_x, center_y, near_m, screen, rows_used):  # type: ignore[no-untyped-def]
    """Fill `screen` with rows x px, y px, 1/z; y is NaN up to the near plane. Count vertices per row of pixels."""
    height = rows_used.shape[0]
    status = OK
    for v in range(vertices_cam.shape[0]):
        x, y, z = np.float64(vertices_cam[v, 0]), np.float64(vertices_cam[v, 1]), np.float64(vertices_cam[v, 2])
        if not math.isfinite(x + y + z):
            status = NOT_FINITE
        elif z > near_m:
            inverse = 1.0 / z
            y_px = y * inverse * focal_px + center_y
            screen[0, v] = x * inverse * focal_px + center_x
            screen[1, v] = y_px
            screen[2, v] = inverse
            rows_used[int(min(max(y_px, 0.0), height - 1.0))] += 1
        else:
            screen[1, v] = math.nan
            screen[2, v] = 0.0
    return status


@inlined
def _pixel_range(a, b, c, first, stop):  # type: ignore[no-untyped-def]
    """Return the first and last pixel of [first, stop) whose centre lies in the range of three coordinates."""
    low = max(min(a, min(b, c)) - 0.5, first - 1.0)
    high = min(max(a, max(b, c)) - 0.5, stop + 1.0)
    return max(math.ceil(low), first), min(math.floor(high), stop - 1)


@inlined
def _owns(weight, dx, dy):  # type: ignore[no-untyped-def]
    """Top-left rule: whether an edge keeps a pixel with this weight (y points down, interior on the right)."""
    return weight > 0.0 or (weight == 0.0 and (dy < 0.0 or (dy == 0.0 and dx > 0.0)))


@inlined
def _show(row, col, depth, face_index, t, weights, canvas):  # type: ignore[no-untyped-def]
    """Let a pixel show a triangle."""
    face, triangle, barycentric, z_buffer = canvas
    z_buffer[row, col] = depth
    face[row, col] = face_index
    triangle[row, col] = t
    barycentric[row, col, 0] = weights[0]
    barycentric[row, col, 1] = weights[1]
    barycentric[row, col, 2] = weights[2]


@inlined
def _fill_box(screen, corners, box, face_index, t, canvas):  # type: ignore[no-untyped-def]
    """Draw one triangle in front of the near plane into the box of its pixels."""
    a, b, c = corners
    first_row, last_row, first_col, last_col = box
    xa, ya, qa = screen[0, a], screen[1, a], screen[2, a]
    xb, yb, qb = screen[0, b], screen[1, b], screen[2, b]
    xc, yc, qc = screen[0, c], screen[1, c], screen[2, c]
    area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
    if area == 0.0:
        return
    sign = 1.0 if area > 0.0 else -1.0
    z_buffer = canvas[3]
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
                _show(row, col, depth, face_index, t, (va * scale, vb * scale, vc * scale), canvas)


@inlined
def _fill_crossing(vertices_cam, corners, camera, row0, row1, face_index, t, canvas):  # type: ignore[no-untyped-def]
    """Draw one triangle that crosses the near plane: the same edge functions without dividing by depth."""
    focal_px, center_x, center_y, near_m = camera
    a, b, c = corners
    z_buffer = canvas[3]
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
                _show(row, col, depth, face_index, t, (wa, wb, wc), canvas)


@inlined
def _fill_rows(vertices_cam, screen, triangles, camera, row0, row1, face_index, canvas):  # type: ignore[no-untyped-def]
    """Draw one mesh into the rows of a band.

    Most triangles of a face are about a pixel large: what decides that one shows nothing here comes first,
    and reads no more than it needs.
    """
    num_vertices, width = np.uint64(screen.shape[1]), canvas[3].shape[1]
    status = OK
    for t in range(triangles.shape[0]):
        a, b, c = np.uint64(triangles[t, 0]), np.uint64(triangles[t, 1]), np.uint64(triangles[t, 2])
        if a >= num_vertices or b >= num_vertices or c >= num_vertices:  # negative ones have wrapped around
            status = BAD_INDEX
            continue
        ya, yb, yc = screen[1, a], screen[1, b], screen[1, c]
        if (ya < row0 and yb < row0 and yc < row0) or (ya > row1 and yb > row1 and yc > row1):
            continue
        if math.isnan(ya + yb + yc):
            if max(screen[2, a], max(screen[2, b], screen[2, c])) > 0.0:
                _fill_crossing(vertices_cam, (a, b, c), camera, row0, row1, face_index, t, canvas)
            continue
        first_row, last_row = _pixel_range(ya, yb, yc, row0, row1)
        if first_row > last_row:
            continue
        first_col, last_col = _pixel_range(screen[0, a], screen[0, b], screen[0, c], 0, width)
        if first_col <= last_col:
            _fill_box(screen, (a, b, c), (first_row, last_row, first_col, last_col), face_index, t, canvas)
    return status


@compiled
def draw_rows(vertices_cam, screen, triangles, faces, camera, row0, row1, canvas, depth_m, mask):  # type: ignore[no-untyped-def]
    """Draw the faces of one image into the rows of a band.

    Args:
        vertices_cam: (faces, verts, 3) of the whole call.
        screen: Their `project_vertices`.
        triangles: (1 or faces, tris, 3).
        faces: Which of them are in this image.
        camera: (focal, center x, center y, near).
        row0: First row of the band.
        row1: Row after its last.
        canvas: Face, triangle, barycentrics and depth buffer of the image.
        depth_m: Of the image; the background's depth is 0.
        mask: Of the image.
    """
    face, triangle, barycentric, z_buffer = canvas
    face[row0:row1] = 0
    triangle[row0:row1] = 0
    barycentric[row0:row1] = 0.0
    z_buffer[row0:row1] = np.inf
    status = OK
    for f in faces:
        mesh = triangles[f if len(triangles) > 1 else 0]
        status = max(status, _fill_rows(vertices_cam[f], screen[f], mesh, camera, row0, row1, f, canvas))
    for row in range(row0, row1):
        for col in range(z_buffer.shape[1]):
            covered = z_buffer[row, col] < np.inf
            mask[row, col] = covered
            depth_m[row, col] = z_buffer[row, col] if covered else 0.0
    return status


def _bands(rows_used: np.ndarray, count: int) -> list[tuple[int, int]]:
    """Cut the rows into bands with about equally many vertices each."""
    if count == 1:
        return [(0, len(rows_used))]
    work = np.cumsum(rows_used + 1)
    cuts = np.searchsorted(work, work[-1] * np.arange(1, count) / count) + 1
    return [(row0, row1) for row0, row1 in pairwise([0, *cuts.tolist(), len(rows_used)]) if row0 < row1]


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
    num_images, num_vertices = len(focal_px), vertices_cam.shape[1]
    screen = scratch("screen", (len(vertices_cam), 3, num_vertices))
    canvas = (
        np.empty((num_images, height, width), np.int64),
        np.empty((num_images, height, width), np.int64),
        np.empty((num_images, height, width, 3), np.float32),
        scratch("z_buffer", (num_images, height, width)),
    )
    depth_m = np.empty((num_images, height, width), np.float32)
    mask = np.empty((num_images, height, width), np.bool_)
    rows_used = np.zeros((len(vertices_cam), height), np.int64)
    camera = width / 2, height / 2, near_m
    faces = zip(vertices_cam, focal_px[image_index], screen, rows_used, strict=True)
    check(run_all([partial(project_vertices, v, focal, *camera, s, rows) for v, focal, s, rows in faces]))
    bands_each = max(1, -(-num_threads() // max(num_images, 1)))
    tasks = []
    for image in range(num_images):
        mine = np.flatnonzero(image_index == image)
        layers = tuple(layer[image] for layer in canvas), depth_m[image], mask[image]
        for row0, row1 in _bands(rows_used[mine].sum(axis=0), bands_each):
            meshes = vertices_cam, screen, triangles, mine, (focal_px[image], *camera)
            tasks.append(partial(draw_rows, *meshes, row0, row1, *layers))
    check(run_all(tasks))
    return *canvas[:3], depth_m, mask


def check(statuses: list[int]) -> None:
    """Raise what a kernel reported."""
    worst = max(statuses, default=OK)
    if worst == NOT_FINITE:
        raise ValueError(NOT_FINITE_MESSAGE)
    if worst == BAD_INDEX:
        raise ValueError(BAD_INDEX_MESSAGE)
