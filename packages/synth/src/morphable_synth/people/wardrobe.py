"""What a person wears and what MakeHuman adds to a head: eyes, teeth, brows, lashes, hair, clothes, glasses, hats."""

import numpy as np
import torch
from jaxtyping import Float

from morphable.eyes import gaze_angles
from morphable_synth.assets.catalog import Style, picture_named, style_named
from morphable_synth.assets.library import Library
from morphable_synth.assets.parts import part
from morphable_synth.assets.patches import compacted
from morphable_synth.assets.recoloring import plain_table, recolor_table
from morphable_synth.assets.textures import linear_from_srgb
from morphable_synth.people.face_mask import mask_layer
from morphable_synth.people.figure import Figure
from morphable_synth.people.layers import HAIR_WRAP, SKIN_WRAP, Layer, Material, soft_normals, vertex_normals
from morphable_synth.scene.camera import CAM_FROM_UP, head_rotation
from morphable_synth.scene.description import Wearing

LEFT_EYE, RIGHT_EYE = np.arange(14598, 14670), np.arange(14670, 14742)
_OPAQUE = 0.5
_CASTS = 0.4
TONGUE = (0.35, 0.11, 0.10)
"""Linear color."""
_TEETH_MIN_PX, _LASH_MIN_PX = 40.0, 40.0
_HAIR_BIAS_M, _BROW_BIAS_M, _LASH_BIAS_M = 0.004, 0.004, 0.003
_HAT_MARGIN_M = 0.004
_HANGING_M = (0.02, 0.12)
"""Heights below the pivot between which hanging hair passes from the head to the shoulders."""


def _recolored(
    library: Library, style: Style, color: tuple[float, float, float], *, gray: bool = False
) -> tuple[int, np.ndarray]:
    """A style's texture and the table that gives it a color; ``gray`` drops the texture's own hues."""
    texture = library.gray_texture(style.texture) if gray else library.texture(style.texture)
    mean = linear_from_srgb(library.pool.mean_color(texture)[:3])
    return texture, recolor_table(mean, np.array(color), 0.85)


def clothes_layers(library: Library, figure: Figure) -> list[Layer]:
    """Return the clothes."""
    catalog, wearing, extension = library.catalog, figure.person.wearing, library.hm08
    if catalog is None or not wearing.clothes:
        return []
    style = style_named(catalog.clothes, wearing.clothes)
    mesh = library.proxy(style)
    xyz = mesh.bind(figure.hm08)
    share = (extension.neck_weight[mesh.reference] * mesh.weights).sum(1).clip(0, 1)
    texture, lut = library.texture(style.texture), plain_table()
    if wearing.cloth_color is not None:
        texture, lut = _recolored(library, style, wearing.cloth_color)
    material = Material(texture, lut=lut, specular=(0.01, 2.0))
    placed = figure.pose(xyz, share)
    return [Layer("clothes", placed, mesh.triangles, mesh.corner_uv, part("clothes"), material)]


def face_layers(library: Library, figure: Figure) -> list[Layer]:
    """Return eyes, brows, lashes, teeth and tongue."""
    person = figure.person
    out = [_eyes(library, figure), _tongue(library, figure)]
    if person.face_px >= _TEETH_MIN_PX and person.wearing.teeth:
        out.append(_teeth(library, figure))
    for kind, name, bias in (
        ("eyebrows", person.wearing.eyebrows, _BROW_BIAS_M),
        ("eyelashes", person.wearing.eyelashes if person.face_px >= _LASH_MIN_PX else "", _LASH_BIAS_M),
    ):
        if name and person.skin.base and library.catalog is not None:  # the open model's albedo has brows of its own
            out.append(_hairs_on_skin(library, figure, style_named(getattr(library.catalog, kind), name), bias))
    return [layer for layer in out if layer is not None]


def _eyes(library: Library, figure: Figure) -> Layer | None:
    catalog = library.catalog
    if catalog is None or catalog.eyes is None:
        return None
    iris = picture_named(catalog.irises, figure.person.wearing.iris)
    mesh = library.proxy(Style(catalog.eyes.name, catalog.eyes.mesh, iris), min_alpha=_OPAQUE)
    xyz = mesh.bind(figure.resting_hm08)
    normal = np.zeros_like(xyz)
    gaze = gaze_angles(library.eye_reader(torch.from_numpy(figure.decoded)).gaze)
    left = mesh.reference[:, 0] < RIGHT_EYE[0]
    for side, vertices, (yaw, pitch) in zip((~left, left), (RIGHT_EYE, LEFT_EYE), gaze.tolist(), strict=True):
        center, radius = sphere_through(figure.resting_hm08[vertices])
        ball, ball_radius = sphere_through(figure.decoded[library.eyeball_surface[0 if vertices is LEFT_EYE else 1]])
        turn = head_rotation(pitch, -yaw, 0.0)
        offset = (xyz[side] - center) @ turn.T * (ball_radius / radius)
        xyz[side] = ball + offset
        normal[side] = offset / np.linalg.norm(offset, axis=1, keepdims=True)
    rotation = CAM_FROM_UP @ figure.person.rotation_head
    labels = np.where(left[mesh.triangles[:, 0]], part("left_eye"), part("right_eye")).astype(np.int32)
    material = Material(library.texture(iris), lut=plain_table(), specular=(0.035, 0.0))
    placed = figure.pose(xyz, 1.0)
    normal_cam = np.asarray(normal @ rotation.T, np.float32)
    return Layer(
        "eyes",
        placed,
        mesh.triangles,
        mesh.corner_uv,
        labels,
        material,
        normal=normal_cam,
        shade=0.8,
        casts_shadow=False,
        wrap=SKIN_WRAP,
    )


def sphere_through(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Center and radius of the sphere nearest to points (algebraic least squares)."""
    design = np.hstack([2 * points, np.ones((len(points), 1))]).astype(np.float64)
    solution = np.linalg.lstsq(design, (points.astype(np.float64) ** 2).sum(1), rcond=None)[0]
    center = solution[:3]
    return center.astype(np.float32), float(np.sqrt(solution[3] + center @ center))


def _teeth(library: Library, figure: Figure) -> Layer | None:
    catalog, wearing = library.catalog, figure.person.wearing
    if catalog is None:
        return None
    style = style_named(catalog.teeth, wearing.teeth)
    mesh = library.proxy(style, min_alpha=0.3)
    lut = teeth_table(wearing)
    material = Material(library.texture(style.texture), lut=lut, specular=(0.04, 1.0))
    placed, label = figure.pose(mesh.bind(figure.hm08), 1.0), part("inner_mouth")
    return Layer("teeth", placed, mesh.triangles, mesh.corner_uv, label, material, casts_shadow=False, wrap=SKIN_WRAP)


def teeth_table(wearing: Wearing) -> Float[np.ndarray, "256 3"]:
    """Return the table that takes a picture of teeth to the linear color of a person's."""
    return plain_table() * np.array([1.0, 0.96, 0.88], np.float32) * wearing.teeth_shade * 0.8


def _tongue(library: Library, figure: Figure) -> Layer | None:
    patch = library.tongue_patch
    if len(patch.triangles) == 0:
        return None
    placed = figure.pose(figure.decoded[patch.vertices], 1.0)
    material, label = Material(specular=(0.03, 1.0)), part("inner_mouth")
    return Layer("tongue", placed, patch.triangles, None, label, material, TONGUE, casts_shadow=False, shade=0.7)


def hairs_material(library: Library, style: Style, wearing: Wearing, bias_m: float = 0.0) -> Material:
    """Return the material of brows or lashes."""
    lashes = "lash" in style.name
    color = np.array(wearing.hair_color) * (0.25 if lashes else 0.55)
    texture, lut = _recolored(library, style, (float(color[0]), float(color[1]), float(color[2])))
    return Material(texture, lut=np.minimum(lut, 0.25), alpha_gain=0.65 if lashes else 1.0, depth_bias_m=bias_m)


def _hairs_on_skin(library: Library, figure: Figure, style: Style, bias_m: float) -> Layer:
    """Brows and lashes: thin transparent sheets over the skin."""
    mesh = library.proxy(style)
    placed = figure.pose(mesh.bind(figure.hm08), 1.0)
    lashes = "lash" in style.name
    material = hairs_material(library, style, figure.person.wearing, bias_m)
    normal = vertex_normals(placed, mesh.triangles)
    normal *= np.where(normal[:, 2:] > 0, -1.0, 1.0).astype(np.float32)
    name = "lashes" if lashes else "brows"
    return Layer(
        name,
        placed,
        mesh.triangles,
        mesh.corner_uv,
        part("skin"),
        material,
        normal=normal,
        transparent=True,
        casts_shadow=False,
    )


def head_layers(library: Library, figure: Figure) -> list[Layer]:
    """Return hair, beard, glasses, hat and face mask."""
    catalog, wearing = library.catalog, figure.person.wearing
    assert catalog is not None
    out: list[Layer] = []
    brim_m = np.inf
    if wearing.hat:
        layer, brim_m = _hat(library, figure, style_named(catalog.hats, wearing.hat))
        out.append(layer)
    if wearing.hair:
        out.append(_hair(library, figure, style_named(catalog.hair, wearing.hair), "hair", brim_m))
    if wearing.mask_color is not None:
        out.append(mask_layer(library, figure))
    elif wearing.beard:
        out.append(_hair(library, figure, style_named(catalog.beards, wearing.beard), "beard", np.inf))
    if wearing.glasses:
        out.append(_glasses(library, figure, style_named(catalog.glasses, wearing.glasses)))
    return out


def _hair(library: Library, figure: Figure, style: Style, name: str, below_m: float) -> Layer:
    mesh = library.proxy(style, min_alpha=0.02)
    xyz = mesh.bind(figure.hm08)
    triangles, uv = mesh.triangles, mesh.corner_uv
    if np.isfinite(below_m):
        keep = xyz[triangles][..., 1].max(1) < below_m
        triangles, uv = triangles[keep], uv[keep]
    drop = (figure.pivot[1] - xyz[:, 1] - _HANGING_M[0]) / (_HANGING_M[1] - _HANGING_M[0])
    placed = figure.pose(xyz, 1.0 - np.clip(drop, 0, 1) * 0.8)
    center = figure.pose(figure.hm08[np.r_[LEFT_EYE, RIGHT_EYE]].mean(0, keepdims=True) - [[0, -0.02, 0.08]], 1.0)[0]
    texture, lut = _recolored(library, style, figure.person.wearing.hair_color, gray=True)
    material = Material(
        texture,
        lut=lut,
        specular=(0.012, 2.0),
        alpha_gain=1.15,
        depth_bias_m=_HAIR_BIAS_M if name == "beard" else 0.001,
    )
    normal = soft_normals(placed, triangles, center, 0.55)
    return Layer(name, placed, triangles, uv, part(name), material, normal=normal, transparent=True, wrap=HAIR_WRAP)


def _glasses(library: Library, figure: Figure, style: Style) -> Layer:
    mesh = library.proxy(style)
    placed = figure.pose(mesh.bind(figure.hm08), 1.0)
    tint = figure.person.wearing.lens_tint
    lens = library.opacity(style) < 0.95
    texture = library.glasses_texture(style, tint)
    material = Material(texture, lut=plain_table(), specular=(0.05, 0.0))
    normal = vertex_normals(placed, mesh.triangles)
    labels = np.where(lens & (tint < 0.4), part("skin"), part("glasses")).astype(np.int32)
    return Layer(
        "glasses",
        placed,
        mesh.triangles,
        mesh.corner_uv,
        labels,
        material,
        normal=normal,
        transparent=True,
        casts_shadow=tint > 0.4,
    )


def _hat(library: Library, figure: Figure, style: Style) -> tuple[Layer, float]:
    """Return the hat and the height above which hair is tucked under it."""
    mesh = library.proxy(style)
    xyz = mesh.bind(figure.hm08)
    texture, lut = _recolored(library, style, figure.person.wearing.hat_color)
    placed = figure.pose(xyz, 1.0)
    layer = Layer(
        "hat", placed, mesh.triangles, mesh.corner_uv, part("hat"), Material(texture, lut=lut, specular=(0.01, 2.0))
    )
    return layer, float(np.quantile(xyz[:, 1], 0.35)) - _HAT_MARGIN_M


def plain_layers(library: Library, figure: Figure) -> list[Layer]:
    """Return shoulders in a plain shirt and a cap of hair: what can be made without assets."""
    extension, wearing = library.hm08, figure.person.wearing
    patch = library.body_patch(None)
    used, triangles = patch.vertices, patch.triangles
    xyz = figure.hm08[used]
    shirt = xyz[:, 1] < figure.pivot[1] - 0.05
    color = np.where(shirt[:, None], wearing.cloth_color or (0.2, 0.2, 0.25), figure.person.skin.tone)
    labels = np.where(shirt[triangles].all(1), part("clothes"), part("body")).astype(np.int32)
    swollen = xyz + 0.008 * vertex_normals(xyz, triangles) * shirt[:, None]
    placed = figure.pose(swollen, extension.neck_weight[used])
    out = [Layer("shirt", placed, triangles, None, labels, tint=np.asarray(color, np.float32))]
    if wearing.hair:
        out.append(_hair_cap(library, figure))
    if wearing.mask_color is not None:
        out.append(mask_layer(library, figure))
    return out


def _hair_cap(library: Library, figure: Figure) -> Layer:
    """The scalp, swollen and mottled."""
    triangles = library.head_triangles[library.part_mask(("scalp",))]
    used, compact = compacted(triangles)
    xyz = figure.decoded[used]
    rng = np.random.default_rng(int(abs(figure.person.identity[0]) * 1e6))
    waves = _waves(rng, xyz)
    swollen = xyz + (0.012 + 0.006 * waves[:, None]) * vertex_normals(xyz, compact)
    tint = np.array(figure.person.wearing.hair_color) * np.exp(0.5 * _waves(rng, xyz * 4.0))[:, None]
    placed = figure.pose(np.asarray(swollen, np.float32), 1.0)
    return Layer(
        "hair",
        placed,
        compact,
        None,
        part("hair"),
        Material(specular=(0.02, 1.0)),
        np.asarray(tint, np.float32),
        wrap=HAIR_WRAP,
    )


def _waves(rng: np.random.Generator, xyz: np.ndarray) -> Float[np.ndarray, " points"]:
    """Smooth noise in [-1, 1]."""
    directions, phase = rng.normal(0, 60.0, (6, 3)), rng.uniform(0, 6.28, 6)
    return np.asarray(np.sin(xyz @ directions.T + phase).mean(1), np.float32)
