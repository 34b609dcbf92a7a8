"""Photographs of any kind to 8-bit RGB: files, PIL images, arrays, tensors."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TypeAlias, cast

import numpy as np
from jaxtyping import UInt8
from PIL import Image, TiffImagePlugin, UnidentifiedImageError
from torch import Tensor

from morphable.decoding import open_picture
from morphable.extras import import_extra
from morphable.orientation import orientation_of, upright
from morphable_reconstruct.photographs.deep import has_deep_colors, joined, take_lower_bytes
from morphable_reconstruct.photographs.exif import focal_from_exif
from morphable_reconstruct.photographs.formats import (
    HEAD_BYTES,
    PREFIX_BYTES,
    color_tags,
    is_heif,
    other_kind,
    with_less,
)
from morphable_reconstruct.photographs.pixels import FAR_BELOW, from_array, from_tensor, to_rgb

ImageSource: TypeAlias = str | os.PathLike[str] | IO[bytes] | io.IOBase | Image.Image | np.ndarray | Tensor

DEFAULT_MAX_PIXELS = 178_956_970
"""Pillow's own refusal of decompression bombs: twice its MAX_IMAGE_PIXELS."""
_MAX_FRAMES = 100
"""Frames of an animation that are looked at for one that shows something."""
_OURS = "image must"
"""How the errors of this module begin; they pass unchanged."""


class TooManyPixelsError(ValueError):
    """A picture larger than the limit, decompression bombs included.

    >>> import numpy as np
    >>> load_photograph(np.zeros((480, 640, 3), np.uint8), max_pixels=1000)
    Traceback (most recent call last):
    morphable_reconstruct.photographs.reading.TooManyPixelsError: image must have at most 1000 pixels, got 640x480 ...
    """


@dataclass(frozen=True, kw_only=True, eq=False)
class Photograph:
    """Upright 8-bit RGB pixels and the file's description of its camera.

    >>> import numpy as np
    >>> Photograph(pixels=np.zeros((480, 640, 3), np.uint8), name="a.jpg").size_hw
    (480, 640)
    """

    pixels: UInt8[np.ndarray, "rows cols 3"]
    name: str
    """File name, or `image` for pixels that came without one."""
    exif_focal_px: float | None = None
    """Focal length by the EXIF tags, in pixels of `pixels`; None where they are absent or damaged."""
    notes: tuple[str, ...] = ()
    """What was done to the pixels that a viewer may do otherwise."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


def load_photograph(
    source: ImageSource, *, name: str | None = None, max_pixels: int = DEFAULT_MAX_PIXELS
) -> Photograph:
    """Read a picture as upright sRGB.

    EXIF orientation is applied, transparency is laid over white, an embedded color profile is converted to sRGB, HDR
    pictures (PQ and HLG) are tone-mapped, of an animation the first frame that shows something is taken. 16-bit gray is
    scaled to 8 bits: from full scale, or from the data's own range where that is far below it, which `notes` then say.
    Damaged tags count as absent.

    Args:
        source: A path, an open binary file, a PIL image, an array (rows, cols[, 1 | 3 | 4]) of uint8, uint16 or
            floats in [0, 1], or a tensor (1 | 3 | 4, rows, cols) of uint8 or floats in [0, 1]. Channels are RGB. A
            file's content decides what it is, not its name.
        name: Name in results; the file's own by default.
        max_pixels: Larger pictures are refused before they are decoded. Pillow's own process-wide limit,
            `PIL.Image.MAX_IMAGE_PIXELS`, holds besides.

    Raises:
        FileNotFoundError: No such file.
        TooManyPixelsError: More than `max_pixels`; a ValueError.
        ValueError: Not a picture, damaged, a HEIC file without pillow-heif, or an array of another shape, type or
            range. No other error leaves a decoder.

    >>> import numpy as np
    >>> load_photograph(np.ones((2, 3)), name="white.png").pixels.shape
    (2, 3, 3)
    """
    if isinstance(source, np.ndarray):
        pixels, note = from_array(source)
        return _checked(Photograph(pixels=pixels, name=name or "image", notes=_notes(note)), max_pixels)
    if isinstance(source, Image.Image):
        return _upright(*_from_pil(source, name or "image", max_pixels))
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return _from_file(path, name or path.name, str(path), max_pixels)
    if isinstance(source, Tensor):
        return _checked(Photograph(pixels=from_tensor(source), name=name or "image"), max_pixels)
    if hasattr(source, "read"):
        return _from_file(source, name or "image", name or "the uploaded file", max_pixels)
    raise TypeError(
        f"image must be a path, a binary file, a PIL image, a NumPy array or a tensor, got {type(source).__name__}"
    )


def pixel_count(file: Path | io.BytesIO) -> int:
    """Return how many pixels a picture has by its header; 0 where that cannot be read."""
    try:
        with file.open("rb") if isinstance(file, Path) else file as opened, _opened(opened, "image") as picture:
            return int(picture.width) * int(picture.height)
    except Exception:  # as in `_from_file`; reading the picture will tell
        return 0


def _from_file(file: Path | IO[bytes] | io.IOBase, name: str, shown: str, max_pixels: int) -> Photograph:
    """Decode a file, with one clear error per way of being broken."""
    try:
        with file.open("rb") if isinstance(file, Path) else io.BytesIO(cast(IO[bytes], file).read()) as opened:
            return _decode(opened, name, max_pixels)
    except FileNotFoundError:
        raise FileNotFoundError(f"image must be an existing file, got {shown}; check the path") from None
    except IsADirectoryError:
        raise ValueError(f"image must be a file, got the folder {shown}; name its pictures") from None
    except PermissionError:
        raise PermissionError(f"image must be readable, got {shown}; check its permissions") from None
    except UnidentifiedImageError as error:  # of `_decode`
        raise ValueError(f"image must be a picture Pillow can read, got {shown}{error}") from None
    except Image.DecompressionBombError as error:
        raise TooManyPixelsError(f"image must have at most {max_pixels} pixels, got {shown}: {error}") from None
    except Exception as error:  # decoders raise whatever damaged bytes make them: RuntimeError, struct.error, ...
        if isinstance(error, ValueError) and str(error).startswith(_OURS):
            raise
        raise ValueError(f"image must be a whole picture, got {shown}: {error}; is it damaged?") from error


def _decode(opened: io.BufferedIOBase, name: str, max_pixels: int) -> Photograph:
    """Decode an open file; where that fails, once more without what its pixels do not need."""
    try:
        return _open(opened, name, max_pixels)
    except (TooManyPixelsError, Image.DecompressionBombError):
        raise
    except Exception as first:  # as above
        opened.seek(0)
        if isinstance(first, UnidentifiedImageError):
            kind = other_kind(opened.read(HEAD_BYTES))
            raise UnidentifiedImageError(f", {kind}" if kind else "; is it really an image?") from first
        for less in with_less(opened.read()):
            try:
                return _open(io.BytesIO(less), name, max_pixels)
            except (TooManyPixelsError, Image.DecompressionBombError):
                raise
            except Exception:  # noqa: S112  the first attempt's error is the one that is told
                continue
        raise first


def _open(opened: io.BufferedIOBase, name: str, max_pixels: int) -> Photograph:
    """Decode an open file by its content."""
    opened.seek(0)
    tags = color_tags(opened.read(HEAD_BYTES))
    with _opened(opened, name) as picture:
        deep = tags is None and has_deep_colors(picture)
        photo, orientation = _from_pil(picture, name, max_pixels, tags)
        if deep and photo.pixels.max() < FAR_BELOW >> 8:
            photo = _stretched(photo, opened)
        picture.close()  # before pixels are turned, which takes memory for a second copy
    return _upright(photo, orientation)


def _stretched(photo: Photograph, opened: io.BufferedIOBase) -> Photograph:
    """Read the lower bytes of dark 16-bit colors as well, and scale them as gray of 16 bits is."""
    with _opened(opened, photo.name) as picture:
        take_lower_bytes(picture)
        lower = np.asarray(_as_stored(picture))
    pixels, note = from_array(joined(photo.pixels, lower))
    return replace(photo, pixels=pixels, notes=(*photo.notes, *_notes(note)))


def _opened(file: io.BufferedIOBase, name: str) -> Image.Image:
    """Read a file's header, by its content."""
    file.seek(0)
    head = file.read(PREFIX_BYTES)
    file.seek(0)
    if not is_heif(head):
        return open_picture(file)
    try:
        heif = import_extra("pillow_heif", "morphable-reconstruct", "heif")
    except ImportError as error:
        raise ValueError(f"image must be of a format that is installed, got the HEIC file {name}: {error}") from error
    return cast(Image.Image, heif.HeifImageFile(file))


def _upright(photo: Photograph, orientation: int) -> Photograph:
    """Turn a photograph as its orientation asks."""
    return replace(photo, pixels=upright(photo.pixels, orientation))


def _from_pil(
    picture: Image.Image, name: str, max_pixels: int, tags: tuple[int, int] | None = None
) -> tuple[Photograph, int]:
    """Check the size before decoding, then make the picture RGB; return it as it is stored, with its orientation."""
    _check_size(picture.height, picture.width, name, max_pixels)
    focal_px = focal_from_exif(picture)
    orientation = orientation_of(picture)
    frame = _first_visible(picture)
    pixels, note = to_rgb(_as_stored(picture), tags)
    shown = f"frame {frame} was taken, the first that shows something" if frame else None
    photo = Photograph(pixels=pixels, name=name, exif_focal_px=focal_px, notes=_notes(note, shown))
    return photo, orientation


def _as_stored(picture: Image.Image) -> Image.Image:
    """Return a picture that is not turned by its decoder: Pillow would read all tags of a TIFF file and turn it."""
    if not isinstance(picture, TiffImagePlugin.TiffImageFile):
        return picture
    picture.getexif = Image.Exif  # type: ignore[method-assign]
    picture.load()
    return picture.copy()


def _first_visible(picture: Image.Image) -> int:
    """Move an animation to its first frame that is not transparent throughout; return its number."""
    frames = min(getattr(picture, "n_frames", 1), _MAX_FRAMES)
    if frames == 1 or isinstance(picture, TiffImagePlugin.TiffImageFile):
        return 0
    for frame in range(frames):
        picture.seek(frame)
        if not picture.has_transparency_data or picture.convert("RGBA").getchannel("A").getbbox() is not None:
            return frame
    picture.seek(0)
    return 0


def _notes(*notes: str | None) -> tuple[str, ...]:
    """Those that there are."""
    return tuple(note for note in notes if note)


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
