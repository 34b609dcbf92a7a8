"""Focal length of a photograph by its tags; tags that are cut or garbage count as absent."""

import math

from PIL import ExifTags, Image

FULL_FRAME_DIAGONAL_MM = math.hypot(36.0, 24.0)
"""CIPA DCG-001 defines the 35 mm equivalent by the diagonal of the 36 x 24 mm frame."""
_MM_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0}
"""FocalPlaneResolutionUnit: inch, centimeter, millimeter."""


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


def _positive(value: object) -> float | None:
    """A tag as a positive number; zero means unknown in EXIF, and a rational may have a zero denominator."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) and number > 0.0 else None
