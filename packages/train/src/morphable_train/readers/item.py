"""One picture of a data set, before it is read."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


@dataclass(frozen=True)
class SourceItem:
    """A picture and what its data set says about it."""

    name: str
    """Unique in the data set; becomes the record's key."""
    path: Path
    landmarks68_px: Float[np.ndarray, "faces 68 2"] | None = None
    """Pixel corner at (0,0); None where the data set has no landmarks for it."""
    contour: bool = True
    """Jaw points on the visible silhouette, or static 3D points."""
    frame: int | None = None
    """Frame of a video; None for a picture."""
    problem: str = ""
    """Why it cannot be used, if that is known already."""


def read_picture(path: Path) -> UInt8[np.ndarray, "rows cols 3"]:
    """Read a picture as RGB, turned as its camera says.

    Raises:
        ValueError: It is damaged or not a picture.
    """
    try:
        with Image.open(path) as picture:
            return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"picture is damaged or of an unknown kind: {error}") from error


def pictures_in(folder: Path) -> list[Path]:
    """List the pictures below a folder, in a fixed order."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES)


def layout_error(folder: Path, data_set: str, expected: str) -> FileNotFoundError:
    """Return the error for a folder that does not look like a data set."""
    return FileNotFoundError(
        f"source must be {data_set} with {expected}, got {folder}; check the path or choose another --kind"
    )
