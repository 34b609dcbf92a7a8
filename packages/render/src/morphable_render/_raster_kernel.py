"""The kernel of the CPU rasterizer, run by every thread of a pool without the interpreter lock.

The threads take pieces of the work (vertices, blocks of triangles, strips of rows) by numbered tickets. So whoever
comes late, woken from sleep or held up by another program, takes fewer, and nobody waits for more than one piece.

Coverage is decided in float64 from pixel coordinates relative to the pixel's center, `x_a * y_b - y_a * x_b`,
which is exactly antisymmetric in its two points: neighbors agree on which side of their edge a pixel lies.
"""

import math

import numpy as np

from morphable_render._compiled import add_atomically, compiled, inlined

OK, BAD_INDEX, NOT_FINITE = 0, 1, 2
"""What a kernel reports: all well, a triangle that points past its vertices, a vertex that is NaN or infinite."""

VERTICES_PER_PIECE, TRIANGLES_PER_BLOCK, BLOCKS_PER_PIECE = 2048, 64, 64
TAKEN, DONE = 0, 8
"""Places of a phase's two counters; threads that count in one cache line would wait for each other."""


@compiled
def _project(vertices_cam, focal_px, camera, screen, start, stop):  # type: ignore[no-untyped-def]
    """Fill `screen` with rows x px, y px, 1/z; y is NaN up to the near plane."""
    center_x, center_y, near_m = camera
    status = OK
    for v in range(start, min(stop, vertices_cam.shape[0])):
        x, y, z = np.float64(vertices_cam[v, 0]), np.float64(vertices_cam[v, 1]), np.float64(vertices_cam[v, 2])
        if not math.isfinite(x + y + z):
            status = NOT_FINITE
        elif z > near_m:
            inverse = 1.0 / z
            screen[0, v] = x * inverse * focal_px + center_x
            screen[1, v] = y * inverse * focal_px + center_y
            screen[2, v] = inverse
        else:
            screen[1, v] = math.nan
            screen[2, v] = 0.0
    return status


@compiled
def _find_rows(screen, triangles, first, blocks):  # type: ignore[no-untyped-def]
    """Store the least and largest y of blocks of triangles, infinite if one crosses the near plane."""
    num_vertices, count = np.uint64(screen.shape[1]), TRIANGLES_PER_BLOCK
    status = OK
    for block in range(first, min(first + BLOCKS_PER_PIECE, len(blocks))):
        low, high, behind = math.inf, -math.inf, 0.0
        for t in range(block * count, min(block * count + count, len(triangles))):
            a, b, c = np.uint64(triangles[t, 0]), np.uint64(triangles[t, 1]), np.uint64(triangles[t, 2])
            if a >= num_vertices or b >= num_vertices or c >= num_vertices:  # negative ones have wrapped around
                status = BAD_INDEX
                continue
            ya, yb, yc = screen[1, a], screen[1, b], screen[1, c]
            low, high = min(low, min(ya, min(yb, yc))), max(high, max(ya, max(yb, yc)))
            behind += 0.0 * (ya + yb + yc)
        finite = behind == 0.0
        blocks[block, 0] = low if finite else -math.inf
        blocks[block, 1] = high if finite else math.inf
    return status


@inlined
def _pixel_range(a, b, c, first, stop):  # type: ignore[no-untyped-def]
    """Return the first and last pixel of [first, stop) whose center lies in the range of three coordinates."""
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
def _fill_rows(vertices_cam, screen, triangles, first, stop, camera, row0, row1, face_index, canvas):  # type: ignore[no-untyped-def]
    """Draw some triangles of one mesh into the rows of a strip.

    Most triangles of a face are about a pixel large: what decides that one shows nothing here comes first,
    and reads no more than it needs.
    """
    num_vertices, width = np.uint64(screen.shape[1]), canvas[3].shape[1]
    status = OK
    for t in range(first, min(stop, triangles.shape[0])):
        a, b, c = np.uint64(triangles[t, 0]), np.uint64(triangles[t, 1]), np.uint64(triangles[t, 2])
        if a >= num_vertices or b >= num_vertices or c >= num_vertices:
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
def _draw_rows(vertices_cam, screen, triangles, blocks, faces, camera, row0, row1, canvas, depth_m, mask):  # type: ignore[no-untyped-def]
    """Draw the faces of one image into the rows of a strip; without blocks, all their triangles are looked at."""
    face, triangle, barycentric, z_buffer = canvas
    face[row0:row1] = 0
    triangle[row0:row1] = 0
    barycentric[row0:row1] = 0.0
    z_buffer[row0:row1] = np.inf
    status = OK
    for f in faces:
        mesh, count = triangles[f if len(triangles) > 1 else 0], TRIANGLES_PER_BLOCK
        if blocks.shape[1] == 0:
            status = max(
                status, _fill_rows(vertices_cam[f], screen[f], mesh, 0, len(mesh), camera, row0, row1, f, canvas)
            )
        for block in range(blocks.shape[1]):
            if blocks[f, block, 0] <= row1 and blocks[f, block, 1] >= row0:
                t = block * count
                _fill_rows(vertices_cam[f], screen[f], mesh, t, t + count, camera, row0, row1, f, canvas)
    for row in range(row0, row1):
        for col in range(z_buffer.shape[1]):
            covered = z_buffer[row, col] < np.inf
            mask[row, col] = covered
            depth_m[row, col] = z_buffer[row, col] if covered else 0.0
    return status


@inlined
def _wait(tickets, pieces):  # type: ignore[no-untyped-def]
    """Wait until all pieces of a phase are done; each is in the hands of a running thread by now."""
    while add_atomically(tickets, DONE, 0) < pieces:
        pass


@compiled
def _draw_strips(vertices_cam, triangles, order, begin, focal_px, camera, screen, blocks, strips, tickets, layers):  # type: ignore[no-untyped-def]
    """Draw strips of images while there are any left."""
    face, triangle, barycentric, z_buffer, depth_m, mask = layers
    num_images, height = len(mask), mask.shape[1]
    status = OK
    piece = add_atomically(tickets, TAKEN, 1)
    while piece < num_images * strips:
        image, strip = piece // strips, piece % strips
        canvas = face[image], triangle[image], barycentric[image], z_buffer[image]
        meshes = vertices_cam, screen, triangles, blocks, order[begin[image] : begin[image + 1]]
        rows = height * strip // strips, height * (strip + 1) // strips
        status = max(
            status,
            _draw_rows(*meshes, (focal_px[image], *camera), *rows, canvas, depth_m[image], mask[image]),
        )
        piece = add_atomically(tickets, TAKEN, 1)
    return status


@compiled
def draw_pieces(vertices_cam, triangles, image_index, faces, focal_px, camera, screen, blocks, strips, tickets, layers):  # type: ignore[no-untyped-def]
    """Do one thread's share of a call: project, find the rows of blocks, draw.

    Args:
        vertices_cam: (faces, verts, 3).
        triangles: (1 or faces, tris, 3).
        image_index: The image of each face.
        faces: The faces sorted by image, and where each image's begin.
        focal_px: Of each image.
        camera: (center x, center y, near).
        screen: Scratch (faces, 3, verts).
        blocks: Scratch (faces, blocks, 2); no blocks if one strip is the whole image.
        strips: How many strips to cut an image into.
        tickets: Zeros (3, 16), common to the threads.
        layers: Face, triangle, barycentrics, depth buffer, depth (background 0) and mask of all images.
    """
    order, begin = faces
    num_faces, _, num_vertices = screen.shape
    status, each = OK, -(-num_vertices // VERTICES_PER_PIECE)
    piece = add_atomically(tickets[0], TAKEN, 1)
    while piece < num_faces * each:
        f, v = piece // each, piece % each * VERTICES_PER_PIECE
        focal = focal_px[image_index[f]]
        status = max(status, _project(vertices_cam[f], focal, camera, screen[f], v, v + VERTICES_PER_PIECE))
        add_atomically(tickets[0], DONE, 1)
        piece = add_atomically(tickets[0], TAKEN, 1)
    _wait(tickets[0], num_faces * each)
    each = -(-blocks.shape[1] // BLOCKS_PER_PIECE)
    piece = add_atomically(tickets[1], TAKEN, 1)
    while piece < num_faces * each:
        f = piece // each
        mesh = triangles[f if len(triangles) > 1 else 0]
        status = max(status, _find_rows(screen[f], mesh, piece % each * BLOCKS_PER_PIECE, blocks[f]))
        add_atomically(tickets[1], DONE, 1)
        piece = add_atomically(tickets[1], TAKEN, 1)
    _wait(tickets[1], num_faces * each)
    return max(
        status,
        _draw_strips(
            vertices_cam, triangles, order, begin, focal_px, camera, screen, blocks, strips, tickets[2], layers
        ),
    )
