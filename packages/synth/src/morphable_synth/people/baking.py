"""A person's colors as they are drawn, baked to the vertices of the decoded face, and their albedo coefficients."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Int

from morphable import MorphableModel
from morphable_synth.assets.catalog import Style, picture_named, style_named
from morphable_synth.assets.library import Library
from morphable_synth.assets.patches import Patch
from morphable_synth.assets.textures import linear_from_srgb, srgb_from_linear
from morphable_synth.people.layers import Material
from morphable_synth.people.person import body_material, cavity_colors, skin_material
from morphable_synth.people.wardrobe import (
    LEFT_EYE,
    RIGHT_EYE,
    TONGUE,
    hairs_material,
    sphere_through,
    teeth_table,
)
from morphable_synth.scene.description import Person

_SKIN_TEXELS, _BODY_TEXELS, _EYE_TEXELS = 384, 384, 96
"""Width to which textures are reduced before they are read at vertices, about one texel for the space between two."""
_HAIR_TEXELS = 256
_SPREAD_M = 0.0008
"""Brows and lashes are read at a vertex and this far to its four sides, in the frontal view."""
_REACH_M = 0.012
"""Brows and lashes color vertices at most this far before or behind them."""
_IMPORTANCE = {"brows": 4.0, "eyes": 3.0, "lips": 3.0, "inner_mouth": 0.05}
"""Weight of regions in the projection, relative to the rest of the face's front."""
_BEHIND = 0.1
"""The same of scalp, neck and ears."""


@dataclass(frozen=True)
class _Hairs:
    """Where a sheet of hairs covers vertices of the mean face: rows of vertices, and what covers them."""

    vertex: Int[np.ndarray, " hits"]
    uv: Float[np.ndarray, "hits 2"]


def baked_colors(library: Library, person: Person) -> Float[np.ndarray, "verts 3"]:
    """Return the colors of a person's face in even light, sRGB-encoded, one per vertex of the decoded face.

    Skin, complexion, brows and lashes (as they lie on the mean face), lips, irises, teeth and tongue are in; beards,
    hair and what is worn are not.

    Raises:
        ValueError: The library has no assets: there the open model's albedo itself is drawn.
    """
    catalog = library.catalog
    if catalog is None:
        raise ValueError("library must have assets to bake a skin, got the procedural level; its label is `albedo`")
    material, tint = skin_material(library, person)
    color = np.array(cavity_colors(library, person))
    head, neck = library.head_patch, library.neck_patch
    color[neck.vertices] = _looked_up(library, body_material(library, person), _vertex_uv(neck), _BODY_TEXELS)
    skin = tint[head.vertices]
    if material.texture >= 0:
        skin = skin * _looked_up(library, material, _vertex_uv(head), _SKIN_TEXELS)
    color[head.vertices] = skin
    _bake_mouth(library, person, color)
    _bake_eyes(library, person, color)
    if person.skin.base:
        for kind in ("eyebrows", "eyelashes"):
            if name := getattr(person.wearing, kind):
                _bake_hairs(library, person, style_named(getattr(catalog, kind), name), color)
    return srgb_from_linear(color)


def albedo_label(library: Library, person: Person) -> Float[np.ndarray, " alb"]:
    """Return the albedo coefficients of a person: their own without assets, else those nearest to the baked colors."""
    if library.catalog is None:
        return np.asarray(person.albedo, np.float32)
    mean, projection = _projection(library.model)
    return np.asarray(projection @ (baked_colors(library, person) - mean).ravel(), np.float32)


def albedo_weights(model: MorphableModel) -> Float[np.ndarray, " verts"]:
    """Return how much each vertex counts in the albedo: its area, less behind the face, more where features are."""
    with torch.no_grad():
        mean = model.decode_shape(torch.zeros(model.num_identity), torch.zeros(model.num_expression)).numpy()
    triangles = model.triangles.numpy()
    a, b, c = (mean[triangles[:, k]] for k in range(3))
    area = np.zeros(model.num_vertices)
    for corner in triangles.T:
        np.add.at(area, corner, np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6)
    weight = np.where(model.region("face").numpy(), 1.0, _BEHIND)
    for region, factor in _IMPORTANCE.items():
        weight = np.where(model.region(region).numpy(), factor, weight)
    return np.asarray(area / area.mean() * weight, np.float32)


@cache
def _projection(model: MorphableModel) -> tuple[np.ndarray, np.ndarray]:
    """Mean colors, and the matrix that takes differences from them to coefficients by weighted least squares."""
    with torch.no_grad():
        mean = model.decode_albedo(torch.zeros(model.num_albedo)).numpy()
        basis = model.decode_albedo(torch.eye(model.num_albedo)).numpy() - mean
    flat = basis.reshape(len(basis), -1).astype(np.float64)
    weighted = flat * np.repeat(albedo_weights(model), 3)
    gram = weighted @ flat.T
    ridge = 1e-9 * np.trace(gram) / len(gram) * np.eye(len(gram))
    return mean, np.linalg.solve(gram + ridge, weighted).astype(np.float32)


def _vertex_uv(patch: Patch) -> np.ndarray:
    """Texture coordinates of a patch's vertices: of one of the triangles that meet there."""
    out = np.zeros((len(patch.vertices), 2), np.float32)
    out[patch.triangles.ravel()] = patch.corner_uv.reshape(-1, 2)
    return out


def _fetched(library: Library, texture: int, uv: np.ndarray, texels: int) -> np.ndarray:
    """Texel values (0 to 255, RGBA) at texture coordinates, bilinear, of the level of about the given width."""
    levels = library.texels.levels[texture]
    level = int(np.argmin(np.abs(np.log(levels[:, 1] / texels))))
    offset, width, height = levels[level]
    col, row = uv[:, 0] % 1.0 * width - 0.5, uv[:, 1] % 1.0 * height - 0.5
    left, top = np.floor(col).astype(int), np.floor(row).astype(int)
    right_share, low_share = (col - left)[:, None], (row - top)[:, None]
    pixels = library.texels.pixels

    def at(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        return pixels[offset + rows.clip(0, height - 1) * width + cols.clip(0, width - 1)].astype(np.float32)

    upper = at(top, left) * (1 - right_share) + at(top, left + 1) * right_share
    lower = at(top + 1, left) * (1 - right_share) + at(top + 1, left + 1) * right_share
    return np.asarray(upper * (1 - low_share) + lower * low_share, np.float32)


def _through(table: np.ndarray | None, texel: np.ndarray) -> np.ndarray:
    """Linear colors of texel values through a material's table, interpolated as the kernels do."""
    assert table is not None
    low = np.minimum(texel[:, :3].astype(int), 254)
    part, channel = texel[:, :3] - low, np.arange(3)
    return np.asarray(table[low, channel] * (1 - part) + table[low + 1, channel] * part, np.float32)


def _looked_up(library: Library, material: Material, uv: np.ndarray, texels: int) -> np.ndarray:
    """Linear colors of a material at texture coordinates."""
    color = _through(material.lut, _fetched(library, material.texture, uv, texels))
    if material.detail_texture >= 0 and material.detail_mix > 0:
        stops = (_fetched(library, material.detail_texture, uv, texels)[:, :1] - 128) * material.detail_mix / 64
        color = color * np.exp2(stops)
    return np.asarray(color)


def _bake_mouth(library: Library, person: Person, color: np.ndarray) -> None:
    """Color tongue and teeth, in place."""
    catalog = library.catalog
    assert catalog is not None
    color[library.tongue_patch.vertices] = TONGUE
    if person.wearing.teeth:
        texture = library.texture(style_named(catalog.teeth, person.wearing.teeth).texture)
        mean = 255 * library.pool.mean_color(texture)[None, :3]
        color[np.unique(library.head_triangles[library.teeth_triangle])] = _through(teeth_table(person.wearing), mean)


def _bake_eyes(library: Library, person: Person, color: np.ndarray) -> None:
    """Color the eyeballs, in place."""
    catalog = library.catalog
    assert catalog is not None
    if catalog.eyes is None:
        return
    texture = library.texture(picture_named(catalog.irises, person.wearing.iris))
    for vertices, uv in zip(library.eyeball_surface, _eye_uv(library), strict=True):
        color[vertices] = linear_from_srgb(_fetched(library, texture, uv, _EYE_TEXELS)[:, :3] / 255)


@cache
def _eye_uv(library: Library) -> tuple[np.ndarray, np.ndarray]:
    """Texture coordinates of MakeHuman's eyes in the directions of the eyeballs' vertices."""
    catalog = library.catalog
    assert catalog is not None
    assert catalog.eyes is not None
    decoded, resting = _mean_person(library)
    mesh = library.proxy(Style(catalog.eyes.name, catalog.eyes.mesh, catalog.irises[0]), min_alpha=0.5)
    xyz = mesh.bind(resting)
    left = mesh.reference[:, 0] < RIGHT_EYE[0]
    out = []
    for side, helpers, vertices in zip((left, ~left), (LEFT_EYE, RIGHT_EYE), library.eyeball_surface, strict=True):
        center, _ = sphere_through(resting[helpers])
        ball, radius = sphere_through(decoded[vertices])
        rows = side[mesh.triangles].all(1)
        corners = xyz[mesh.triangles[rows]] - center
        out.append(_uv_along((decoded[vertices] - ball) / radius, corners, mesh.corner_uv[rows]))
    return out[0], out[1]


def _uv_along(directions: np.ndarray, corners: np.ndarray, corner_uv: np.ndarray) -> np.ndarray:
    """Texture coordinates where rays from the origin meet triangles; the nearest corner's where they meet none."""
    weights = np.linalg.solve(np.swapaxes(corners, 1, 2)[None].astype(np.float64), directions[:, None, :, None])[..., 0]
    inside = weights.min(-1)
    best = np.argmax(inside, axis=1)
    chosen = np.clip(weights[np.arange(len(directions)), best], 0.0, None)
    chosen /= chosen.sum(1, keepdims=True)
    return np.asarray((corner_uv[best] * chosen[..., None]).sum(1), np.float32)


def _bake_hairs(library: Library, person: Person, style: Style, color: np.ndarray) -> None:
    """Lay a sheet of hairs over the skin, in place."""
    hairs, material = _hairs_on_mean(library, style), hairs_material(library, style, person.wearing)
    texel = _fetched(library, material.texture, hairs.uv, _HAIR_TEXELS)
    alpha = np.minimum(texel[:, 3] * material.alpha_gain / 255, 1.0)
    covered, tinted = np.zeros(len(color), np.float32), np.zeros_like(color)
    np.add.at(covered, hairs.vertex, alpha / 5)
    np.add.at(tinted, hairs.vertex, _through(material.lut, texel) * alpha[:, None] / 5)
    share = np.minimum(covered, 1.0)[:, None]
    color *= 1 - share
    color += tinted * (share / np.maximum(covered[:, None], 1e-6))


@cache
def _hairs_on_mean(library: Library, style: Style) -> _Hairs:
    """Find where a sheet lies before the skin of the mean face, in the frontal view."""
    decoded, resting = _mean_person(library)
    mesh = library.proxy(style)
    corners = mesh.bind(resting)[mesh.triangles]
    skin = library.head_patch.vertices
    low, high = corners.min((0, 1)) - _SPREAD_M, corners.max((0, 1)) + _SPREAD_M
    near = skin[((decoded[skin] > low - [0, 0, _REACH_M]) & (decoded[skin] < high + [0, 0, _REACH_M])).all(1)]
    a, b, c = (corners[:, k] for k in range(3))
    area = _cross(b - a, c - a)
    vertex, uv = [], []
    for dx, dy in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
        point = decoded[near][:, None] + _SPREAD_M * np.array([dx, dy, 0], np.float32)
        opposite = ((b, c), (c, a), (a, b))
        weights = np.stack([_cross(first - point, second - point) for first, second in opposite], -1)
        weights = weights / np.where(area == 0, np.inf, area)[:, None]
        depth = (weights * corners[None, :, :, 2]).sum(-1)
        hit, triangle = np.nonzero((weights.min(-1) > 0) & (np.abs(depth - point[..., 2]) < _REACH_M))
        vertex.append(near[hit])
        uv.append((weights[hit, triangle][..., None] * mesh.corner_uv[triangle]).sum(1))
    return _Hairs(np.concatenate(vertex), np.concatenate(uv).astype(np.float32))


def _cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.asarray(first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0])


@cache
def _mean_person(library: Library) -> tuple[np.ndarray, np.ndarray]:
    """The mean face and the base mesh around it."""
    zero = np.zeros(library.model.num_identity, np.float32)
    decoded = library.decode(zero[None], np.zeros((1, library.model.num_expression), np.float32))[0]
    return decoded, library.hm08.resting(zero, decoded)
