"""Decoded frames as upright sRGB pixels: square pixels, colors by the tags, display matrix."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from morphable_reconstruct.photographs.gamuts import GAMUTS, HIGH_DYNAMIC_RANGE, ToneMapper, convert_gamut

_WHITE = 255
_BICUBIC = 4
_UNSPECIFIED = 2
_BT709, _BT601 = 1, 5
_MATRICES = frozenset({1, 4, 5, 6, 7, 9, 10})
"""YCbCr matrices that swscale converts, by their numbers in ITU-T H.273."""
_LIMITED, _FULL = 1, 2
_HD_COLS, _SD_ROWS = 1280, 576
"""Untagged pictures at least this wide or higher than this are BT.709, others BT.601: the rule of mpv and others."""
_MAX_STRETCH = 8
"""Pixels longer than this are taken for a damaged tag."""
_SNAP_RAD = math.radians(1.01)
"""Rotations this near to a multiple of 90 degrees are that multiple."""
_MATRIX_BYTES = 36


class FrameConverter:
    """Converts the frames of one stream; it remembers the brightest light of HDR streams."""

    def __init__(self, sample_aspect_ratio: Fraction | None) -> None:
        self._aspect = _plausible(sample_aspect_ratio)
        self._tone = ToneMapper()

    def __call__(self, frame: Any) -> UInt8[np.ndarray, "rows cols 3"]:
        """Convert a PyAV frame."""
        return apply_display_matrix(self._rgb(frame), display_matrix(frame))

    def _rgb(self, frame: Any) -> UInt8[np.ndarray, "rows cols 3"]:
        """Colors as tagged, pixels made square, as stored otherwise."""
        rows, cols = square_size(frame.height, frame.width, self._aspect)
        options = {"width": cols, "height": rows, **_source_tags(frame)}
        if (rows, cols) != (frame.height, frame.width):
            options["interpolation"] = _BICUBIC
        if frame.color_trc in HIGH_DYNAMIC_RANGE:
            return self._tone(
                frame.reformat(format="rgb48le", **options).to_ndarray(),
                transfer=frame.color_trc,
                primaries=frame.color_primaries,
            )
        if any(component.is_alpha for component in frame.format.components):
            return _over_white(frame.reformat(format="rgba", **options).to_ndarray())
        pixels = frame.reformat(format="rgb24", **options).to_ndarray()
        return convert_gamut(pixels, frame.color_primaries) if frame.color_primaries in GAMUTS else pixels


def square_size(rows: int, cols: int, aspect: Fraction) -> tuple[int, int]:
    """Rows and columns of a picture once its pixels are square; no side shrinks."""
    if aspect >= 1:
        return rows, max(1, round(cols * aspect))
    return max(1, round(rows / aspect)), cols


def display_matrix(frame: Any) -> Float[np.ndarray, "2 2"]:
    """Return how a frame's stored axes (x right, y down) lie on the screen; the identity where no tag says it."""
    stored = frame.side_data.get("DISPLAYMATRIX")
    if stored is None or stored.buffer_size < _MATRIX_BYTES:
        return np.eye(2)
    a, b, _, c, d = np.frombuffer(bytes(stored), "<i4" if _LITTLE else ">i4")[:5].astype(np.float64)
    matrix = np.array([[a, c], [b, d]])
    scale = np.linalg.norm(matrix, axis=1, keepdims=True)  # the container's reader has made it the aspect ratio
    if not (scale > 0.0).all() or abs(np.linalg.det(matrix / scale)) < 0.5:
        return np.eye(2)
    return matrix / scale


def apply_display_matrix(
    pixels: UInt8[np.ndarray, "rows cols 3"], matrix: Float[np.ndarray, "2 2"]
) -> UInt8[np.ndarray, "rows2 cols2 3"]:
    """Mirror and turn a picture by its display matrix.

    Angles within one degree of a right one are right; other angles are resampled on a black ground that shows the
    whole picture.
    """
    mirrored = np.linalg.det(matrix) < 0.0
    if mirrored:
        pixels, matrix = pixels[:, ::-1], matrix @ np.diag([-1.0, 1.0])
    angle = math.atan2(matrix[1, 0], matrix[0, 0])  # clockwise on the screen
    quarters = round(angle / (math.pi / 2))
    if abs(angle - quarters * math.pi / 2) <= _SNAP_RAD:
        return np.ascontiguousarray(np.rot90(pixels, -quarters))
    turned = Image.fromarray(np.ascontiguousarray(pixels)).rotate(
        -math.degrees(angle), resample=Image.Resampling.BICUBIC, expand=True
    )
    return np.array(turned)


def _plausible(aspect: Fraction | None) -> Fraction:
    """The shape of a pixel, width to height; 1 where the tag is absent or cannot be meant."""
    if aspect is None or aspect <= 0 or not Fraction(1, _MAX_STRETCH) <= aspect <= _MAX_STRETCH:
        return Fraction(1)
    return Fraction(aspect)


def _source_tags(frame: Any) -> dict[str, int]:
    """Matrix and range of YCbCr frames, by tag, else by size as players do; nothing for RGB."""
    if frame.format.is_rgb or frame.format.has_palette:
        return {}
    matrix = frame.colorspace
    if matrix not in _MATRICES:
        large = frame.width >= _HD_COLS or frame.height > _SD_ROWS
        matrix = _BT709 if large else _BT601
    value_range = frame.color_range
    if value_range not in (_LIMITED, _FULL):
        full = frame.format.name.startswith(("yuvj", "gray", "ya"))
        value_range = _FULL if full else _LIMITED
    return {"src_colorspace": matrix, "src_color_range": value_range, "dst_color_range": _FULL}


def _over_white(rgba: UInt8[np.ndarray, "rows cols 4"]) -> UInt8[np.ndarray, "rows cols 3"]:
    """Lay transparency over white, as photographs do."""
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + _WHITE * (_WHITE - alpha) + _WHITE // 2) // _WHITE).astype(np.uint8)


_LITTLE = bool(np.array([1], np.int32).view(np.uint8)[0])
