"""Turn a person's description into layers: the decoded face, the body around it, and what is worn."""

import numpy as np
from jaxtyping import Float

from morphable_synth.assets.catalog import picture_named, style_named
from morphable_synth.assets.library import Library
from morphable_synth.assets.parts import part
from morphable_synth.assets.recoloring import recolor_table
from morphable_synth.assets.textures import linear_from_srgb
from morphable_synth.people import wardrobe
from morphable_synth.people.figure import Figure
from morphable_synth.people.layers import SKIN_WRAP, Layer, Material
from morphable_synth.scene.description import Person

_LINING = (0.22, 0.06, 0.05)
"""Linear colour inside the mouth."""


def person_layers(library: Library, figure: Figure) -> list[Layer]:
    """Return all layers of a person, skin first."""
    skin, tint = _skin_material(library, figure.person)
    layers = [_head(library, figure, skin, tint)]
    if library.catalog is None:
        return [*layers, *wardrobe.plain_layers(library, figure)]
    layers += [_cavities(library, figure), *_body(library, figure), *wardrobe.clothes_layers(library, figure)]
    return [*layers, *wardrobe.face_layers(library, figure), *wardrobe.head_layers(library, figure)]


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
    patch = library.head_patch
    return Layer(
        name="head",
        xyz_cam=figure.drawn_cam[patch.vertices],
        normal=figure.drawn_normal[patch.vertices],
        triangles=patch.triangles,
        corner_uv=patch.corner_uv,
        part=library.head_parts,
        material=material,
        tint=(1.0, 1.0, 1.0) if tint is None else tint[patch.vertices],
        keep_whole=True,
        wrap=SKIN_WRAP,
    )


def _cavities(library: Library, figure: Figure) -> Layer:
    """The lining of mouth and eye sockets."""
    patch = library.cavity_patch
    color = tuple(np.array(_LINING) * (0.5 + 0.5 * min(figure.person.skin.tone[0] * 2, 1.0)))
    return Layer(
        "cavities",
        figure.drawn_cam[patch.vertices],
        patch.triangles,
        None,
        part("inner_mouth"),
        Material(specular=(0.03, 1.0)),
        color,
        casts_shadow=False,
        shade=0.6,
        wrap=SKIN_WRAP,
    )


def _body(library: Library, figure: Figure) -> list[Layer]:
    """Skin of neck and shoulders, where clothes do not hide it."""
    person, catalog, extension = figure.person, library.catalog, library.hm08
    assert catalog is not None
    clothes = style_named(catalog.clothes, person.wearing.clothes) if person.wearing.clothes else None
    body, neck = library.body_patch(clothes), library.neck_patch
    paths = (*catalog.skins_coarse, *catalog.skins_fine)
    base = picture_named(paths, person.skin.base) if person.skin.base else paths[0]
    lut = recolor_table(library.skin_mean(library.head_skin(base)), np.array(person.skin.tone), person.skin.contrast)
    material = Material(library.body_skin(base), lut=lut, specular=(person.skin.gloss, 2.0))
    shoulders = figure.pose(figure.hm08[body.vertices], extension.neck_weight[body.vertices])
    return [
        Layer("body", shoulders, body.triangles, body.corner_uv, part("body"), material, wrap=SKIN_WRAP),
        Layer(
            "neck",
            figure.drawn_cam[neck.vertices],
            neck.triangles,
            neck.corner_uv,
            part("neck"),
            material,
            normal=figure.drawn_normal[neck.vertices],
            wrap=SKIN_WRAP,
        ),
    ]
