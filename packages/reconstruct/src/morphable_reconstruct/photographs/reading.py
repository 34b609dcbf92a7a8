"""Photographs of any kind to 8-bit RGB: files, PIL images, arrays, tensors."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias, cast

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from morphable_reconstruct.photographs.exif import focal_from_exif

ImageSource: TypeAlias = str | os.PathLike[str] | IO[bytes] | io.IOBase | Image.Image | np.ndarray | Tensor

DEFAULT_MAX_PIXELS = 178_956_970
"""Pillow's own refusal of decompression bombs: twice its MAX_IMAGE_PIXELS."""
_WHITE = (255, 255, 255, 255)
_GREY_MODES = {"I;16", "I;16L", "I;16B", "I;16N", "I", "F"}


class TooManyPixelsError(ValueError):
    """A picture larger than the limit, decompression bombs included.

    >>> import numpy as np
    >>> load_photograph(np.zeros((480, 640, 3), np.uint8), max_pixels=1000)
    Traceback (most recent call last):
    morphable_reconstruct.photographs.reading.TooManyPixelsError: image must have at most 1000 pixels, got 640x480 ...
    """


@dataclass(frozen=True, kw_only=True, eq=False)
class Photograph:
    """Upright 8-bit RGB pixels and what the file says about its camera.

    >>> import numpy as np
    >>> Photograph(pixels=np.zeros((480, 640, 3), np.uint8), name="a.jpg").size_hw
    (480, 640)
    """

    pixels: UInt8[np.ndarray, "rows cols 3"]
    name: str
    """File name, or `image` for pixels that came without one."""
    exif_focal_px: float | None = None
    """Focal length by the EXIF tags, in pixels of `pixels`; None where they are absent."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


def load_photograph(
    source: ImageSource, *, name: str | None = None, max_pixels: int = DEFAULT_MAX_PIXELS
) -> Photograph:
    """Read a picture as upright sRGB.

    EXIF orientation is applied, transparency is laid over white, an embedded colour profile is converted
    to sRGB, 16-bit grey is scaled to 8 bits, of an animation the first frame is taken.

    Args:
        source: A path, an open binary file, a PIL image, an array (rows, cols[, 1 | 3 | 4]) of uint8, uint16 or
            floats in [0, 1], or a tensor (1 | 3 | 4, rows, cols) of uint8 or floats in [0, 1]. Channels are RGB.
        name: Name in results; the file's own by default.
        max_pixels: Larger pictures are refused before they are decoded. Pillow's own process-wide limit,
            `PIL.Image.MAX_IMAGE_PIXELS`, holds besides.

    Raises:
        FileNotFoundError: No such file.
        TooManyPixelsError: More than `max_pixels`; a ValueError.
        ValueError: Not a picture, truncated, or an array of another shape, type or range.

    >>> import numpy as np
    >>> load_photograph(np.ones((2, 3)), name="white.png").pixels.shape
    (2, 3, 3)
    """
    if isinstance(source, np.ndarray):
        return _checked(Photograph(pixels=_from_array(source), name=name or "image"), max_pixels)
    if isinstance(source, Image.Image):
        return _from_pil(source, name or "image", max_pixels)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return _from_file(path, name or path.name, str(path), max_pixels)
    if isinstance(source, Tensor):
        return _checked(Photograph(pixels=_from_tensor(source), name=name or "image"), max_pixels)
    if hasattr(source, "read"):
        return _from_file(source, name or "image", name or "the uploaded file", max_pixels)
    raise TypeError(
        f"image must be a path, a binary file, a PIL image, a NumPy array or a tensor, got {type(source).__name__}"
    )


def _from_file(file: Path | IO[bytes] | io.IOBase, name: str, shown: str, max_pixels: int) -> Photograph:
    """Decode a file, with one clear error per way of being broken."""
    try:
        with Image.open(cast(Path | IO[bytes], file)) as picture:
            return _from_pil(picture, name, max_pixels)
    except FileNotFoundError:
        raise FileNotFoundError(f"image must be an existing file, got {shown}; check the path") from None
    except IsADirectoryError:
        raise ValueError(f"image must be a file, got the folder {shown}; name its pictures") from None
    except PermissionError:
        raise PermissionError(f"image must be readable, got {shown}; check its permissions") from None
    except UnidentifiedImageError:
        raise ValueError(f"image must be a picture Pillow can read, got {shown}; is it really an image?") from None
    except Image.DecompressionBombError as error:
        raise TooManyPixelsError(f"image must have at most {max_pixels} pixels, got {shown}: {error}") from None
    except (OSError, SyntaxError, EOFError, ValueError) as error:
        if isinstance(error, ValueError) and str(error).startswith("image must"):
            raise
        raise ValueError(f"image must be a whole picture, got {shown}: {error}; is it damaged?") from error


def _from_pil(picture: Image.Image, name: str, max_pixels: int) -> Photograph:
    """Check the size before decoding, then make the picture upright RGB."""
    _check_size(picture.height, picture.width, name, max_pixels)
    focal_px = focal_from_exif(picture)
    upright = ImageOps.exif_transpose(picture)
    return Photograph(pixels=np.array(_to_rgb(upright)), name=name, exif_focal_px=focal_px)


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Any Pillow mode to sRGB."""
    if picture.mode in _GREY_MODES:
        return Image.fromarray(_from_array(_grey_array(picture)))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, _WHITE), picture).convert("RGB")
    profile = picture.info.get("icc_profile")
    if profile and picture.mode in {"RGB", "CMYK"}:
        picture = _to_srgb(picture, profile)
    return picture.convert("RGB")


def _to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Apply an embedded profile; a profile LittleCMS cannot use leaves the numbers as they are."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if picture.mode == "RGB" and "sRGB" in (source.profile.profile_description or ""):
            return picture
        converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return picture
    return picture if converted is None else converted


def _grey_array(picture: Image.Image) -> np.ndarray:
    """Deep grey as uint16 (integers) or floats in [0, 1]."""
    values = np.asarray(picture)
    if picture.mode == "F":
        return values
    if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
        raise ValueError(f"image must have 8 or 16 bits per channel, got values {values.min()}..{values.max()}")
    return values.astype(np.uint16)


def _from_array(array: np.ndarray) -> UInt8[np.ndarray, "rows cols 3"]:
    """Check and convert pixels in memory; the result never shares memory with the argument."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise ValueError(f"image must have shape (rows, cols[, 1 | 3 | 4]), got {array.shape}; one picture at a time")
    pixels = _to_bytes(array)
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3:].astype(np.uint16)
        pixels = ((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3))).copy()


def _to_bytes(array: np.ndarray) -> np.ndarray:
    """Values of any accepted type to 0..255."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind != "f":
        raise ValueError(f"image must be uint8, uint16 or float in [0, 1], got {array.dtype}; convert it first")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0.0 and high <= 1.0):
        raise ValueError(f"image must be in [0, 1] as floats, got {low:g}..{high:g}; divide by 255 or pass uint8")
    return np.rint(array * 255.0).astype(np.uint8)


def _from_tensor(tensor: Tensor) -> UInt8[np.ndarray, "rows cols 3"]:
    """A (channels, rows, cols) tensor on any device."""
    if tensor.ndim != 3 or tensor.shape[0] not in (1, 3, 4):
        raise ValueError(
            f"image must have shape (1 | 3 | 4, rows, cols) as a tensor, got {tuple(tensor.shape)}; "
            "pass a batch as a list"
        )
    array = tensor.detach().cpu()
    return _from_array((array.float() if array.is_floating_point() else array).permute(1, 2, 0).numpy())


def _checked(photo: Photograph, max_pixels: int) -> Photograph:
    """Hold pictures in memory to the same limit as files."""
    _check_size(*photo.size_hw, photo.name, max_pixels)
    return photo


def _check_size(height: int, width: int, name: str, max_pixels: int) -> None:
    """Refuse what would not fit."""
    if height * width > max_pixels:
        raise TooManyPixelsError(
            f"image must have at most {max_pixels} pixels, got {width}x{height} in {name}; "
            "raise max_pixels or make it smaller"
        )
