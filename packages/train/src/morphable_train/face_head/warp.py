"""Crops as the face head sees them, cut out of decoded pictures on the CPU."""

import numpy as np
from jaxtyping import Float, UInt8

from morphable_detector_head.face_head.crops import CROP_PX, OUTSIDE
from morphable_synth.kernels.compilation import compiled

_OUTSIDE = np.float32(OUTSIDE * 255.0)
_POOL = 1 << 20


class NoisePool:
    """Standard normal numbers, drawn once, from which each crop takes a run."""

    def __init__(self) -> None:
        self.values = np.random.default_rng(0).standard_normal(_POOL).astype(np.float32)

    def start(self, rng: np.random.Generator) -> int:
        """Return where a crop begins to take."""
        return int(rng.integers(_POOL - 3 * CROP_PX * CROP_PX))


@compiled
def cut_crop(
    picture: UInt8[np.ndarray, "rows cols 3"],
    origin: Float[np.ndarray, "2"],
    right: Float[np.ndarray, "2"],
    down: Float[np.ndarray, "2"],
    limits: Float[np.ndarray, "4"],
    color: Float[np.ndarray, "3 4"],
    noise: Float[np.ndarray, " pool"],
    noise_start: int,
    noise_scale: float,
    out: UInt8[np.ndarray, "crop crop 3"],
) -> None:
    """Sample a crop bilinearly, change its colors, add noise.

    Args:
        picture: The picture, 8 bits.
        origin: Position of the crop's upper left corner, pixels of the picture.
        right: Step from a column to the next, pixels of the picture.
        down: Step from a row to the next.
        limits: Part of the picture that is shown (left, top, right, bottom); the rest is gray.
        color: Affine map of the colors (0 to 255).
        noise: Standard normal numbers to take from.
        noise_start: Where to begin taking.
        noise_scale: Factor on them.
        out: The crop.
    """
    rows, cols = picture.shape[0], picture.shape[1]
    taken = noise_start
    for i in range(CROP_PX):
        for j in range(CROP_PX):
            x = origin[0] + (j + 0.5) * right[0] + (i + 0.5) * down[0]
            y = origin[1] + (j + 0.5) * right[1] + (i + 0.5) * down[1]
            if x < limits[0] or x > limits[2] or y < limits[1] or y > limits[3]:
                for k in range(3):
                    out[i, j, k] = np.uint8(_OUTSIDE)
                continue
            u, v = x - 0.5, y - 0.5
            c, r = int(np.floor(u)), int(np.floor(v))
            a, b = np.float32(u - c), np.float32(v - r)
            c0, c1 = min(max(c, 0), cols - 1), min(max(c + 1, 0), cols - 1)
            r0, r1 = min(max(r, 0), rows - 1), min(max(r + 1, 0), rows - 1)
            w00, w01, w10, w11 = (1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b
            p, q, s, t = picture[r0, c0], picture[r0, c1], picture[r1, c0], picture[r1, c1]
            s0 = p[0] * w00 + q[0] * w01 + s[0] * w10 + t[0] * w11
            s1 = p[1] * w00 + q[1] * w01 + s[1] * w10 + t[1] * w11
            s2 = p[2] * w00 + q[2] * w01 + s[2] * w10 + t[2] * w11
            for k in range(3):
                value = color[k, 0] * s0 + color[k, 1] * s1 + color[k, 2] * s2 + color[k, 3]
                value += noise[taken] * noise_scale
                taken += 1
                out[i, j, k] = np.uint8(min(max(value + 0.5, 0.0), 255.0))
