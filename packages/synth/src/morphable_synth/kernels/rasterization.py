"""Compiled kernels: projection, z-buffer, normals, and the cover of transparent layers."""

import math

import numpy as np

from morphable_synth.kernels.arrays import Soup, Texels
from morphable_synth.kernels.compilation import compiled, per_pixel

NEAR_M = 0.1
"""Triangles with a corner nearer than this are not drawn."""
MIN_AREA_PX2 = 1e-6
MIN_STEP, ROUNDING_PX = 1e-9, 1e-3
"""Weights that change less per pixel do not narrow a row; what is narrowed keeps this margin."""
FEW_PX = 3
"""Rows shorter than one more than this are not worth narrowing."""


@compiled
def project(xyz_cam, focal_px, width, height):  # type: ignore[no-untyped-def]
    """Pixel position and inverse depth of camera points; inverse depth 0 marks points that are too near."""
    out = np.empty_like(xyz_cam)
    for i in range(len(xyz_cam)):
        z = xyz_cam[i, 2]
        inverse = 1.0 / z if z > NEAR_M else 0.0
        out[i, 0] = focal_px * xyz_cam[i, 0] * inverse + 0.5 * width
        out[i, 1] = focal_px * xyz_cam[i, 1] * inverse + 0.5 * height
        out[i, 2] = inverse
    return out


@per_pixel
def corners(screen, triangles, t):  # type: ignore[no-untyped-def]
    """The nine screen numbers of a triangle and twice its signed area (0 if it must not be drawn)."""
    i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
    ax, ay, az = screen[i, 0], screen[i, 1], screen[i, 2]
    bx, by, bz = screen[j, 0], screen[j, 1], screen[j, 2]
    cx, cy, cz = screen[k, 0], screen[k, 1], screen[k, 2]
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    if az == 0.0 or bz == 0.0 or cz == 0.0 or abs(area) < MIN_AREA_PX2:
        area = 0.0
    return ax, ay, az, bx, by, bz, cx, cy, cz, area


@per_pixel
def span(a, b, c, limit):  # type: ignore[no-untyped-def]
    """First and last pixel whose center can lie between three coordinates."""
    first = math.ceil(min(a, b, c) - 0.5)
    last = math.floor(max(a, b, c) - 0.5)
    return max(first, 0), min(last, limit - 1)


@per_pixel
def barycentric(ax, ay, bx, by, cx, cy, inverse_area, x, y):  # type: ignore[no-untyped-def]
    """Weights of a triangle's corners on the screen at the center of a pixel; all positive inside."""
    px, py = x + 0.5, y + 0.5
    u = ((bx - px) * (cy - py) - (by - py) * (cx - px)) * inverse_area
    v = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) * inverse_area
    return u, v, 1.0 - u - v


@per_pixel
def _narrowed(first, last, x0, weight, step):  # type: ignore[no-untyped-def]
    """The pixels ``first`` to ``last`` of a row without those where a weight must be negative.

    It is ``weight`` at pixel ``x0`` and grows by ``step`` per pixel.
    """
    if abs(step) < MIN_STEP:
        return first, last
    root = min(max(-weight / step, -1.0), last - x0 + 1.0)
    if step > 0.0:
        return max(first, x0 + math.ceil(root - ROUNDING_PX)), last
    return first, min(last, x0 + math.floor(root + ROUNDING_PX))


@per_pixel
def row_span(ax, ay, bx, by, cx, cy, inverse_area, x0, x1, y):  # type: ignore[no-untyped-def]
    """First and last pixel of a row that can lie in a triangle, of those from ``x0`` to ``x1``."""
    if x1 - x0 < FEW_PX:
        return x0, x1
    u, v, w = barycentric(ax, ay, bx, by, cx, cy, inverse_area, x0, y)
    first, last = _narrowed(x0, x1, x0, u, (by - cy) * inverse_area)
    first, last = _narrowed(first, last, x0, v, (cy - ay) * inverse_area)
    return _narrowed(first, last, x0, w, (ay - by) * inverse_area)


@compiled
def reaching(xyz_cam, triangles, focal_px, size_px):  # type: ignore[no-untyped-def]
    """Which triangles are not wholly beyond one side of a square picture."""
    beyond = np.empty(len(xyz_cam), np.uint8)
    for i in range(len(xyz_cam)):
        scale = focal_px / max(xyz_cam[i, 2], 1e-3)
        x, y = xyz_cam[i, 0] * scale + 0.5 * size_px, xyz_cam[i, 1] * scale + 0.5 * size_px
        beyond[i] = (x <= 0.0) + 2 * (x >= size_px) + 4 * (y <= 0.0) + 8 * (y >= size_px)
    out = np.empty(len(triangles), np.bool_)
    for t in range(len(triangles)):
        out[t] = beyond[triangles[t, 0]] & beyond[triangles[t, 1]] & beyond[triangles[t, 2]] == 0
    return out


@compiled
def rasterize(screen, triangles, selected, zbuffer, owner):  # type: ignore[no-untyped-def]
    """Draw the selected triangles into a z-buffer of inverse depth; ``owner`` gets the nearest triangle's number."""
    rows, cols = owner.shape
    for q in range(len(selected)):
        t = selected[q]
        ax, ay, az, bx, by, bz, cx, cy, cz, area = corners(screen, triangles, t)
        if area == 0.0:
            continue
        x0, x1 = span(ax, bx, cx, cols)
        y0, y1 = span(ay, by, cy, rows)
        inv = 1.0 / area
        for y in range(y0, y1 + 1):
            xa, xb = row_span(ax, ay, bx, by, cx, cy, inv, x0, x1, y)
            for x in range(xa, xb + 1):
                u, v, w = barycentric(ax, ay, bx, by, cx, cy, inv, x, y)
                if u < 0.0 or v < 0.0 or w < 0.0:
                    continue
                depth = u * az + v * bz + w * cz
                if depth > zbuffer[y, x]:
                    zbuffer[y, x] = depth
                    owner[y, x] = t


@compiled
def level_of_detail(soup: Soup, texels: Texels, screen, selected, lod):  # type: ignore[no-untyped-def]
    """Write the mip levels of each selected triangle's texture and detail texture.

    They follow from the triangle's area on the texture and in the picture. The two textures have one layout, so that
    their levels differ by the ratio of their sizes.
    """
    for q in range(len(selected)):
        t = selected[q]
        texture, detail = soup.texture[soup.material[t]], soup.detail_texture[soup.material[t]]
        if texture < 0:
            continue
        uv = soup.corner_uv
        _, _, _, _, _, _, _, _, _, area = corners(screen, soup.triangles, t)
        covered = (uv[t, 1, 0] - uv[t, 0, 0]) * (uv[t, 2, 1] - uv[t, 0, 1]) - (uv[t, 1, 1] - uv[t, 0, 1]) * (
            uv[t, 2, 0] - uv[t, 0, 0]
        )
        size = texels.levels[texture, 0, 1] * texels.levels[texture, 0, 2]
        lod[t, 0] = 0.5 * math.log2(max(abs(covered) * size, 1e-9) / max(abs(area), MIN_AREA_PX2))
        if detail >= 0:
            lod[t, 1] = lod[t, 0] + math.log2(float(texels.levels[detail, 0, 1]) / texels.levels[texture, 0, 1])


@per_pixel
def fetch(texels: Texels, texture, u, v, lod, channels, out):  # type: ignore[no-untyped-def]
    """Bilinear texture value (0..255; the first ``channels`` of RGBA) at the nearest mip level."""
    level = min(max(int(lod + 0.5), 0), texels.levels.shape[1] - 1)
    offset, width, height = (
        texels.levels[texture, level, 0],
        texels.levels[texture, level, 1],
        texels.levels[texture, level, 2],
    )
    x = (u - math.floor(u)) * width - 0.5
    y = (v - math.floor(v)) * height - 0.5
    xa, ya = math.floor(x), math.floor(y)
    fx, fy = np.float32(x - xa), np.float32(y - ya)
    xb, yb = xa + 1, ya + 1
    xa, xb = (width - 1 if xa < 0 else xa), (0 if xb >= width else xb)
    ya, yb = (height - 1 if ya < 0 else ya), (0 if yb >= height else yb)
    w00, w01, w10, w11 = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
    i00, i01, i10, i11 = (
        offset + ya * width + xa,
        offset + ya * width + xb,
        offset + yb * width + xa,
        offset + yb * width + xb,
    )
    for ch in range(channels):
        out[ch] = (
            w00 * texels.pixels[i00, ch]
            + w01 * texels.pixels[i01, ch]
            + w10 * texels.pixels[i10, ch]
            + w11 * texels.pixels[i11, ch]
        )


@compiled
def cover(soup: Soup, texels: Texels, screen, lod, ordered, zbuffer, enough, amount, coverer):  # type: ignore[no-untyped-def]
    """Gather the opacity of the triangles, nearest first, before the opaque surfaces, and the nearest that covers.

    Pixels where a triangle covers and the opacity is ``enough`` are left as they are.
    """
    texel = np.empty(4, np.float32)
    rows, cols = zbuffer.shape
    for q in range(len(ordered)):
        t = ordered[q]
        ax, ay, az, bx, by, bz, cx, cy, cz, area = corners(screen, soup.triangles, t)
        if area == 0.0:
            continue
        x0, x1 = span(ax, bx, cx, cols)
        y0, y1 = span(ay, by, cy, rows)
        m = soup.material[t]
        texture, bias, inv = soup.texture[m], soup.depth_bias_m[m], 1.0 / area
        for y in range(y0, y1 + 1):
            xa, xb = row_span(ax, ay, bx, by, cx, cy, inv, x0, x1, y)
            for x in range(xa, xb + 1):
                u, v, w = barycentric(ax, ay, bx, by, cx, cy, inv, x, y)
                if u < 0.0 or v < 0.0 or w < 0.0 or (coverer[y, x] >= 0 and amount[y, x] >= enough):
                    continue
                u, v, w = u * az, v * bz, w * cz
                depth = u + v + w
                if depth <= zbuffer[y, x] * (1.0 - bias * depth):
                    continue
                alpha = 1.0
                if texture >= 0:
                    uv = soup.corner_uv
                    s = (u * uv[t, 0, 0] + v * uv[t, 1, 0] + w * uv[t, 2, 0]) / depth
                    r = (u * uv[t, 0, 1] + v * uv[t, 1, 1] + w * uv[t, 2, 1]) / depth
                    fetch(texels, texture, s, r, lod[t, 0], 4, texel)
                    alpha = min(texel[3] * soup.alpha_gain[m] / 255.0, 1.0)
                amount[y, x] += alpha * (1.0 - amount[y, x])
                if alpha > 0.3 and coverer[y, x] < 0:
                    coverer[y, x] = t


@compiled
def accumulate_normals(xyz, triangles):  # type: ignore[no-untyped-def]
    """Area-weighted unit normals of vertices; zero where a vertex has no triangle."""
    out = np.zeros_like(xyz)
    for t in range(len(triangles)):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = xyz[j, 0] - xyz[i, 0], xyz[j, 1] - xyz[i, 1], xyz[j, 2] - xyz[i, 2]
        vx, vy, vz = xyz[k, 0] - xyz[i, 0], xyz[k, 1] - xyz[i, 1], xyz[k, 2] - xyz[i, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (i, j, k):
            out[corner, 0] += nx
            out[corner, 1] += ny
            out[corner, 2] += nz
    for i in range(len(out)):
        length = math.sqrt(out[i, 0] ** 2 + out[i, 1] ** 2 + out[i, 2] ** 2)
        if length > 0.0:
            for ch in range(3):
                out[i, ch] /= length
    return out
