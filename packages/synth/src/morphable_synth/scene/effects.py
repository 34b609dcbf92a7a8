"""Draw what a camera does to a picture."""

import numpy as np

from morphable_synth.scene.description import Effects

_MIN_REDUCED_FACE_PX = 14.0


def sample_effects(rng: np.random.Generator, *, smallest_face_px: float, enabled: bool) -> Effects:
    """Draw effects that leave the smallest face recognizable as one."""
    room = float(np.clip(smallest_face_px / _MIN_REDUCED_FACE_PX, 1.0, 6.0))
    soft = float(np.clip(smallest_face_px / 60.0, 0.3, 1.6))
    gray = rng.random() < 0.08
    drawn = Effects(
        motion_px=float(rng.gamma(1.5, 1.6) * soft) if rng.random() < 0.1 else 0.0,
        motion_angle_rad=float(rng.uniform(0, np.pi)),
        blur_px=float(rng.gamma(1.2, 0.55) * soft) if rng.random() < 0.55 else 0.0,
        reduce=float(min(1.0 + rng.gamma(1.2, 0.9), room)) if rng.random() < 0.35 else 1.0,
        contrast=float(np.clip(rng.normal(1.03, 0.13), 0.7, 1.4)),
        gamma=float(np.exp(rng.normal(0, 0.12))),
        saturation=0.0 if gray else float(np.clip(rng.normal(1.0, 0.18), 0.3, 1.6)),
        cast=tuple(float(v) for v in np.exp(rng.normal(0, 0.045, 3))),  # type: ignore[arg-type]
        vignette=float(max(rng.normal(0, 0.2), 0.0)),
        shot_noise=float(rng.gamma(1.0, 0.012)),
        read_noise=float(rng.gamma(1.0, 0.008)) if rng.random() < 0.6 else 0.0,
        sharpen=float(rng.uniform(20, 150)) if rng.random() < 0.25 else 0.0,
        jpeg_quality=int(rng.integers(25, 97)) if rng.random() < 0.75 else 0,
    )
    return drawn if enabled else Effects()
