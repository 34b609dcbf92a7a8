"""Compiled kernels of the direct light: depth maps seen from each light, and the light that reaches each vertex."""

import math

import numpy as np

from morphable_synth.kernels.compilation import compiled, per_pixel
from morphable_synth.kernels.rasterization import barycentric, corners, row_span, span

NORMAL_OFFSET_M = 0.003
"""Shadow tests start this far outside the surface, against self-shadowing of coarse maps."""
AWAY = 0.35
"""Vertices whose normal points this far (cosine) away from the camera are not seen, and not lit."""


@compiled
def light_frame(direction):  # type: ignore[no-untyped-def]
    """Three orthogonal rows: two axes of the map and the direction toward the light."""
    frame = np.empty((3, 3), np.float32)
    frame[2] = direction
    helper = np.zeros(3, np.float32)
    helper[0 if abs(direction[0]) < 0.7 else 1] = 1.0
    frame[0] = np.cross(helper, direction)
    frame[0] /= math.sqrt((frame[0] ** 2).sum())
    frame[1] = np.cross(direction, frame[0])
    return frame


@compiled
def shadow_map(xyz, triangles, center, radius_m, frame, out):  # type: ignore[no-untyped-def]
    """Height toward the light of the nearest surface, orthographic, over a disc of ``radius_m`` around ``center``."""
    size = out.shape[0]
    scale = 0.5 * size / radius_m
    projected = np.empty_like(xyz)
    for i in range(len(xyz)):
        dx, dy, dz = xyz[i, 0] - center[0], xyz[i, 1] - center[1], xyz[i, 2] - center[2]
        projected[i, 0] = (frame[0, 0] * dx + frame[0, 1] * dy + frame[0, 2] * dz) * scale + 0.5 * size
        projected[i, 1] = (frame[1, 0] * dx + frame[1, 1] * dy + frame[1, 2] * dz) * scale + 0.5 * size
        projected[i, 2] = frame[2, 0] * dx + frame[2, 1] * dy + frame[2, 2] * dz
    out[:] = -1e9
    for t in range(len(triangles)):
        ax, ay, az, bx, by, bz, cx, cy, cz, area = corners(projected, triangles, t)
        x0, x1 = span(ax, bx, cx, size)
        y0, y1 = span(ay, by, cy, size)
        if area == 0.0 or x0 > x1 or y0 > y1:
            continue
        inv = 1.0 / area
        for y in range(y0, y1 + 1):
            xa, xb = row_span(ax, ay, bx, by, cx, cy, inv, x0, x1, y)
            for x in range(xa, xb + 1):
                u, v, w = barycentric(ax, ay, bx, by, cx, cy, inv, x, y)
                if u >= 0.0 and v >= 0.0 and w >= 0.0:
                    height = u * az + v * bz + w * cz
                    if height > out[y, x]:
                        out[y, x] = height


@compiled
def gather_light(  # type: ignore[no-untyped-def]
    xyz,
    normal,
    seen,
    two_sided,
    wrap,
    directions,
    radiance,
    ambient,
    frames,
    maps,
    center,
    radius_m,
    bias_m,
    irradiance,
    openness,
):
    """Sum the lights at each vertex that is ``seen``.

    ``wrap`` (3) softens the terminator per channel, as light that travels under the skin does. ``maps`` may be empty
    (no shadows). ``ambient`` (3) arrives from everywhere, less in folds. ``irradiance`` is over pi; ``openness`` is the
    unshadowed part of the light in front of the surface. Vertices that face away stay as they are unless ``two_sided``.
    """
    size = maps.shape[1]
    scale = 0.5 * size / radius_m if size > 0 else 0.0
    for i in range(len(xyz)):
        if not seen[i]:
            continue
        total, lit = 1e-6, 1e-6
        away = normal[i, 0] * xyz[i, 0] + normal[i, 1] * xyz[i, 1] + normal[i, 2] * xyz[i, 2]
        if not two_sided and away > AWAY * xyz[i, 2]:
            continue
        for k in range(len(directions)):
            cosine = normal[i, 0] * directions[k, 0] + normal[i, 1] * directions[k, 1] + normal[i, 2] * directions[k, 2]
            if cosine <= -wrap[0]:
                continue
            visible = 1.0
            if size > 0:
                dx = xyz[i, 0] + NORMAL_OFFSET_M * normal[i, 0] - center[0]
                dy = xyz[i, 1] + NORMAL_OFFSET_M * normal[i, 1] - center[1]
                dz = xyz[i, 2] + NORMAL_OFFSET_M * normal[i, 2] - center[2]
                across = frames[k, 0, 0] * dx + frames[k, 0, 1] * dy + frames[k, 0, 2] * dz
                along = frames[k, 1, 0] * dx + frames[k, 1, 1] * dy + frames[k, 1, 2] * dz
                height = frames[k, 2, 0] * dx + frames[k, 2, 1] * dy + frames[k, 2, 2] * dz + bias_m
                visible = _visibility(maps, k, across * scale + 0.5 * size, along * scale + 0.5 * size, height)
            power = radiance[k, 0] + radiance[k, 1] + radiance[k, 2]
            weight = power * (max(cosine, 0.0) + 0.1)
            total += weight
            lit += weight * visible
            for ch in range(3):
                soft = (cosine + wrap[ch]) / (1.0 + wrap[ch])
                if soft > 0.0:
                    irradiance[i, ch] += radiance[k, ch] * soft * visible / (1.0 + 0.5 * wrap[ch])
        openness[i] = lit / total
        for ch in range(3):
            irradiance[i, ch] += ambient[ch] * (0.35 + 0.65 * openness[i])


@per_pixel
def _visibility(depth_map, k, x, y, height):  # type: ignore[no-untyped-def]
    """Share of the 3x3 map texels around a point that are not nearer to the light, with smooth (B-spline) weights."""
    size = depth_map.shape[1]
    xc, yc = math.floor(x), math.floor(y)
    if xc < 1 or yc < 1 or xc >= size - 1 or yc >= size - 1:
        return 1.0
    fx, fy = x - xc, y - yc
    xa, xb, xm = 0.5 * (1 - fx) * (1 - fx), 0.5 * fx * fx, 0.5 + fx * (1 - fx)
    ya, yb, ym = 0.5 * (1 - fy) * (1 - fy), 0.5 * fy * fy, 0.5 + fy * (1 - fy)
    total = 0.0
    for j in range(3):
        wy = ya if j == 0 else (ym if j == 1 else yb)
        r = yc + j - 1
        row = 0.0
        if depth_map[k, r, xc - 1] <= height:
            row += xa
        if depth_map[k, r, xc] <= height:
            row += xm
        if depth_map[k, r, xc + 1] <= height:
            row += xb
        total += wy * row
    return total
