"""Slow, obvious, float64 versions to compare with, and meshes with known geometry."""

import numpy as np


def rasterize(vertices_cam, triangles, *, focal_px, size_hw, near_m=0.01):
    """Ray-cast every pixel against every triangle; nearest hit wins, ties to the lower index.

    Returns triangle (-1 on background), barycentric, depth and, per pixel, the smallest |barycentric| met
    by any triangle (how close the pixel's center is to an edge: 0 is a tie).
    """
    vertices = np.asarray(vertices_cam, dtype=np.float64)
    height, width = size_hw
    col, row = np.meshgrid(np.arange(width), np.arange(height))
    ray = np.stack([(col + 0.5 - width / 2) / focal_px, (row + 0.5 - height / 2) / focal_px, np.ones_like(col)], -1)
    best = np.full(size_hw, np.inf)
    index = np.full(size_hw, -1)
    barycentric = np.zeros((*size_hw, 3))
    margin = np.full(size_hw, np.inf)
    for t, corners in enumerate(vertices[np.asarray(triangles)]):
        if abs(np.linalg.det(corners)) == 0.0:
            continue
        weight = ray @ np.linalg.inv(corners)  # ray = b0 c0 + b1 c1 + b2 c2, up to depth
        total = weight.sum(-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            b = weight / total[..., None]
            depth = 1 / total
        margin = np.minimum(margin, np.nan_to_num(np.abs(b).min(-1), nan=0.0))
        hit = (b >= 0).all(-1) & (depth > near_m) & (depth < best)
        best[hit], index[hit], barycentric[hit] = depth[hit], t, b[hit]
    return index, barycentric, np.where(index >= 0, best, 0.0), margin


def sphere(rings=24, segments=48, radius=1.0):
    """Return vertices and outward triangles of a sphere (y is its axis)."""
    theta = np.linspace(0, np.pi, rings + 1)[1:-1]
    phi = np.arange(segments) * 2 * np.pi / segments
    ring = np.stack(
        [
            np.sin(theta)[:, None] * np.cos(phi),
            np.repeat(np.cos(theta)[:, None], segments, 1),
            np.sin(theta)[:, None] * np.sin(phi),
        ],
        -1,
    ).reshape(-1, 3)
    vertices = np.concatenate([[[0, 1, 0]], ring, [[0, -1, 0]]]) * radius
    last = len(vertices) - 1
    triangles = []
    for s in range(segments):
        n = (s + 1) % segments
        triangles.append([0, 1 + n, 1 + s])
        for r in range(rings - 2):
            a, b = 1 + r * segments + s, 1 + r * segments + n
            c, d = a + segments, b + segments
            triangles += [[a, b, c], [b, d, c]]
        triangles.append([last, last - segments + s, last - segments + n])
    return vertices, np.array(triangles)


def cube(side=1.0):
    """Return vertices and outward triangles of an axis-aligned cube around the origin."""
    vertices = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * side / 2
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    triangles = [t for a, b, c, d in quads for t in ([a, b, c], [a, c, d])]
    return vertices, np.array(triangles)


def grid(rows, cols, *, width=1.0, height=1.0, bulge=0.0):
    """Return vertices and triangles of a sheet in the plane z = 0 that bulges toward -z, seen from -z."""
    x, y = np.meshgrid(np.linspace(-width / 2, width / 2, cols), np.linspace(-height / 2, height / 2, rows))
    z = -bulge * np.exp(-8 * ((x / width) ** 2 + (y / height) ** 2))
    i = np.arange(rows * cols).reshape(rows, cols)
    a, b, c, d = i[:-1, :-1], i[:-1, 1:], i[1:, :-1], i[1:, 1:]
    triangles = np.stack([np.stack([a, c, b], -1), np.stack([b, c, d], -1)], 2).reshape(-1, 3)
    return np.stack([x, y, z], -1).reshape(-1, 3), triangles
