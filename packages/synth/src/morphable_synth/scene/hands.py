"""Draw hands: before faces, and anywhere in the picture as what is no face."""

import numpy as np
from jaxtyping import Float

from morphable_synth.scene.camera import CAM_FROM_UP, head_rotation, unproject
from morphable_synth.scene.description import Hand, Person, SceneConfig

_BEFORE_SHARE, _BESIDE_SHARE = 0.10, 0.22
"""Share of people with a hand before the face, and of scenes with hands elsewhere."""
_MOST_TILT_RAD = 0.6
"""Arms that point farther toward the camera would fill the picture."""
_NEAREST_M, _NEAREST_FACE_M = 0.25, 0.45
"""Hands are at least so far from the camera, and faces that they cover."""
_SKIN_GAP_M = 0.11
"""How far a hand's middle is before that of the face it covers."""


def sample_hands(
    rng: np.random.Generator, config: SceneConfig, people: tuple[Person, ...], focal_px: float
) -> tuple[Hand, ...]:
    """Draw the hands of a scene."""
    hands = []
    for index, person in enumerate(people):
        if rng.random() < _BEFORE_SHARE and person.translation_m[2] > _NEAREST_FACE_M:
            reach = rng.uniform(0.25, 0.85) * 0.14
            around = rng.uniform(-np.pi, np.pi)
            aside = reach * np.array([np.cos(around), np.sin(around)])
            depth = max(float(person.translation_m[2]) - rng.uniform(1.0, 1.6) * _SKIN_GAP_M, _NEAREST_M)
            scale = depth / float(person.translation_m[2])
            center = np.append((person.translation_m[:2] + aside) * scale, depth)
            hands.append(_hand(rng, center, index, people))
    if people and rng.random() < _BESIDE_SHARE:
        for _ in range(int(rng.integers(1, 5))):
            depth = float(rng.choice([person.translation_m[2] for person in people])) * np.exp(rng.normal(-0.1, 0.25))
            spot = unproject(rng.uniform(0, config.size_px, 2), depth, config.size_px, focal_px)[:2]
            hands.append(_hand(rng, np.append(spot, max(depth, _NEAREST_M)), int(rng.integers(len(people))), people))
    return tuple(hands)


def _hand(rng: np.random.Generator, center: np.ndarray, owner: int, people: tuple[Person, ...]) -> Hand:
    pitch, yaw = np.clip(rng.normal(0, (0.3, 0.4)), -_MOST_TILT_RAD, _MOST_TILT_RAD)
    roll = rng.uniform(-np.pi, np.pi)
    back = rng.random() < 0.5
    rotation = CAM_FROM_UP @ head_rotation(float(pitch), float(yaw + np.pi * back), float(roll))
    value = rng.uniform(0.02, 0.7) * rng.uniform(0.3, 1.0, 3)
    return Hand(
        center_m=_three(center),
        rotation=np.asarray(rotation, np.float32),
        curl=float(np.clip(rng.normal(0.9, 0.8), -0.2, 2.6)),
        left=bool(rng.random() < 0.5),
        owner=owner,
        tone=people[owner].skin.tone,
        sleeve=_three(value) if rng.random() < 0.5 else None,
    )


def _three(values: Float[np.ndarray, "3"]) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third
