"""Textures with mip levels in one flat buffer that the compiled kernels read."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

_FIELDS = 3  # offset, width, height of a level
MAX_LEVELS = 12


def linear_from_srgb(value: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Decode sRGB values in [0, 1] to linear light."""
    value = np.clip(value, 0.0, 1.0)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


def srgb_from_linear(value: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Encode linear light in [0, 1] to sRGB values."""
    value = np.clip(value, 0.0, 1.0)
    return np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055).astype(np.float32)


class TexturePool:
    """Textures by key, loaded when first asked for, each with its mip levels, in one growing buffer.

    One process owns one pool; it is not shared between processes.
    """

    def __init__(self) -> None:
        self._pixels = np.zeros((1 << 20, 4), np.uint8)
        self._used = 0
        self._levels = np.zeros((0, MAX_LEVELS, _FIELDS), np.int64)
        self._index: dict[str, int] = {}
        self._mean: list[np.ndarray] = []

    @property
    def pixels(self) -> UInt8[np.ndarray, "texels 4"]:
        """All texels, sRGB-encoded RGBA."""
        return self._pixels

    @property
    def levels(self) -> Int[np.ndarray, "textures levels 3"]:
        """Offset, width and height of each level of each texture; absent levels repeat the last one."""
        return self._levels

    def mean_color(self, texture: int) -> Float[np.ndarray, "4"]:
        """Return the alpha-weighted mean color and the mean alpha of a texture, in [0, 1]."""
        return self._mean[texture]

    def get(self, key: str, load: Callable[[], UInt8[np.ndarray, "rows cols 4"]]) -> int:
        """Return the number of the texture called ``key``, loading it if it is new."""
        if key not in self._index:
            self._index[key] = self._add(load())
        return self._index[key]

    def _add(self, image: np.ndarray) -> int:
        table = np.zeros((MAX_LEVELS, _FIELDS), np.int64)
        level_image = Image.fromarray(_bleed(image))
        for level in range(MAX_LEVELS):
            flat = np.asarray(level_image, np.uint8).reshape(-1, 4)
            self._reserve(len(flat))
            self._pixels[self._used : self._used + len(flat)] = flat
            table[level:] = (self._used, level_image.width, level_image.height)
            self._used += len(flat)
            if min(level_image.size) <= 4:
                break
            half = (max(level_image.width // 2, 1), max(level_image.height // 2, 1))
            level_image = level_image.resize(half, Image.Resampling.BOX)
        weight = image[..., 3:].astype(np.float32)
        total = max(float(weight.sum()), 1.0)
        rgb = (image[..., :3] * weight).sum((0, 1)) / total
        self._mean.append(np.append(rgb, weight.mean()).astype(np.float32) / 255)
        self._levels = np.concatenate([self._levels, table[None]])
        return len(self._levels) - 1

    def _reserve(self, texels: int) -> None:
        while self._used + texels > len(self._pixels):
            self._pixels = np.concatenate([self._pixels, np.zeros_like(self._pixels)])


def _bleed(image: np.ndarray) -> np.ndarray:
    """Give fully transparent texels the color of opaque ones nearby, so that filtering shows no dark rim."""
    alpha = image[..., 3]
    if alpha.min() > 0:
        return image
    small = Image.fromarray(image)
    weighted = np.asarray(small, np.float32)
    total = np.maximum(alpha.astype(np.float32).sum(), 1.0)
    mean = (weighted[..., :3] * alpha[..., None]).sum((0, 1)) / total
    premultiplied = np.dstack([weighted[..., :3] * (alpha[..., None] / 255.0), alpha]).astype(np.uint8)
    size = (max(image.shape[1] // 16, 1), max(image.shape[0] // 16, 1))
    reduced = Image.fromarray(premultiplied).resize(size, Image.Resampling.BOX)
    spread = np.asarray(reduced.resize(small.size, Image.Resampling.BILINEAR), np.float32)
    near = spread[..., 3:] > 4
    fill = np.where(near, spread[..., :3] * 255.0 / np.maximum(spread[..., 3:], 1.0), mean)
    out = image.copy()
    out[..., :3] = np.where(alpha[..., None] < 8, np.clip(fill, 0, 255), image[..., :3]).astype(np.uint8)
    return out
