"""Pictures on disk."""

import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
DAMAGE = (OSError, EOFError, SyntaxError, ValueError, TypeError, ArithmeticError, LookupError, struct.error, zlib.error)
"""What Pillow raises for damaged pictures."""


def read_picture(path: Path) -> UInt8[np.ndarray, "rows cols 3"]:
    """Read a picture as RGB, turned as its camera says.

    Raises:
        ValueError: It is damaged, not a picture, or larger than Pillow opens.
    """
    try:
        with Image.open(path) as picture:
            return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except Image.DecompressionBombError as error:
        raise ValueError(f"picture is too large: {error}") from error
    except DAMAGE as error:
        raise ValueError(f"picture is damaged or of an unknown kind: {error}") from error


def pictures_in(folder: Path) -> list[Path]:
    """List the pictures below a folder, in a fixed order."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES)
