"""Projected normalized coordinate code: surface position as color (Zhu et al., 3DDFA, CVPR 2016)."""

from jaxtyping import Float
from torch import Tensor


def pncc_colors(mean_shape: Float[Tensor, "verts 3"]) -> Float[Tensor, "verts 3"]:
    """Scale the mean shape's coordinates to [0, 1] per axis.

    Shown as vertex colors without light (`render_faces(..., illumination=None)`) they are the PNCC image.
    """
    low, high = mean_shape.amin(0), mean_shape.amax(0)
    return (mean_shape - low) / (high - low)
