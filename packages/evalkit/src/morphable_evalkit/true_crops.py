"""The crop around the true face that AFLW2000-3D's benchmark feeds to per-face systems."""

import numpy as np
from jaxtyping import Float

from morphable_evalkit.dataset_aflw2000 import PIXEL_SHIFT


def true_crops(points_px: Float[np.ndarray, "faces 68 2"]) -> Float[np.ndarray, "faces 4"]:
    """Return the square that 3DDFA's benchmark cuts out and resizes to 120 x 120 (benchmarkCrop.m, calcRoiBox).

    The side is sqrt(2) times the longer side of the points' tight box, about its centre, both rounded to pixels. Of
    the boxes that 3DDFA ships for AFLW2000-3D, 97 % are equal to these and the others were made in another way.

    Args:
        points_px: Ground-truth points.

    Returns:
        x0, y0, x1, y1 as edges of pixels, so that `image[y0:y1, x0:x1]` is the crop; may reach past the picture.
    """
    points = points_px.astype(np.float64) + PIXEL_SHIFT
    low, high = points.min(axis=1), points.max(axis=1)
    side = np.sqrt(2.0) * (high - low).max(axis=1)
    corner = np.round((low + high) / 2 - side[:, None] / 2)
    return np.concatenate([corner, corner + np.round(side)[:, None]], axis=1)
