"""What cameras and their software do to crops: tone, uneven light, blur and sharpening, compression."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFilter

from morphable_train.face_head.config import CropChanges

_LEVELS = np.arange(256) / 255.0
_LIGHT_PLACES = 4
"""Places across and down a crop between which light varies."""
_BLUR_PX = (0.6, 2.5)
"""Least and largest standard deviation of the blur, in samples of the crop."""
_SHARPEST = 1.5
"""Largest share of what a blur takes away that sharpening adds."""
_QUALITY = (12, 70)
"""Least and largest quality of compressed crops."""


def photograph(crop: UInt8[np.ndarray, "side side 3"], changes: CropChanges, rng: np.random.Generator) -> None:
    """Change a crop in place, as cameras and their software do.

    Args:
        crop: RGB.
        changes: How often and how much.
        rng: Draws what is done.
    """
    if rng.random() < changes.tone:
        crop[:] = _tone_curve(rng, changes)[crop]
    if rng.random() < changes.light:
        crop[:] = (crop * _light_field(rng, changes, crop.shape[0])).clip(0, 255)
    if rng.random() < changes.sharpness:
        blurred = np.asarray(Image.fromarray(crop).filter(ImageFilter.GaussianBlur(rng.uniform(*_BLUR_PX))))
        amount = rng.uniform(-1.0, _SHARPEST)
        crop[:] = (crop + amount * (crop.astype(np.float32) - blurred)).clip(0, 255)
    if rng.random() < changes.compressed:
        stored = io.BytesIO()
        Image.fromarray(crop).save(stored, "JPEG", quality=int(rng.integers(*_QUALITY)))
        crop[:] = np.asarray(Image.open(stored))


def _tone_curve(rng: np.random.Generator, changes: CropChanges) -> UInt8[np.ndarray, "256"]:
    """Return the output of each level: a gamma, then a curve that is steeper or flatter in its middle."""
    curve = _LEVELS ** np.exp(rng.uniform(-changes.gamma, changes.gamma))
    bend = rng.uniform(-0.5, 1.0) * changes.gamma
    curve = curve + bend * curve * (1 - curve) * (2 * curve - 1) * 2
    return (curve.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _light_field(rng: np.random.Generator, changes: CropChanges, side: int) -> np.ndarray:
    """Return smooth factors over a crop, a little different in each color."""
    places = rng.standard_normal((_LIGHT_PLACES, _LIGHT_PLACES, 1))
    places = places + 0.3 * rng.standard_normal((_LIGHT_PLACES, _LIGHT_PLACES, 3))
    logs = (places * changes.light_std * rng.random()).astype(np.float32)
    size = (side, side)
    smooth = [np.asarray(Image.fromarray(logs[..., k]).resize(size, Image.Resampling.BICUBIC)) for k in range(3)]
    return np.exp(np.stack(smooth, -1))
