"""Pictures on disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from morphable.decoding import open_picture
from morphable.orientation import UPRIGHT, orientation_of, upright

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
HALF = 127
"""Gray values above this are white."""


def read_picture(path: Path) -> UInt8[np.ndarray, "rows cols 3"]:
    """Read a picture as RGB, upright by its EXIF orientation.

    Raises:
        ValueError: It is damaged, not a picture, or larger than Pillow opens.
    """
    with _opened(path, "picture") as picture:
        orientation = UPRIGHT if picture.format == "TIFF" else orientation_of(picture)  # Pillow turns TIFF itself
        return upright(np.asarray(picture.convert("RGB")), orientation)


def read_mask(path: Path, name: str, size_hw: tuple[int, int]) -> Bool[np.ndarray, "rows cols"]:
    """Read a mask, true where it is white, at another size.

    Args:
        path: A picture.
        name: What it is to the user, for the error.
        size_hw: Height and width of the result.

    Raises:
        ValueError: As of `read_picture`.
    """
    with _opened(path, name) as picture:
        gray = picture.convert("L").resize((size_hw[1], size_hw[0]), Image.Resampling.NEAREST)
        return np.asarray(gray) > HALF


@contextmanager
def _opened(path: Path, name: str) -> Iterator[Image.Image]:
    """Open a picture; whatever its decoder raises in the block is one ValueError."""
    try:
        with open_picture(path) as picture:
            yield picture
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name} is too large: {error}") from error
    except Exception as error:  # decoders raise whatever damaged bytes make them
        raise ValueError(f"{name} is damaged or of an unknown kind: {error}") from error


def pictures_in(folder: Path) -> list[Path]:
    """List the pictures below a folder, in a fixed order."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES)
