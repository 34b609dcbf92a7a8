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
from morphable_render.lighting import irradiance_sh

STIFFNESS, STIFF_AT_PX = 6.0, 200.0
"""Stiffness over the mesh of the difference between photograph and lit albedo, in faces of at least this size. A pixel
of a smaller face covers more edges, and its blur would wipe out the albedo's brows and lashes."""
FIRST_STIFFNESS = 20.0
"""The first tone, to which doubtful colors are compared, is this many times as stiff."""
ALIKE, STRANGE = 0.2, 0.5
"""Logarithm of the ratio of two colors, in the channel where they differ most, up to which they are alike, and from
which one is of something else."""
HAIRLINE_STIFFNESS = 150.0
"""Stiffness of the change from skin to hair."""
DARKEST = 0.05
"""Added to colors before their ratio is taken, so that the noise of dark ones does not count."""
MAX_RATIO = 4.0
"""Photograph and lit albedo differ by at most this factor."""
HAIR_SHARE = 0.9
"""Share of the hair's color far from the hairline."""
MIN_HAIR_VERTICES = 40
SIDE_COSINE, BACK_COSINE = 0.6, -0.2
"""Normals' share toward the camera up to which the estimated light counts, and from which it does not."""
ANIMATED_GAP_M = 0.02
"""Textures show the inside of the mouth as it looks when it opens, also where the photograph's lips are shut."""
SKIN_PART, _HAIR_PART = "skin", "scalp"


@dataclass(frozen=True, eq=False)
class Seen:
    """What the photograph shows at the vertices of one face."""

    rgb: Float[np.ndarray, "verts 3"]
    face: Float[np.ndarray, " verts"]
    """Trust in the color as that of the face, 0 to 1."""
    hair: Float[np.ndarray, " verts"]
    """Trust in it as that of hair or whatever else is on the scalp."""
    doubt: Float[np.ndarray, " verts"]
    """Whether something that hides the face is near, 0 to 1."""


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
    ratio = np.log((seen.rgb + DARKEST) / (base + DARKEST)).clip(-np.log(MAX_RATIO), np.log(MAX_RATIO))
    mean = np.average(ratio, axis=0, weights=seen.face) if seen.face.any() else np.zeros(3)
    size_px = float(np.ptp(face.box_xyxy_px.reshape(2, 2), axis=0).max())
    stiffness = STIFFNESS * max(1.0, STIFF_AT_PX / max(size_px, 1.0)) ** 2

    def toned(weight: Float[np.ndarray, " verts"], strength: float) -> Float[np.ndarray, "verts 3"]:
        """Bring the base to the tone of what is seen; pieces of the mesh that show nothing take the mean ratio."""
        field = mean + membrane(model).solve(ratio - mean, weight, stiffness=strength)
        return ((base + DARKEST) * np.exp(field) - DARKEST).clip(0.0, 1.0)

    first = toned(seen.face * (1 - seen.doubt), FIRST_STIFFNESS * stiffness)
    strange = strangeness(torch.from_numpy(seen.rgb), torch.from_numpy(first)).numpy()
    skin = toned(seen.face * (1 - seen.doubt * strange) ** 2, stiffness)
    rgb = _with_hair(skin, seen, light, _scalp_share(model))
    return Tone(torch.from_numpy(rgb).float(), torch.from_numpy(light).float())


def _with_hair(
    skin: Float[np.ndarray, "verts 3"],
    seen: Seen,
    light: Float[np.ndarray, "verts 3"],
    scalp: Float[np.ndarray, " verts"],
) -> Float[np.ndarray, "verts 3"]:
    """Give the scalp the median color of the hair that the photograph shows on it, in the shades of the light."""
    hair = (seen.hair > 0) & (scalp > 0)
    if hair.sum() < MIN_HAIR_VERTICES:
        return skin
    color = np.median(seen.rgb[hair], axis=0) * np.sqrt(light / light[hair].mean(0))
    share = HAIR_SHARE * scalp[:, None]
    return skin.clip(1e-3) ** (1 - share) * color.clip(0.02, 1.0) ** share


def strangeness(rgb: Float[Tensor, "*points 3"], toned: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points"]:
    """Return how surely colors are those of something else than skin of this tone, 0 to 1."""
    own, other = (colors.clamp(min=0.0) + DARKEST for colors in (rgb, toned))
    return (((own / other).log().abs().amax(-1) - ALIKE) / (STRANGE - ALIKE)).clamp(0, 1)


def _light(face: Face) -> Float[np.ndarray, "verts 3"]:
    """Return the light on every vertex; on the back, which the photograph does not show, it is that of the front."""
    parameters = face.parameters
    with torch.no_grad():
        normals = face.model.normals(face.scene.vertices_model_m[face.index]) @ parameters.rotation_head.mT
        light = irradiance_sh(normals, parameters.illumination).clamp(min=DARKEST)
        share = ((normals[:, 2:] - BACK_COSINE) / (SIDE_COSINE - BACK_COSINE)).clamp(0, 1)
        front = light[normals[:, 2] > SIDE_COSINE].mean(0)
        return (share * light + (1 - share) * front).double().numpy()


def _bald(model: MorphableModel, albedo: Float[np.ndarray, "verts 3"]) -> Float[np.ndarray, "verts 3"]:
    """Replace the albedo of the scalp by the skin's."""
    if _HAIR_PART not in model.part_names or SKIN_PART not in model.part_names:
        return albedo
    share = _scalp_share(model)[:, None]
    skin = np.median(albedo[model.region(SKIN_PART).numpy()], axis=0)
    return (1 - share) * albedo + share * skin


@lru_cache(maxsize=4)
def _scalp_share(model: MorphableModel) -> Float[np.ndarray, " verts"]:
    """0 on the face, 1 on the scalp, with a soft hairline; kept for the last few models."""
    if _HAIR_PART not in model.part_names:
        return np.zeros(model.num_vertices)
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
