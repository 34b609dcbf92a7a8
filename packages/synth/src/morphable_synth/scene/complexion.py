"""Draw what colors a face beside its skin: lips, stubble, freckles, blush, make-up."""

import numpy as np

from morphable_synth.scene.description import Complexion

_LIPSTICKS = (
    (1.05, 0.30, 0.38), (0.72, 0.18, 0.22), (1.15, 0.55, 0.62), (0.95, 0.50, 0.42), (0.55, 0.28, 0.26),
    (1.10, 0.80, 0.78), (0.30, 0.08, 0.12),
)  # fmt: skip
"""Factors on the linear color of lips: red, dark red, pink, coral, brown, pale, plum."""
_PALE_LIPS = (0.95, 1.25, 1.18)
"""Factor that takes the lips of MakeHuman's skins about to the color of the skin around them."""


def sample_complexion(rng: np.random.Generator, *, female: bool, darkness: float) -> Complexion:
    """Draw the complexion of a person.

    Args:
        rng: Source of randomness.
        female: Lipstick and make-up are drawn for women, stubble for men.
        darkness: Tone of the skin, 0 very light to 1 very dark; light skin has more freckles.
    """
    stubble = float(rng.beta(1.1, 1.6)) if rng.random() < 0.6 else 0.0
    made_up = bool(rng.random() < 0.35)
    lids = np.exp(rng.normal(-0.25, 0.3, 3)) if made_up and rng.random() < 0.7 else np.ones(3)
    freckles = float(rng.beta(1.2, 2.0)) if rng.random() < 0.16 * (1.0 - darkness) ** 0.5 else 0.0
    lips = _lips(rng, painted=female and made_up)
    return Complexion(
        lips=(float(lips[0]), float(lips[1]), float(lips[2])),
        upper_lids=(float(lids[0]), float(lids[1]), float(lids[2])) if female else (1.0, 1.0, 1.0),
        stubble=0.0 if female else stubble,
        blush=float(np.clip(rng.normal(0.0, 0.3), -0.5, 1.0)),
        eye_rings=float(np.clip(rng.normal(0.1, 0.25), 0.0, 0.8)),
        freckles=freckles,
        freckles_seed=int(rng.integers(1 << 30)),
    )


def _lips(rng: np.random.Generator, *, painted: bool) -> np.ndarray:
    """Natural lips from pale to dark, or lipstick of any strength, at times of any color."""
    pale = rng.beta(1.0, 1.5)
    natural = np.array(_PALE_LIPS) ** pale * np.exp(rng.normal(0.0, 0.12)) * np.exp(rng.normal(0.0, 0.07, 3))
    stick, strength = np.array(_LIPSTICKS[int(rng.integers(len(_LIPSTICKS)))]), rng.uniform(0.3, 1.0)
    other = np.exp(rng.normal(-0.2, 0.4, 3))
    if not painted:
        return np.clip(natural, 0.3, 2.0)
    return np.clip(other if rng.random() < 0.1 else natural ** (1 - strength) * stick**strength, 0.05, 2.0)
