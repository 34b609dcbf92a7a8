"""CPU rasterizer: scratch and layers for the kernel, and its reports as errors."""

from functools import partial

import numpy as np

from morphable_render._raster_kernel import BAD_INDEX, NOT_FINITE, OK, TRIANGLES_PER_BLOCK, draw_pieces
from morphable_render._threads import num_threads, run_shared, scratch

STRIPS_PER_THREAD = 4
"""A compromise between equal shares and looking at blocks of triangles once per strip."""

NOT_FINITE_MESSAGE = "vertices_cam must be finite, got NaN or infinity; check the values they were decoded from"
BAD_INDEX_MESSAGE = "triangles must index vertices_cam, got an index out of range; do the two belong together?"


def draw(
    vertices_cam: np.ndarray,
    triangles: np.ndarray,
    image_index: np.ndarray,
    *,
    focal_px: np.ndarray,
    size_hw: tuple[int, int],
    near_m: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rasterize faces into images; see `morphable_render.rasterization.rasterize_faces` for the meaning.

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
    shape, threads = (num_images, height, width), num_threads()
    layers = (
        np.empty(shape, np.int64),
        np.empty(shape, np.int64),
        np.empty((*shape, 3), np.float32),
        scratch("z_buffer", shape),
        np.empty(shape, np.float32),
        np.empty(shape, np.bool_),
    )
    strips = min(height, max(1, -(-threads * STRIPS_PER_THREAD // max(num_images, 1)))) if threads > 1 else 1
    num_blocks = -(-triangles.shape[1] // TRIANGLES_PER_BLOCK) if strips > 1 else 0
    order = np.argsort(image_index, kind="stable")
    faces = order, np.searchsorted(image_index[order], np.arange(num_images + 1))
    camera = width / 2, height / 2, near_m
    room = scratch("screen", (num_faces, 3, vertices_cam.shape[1])), scratch("blocks", (num_faces, num_blocks, 2))
    tickets = np.zeros((3, 16), np.int64)
    share = partial(
        draw_pieces, vertices_cam, triangles, image_index, faces, focal_px, camera, *room, strips, tickets, layers
    )
    check(run_shared(share))
    face, triangle, barycentric, _, depth_m, mask = layers
    return face, triangle, barycentric, depth_m, mask


def check(statuses: list[int]) -> None:
    """Raise what a kernel reported."""
    worst = max(statuses, default=OK)
    if worst == NOT_FINITE:
        raise ValueError(NOT_FINITE_MESSAGE)
    if worst == BAD_INDEX:
        raise ValueError(BAD_INDEX_MESSAGE)
