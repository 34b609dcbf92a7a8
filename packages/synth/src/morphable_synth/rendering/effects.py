"""What a camera does to a picture: blur, low resolution, tone, noise, compression."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFilter

from morphable_synth.scene.description import Effects

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def apply_effects(
    image: UInt8[np.ndarray, "rows cols 3"], effects: Effects, rng: np.random.Generator
) -> UInt8[np.ndarray, "rows cols 3"]:
    """Return the picture as a worse camera would have taken it; geometry stays where it is.

    Args:
        image: sRGB-encoded.
        effects: What is applied; the neutral `Effects()` returns the picture unchanged.
        rng: Noise is drawn from it.
    """
    if effects == Effects():
        return image
    picture = Image.fromarray(image)
    if effects.motion_px > 0.5:
        picture = _motion(picture, effects.motion_px, effects.motion_angle_rad)
    if effects.blur_px > 0.2:
        picture = picture.filter(ImageFilter.GaussianBlur(effects.blur_px))
    if effects.reduce > 1.05:
        small = (max(round(picture.width / effects.reduce), 8), max(round(picture.height / effects.reduce), 8))
        picture = picture.resize(small, Image.Resampling.BOX).resize(picture.size, Image.Resampling.BICUBIC)
    values = _tone(np.asarray(picture, np.float32) / 255.0, effects)
    values = _noise(values, effects, rng)
    picture = Image.fromarray((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8))
    if effects.sharpen > 0:
        picture = picture.filter(ImageFilter.UnsharpMask(1.5, int(effects.sharpen), 2))
    if effects.jpeg_quality:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=effects.jpeg_quality)
        picture = Image.open(buffer).convert("RGB")
    return np.asarray(picture, np.uint8)


def _motion(picture: Image.Image, length_px: float, angle_rad: float) -> Image.Image:
    """Average shifted copies along a line through each pixel."""
    steps = max(int(np.ceil(length_px)), 2)
    total = np.zeros((picture.height, picture.width, 3), np.float32)
    for t in np.linspace(-0.5, 0.5, steps):
        dx, dy = t * length_px * np.cos(angle_rad), t * length_px * np.sin(angle_rad)
        shifted = picture.transform(
            picture.size, Image.Transform.AFFINE, (1, 0, dx, 0, 1, dy), Image.Resampling.BILINEAR
        )
        total += np.asarray(shifted, np.float32)
    return Image.fromarray((total / steps + 0.5).astype(np.uint8))


def _tone(values: np.ndarray, effects: Effects) -> np.ndarray:
    values = values * np.array(effects.cast, np.float32)
    if effects.vignette > 0:
        rows, cols = values.shape[:2]
        y, x = np.linspace(-1, 1, rows, dtype=np.float32)[:, None], np.linspace(-1, 1, cols, dtype=np.float32)
        values = values * (1 - effects.vignette * 0.4 * (x * x + y * y))[..., None]
    values = np.clip(values, 0, 1) ** effects.gamma
    values = (values - 0.45) * effects.contrast + 0.45
    gray = (values @ _LUMA)[..., None]
    return gray + (values - gray) * effects.saturation


def _noise(values: np.ndarray, effects: Effects, rng: np.random.Generator) -> np.ndarray:
    if effects.shot_noise <= 0 and effects.read_noise <= 0:
        return values
    spread = np.sqrt(effects.shot_noise**2 * np.clip(values, 0, 1) * 4 + effects.read_noise**2)
    return values + spread * rng.standard_normal(values.shape, dtype=np.float32)
