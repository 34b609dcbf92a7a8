"""Pixels of any mode, type and depth to 8-bit sRGB."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms
from torch import Tensor

from morphable_reconstruct.photographs.gamuts import GAMUTS, HIGH_DYNAMIC_RANGE, ToneMapper, convert_gamut

_WHITE = (255, 255, 255, 255)
_GRAY_MODES = {"I;16", "I;16L", "I;16B", "I;16N", "I", "F"}
_BAND_PIXELS = 4_000_000
_CODES_PER_BYTE = 257
_FULL_16 = 65535
_FAR_BELOW = 16384
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
    profile = picture.info.get("icc_profile")
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        opaque = _to_srgb(rgba.convert("RGB"), profile, tags)
        layer = Image.merge("RGBA", (*opaque.split(), rgba.getchannel("A")))
        return np.array(Image.alpha_composite(Image.new("RGBA", layer.size, _WHITE), layer).convert("RGB")), None
    if picture.mode not in ("RGB", "CMYK"):
        picture = picture.convert("RGB")
    converted = _to_srgb(picture, profile, tags)  # CMYK without a usable profile is still CMYK
    return _as_array(converted if converted.mode == "RGB" else converted.convert("RGB")), None


def _as_array(picture: Image.Image) -> UInt8[np.ndarray, "rows cols 3"]:
    """Copy pixels band by band: Pillow holds a whole picture two more times while it hands it over at once."""
    pixels = np.empty((picture.height, picture.width, 3), np.uint8)
    step = max(1, _BAND_PIXELS // picture.width)
    for top in range(0, picture.height, step):
        bottom = min(picture.height, top + step)
        pixels[top:bottom] = np.asarray(picture.crop((0, top, picture.width, bottom)))
    return pixels


def _to_srgb(picture: Image.Image, profile: object, tags: tuple[int, int] | None) -> Image.Image:
    """Apply HDR tags or an embedded profile; a profile LittleCMS cannot use leaves the numbers as they are."""
    primaries, transfer = tags or (0, 0)
    if transfer in HIGH_DYNAMIC_RANGE and picture.mode == "RGB":
        codes = np.asarray(picture).astype(np.uint16) * _CODES_PER_BYTE
        return Image.fromarray(ToneMapper()(codes, transfer=transfer, primaries=primaries))
    if not isinstance(profile, bytes) or not profile:
        if primaries in GAMUTS and picture.mode == "RGB":
            return Image.fromarray(convert_gamut(np.asarray(picture), primaries))
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if picture.mode == "RGB" and "sRGB" in (source.profile.profile_description or ""):
            return picture
        converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, UnicodeError):
        return picture
    return picture if converted is None else converted


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
    pixels, note = _to_bytes(array)
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3:].astype(np.uint16)
        pixels = ((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3))).copy(), note


def _to_bytes(array: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Values of any accepted type to 0..255."""
    if array.dtype == np.uint8:
        return array, None
    if array.dtype == np.uint16:
        low, high, note = _range_16(array)
        stretched = (array.clip(low, high).astype(np.uint32) - low) * 255 + (high - low) // 2
        return (stretched // (high - low)).astype(np.uint8), note
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255), None
    if array.dtype.kind != "f":
        raise ValueError(f"image must be uint8, uint16 or float in [0, 1], got {array.dtype}; convert it first")
    lowest, highest = float(array.min()), float(array.max())
    if not (lowest >= 0.0 and highest <= 1.0):
        raise ValueError(f"image must be in [0, 1] as floats, got {lowest:g}..{highest:g}; divide by 255 or pass uint8")
    return np.rint(array * 255.0).astype(np.uint8), None


def _range_16(array: np.ndarray) -> tuple[int, int, str | None]:
    """Return which 16-bit values become black and white: all, or the data's own range if far below full scale.

    Black stays zero unless the data leave their lower half empty, as the counts of thermal cameras do. Pictures with
    alpha are opaque where alpha is full scale, so their range says nothing and stays.
    """
    low, high = int(array.min()), int(array.max())
    if array.shape[2] == 4 or not 0 < high < _FAR_BELOW or low == high:
        return 0, _FULL_16, None
    black = low if low > high // 2 else 0
    return black, high, f"16-bit values from {low} to {high} were scaled from {black}..{high}"


def from_tensor(tensor: Tensor) -> UInt8[np.ndarray, "rows cols 3"]:
    """A (channels, rows, cols) tensor on any device."""
    if tensor.ndim != 3 or tensor.shape[0] not in (1, 3, 4):
        raise ValueError(
            f"image must have shape (1 | 3 | 4, rows, cols) as a tensor, got {tuple(tensor.shape)}; "
            "pass a batch as a list"
        )
    array = tensor.detach().cpu()
    return from_array((array.float() if array.is_floating_point() else array).permute(1, 2, 0).numpy())[0]
