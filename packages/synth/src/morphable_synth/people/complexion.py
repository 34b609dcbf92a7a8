"""Where lips, stubble, freckles and make-up lie on a face, and how they color it."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float

from morphable import MorphableModel
from morphable_synth.scene.description import Complexion

_STUBBLE = np.array([0.62, 0.60, 0.55], np.float32)
"""What full stubble takes from linear light."""
_FRECKLES = np.array([0.30, 0.48, 0.55], np.float32)
_BLUSH = np.array([-0.04, 0.26, 0.20], np.float32)
_EYE_RINGS = np.array([0.22, 0.28, 0.22], np.float32)
_BEARD_TOP_M = ((0.0, 0.02, 0.035, 0.05, 0.075), (-0.0175, -0.0185, -0.0345, -0.0345, 0.0015))
"""Distance from the plane of symmetry, and the height up to which a beard grows there."""


@dataclass(frozen=True)
class ComplexionMap:
    """Per vertex of the decoded face how far it belongs to what a complexion colors, 0 to 1."""

    lips: Float[np.ndarray, " verts"]
    beard: Float[np.ndarray, " verts"]
    cheeks: Float[np.ndarray, " verts"]
    upper_lids: Float[np.ndarray, " verts"]
    eye_rings: Float[np.ndarray, " verts"]
    freckles: Float[np.ndarray, " verts"]


@cache
def complexion_map(model: MorphableModel) -> ComplexionMap:
    """Place the colored parts on the mean face of the open model."""
    with torch.no_grad():
        mean = model.decode_shape(torch.zeros(model.num_identity), torch.zeros(model.num_expression)).numpy()
    x, y, z = np.abs(mean[:, 0]), mean[:, 1], mean[:, 2]
    inside = _share(model, ("inner_mouth", "left_eye", "right_eye"))
    lips = _share(model, ("upper_lip", "lower_lip"))
    skin = (1 - inside) * (1 - lips)

    def spot(at_x: float, at_y: float, at_z: float, radius: float) -> np.ndarray:
        squared = (x - at_x) ** 2 + (y - at_y) ** 2 + (z - at_z) ** 2
        return np.asarray(np.exp(-0.5 * squared / radius**2) * skin)

    below = np.clip((np.interp(x, *_BEARD_TOP_M) - y) / 0.008 + 0.5, 0.0, 1.0)
    front, above_neck = np.clip((z + 0.0685) / 0.02, 0.0, 1.0), np.clip((y + 0.1135) / 0.02, 0.0, 1.0)
    beard = below * front * above_neck * skin * (1 - _share(model, ("nose", "ears")))
    cheeks = spot(0.038, -0.0085, 0.0115, 0.018) + 0.8 * spot(0.0, -0.0085, 0.0615, 0.012)
    freckles = np.clip(spot(0.03, 0.004, 0.022, 0.02) + spot(0.0, 0.008, 0.055, 0.015), 0.0, 1.0)
    maps = {
        "lips": lips,
        "beard": beard,
        "cheeks": np.clip(cheeks, 0.0, 1.0),
        "upper_lids": spot(0.0315, 0.0400, 0.0345, 0.0065) * (y > 0.0330),
        "eye_rings": spot(0.0285, 0.0190, 0.0330, 0.0075),
        "freckles": freckles,
    }
    return ComplexionMap(**{name: np.asarray(values, np.float32) for name, values in maps.items()})


def complexion_factor(places: ComplexionMap, complexion: Complexion) -> Float[np.ndarray, "verts 3"]:
    """Return the factor on the linear color of every vertex of the decoded face."""
    factor = np.ones((len(places.lips), 3), np.float32)
    for where, color in ((places.lips, complexion.lips), (places.upper_lids, complexion.upper_lids)):
        factor *= 1 + where[:, None] * (np.array(color, np.float32) - 1)
    factor *= 1 - complexion.stubble * places.beard[:, None] * _STUBBLE
    factor *= 1 - complexion.blush * places.cheeks[:, None] * _BLUSH
    factor *= 1 - complexion.eye_rings * places.eye_rings[:, None] * _EYE_RINGS
    if complexion.freckles > 0:
        rng = np.random.default_rng(complexion.freckles_seed)
        speckles = np.clip(rng.normal(-0.9, 1.0, len(factor)), 0.0, 1.0).astype(np.float32)
        factor *= 1 - complexion.freckles * (places.freckles * speckles)[:, None] * _FRECKLES
    return factor


def _share(model: MorphableModel, names: tuple[str, ...]) -> np.ndarray:
    """Share of the triangles around each vertex that belong to the named parts."""
    wanted = np.isin(model.part_labels.numpy(), [model.part_names.index(name) for name in names])
    triangles = model.triangles.numpy()
    count, among = np.zeros(model.num_vertices), np.zeros(model.num_vertices)
    for corner in triangles.T:
        np.add.at(count, corner, 1.0)
        np.add.at(among, corner, wanted)
    return among / np.maximum(count, 1.0)
