"""Which points lie in the opening of an eye."""

from jaxtyping import Bool, Float
from torch import Tensor


def between_lids(
    points: Float[Tensor, "*batch points 2"], rim: Float[Tensor, "*batch rim 2"]
) -> Bool[Tensor, "*batch points"]:
    """Return which points lie within the rim of an opening, a convex polygon in either sense of rotation.

    An opening without width, a shut eye, holds no point.
    """
    along = rim.roll(-1, -2) - rim
    off = points[..., :, None, :] - rim[..., None, :, :]
    side = along[..., None, :, 0] * off[..., 1] - along[..., None, :, 1] * off[..., 0]
    return (side > 0).all(-1) | (side < 0).all(-1)
