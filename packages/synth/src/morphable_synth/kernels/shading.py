"""Compiled kernels: blending of transparent surfaces, deferred shading of the opaque ones behind them."""

import math

import numpy as np

from morphable_synth.kernels.arrays import Light, Scratch, Soup, Texels
from morphable_synth.kernels.compilation import per_pixel
from morphable_synth.kernels.rasterization import barycentric, corners, fetch, row_span, span

MIN_SHOWN = 1.0 / 4096.0
"""Surfaces of which less shows through those before them are not shaded."""


@per_pixel
def _mirror(light: Light, rough, x, y, z, out):  # type: ignore[no-untyped-def]
    """Prefiltered radiance from a camera-frame direction."""
    m = light.env_from_cam
    ex = np.float32(m[0, 0] * x + m[0, 1] * y + m[0, 2] * z)  # single precision: the inverse functions cost half
    ey = np.float32(m[1, 0] * x + m[1, 1] * y + m[1, 2] * z)
    ez = np.float32(m[2, 0] * x + m[2, 1] * y + m[2, 2] * z)
    levels, rows, cols, _ = light.mirror.shape
    level = min(max(int(rough + 0.5), 0), levels - 1)
    col = (math.atan2(ex, -ez) * (0.5 / math.pi) + 0.5) * cols - 0.5
    row = math.acos(min(max(ey, np.float32(-1.0)), np.float32(1.0))) * (rows / math.pi) - 0.5
    c0, r0 = math.floor(col), math.floor(row)
    fc, fr = np.float32(col - c0), np.float32(row - r0)
    ca, cb = c0 % cols, (c0 + 1) % cols
    ra, rb = min(max(r0, 0), rows - 1), min(max(r0 + 1, 0), rows - 1)
    for ch in range(3):
        top = light.mirror[level, ra, ca, ch] * (1 - fc) + light.mirror[level, ra, cb, ch] * fc
        bottom = light.mirror[level, rb, ca, ch] * (1 - fc) + light.mirror[level, rb, cb, ch] * fc
        out[ch] = top * (1 - fr) + bottom * fr


@per_pixel
def _textured(soup: Soup, texels: Texels, m, t, u, v, w, lod, texel, out):  # type: ignore[no-untyped-def]
    """Multiply the texture's color into ``out``; return alpha and the gloss factor of its fine structure."""
    uv = soup.corner_uv
    s = u * uv[t, 0, 0] + v * uv[t, 1, 0] + w * uv[t, 2, 0]
    r = u * uv[t, 0, 1] + v * uv[t, 1, 1] + w * uv[t, 2, 1]
    fetch(texels, soup.texture[m], s, r, lod[t, 0], 4, texel)
    alpha = min(texel[3] * soup.alpha_gain[m] / 255.0, 1.0)
    for ch in range(3):
        low = min(int(texel[ch]), 254)
        part = texel[ch] - low
        out[ch] *= soup.lut[m, low, ch] * (1 - part) + soup.lut[m, low + 1, ch] * part
    gloss = 1.0
    detail = soup.detail_texture[m]
    if detail >= 0:
        fetch(texels, detail, s, r, lod[t, 1], 1, texel)
        stops = (texel[0] - 128.0) * soup.detail_mix[m] / 64.0
        factor = math.exp2(np.float32(stops))
        for ch in range(3):
            out[ch] *= factor
        gloss = factor * factor * factor
    return alpha, gloss


@per_pixel
def _highlight(soup: Soup, light: Light, m, i, j, k, u, v, w, gloss, sky, out):  # type: ignore[no-untyped-def]
    """Add what the surface mirrors; nothing on sheets seen from behind."""
    f0 = soup.specular[m, 0]
    if f0 <= 0.0:
        return
    n, p = soup.normal, soup.xyz_cam
    nx = u * n[i, 0] + v * n[j, 0] + w * n[k, 0]
    ny = u * n[i, 1] + v * n[j, 1] + w * n[k, 1]
    nz = u * n[i, 2] + v * n[j, 2] + w * n[k, 2]
    px = u * p[i, 0] + v * p[j, 0] + w * p[k, 0]
    py = u * p[i, 1] + v * p[j, 1] + w * p[k, 1]
    pz = u * p[i, 2] + v * p[j, 2] + w * p[k, 2]
    inverse = 1.0 / math.sqrt(px * px + py * py + pz * pz)
    px, py, pz = px * inverse, py * inverse, pz * inverse
    inverse = 1.0 / max(math.sqrt(nx * nx + ny * ny + nz * nz), 1e-9)
    nx, ny, nz = nx * inverse, ny * inverse, nz * inverse
    facing = px * nx + py * ny + pz * nz
    if facing >= 0.0:
        return
    grazing = (1.0 + facing) ** 5
    rough = soup.specular[m, 1]
    fresnel = f0 + (1.0 - f0) * grazing * (0.55 - 0.22 * rough)
    _mirror(light, rough, px - 2.0 * facing * nx, py - 2.0 * facing * ny, pz - 2.0 * facing * nz, sky)
    factor = fresnel * gloss * (u * soup.openness[i] + v * soup.openness[j] + w * soup.openness[k])
    for ch in range(3):
        out[ch] += factor * sky[ch]


@per_pixel
def _shaded(soup: Soup, light: Light, texels: Texels, t, u, v, w, lod, scratch: Scratch):  # type: ignore[no-untyped-def]
    """Write the linear color of a point of triangle ``t``, given perspective-correct weights; return its alpha."""
    texel, sky, out = scratch.texel, scratch.sky, scratch.color
    i, j, k = soup.triangles[t, 0], soup.triangles[t, 1], soup.triangles[t, 2]
    m = soup.material[t]
    for ch in range(3):
        out[ch] = u * soup.tint[i, ch] + v * soup.tint[j, ch] + w * soup.tint[k, ch]
    alpha, gloss = 1.0, 1.0
    if soup.texture[m] >= 0:
        alpha, gloss = _textured(soup, texels, m, t, u, v, w, lod, texel, out)
        if alpha < 0.01:
            return alpha
    for ch in range(3):
        out[ch] *= u * soup.irradiance[i, ch] + v * soup.irradiance[j, ch] + w * soup.irradiance[k, ch]
    _highlight(soup, light, m, i, j, k, u, v, w, gloss, sky, out)
    return alpha


@per_pixel
def blend(soup: Soup, light: Light, texels: Texels, screen, lod, ordered, zbuffer, color, transmittance, scratch):  # type: ignore[no-untyped-def]
    """Put the triangles, nearest first, behind what is drawn; what no longer shows is left out."""
    out = scratch.color
    rows, cols = transmittance.shape
    for q in range(len(ordered)):
        t = ordered[q]
        ax, ay, az, bx, by, bz, cx, cy, cz, area = corners(screen, soup.triangles, t)
        if area == 0.0:
            continue
        x0, x1 = span(ax, bx, cx, cols)
        y0, y1 = span(ay, by, cy, rows)
        bias, inv = soup.depth_bias_m[soup.material[t]], 1.0 / area
        for y in range(y0, y1 + 1):
            xa, xb = row_span(ax, ay, bx, by, cx, cy, inv, x0, x1, y)
            for x in range(xa, xb + 1):
                u, v, w = barycentric(ax, ay, bx, by, cx, cy, inv, x, y)
                if u < 0.0 or v < 0.0 or w < 0.0 or transmittance[y, x] < MIN_SHOWN:
                    continue
                u, v, w = u * az, v * bz, w * cz
                depth = u + v + w
                if depth <= zbuffer[y, x] * (1.0 - bias * depth):
                    continue
                inverse = 1.0 / depth
                alpha = _shaded(soup, light, texels, t, u * inverse, v * inverse, w * inverse, lod, scratch)
                if alpha < 0.01:
                    continue
                for ch in range(3):
                    color[y, x, ch] += transmittance[y, x] * alpha * out[ch]
                transmittance[y, x] *= 1.0 - alpha


@per_pixel
def shade_opaque(soup: Soup, light: Light, texels: Texels, screen, lod, owner, color, transmittance, scratch):  # type: ignore[no-untyped-def]
    """Put the owners of the pixels behind what is drawn; the background shows there no longer."""
    out = scratch.color
    rows, cols = owner.shape
    for y in range(rows):
        for x in range(cols):
            t = owner[y, x]
            if t < 0:
                continue
            if transmittance[y, x] >= MIN_SHOWN:
                ax, ay, az, bx, by, bz, cx, cy, cz, area = corners(screen, soup.triangles, t)
                u, v, w = barycentric(ax, ay, bx, by, cx, cy, 1.0 / area, x, y)
                u, v, w = u * az, v * bz, w * cz
                inverse = 1.0 / (u + v + w)
                _shaded(soup, light, texels, t, u * inverse, v * inverse, w * inverse, lod, scratch)
                for ch in range(3):
                    color[y, x, ch] += transmittance[y, x] * out[ch]
            transmittance[y, x] = 0.0
