"""Turn a person's description into layers: the decoded face, the body around it, and what is worn."""

import numpy as np
from jaxtyping import Float

from morphable_synth.assets.catalog import picture_named, style_named
from morphable_synth.assets.library import Library
from morphable_synth.assets.parts import part
from morphable_synth.assets.recoloring import recolor_table
from morphable_synth.assets.textures import linear_from_srgb
from morphable_synth.people import wardrobe
from morphable_synth.people.complexion import complexion_factor, complexion_map
from morphable_synth.people.figure import Figure
from morphable_synth.people.layers import SKIN_WRAP, Layer, Material
from morphable_synth.scene.description import Person

_LINING = (0.22, 0.06, 0.05)
"""Linear color inside the mouth."""
_SOCKET = (0.85, 0.66, 0.62)
"""Factor that takes a skin's tone to the color of the lids' inner sides; redder ones show as red rims of shut lids."""


def person_layers(library: Library, figure: Figure) -> list[Layer]:
    """Return all layers of a person, skin first."""
    skin, tint = skin_material(library, figure.person)
    layers = [_head(library, figure, skin, tint)]
    if library.catalog is None:
        return [*layers, *wardrobe.plain_layers(library, figure)]
    layers += [_cavities(library, figure), *_body(library, figure), *wardrobe.clothes_layers(library, figure)]
    return [*layers, *wardrobe.face_layers(library, figure), *wardrobe.head_layers(library, figure)]


def skin_material(library: Library, person: Person) -> tuple[Material, np.ndarray]:
    """Return the material of the head's skin and its vertex colors: a complexion, or the model's albedo."""
    skin, catalog = person.skin, library.catalog
    specular = (skin.gloss, skin.roughness)
    if catalog is None or not skin.base:
        return Material(specular=specular), albedo_colors(library, person)
    paths = (*catalog.skins_fine, *catalog.skins_coarse)
    texture = library.head_skin(picture_named(paths, skin.base))
    detail = library.skin_detail(picture_named(catalog.skins_fine, skin.detail))
    lut = recolor_table(library.skin_mean(texture), np.array(skin.tone), skin.contrast)
    factor = complexion_factor(complexion_map(library.model), person.complexion)
    return Material(texture, detail, skin.detail_strength, lut, specular), factor


def albedo_colors(library: Library, person: Person) -> Float[np.ndarray, "verts 3"]:
    """Return the open model's albedo for a person, linear light."""
    import torch

    with torch.no_grad():
        colors = library.model.decode_albedo(torch.from_numpy(person.albedo)).numpy()
    return linear_from_srgb(np.clip(colors, 0.02, 1.0))


def body_material(library: Library, person: Person) -> Material:
    """Return the material of neck and shoulders."""
    catalog = library.catalog
    assert catalog is not None
    paths = (*catalog.skins_coarse, *catalog.skins_fine)
    base = picture_named(paths, person.skin.base) if person.skin.base else paths[0]
    lut = recolor_table(library.skin_mean(library.head_skin(base)), np.array(person.skin.tone), person.skin.contrast)
    return Material(library.body_skin(base), lut=lut, specular=(person.skin.gloss, 2.0))


def _head(library: Library, figure: Figure, material: Material, tint: np.ndarray) -> Layer:
    patch = library.head_patch
    return Layer(
        name="head",
        xyz_cam=figure.drawn_cam[patch.vertices],
        normal=figure.drawn_normal[patch.vertices],
        triangles=patch.triangles,
        corner_uv=patch.corner_uv,
        part=library.head_parts,
        material=material,
        tint=tint[patch.vertices],
        keep_whole=True,
        wrap=SKIN_WRAP,
    )


def cavity_colors(library: Library, person: Person) -> Float[np.ndarray, "verts 3"]:
    """Return the linear color that every vertex of the decoded face has where it lines mouth or eye sockets."""
    mouth = np.array(_LINING) * (0.5 + 0.5 * min(person.skin.tone[0] * 2, 1.0))
    socket = np.array(person.skin.tone) * _SOCKET
    return np.asarray(np.where(library.in_socket[:, None], socket, mouth), np.float32)


def _cavities(library: Library, figure: Figure) -> Layer:
    """The lining of mouth and eye sockets."""
    patch = library.cavity_patch
    return Layer(
        "cavities",
        figure.drawn_cam[patch.vertices],
        patch.triangles,
        None,
        part("inner_mouth"),
        Material(specular=(0.03, 1.0)),
        cavity_colors(library, figure.person)[patch.vertices],
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
    material = body_material(library, person)
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
