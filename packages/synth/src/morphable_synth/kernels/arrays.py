"""The triangle soup of one scene, as the compiled kernels read it."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8


class Soup(NamedTuple):
    """Vertices, triangles and materials of everything in a picture. Colors are linear light."""

    xyz_cam: Float[np.ndarray, "verts 3"]
    normal: Float[np.ndarray, "verts 3"]
    tint: Float[np.ndarray, "verts 3"]
    """Color that multiplies the texture."""
    irradiance: Float[np.ndarray, "verts 3"]
    """Light that arrives, over pi: what a white Lambert surface sends back."""
    openness: Float[np.ndarray, " verts"]
    """Part of the light that arrives unshadowed; scales highlights."""
    triangles: Int[np.ndarray, "tris 3"]
    corner_uv: Float[np.ndarray, "tris 3 2"]
    material: Int[np.ndarray, " tris"]
    part: Int[np.ndarray, " tris"]
    """Index into `PART_NAMES`."""
    face: Int[np.ndarray, " tris"]
    """Number of the person in the scene; -1: nobody's."""
    texture: Int[np.ndarray, " mats"]
    """-1: no texture, the tint alone."""
    detail_texture: Int[np.ndarray, " mats"]
    """A second texture of the same layout that is mixed in; -1: none."""
    detail_mix: Float[np.ndarray, " mats"]
    lut: Float[np.ndarray, "mats 256 3"]
    """Linear color of each 8-bit texture value and channel: tone and recoloring."""
    specular: Float[np.ndarray, "mats 2"]
    """Reflectance at normal incidence, and the roughness level (0 mirror, 2 dull) of the highlight."""
    alpha_gain: Float[np.ndarray, " mats"]
    depth_bias_m: Float[np.ndarray, " mats"]
    """Moves a layer toward the camera in the depth test (brows lie on the skin)."""


class Light(NamedTuple):
    """What the shading kernels need of the light, camera frame."""

    mirror: Float[np.ndarray, "levels rows cols 3"]
    """Prefiltered radiance, latitude-longitude."""
    env_from_cam: Float[np.ndarray, "3 3"]


class Texels(NamedTuple):
    """The texture pool."""

    pixels: UInt8[np.ndarray, "texels 4"]
    levels: Int[np.ndarray, "textures levels 3"]


class Scratch(NamedTuple):
    """What the shading kernels write on while they work at a pixel."""

    texel: Float[np.ndarray, "4"]
    sky: Float[np.ndarray, "3"]
    color: Float[np.ndarray, "3"]


def scratch() -> Scratch:
    """Return fresh scratch memory."""
    return Scratch(np.empty(4, np.float32), np.empty(3, np.float32), np.empty(3, np.float32))
