"""The colors of a whole head in the tone of the photograph: what textures show where the photograph shows nothing."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from morphable import MorphableModel
from morphable_reconstruct.drawing.colors import drawn_albedo
from morphable_reconstruct.drawing.membrane import membrane
from morphable_reconstruct.faces.rows import Face
from morphable_render import irradiance_sh

STIFFNESS = 6.0
"""Of the difference between photograph and lit albedo, over the mesh."""
HAIRLINE_STIFFNESS = 150.0
"""Of the change from skin to hair."""
DARKEST = 0.05
"""Added to colors before their ratio is taken, so that the noise of dark ones does not count."""
MAX_RATIO = 4.0
"""Photograph and lit albedo differ by at most this factor."""
HAIR_SHARE = 0.9
"""Share of the hair's color far from the hairline."""
MIN_HAIR_VERTICES = 40
SIDE_COSINE, BACK_COSINE = 0.2, -0.4
"""Normals' share toward the camera up to which the estimated light counts, and from which it does not."""
ANIMATED_GAP_M = 0.012
"""Textures show the inside of the mouth as it looks when it opens, also where the photograph's lips are shut."""
_SKIN_PART, _HAIR_PART = "skin", "scalp"
_HAIR_SPREAD = 0.25


@dataclass(frozen=True, eq=False)
class Seen:
    """What the photograph shows at the vertices of one face."""

    rgb: Float[np.ndarray, "verts 3"]
    face: Float[np.ndarray, " verts"]
    """Trust in the color as that of the face, 0 to 1."""
    hair: Float[np.ndarray, " verts"]
    """Trust in it as that of hair or whatever else is on the scalp."""


@dataclass(frozen=True, eq=False)
class Tone:
    """Colors of one head."""

    rgb: Float[Tensor, "verts 3"]
    """As the photograph's light shows them, sRGB-encoded."""
    light: Float[Tensor, "verts 3"]
    """The light in them, to divide it out."""


def head_tone(face: Face, seen: Seen) -> Tone:
    """Bring the lit albedo of a head to the photograph's tone.

    The logarithm of the ratio of the two is a field that the membrane continues from where the photograph shows the
    face to where it doesn't, so that both meet without a seam. The scalp is bare skin or, where the photograph shows
    hair there, softly takes its color.
    """
    model = face.model
    light = _light(face)
    albedo = drawn_albedo(face.scene.take(np.array([face.index])), least_gap_m=ANIMATED_GAP_M)[0].double().numpy()
    base = np.clip(_bald(model, albedo) * light, 1e-3, None)
    rgb, weight = seen.rgb, seen.face
    if _HAIR_PART in model.part_names and (seen.hair > 0).sum() >= MIN_HAIR_VERTICES:
        color = _hair_color(seen)
        share = HAIR_SHARE * _scalp_share(model)[:, None]
        base = base ** (1 - share) * color**share
        near = np.exp(-np.square((seen.rgb - color) / _HAIR_SPREAD).mean(1))
        weight = weight + seen.hair * near * _scalp_share(model)
    ratio = np.log((rgb + DARKEST) / (base + DARKEST)).clip(-np.log(MAX_RATIO), np.log(MAX_RATIO))
    field = membrane(model).solve(ratio, weight, stiffness=STIFFNESS)
    toned = (base + DARKEST) * np.exp(field) - DARKEST
    return Tone(torch.from_numpy(toned.clip(0.0, 1.0)).float(), torch.from_numpy(light).float())


def _light(face: Face) -> Float[np.ndarray, "verts 3"]:
    """Light on every vertex; toward the back, of which the photograph tells nothing, it becomes that of the front."""
    parameters = face.parameters
    with torch.no_grad():
        normals = face.model.normals(face.scene.vertices_model_m[face.index]) @ parameters.rotation_head.mT
        light = irradiance_sh(normals, parameters.illumination).clamp(min=DARKEST)
        share = ((normals[:, 2:] - BACK_COSINE) / (SIDE_COSINE - BACK_COSINE)).clamp(0, 1)
        front = light[normals[:, 2] > SIDE_COSINE].mean(0)
        return (share * light + (1 - share) * front).double().numpy()


def _bald(model: MorphableModel, albedo: Float[np.ndarray, "verts 3"]) -> Float[np.ndarray, "verts 3"]:
    """Replace the albedo of the scalp by the skin's."""
    if _HAIR_PART not in model.part_names or _SKIN_PART not in model.part_names:
        return albedo
    share = _scalp_share(model)[:, None]
    skin = np.median(albedo[model.region(_SKIN_PART).numpy()], axis=0)
    return (1 - share) * albedo + share * skin


def _hair_color(seen: Seen) -> Float[np.ndarray, "3"]:
    """Median color of what covers the scalp."""
    return np.clip(np.median(seen.rgb[seen.hair > 0], axis=0), 0.02, 1.0)


@lru_cache(maxsize=4)
def _scalp_share(model: MorphableModel) -> Float[np.ndarray, " verts"]:
    """0 on the face, 1 on the scalp, with a soft hairline; kept for the last few models."""
    scalp = only_part(model, _HAIR_PART)
    known = np.ones(model.num_vertices)
    soft = membrane(model).solve(scalp[:, None].astype(float), known, stiffness=HAIRLINE_STIFFNESS)[:, 0]
    return np.where(scalp, np.clip(2 * soft - 0.6, 0.0, 1.0), 0.0)


def only_part(model: MorphableModel, name: str) -> Bool[np.ndarray, " verts"]:
    """Return the vertices of a part that touch no other part."""
    label = model.part_names.index(name)
    other = np.zeros(model.num_vertices, dtype=bool)
    other[model.triangles[model.part_labels != label].reshape(-1).numpy()] = True
    return model.region(name).numpy() & ~other
