"""Colors of pictures and videos as sRGB: wide gamuts, and the HDR transfers HLG and PQ (ITU-R BT.2100)."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from jaxtyping import Float, UInt8, UInt16

BT2020, P3_DCI, P3_D65 = 9, 11, 12
GAMUTS = frozenset({BT2020, P3_DCI, P3_D65})
"""Primaries, by their numbers in ITU-T H.273, that are converted; those of BT.601 are near enough to sRGB's."""
PQ, HLG = 16, 18
HIGH_DYNAMIC_RANGE = frozenset({PQ, HLG})
"""Transfers, by their numbers in ITU-T H.273."""
WHITE_NITS = 203.0
"""Diffuse white of HDR pictures (ITU-R BT.2408)."""
SDR_WHITE_NITS = 100.0
"""White of SDR pictures that were put into an HDR video without being made brighter."""
_SDR_TOLERANCE = 1.08
HLG_PEAK_NITS = 1000.0
_HLG_GAMMA = 1.2
_PQ_PEAK_NITS = 10_000.0
_KNEE = 0.7
"""Linear light, as a fraction of white, up to which tone mapping changes nothing."""
_BRIGHTEST_SHARE = 1e-3
"""Part of a frame that may be brighter than what counts as its brightest light."""
BLOCK_PX = 4
"""Rows and columns of the blocks whose light is averaged; parts of a picture must have multiples of it."""
_LEVELS = 65_536
_CODES = 4_096
_BT2020_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)
_PRIMARIES_XY = {
    BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), (0.3127, 0.3290)),
    P3_DCI: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    P3_D65: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290)),
}
_SRGB_XY = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), (0.3127, 0.3290))


class ToneMapper:
    """Maps HDR frames to sRGB; the white of a video follows from the brightest light it has shown so far."""

    def __init__(self) -> None:
        self._peak_nits = 0.0

    def __call__(
        self, codes: UInt16[np.ndarray, "rows cols 3"], *, transfer: int, primaries: int
    ) -> UInt8[np.ndarray, "rows cols 3"]:
        """Convert 16-bit R'G'B' of a PQ or HLG frame.

        White is at 203 nits. It is at 100 nits as long as nothing brighter than that has been shown: the video then
        holds SDR pictures. Light up to 70 % of white is kept, what is above is compressed.
        """
        self.look([codes], transfer=transfer)
        return self.convert(codes, transfer=transfer, primaries=primaries)

    def look(self, bands: Iterable[UInt16[np.ndarray, "_ cols 3"]], *, transfer: int) -> None:
        """Note the brightest light of a frame, given whole or as bands of rows."""
        means = [_block_means(_to_nits(codes, transfer) @ _BT2020_LUMINANCE) for codes in bands]
        brightest = float(np.quantile(np.concatenate(means), 1.0 - _BRIGHTEST_SHARE))
        self._peak_nits = max(self._peak_nits, brightest)

    def convert(
        self, codes: UInt16[np.ndarray, "rows cols 3"], *, transfer: int, primaries: int
    ) -> UInt8[np.ndarray, "rows cols 3"]:
        """Convert a frame, or a part of one, by the light looked at so far."""
        nits = _to_nits(codes, transfer)
        standard = self._peak_nits <= _SDR_TOLERANCE * SDR_WHITE_NITS
        white_nits = SDR_WHITE_NITS if standard else WHITE_NITS
        linear = nits @ (_gamut_matrix(primaries if primaries in GAMUTS else BT2020).T / np.float32(white_nits))
        return encode_srgb(_compress(np.maximum(linear, 0.0), max(1.0, self._peak_nits / white_nits)))


def convert_gamut(pixels: UInt8[np.ndarray, "rows cols 3"], primaries: int) -> UInt8[np.ndarray, "rows cols 3"]:
    """Convert SDR pixels of wide primaries to sRGB."""
    return encode_srgb(_srgb_to_linear()[pixels] @ _gamut_matrix(primaries).T)


def encode_srgb(linear: Float[np.ndarray, "rows cols 3"]) -> UInt8[np.ndarray, "rows cols 3"]:
    """Encode linear light in [0, 1] as sRGB bytes; what is outside is clamped."""
    return _srgb_codes()[np.rint(np.sqrt(np.clip(linear, 0.0, 1.0)) * (_CODES - 1)).astype(np.uint16)]


def _block_means(luminance: Float[np.ndarray, "rows cols"]) -> Float[np.ndarray, " blocks"]:
    """Average light of blocks, so that a few pixels where compression may have overshot do not count."""
    rows, cols = (side // BLOCK_PX for side in luminance.shape)
    if rows == 0 or cols == 0:
        return luminance.max(keepdims=True).reshape(1)
    blocks = luminance[: rows * BLOCK_PX, : cols * BLOCK_PX].reshape(rows, BLOCK_PX, cols, BLOCK_PX)
    return blocks.mean((1, 3)).reshape(-1)


def _compress(linear: Float[np.ndarray, "rows cols 3"], peak: float) -> Float[np.ndarray, "rows cols 3"]:
    """Compress what is above the knee so that `peak` becomes 1; hue is kept, and a peak of 1 changes nothing."""
    largest = linear.max(-1, keepdims=True)
    above = np.maximum(largest - _KNEE, 0.0) / (1.0 - _KNEE)
    top = (peak - _KNEE) / (1.0 - _KNEE)
    mapped = _KNEE + (1.0 - _KNEE) * above * (1.0 + above / top**2) / (1.0 + above)
    return linear * np.where(largest > _KNEE, mapped / np.maximum(largest, _KNEE), 1.0).astype(np.float32)


def _to_nits(codes: UInt16[np.ndarray, "rows cols 3"], transfer: int) -> Float[np.ndarray, "rows cols 3"]:
    """Light on the screen, per channel."""
    if transfer == PQ:
        return _pq_nits()[codes]
    scene = _hlg_scene_light()[codes]
    luminance = np.maximum(scene @ _BT2020_LUMINANCE, 1e-6)[..., None]
    return (HLG_PEAK_NITS * luminance ** np.float32(_HLG_GAMMA - 1.0) * scene).astype(np.float32)


@lru_cache(maxsize=1)
def _pq_nits() -> Float[np.ndarray, " levels"]:
    """SMPTE ST 2084."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = np.linspace(0.0, 1.0, _LEVELS) ** (1.0 / m2)
    light = (np.maximum(power - c1, 0.0) / (c2 - c3 * power)) ** (1.0 / m1)
    return (_PQ_PEAK_NITS * light).astype(np.float32)


@lru_cache(maxsize=1)
def _hlg_scene_light() -> Float[np.ndarray, " levels"]:
    """Inverse OETF of ARIB STD-B67."""
    a = 0.17883277
    b, c = 1.0 - 4.0 * a, 0.5 - a * np.log(4.0 * a)
    signal = np.linspace(0.0, 1.0, _LEVELS)
    return np.where(signal <= 0.5, signal**2 / 3.0, (np.exp((signal - c) / a) + b) / 12.0).astype(np.float32)


@lru_cache(maxsize=1)
def _srgb_to_linear() -> Float[np.ndarray, "256"]:
    """Linear light of every byte."""
    value = np.arange(256) / 255.0
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


@lru_cache(maxsize=1)
def _srgb_codes() -> UInt8[np.ndarray, " codes"]:
    """SRGB byte of the square of i / (codes - 1)."""
    linear = np.linspace(0.0, 1.0, _CODES) ** 2
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255.0 * encoded).astype(np.uint8)


@lru_cache(maxsize=len(GAMUTS))
def _gamut_matrix(primaries: int) -> Float[np.ndarray, "3 3"]:
    """Linear RGB of some primaries to linear sRGB; white stays white."""
    return (np.linalg.inv(_xyz_from_rgb(_SRGB_XY)) @ _xyz_from_rgb(_PRIMARIES_XY[primaries])).astype(np.float32)


def _xyz_from_rgb(points: tuple[tuple[float, float], ...]) -> Float[np.ndarray, "3 3"]:
    """Matrix to XYZ of red, green, blue with a white of luminance 1; that of other white points is mapped to D65's."""
    columns = np.array([[x / y, 1.0, (1.0 - x - y) / y] for x, y in points]).T
    matrix = columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])
    white_x, white_y = _SRGB_XY[3]
    target = np.array([white_x / white_y, 1.0, (1.0 - white_x - white_y) / white_y])
    return np.diag(target / columns[:, 3]) @ matrix
