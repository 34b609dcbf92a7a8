"""Photometric losses between a rendered picture and the photograph."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ._reduce import safe_norm


def pixel_loss(
    rendered: Float[Tensor, "batch 3 height width"],
    photograph: Float[Tensor, "batch 3 height width"],
    mask: Float[Tensor, "batch height width"],
) -> Float[Tensor, ""]:
    """Compare colors on the skin of the mask (WM3DR equation 9, the robust l2,1 norm).

    Args:
        rendered: sRGB-encoded colors in [0, 1] (not clamped), with all faces of the picture.
        photograph: The same of the photograph.
        mask: Weight of each pixel: skin times rendered area (see `photometric_mask`). The result does not
            change with its scale.

    Returns:
        Per picture the weighted mean of the color distance; then the mean over the pictures whose mask
        is not empty; zero if all are. Gradients at equal colors are zero.

    >>> picture = torch.rand(1, 3, 4, 4)
    >>> pixel_loss(picture, picture, torch.ones(1, 4, 4)) < 1e-3
    tensor(True)
    """
    difference = torch.where(mask[:, None] > 0, rendered - photograph, 0.0)
    distance = safe_norm(difference.movedim(1, -1))
    area = mask.sum((-2, -1))
    covered = area > 0
    mean = (distance * mask).sum((-2, -1)) / torch.where(covered, area, 1.0)
    return mean.sum() / covered.sum().clamp(min=1)


def photometric_mask(
    skin: Bool[Tensor, "batch height width"], rendered: Bool[Tensor, "batch height width"]
) -> Float[Tensor, "batch height width"]:
    """Combine the masks of WM3DR's equation 10.

    Args:
        skin: Skin of the photograph, of all faces.
        rendered: Pixels that rendered faces cover.
    """
    return (skin & rendered).float()
