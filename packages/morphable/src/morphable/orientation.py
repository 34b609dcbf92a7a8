"""EXIF orientation of photographs, read so that damaged tags count as absent."""

import re
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

if TYPE_CHECKING:
    from PIL import Image

UPRIGHT = 1
_TAG = 0x0112
_SHORT, _LONG = 3, 4
_ENTRY_BYTES = 12
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')
_RAW_PROFILE = "Raw profile type exif"


def orientation_of(picture: "Image.Image") -> int:
    """Return the EXIF orientation, 1 to 8, of a picture that is not decoded yet; 1 without a tag.

    Only this one tag is looked for, so that others may be damaged as they like.
    """
    directory = getattr(picture, "tag_v2", None)  # of TIFF files
    if directory is not None:
        return _valid(directory.get(_TAG)) or UPRIGHT
    if picture.format == "PNG":
        picture.load()  # its tags may stand behind the pixels
    found = tiff_orientation(_exif_bytes(picture))
    if found is None and isinstance(xmp := picture.info.get("xmp"), bytes):
        said = _XMP.search(xmp)
        found = int(said.group(1)) if said else None
    return found or UPRIGHT


def upright(pixels: UInt8[np.ndarray, "_ _ 3"], orientation: int) -> UInt8[np.ndarray, "rows cols 3"]:
    """Return pixels turned as their orientation asks; 2, 4, 5 and 7 are mirrored as well."""
    turned = pixels
    if orientation in (5, 6, 7, 8):  # stored with rows and columns exchanged
        turned = turned.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    return np.ascontiguousarray(turned)


def tiff_orientation(data: bytes) -> int | None:
    """Look through the first directory of a TIFF file for the orientation, as far as the bytes go."""
    order = {b"II": "little", b"MM": "big"}.get(data[:2])
    if order is None or len(data) < 10:
        return None

    def number(start: int, length: int) -> int:
        return int.from_bytes(data[start : start + length], order)  # type: ignore[arg-type]

    first = number(4, 4)
    for index in range(number(first, 2)):
        entry = first + 2 + index * _ENTRY_BYTES
        if entry + _ENTRY_BYTES > len(data):
            return None
        kind = number(entry + 2, 2)
        if number(entry, 2) == _TAG and kind in (_SHORT, _LONG):
            return _valid(number(entry + 8, 2 if kind == _SHORT else 4))
    return None


def _exif_bytes(picture: "Image.Image") -> bytes:
    """Return the EXIF block as a TIFF file in memory; empty where there is none."""
    stored = picture.info.get("exif")
    if stored is None and isinstance(text := picture.info.get(_RAW_PROFILE), str):
        digits = "".join(text.split("\n")[3:])
        stored = bytes.fromhex(digits) if re.fullmatch(r"(?:[0-9a-fA-F]{2})*", digits) else None
    return stored.removeprefix(b"Exif\x00\x00") if isinstance(stored, bytes) else b""


def _valid(value: object) -> int | None:
    """An orientation the standard defines."""
    return value if isinstance(value, int) and 1 <= value <= 8 else None
