"""Tables and maps that recolor a picture and lend it another one's fine structure."""

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageFilter

from morphable_synth.assets.textures import linear_from_srgb

_GRAY_MEAN, _GRAY_LIFT = 110.0, 12.0
_DETAIL_RADIUS = 0.004
"""Blur that separates structure from color, relative to the width of the head's texture."""


def recolor_table(
    source: Float[np.ndarray, "3"], target: Float[np.ndarray, "3"], contrast: float = 1.0
) -> Float[np.ndarray, "256 3"]:
    """Return the table that takes 8-bit texture values to linear color, the mean color to the target.

    Args:
        source: Mean linear color of the texture.
        target: Linear color wanted in its place.
        contrast: Exponent of each value relative to the mean.
    """
    linear = linear_from_srgb(np.arange(256, dtype=np.float32) / 255.0)[:, None]
    ratio = np.maximum(linear, 1e-5) / np.maximum(source, 1e-4)
    return np.asarray(target * ratio**contrast, np.float32).clip(0.0, 1.2)


def plain_table() -> Float[np.ndarray, "256 3"]:
    """Return the table that only decodes sRGB."""
    return np.repeat(linear_from_srgb(np.arange(256, dtype=np.float32) / 255.0)[:, None], 3, 1)


def gray_map(picture: UInt8[np.ndarray, "rows cols 4"]) -> UInt8[np.ndarray, "rows cols 4"]:
    """Return the brightness of a picture, its opaque part scaled to a mean of `_GRAY_MEAN`; opacity is kept."""
    luma = picture[..., :3].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    weight = picture[..., 3].astype(np.float32)
    mean = float((luma * weight).sum() / max(float(weight.sum()), 1.0))
    scaled = np.clip((luma + _GRAY_LIFT) * (_GRAY_MEAN / (mean + _GRAY_LIFT)), 0, 255).astype(np.uint8)
    return np.dstack([scaled, scaled, scaled, picture[..., 3]])


def detail_map(skin: UInt8[np.ndarray, "rows cols 4"]) -> UInt8[np.ndarray, "rows cols 4"]:
    """Return the fine structure of a skin: 128 + 64 stops of difference from its blurred color."""
    rgb = Image.fromarray(skin[..., :3])
    blurred = rgb.filter(ImageFilter.GaussianBlur(_DETAIL_RADIUS * skin.shape[1] * 2))
    ratio = (np.asarray(rgb, np.float32) + 4.0) / (np.asarray(blurred, np.float32) + 4.0)
    stops = 2.2 * np.log2(ratio)  # sRGB is close to a power of 2.2
    out = np.full(skin.shape, 255, np.uint8)
    out[..., :3] = np.clip(128 + 64 * stops.mean(-1, keepdims=True), 0, 255).astype(np.uint8)
    return out
