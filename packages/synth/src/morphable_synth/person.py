"""Turn a person's description into layers: the decoded face, the body around it, and what is worn."""

import numpy as np
from jaxtyping import Float

from morphable_synth import wardrobe
from morphable_synth.assets import picture_named
from morphable_synth.figure import Figure
from morphable_synth.layers import SKIN_WRAP, Layer, Material, vertex_normals
from morphable_synth.library import Library
from morphable_synth.parts import MODEL_PARTS, part
from morphable_synth.scene import Person
from morphable_synth.skin import recolor_table
from morphable_synth.textures import linear_from_srgb

_LINING = (0.22, 0.06, 0.05)
"""Linear colour inside the mouth."""


def person_layers(library: Library, figure: Figure) -> list[Layer]:
    """Return all layers of a person, skin first."""
    skin, tint = _skin_material(library, figure.person)
    layers = [_head(library, figure, skin, tint)]
    if library.catalog is None:
        return [*layers, *wardrobe.plain_layers(library, figure)]
    clothes, hidden = wardrobe.clothes_layers(library, figure)
    layers += [_cavities(library, figure), *_body(library, figure, hidden)]
    return [*layers, *clothes, *wardrobe.face_layers(library, figure), *wardrobe.head_layers(library, figure)]


def _skin_material(library: Library, person: Person) -> tuple[Material, np.ndarray | None]:
    """The material of the head's skin, and vertex colours where the open model's albedo is worn."""
    skin, catalog = person.skin, library.catalog
    specular = (skin.gloss, skin.roughness)
    if catalog is None or not skin.base:
        return Material(specular=specular), albedo_colors(library, person)
    paths = (*catalog.skins_fine, *catalog.skins_coarse)
    texture = library.head_skin(picture_named(paths, skin.base))
    detail = library.skin_detail(picture_named(catalog.skins_fine, skin.detail))
    lut = recolor_table(library.skin_mean(texture), np.array(skin.tone), skin.contrast)
    return Material(texture, detail, skin.detail_strength, lut, specular), None


def albedo_colors(library: Library, person: Person) -> Float[np.ndarray, "verts 3"]:
    """Return the open model's albedo for a person, linear light."""
    import torch

    with torch.no_grad():
        colors = library.model.decode_albedo(torch.from_numpy(person.albedo)).numpy()
    return linear_from_srgb(np.clip(colors, 0.02, 1.0))


def _head(library: Library, figure: Figure, material: Material, tint: np.ndarray | None) -> Layer:
    keep = library.head_kept
    labels = np.array([part(name) if name in MODEL_PARTS else part("skin") for name in library.model.part_names])
    placed = figure.pose(figure.decoded, library.hm08.head_neck_weight)
    return Layer(
        name="head",
        xyz_cam=placed,
        normal=vertex_normals(placed, library.head_triangles),
        triangles=library.head_triangles[keep],
        corner_uv=library.head_corner_uv[keep],
        part=labels[library.part_labels[keep]].astype(np.int32),
        material=material,
        tint=(1.0, 1.0, 1.0) if tint is None else tint,
        keep_whole=True,
        wrap=SKIN_WRAP,
    )


def _cavities(library: Library, figure: Figure) -> Layer:
    """The lining of mouth and eye sockets."""
    keep = ~library.in_skin_map & ~library.replaced & ~library.on_torso
    placed = figure.pose(figure.decoded, library.hm08.head_neck_weight)
    material = Material(specular=(0.03, 1.0))
    color = tuple(np.array(_LINING) * (0.5 + 0.5 * min(figure.person.skin.tone[0] * 2, 1.0)))
    triangles = library.head_triangles[keep]
    return Layer(
        "cavities",
        placed,
        triangles,
        None,
        part("inner_mouth"),
        material,
        color,
        casts_shadow=False,
        shade=0.6,
        wrap=SKIN_WRAP,
    )


def _body(library: Library, figure: Figure, hidden: np.ndarray) -> list[Layer]:
    """Skin of neck and shoulders, where clothes do not hide it."""
    person, catalog, extension = figure.person, library.catalog, library.hm08
    assert catalog is not None
    shown = ~np.isin(extension.skin_triangles, hidden).any(1)
    used, compact = np.unique(extension.skin_triangles[shown], return_inverse=True)
    paths = (*catalog.skins_coarse, *catalog.skins_fine)
    base = picture_named(paths, person.skin.base) if person.skin.base else paths[0]
    lut = recolor_table(library.skin_mean(library.head_skin(base)), np.array(person.skin.tone), person.skin.contrast)
    material = Material(library.body_skin(base), lut=lut, specular=(person.skin.gloss, 2.0))
    shoulders = figure.pose(figure.hm08[used], extension.neck_weight[used])
    triangles, uv = compact.reshape(-1, 3).astype(np.int32), extension.skin_corner_uv[shown]
    neck = figure.pose(figure.decoded, extension.head_neck_weight)
    neck_normal = vertex_normals(neck, library.head_triangles)
    on_torso = library.on_torso
    return [
        Layer("body", shoulders, triangles, uv, part("body"), material, wrap=SKIN_WRAP),
        Layer(
            "neck",
            neck,
            library.head_triangles[on_torso],
            library.head_full_uv[on_torso],
            part("neck"),
            material,
            normal=neck_normal,
            wrap=SKIN_WRAP,
        ),
    ]
