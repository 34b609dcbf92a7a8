"""Orientation and focal length of a photograph; tags that are cut or garbage count as absent."""

import math
import re

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, TiffImagePlugin

FULL_FRAME_DIAGONAL_MM = math.hypot(36.0, 24.0)
"""CIPA DCG-001 defines the 35 mm equivalent by the diagonal of the 36 x 24 mm frame."""
_MM_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0}
"""FocalPlaneResolutionUnit: inch, centimeter, millimeter."""
_ORIENTATION = 0x0112
_SHORT, _LONG = 3, 4
_ENTRY_BYTES = 12
_UPRIGHT = 1
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')
_RAW_PROFILE = "Raw profile type exif"


def orientation_of(picture: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8, of a picture that is not decoded yet; 1 where no tag says another.

    Only this one tag is looked for, so that others may be damaged as they like.
    """
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        return _valid(picture.tag_v2.get(_ORIENTATION)) or _UPRIGHT
    found = tiff_orientation(_exif_bytes(picture))
    if found is None and isinstance(xmp := picture.info.get("xmp"), bytes):
        said = _XMP_ORIENTATION.search(xmp)
        found = int(said.group(1)) if said else None
    return found or _UPRIGHT


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


def focal_from_exif(picture: Image.Image) -> float | None:
    """Return the focal length in pixels of the picture as stored, or None where the tags do not say it.

    `FocalLengthIn35mmFilm` is used first, else `FocalLength` with the sensor's resolution. Both describe the
    whole sensor: a picture that was cropped afterwards reports a focal length that is too small. The
    EXIF orientation does not matter, focal length and diagonal are the same in both.
    """
    try:
        tags = picture.getexif().get_ifd(ExifTags.IFD.Exif)
    except Exception:  # Pillow's reader raises whatever damaged tags make it, struct.error and AttributeError included
        return None
    equivalent_mm = _positive(tags.get(ExifTags.Base.FocalLengthIn35mmFilm))
    if equivalent_mm is not None:
        return equivalent_mm / FULL_FRAME_DIAGONAL_MM * math.hypot(picture.width, picture.height)
    focal_mm = _positive(tags.get(ExifTags.Base.FocalLength))
    pixels_per_unit = _positive(tags.get(ExifTags.Base.FocalPlaneXResolution))
    if focal_mm is None or pixels_per_unit is None:
        return None
    unit = tags.get(ExifTags.Base.FocalPlaneResolutionUnit, 2)
    mm_per_unit = _MM_PER_UNIT.get(unit) if isinstance(unit, int) else None
    if mm_per_unit is None:
        return None
    sensor_width_px = _positive(tags.get(ExifTags.Base.ExifImageWidth)) or picture.width
    resized = max(picture.size) / max(sensor_width_px, _positive(tags.get(ExifTags.Base.ExifImageHeight)) or 0.0)
    return focal_mm * pixels_per_unit / mm_per_unit * resized


def _exif_bytes(picture: Image.Image) -> bytes:
    """Return the EXIF block as a TIFF file in memory; empty where there is none."""
    stored = picture.info.get("exif")
    if stored is None and isinstance(text := picture.info.get(_RAW_PROFILE), str):
        digits = "".join(text.split("\n")[3:])
        stored = bytes.fromhex(digits) if re.fullmatch(r"(?:[0-9a-fA-F]{2})*", digits) else None
    return stored.removeprefix(b"Exif\x00\x00") if isinstance(stored, bytes) else b""


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
        if number(entry, 2) == _ORIENTATION and kind in (_SHORT, _LONG):
            return _valid(number(entry + 8, 2 if kind == _SHORT else 4))
    return None


def _valid(value: object) -> int | None:
    """An orientation the standard defines."""
    return value if isinstance(value, int) and 1 <= value <= 8 else None


def _positive(value: object) -> float | None:
    """A tag as a positive number; zero means unknown in EXIF, and a rational may have a zero denominator."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) and number > 0.0 else None
