"""Colors of 16 bits, of which Pillow keeps the upper byte: all there is of full scale, nothing of 10-bit data."""

import sys

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image

_OTHER_BYTE = {
    "RGB;16B": "RGB;16L",
    "RGB;16L": "RGB;16B",
    "RGB;16N": "RGB;16B" if sys.byteorder == "little" else "RGB;16L",
}
"""Pillow's names of how 16-bit colors are stored, each with the order whose upper byte is this one's lower byte."""


def has_deep_colors(picture: Image.Image) -> bool:
    """Return whether a picture that is not decoded yet has opaque colors of 16 bits, and no profile that needs them."""
    stored = {_stored(tile.args) for tile in getattr(picture, "tile", ())}
    return bool(stored) and stored <= _OTHER_BYTE.keys() and not picture.info.get("icc_profile")


def take_lower_bytes(picture: Image.Image) -> None:
    """Make a picture with `has_deep_colors` decode to the lower bytes of its colors."""
    picture.tile = [tile._replace(args=_other(tile.args)) for tile in picture.tile]  # type: ignore[attr-defined]


def joined(
    upper: UInt8[np.ndarray, "rows cols 3"], lower: UInt8[np.ndarray, "rows cols 3"]
) -> UInt16[np.ndarray, "rows cols 3"]:
    """Return 16-bit colors from their bytes."""
    return upper.astype(np.uint16) << 8 | lower


def _stored(args: object) -> object:
    """How a tile's colors are stored, by the arguments of its decoder."""
    return args[0] if isinstance(args, tuple) and args else args


def _other(args: tuple[object, ...] | str) -> tuple[object, ...] | str:
    return _OTHER_BYTE[args] if isinstance(args, str) else (_OTHER_BYTE[str(args[0])], *args[1:])
