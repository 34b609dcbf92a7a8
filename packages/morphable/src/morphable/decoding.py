"""The one place that lets Pillow open a file: raster formats alone, chosen by content."""

import io
import os
from functools import cache
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from PIL import Image

FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "FLI", "GIF", "ICNS", "ICO", "IM", "JPEG", "JPEG2000", "PCX", "PNG"),
    *("PPM", "PSD", "QOI", "SGI", "TGA", "TIFF", "WEBP", "XBM", "XPM"),
)
"""Pillow's raster formats. EPS (which would start Ghostscript), metafiles, scientific containers and videos are left
out."""


def open_picture(file: str | os.PathLike[str] | IO[bytes] | io.IOBase) -> "Image.Image":
    """Open a picture by its content, whatever its name; its pixels are decoded when they are asked for.

    Args:
        file: A path or an open binary file.

    Raises:
        PIL.UnidentifiedImageError: The file is of none of `FORMATS`; an OSError.
        Exception: The header is damaged: decoders raise whatever the bytes make them.

    >>> open_picture(io.BytesIO(b"P5 2 1 255 " + bytes([0, 255]))).size
    (2, 1)
    """
    from PIL import Image

    return Image.open(cast(IO[bytes], file), formats=_installed_formats())


@cache
def _installed_formats() -> tuple[str, ...]:
    """Return those of `FORMATS` that this Pillow can open, in Pillow's order."""
    from PIL import Image

    Image.init()
    return tuple(name for name in Image.ID if name in FORMATS)
