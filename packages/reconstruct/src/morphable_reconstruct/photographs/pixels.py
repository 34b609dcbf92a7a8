"""Pixels of any mode, type and depth to 8-bit sRGB."""

import io
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image, ImageCms
from torch import Tensor

from morphable_reconstruct.photographs.gamuts import BLOCK_PX, GAMUTS, HIGH_DYNAMIC_RANGE, ToneMapper, convert_gamut

_WHITE = (255, 255, 255, 255)
_GRAY_MODES = {"I;16", "I;16L", "I;16B", "I;16N", "I", "F"}
_BAND_PIXELS = 4_000_000
_CODES_PER_BYTE = 257
_FULL_16 = 65535
FAR_BELOW = 16384
"""16-bit values all below this are taken for data of 8 to 14 bits (infrared and thermal cameras, scanners)."""


def to_rgb(
    picture: Image.Image, tags: tuple[int, int] | None = None
) -> tuple[UInt8[np.ndarray, "rows cols 3"], str | None]:
    """Convert a decoded picture to sRGB, transparency laid over white.

    Args:
        picture: The picture.
        tags: Primaries and transfer that its file states (`color_tags`). HDR transfers are tone-mapped as in videos;
            wide primaries count where there is no profile.

    Returns:
        The pixels, and a note where values were stretched.
    """
    if picture.mode in _GRAY_MODES:
        return from_array(_gray_array(picture))
    convert = _conversion(picture, tags)
    pixels = np.empty((picture.height, picture.width, 3), np.uint8)
    for rows in _bands(picture.height, picture.width):
        pixels[rows] = np.asarray(convert(_band(picture, rows)))
    return pixels, None


def _bands(height: int, width: int) -> Iterator[slice]:
    """Rows of a large picture, part after part: whole pictures as other types or modes would take gigabytes."""
    step = max(1, _BAND_PIXELS // (width * BLOCK_PX)) * BLOCK_PX
    return (slice(top, min(height, top + step)) for top in range(0, height, step))


def _band(picture: Image.Image, rows: slice) -> Image.Image:
    return picture.crop((0, rows.start, picture.width, rows.stop))


def _conversion(picture: Image.Image, tags: tuple[int, int] | None) -> Callable[[Image.Image], Image.Image]:
    """Return what makes parts of a picture sRGB."""
    if picture.mode == "LAB":
        return ImageCms.buildTransform(
            ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
        ).apply
    transparent = picture.has_transparency_data
    mode = "CMYK" if picture.mode == "CMYK" and not transparent else "RGB"
    parts = (_band(picture, rows).convert(mode) for rows in _bands(picture.height, picture.width))
    to_srgb = _srgb_conversion(mode, picture.info.get("icc_profile"), tags, parts, gray=picture.mode in ("L", "LA"))

    def opaque(band: Image.Image) -> Image.Image:
        converted = to_srgb(band.convert(mode))  # CMYK without a usable profile is still CMYK
        return converted if converted.mode == "RGB" else converted.convert("RGB")

    def over_white(band: Image.Image) -> Image.Image:
        rgba = band.convert("RGBA")
        layer = Image.merge("RGBA", (*to_srgb(rgba.convert("RGB")).split(), rgba.getchannel("A")))
        return Image.alpha_composite(Image.new("RGBA", layer.size, _WHITE), layer).convert("RGB")

    return over_white if transparent else opaque


def _srgb_conversion(
    mode: str, profile: object, tags: tuple[int, int] | None, parts: Iterator[Image.Image], *, gray: bool
) -> Callable[[Image.Image], Image.Image]:
    """Return what applies HDR tags or an embedded profile; one LittleCMS cannot use leaves the numbers as they are."""
    primaries, transfer = tags or (0, 0)
    if transfer in HIGH_DYNAMIC_RANGE and mode == "RGB":
        mapper = ToneMapper()
        mapper.look((_codes(part) for part in parts), transfer=transfer)
        return lambda part: Image.fromarray(mapper.convert(_codes(part), transfer=transfer, primaries=primaries))
    if not isinstance(profile, bytes) or not profile:
        if primaries in GAMUTS and mode == "RGB":
            return lambda part: Image.fromarray(convert_gamut(np.asarray(part), primaries))
        return lambda part: part
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if mode == "RGB" and "sRGB" in (source.profile.profile_description or ""):
            return lambda part: part
        taken = "L" if gray and source.profile.xcolor_space.strip() == "GRAY" else mode
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), taken, "RGB")
        transform.apply(Image.new(taken, (1, 1)))
    except (ImageCms.PyCMSError, OSError, ValueError, UnicodeError):
        return lambda part: part
    return lambda part: transform.apply(part.convert(taken))


def _codes(picture: Image.Image) -> UInt16[np.ndarray, "rows cols 3"]:
    return np.asarray(picture).astype(np.uint16) * _CODES_PER_BYTE


def _gray_array(picture: Image.Image) -> np.ndarray:
    """Deep gray as uint16 (integers) or floats in [0, 1]."""
    values = np.asarray(picture)
    if picture.mode == "F":
        return values
    if values.min() < 0 or values.max() > _FULL_16:
        raise ValueError(f"image must have 8 or 16 bits per channel, got values {values.min()}..{values.max()}")
    return values.astype(np.uint16)


def from_array(array: np.ndarray) -> tuple[UInt8[np.ndarray, "rows cols 3"], str | None]:
    """Check and convert pixels in memory; the result never shares memory with the argument.

    Returns:
        The pixels, and a note where values were stretched.
    """
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise ValueError(f"image must have shape (rows, cols[, 1 | 3 | 4]), got {array.shape}; one picture at a time")
    to_bytes, note = _byte_conversion(array)
    pixels = np.empty((*array.shape[:2], 3), np.uint8)
    for rows in _bands(*array.shape[:2]):
        band = to_bytes(array[rows])
        if band.shape[2] == 4:
            alpha = band[..., 3:].astype(np.uint16)
            band = (band[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
        pixels[rows] = band
    return pixels, note


def _byte_conversion(array: np.ndarray) -> tuple[Callable[[np.ndarray], np.ndarray], str | None]:
    """Return what makes parts of an array of any accepted type 0..255, and a note where values are stretched."""
    if array.dtype == np.uint8:
        return np.asarray, None
    if array.dtype == np.uint16:
        low, high, note = _range_16(array)
        return lambda part: _stretched(part, low, high), note
    if array.dtype == np.bool_:
        return lambda part: part.astype(np.uint8) * np.uint8(255), None
    if array.dtype.kind != "f":
        raise ValueError(f"image must be uint8, uint16 or float in [0, 1], got {array.dtype}; convert it first")
    lowest, highest = float(array.min()), float(array.max())
    if not (lowest >= 0.0 and highest <= 1.0):
        raise ValueError(f"image must be in [0, 1] as floats, got {lowest:g}..{highest:g}; divide by 255 or pass uint8")
    return lambda part: np.rint(part * 255.0).astype(np.uint8), None


def _stretched(values: np.ndarray, low: int, high: int) -> np.ndarray:
    """Scale 16-bit values so that `low` becomes 0 and `high` 255."""
    scaled = (values.clip(low, high).astype(np.uint32) - low) * 255 + (high - low) // 2
    return (scaled // (high - low)).astype(np.uint8)


def _range_16(array: np.ndarray) -> tuple[int, int, str | None]:
    """Return which 16-bit values become black and white: all, or the data's own range if far below full scale.

    Black stays zero unless the data leave their lower half empty, as the counts of thermal cameras do. Pictures with
    alpha are opaque where alpha is full scale, so their range is no evidence and stays.
    """
    low, high = int(array.min()), int(array.max())
    if array.shape[2] == 4 or not 0 < high < FAR_BELOW or low == high:
        return 0, _FULL_16, None
    black = low if low > high // 2 else 0
    return black, high, f"16-bit values from {low} to {high} were scaled from {black}..{high}"


def from_tensor(tensor: Tensor) -> UInt8[np.ndarray, "rows cols 3"]:
    """Turn a (channels, rows, cols) tensor on any device into pixels."""
    if tensor.ndim != 3 or tensor.shape[0] not in (1, 3, 4):
        raise ValueError(
            f"image must have shape (1 | 3 | 4, rows, cols) as a tensor, got {tuple(tensor.shape)}; "
            "pass a batch as a list"
        )
    array = tensor.detach().cpu()
    return from_array((array.float() if array.is_floating_point() else array).permute(1, 2, 0).numpy())[0]
