"""Skin and hair colors: tones from very light to very dark."""

import numpy as np
from jaxtyping import Float

from morphable_synth.assets.textures import linear_from_srgb

SKIN_TONES_SRGB = np.array(
    [
        (240, 208, 190), (228, 188, 164), (212, 166, 138), (190, 143, 112), (164, 116, 86),
        (134, 90, 64), (104, 68, 48), (78, 50, 36), (56, 36, 28),
    ],
    np.float32,
)  # fmt: skip
"""Mean face colors, light to dark, about evenly spaced to the eye."""
HAIR_COLORS_SRGB = {
    "black": (28, 24, 22), "dark_brown": (54, 38, 28), "brown": (88, 60, 40), "auburn": (112, 56, 32),
    "light_brown": (134, 100, 68), "blond": (188, 150, 98), "grey": (140, 136, 132), "white": (212, 208, 202),
}  # fmt: skip


def skin_tone(darkness: float, warmth: float) -> Float[np.ndarray, "3"]:
    """Return a mean skin color (linear light).

    Args:
        darkness: 0 very light to 1 very dark.
        warmth: About -1 (pink, cool) to 1 (yellow, warm).
    """
    at = np.clip(darkness, 0.0, 1.0) * (len(SKIN_TONES_SRGB) - 1)
    low = min(int(at), len(SKIN_TONES_SRGB) - 2)
    srgb = SKIN_TONES_SRGB[low] + (at - low) * (SKIN_TONES_SRGB[low + 1] - SKIN_TONES_SRGB[low])
    shifted = srgb * (1 + warmth * np.array([0.0, 0.025, -0.07], np.float32))
    return linear_from_srgb(shifted / 255.0)
