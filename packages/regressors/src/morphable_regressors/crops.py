"""Square crops of single faces, from boxes or landmarks: what every per-face network is fed."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from morphable.geometry.warping import HALVE_BELOW, warp

MIN_BOX_PX = 1.0
"""Boxes with a shorter longer side are refused."""


@dataclass(frozen=True, kw_only=True)
class CropRule:
    """How a crop stands around a face: centered on the box of its 68 points.

    >>> CropRule(side_px=256).side_px
    256
    """

    side_px: int = 120
    """Side of the crop."""
    face_share: float = 0.5**0.5
    """Longer side of the box in crop sides. 3DDFA's rule, a square sqrt(2) times the box, is the default."""

    def __post_init__(self) -> None:
        if self.side_px < 32:
            raise ValueError(f"side_px must be at least 32, got {self.side_px}")
        if not 0.0 < self.face_share <= 1.0:
            raise ValueError(f"face_share must be in (0, 1], got {self.face_share}")

    @property
    def face_px(self) -> float:
        """Longer side of the box in pixels of the crop."""
        return self.side_px * self.face_share


def boxes_of_landmarks(landmarks_px: Float[Tensor, "faces points 2"]) -> Float[Tensor, "faces 4"]:
    """Return the tight boxes (left, top, right, bottom) of landmarks."""
    return torch.cat([landmarks_px.amin(1), landmarks_px.amax(1)], dim=1)


def crop_matrices(boxes_px: Float[Tensor, "faces 4"], rule: CropRule) -> Float[Tensor, "faces 3 3"]:
    """Return where the crops put the pixels of the picture: one scale and a shift each.

    Args:
        boxes_px: Left, top, right, bottom, in pixels of the picture, corner at (0, 0); may reach past it.
        rule: Size of the crops, and of the faces in them.

    Raises:
        ValueError: A box is empty or not finite.

    >>> crop_from_picture = crop_matrices(torch.tensor([[10.0, 20.0, 50.0, 60.0]]), CropRule(side_px=120))
    >>> crop_from_picture @ torch.tensor([30.0, 40.0, 1.0])  # the middle of the box
    tensor([[60., 60.,  1.]])
    """
    size = (boxes_px[:, 2:] - boxes_px[:, :2]).amax(1)
    if not bool((torch.isfinite(boxes_px).all(1) & (size >= MIN_BOX_PX)).all()):
        raise ValueError(
            f"boxes_px must be finite with a longer side of at least {MIN_BOX_PX:g} px, "
            f"got {boxes_px[~(size >= MIN_BOX_PX)].tolist() or 'numbers that are not finite'}; leave those faces out"
        )
    scale = rule.face_px / size
    shift = rule.side_px / 2 - scale[:, None] * (boxes_px[:, :2] + boxes_px[:, 2:]) / 2
    matrix = torch.zeros(len(boxes_px), 3, 3, dtype=boxes_px.dtype, device=boxes_px.device)
    matrix[:, 0, 0] = matrix[:, 1, 1] = scale
    matrix[:, :2, 2], matrix[:, 2, 2] = shift, 1.0
    return matrix


def cut_crops(
    picture: Float[Tensor, "3 rows cols"], crop_from_picture: Float[Tensor, "faces 3 3"], side_px: int
) -> Float[Tensor, "faces 3 side side"]:
    """Resample the crops bilinearly; beyond the picture its edge is repeated.

    Args:
        picture: RGB in [0, 1].
        crop_from_picture: From `crop_matrices`.
        side_px: Side of the crops.

    >>> crop_from_picture = crop_matrices(torch.tensor([[10.0, 20.0, 50.0, 60.0]]), CropRule(side_px=120))
    >>> cut_crops(torch.rand(3, 80, 80), crop_from_picture, 120).shape
    torch.Size([1, 3, 120, 120])
    """
    levels = [picture]
    crops = [_cut(levels, matrix, side_px) for matrix in crop_from_picture]
    return torch.stack(crops) if crops else picture.new_zeros(0, 3, side_px, side_px)


def _cut(levels: list[Tensor], matrix: Tensor, side_px: int) -> Tensor:
    """One crop, from the picture halved as often as its scale asks for; halved pictures are kept in `levels`."""
    scale, level = float(matrix[0, 0]), 0
    while scale < HALVE_BELOW and min(levels[level].shape[1:]) > 2:
        level, scale = level + 1, scale * 2.0
        if level == len(levels):
            larger = levels[-1]
            padding = (0, larger.shape[2] % 2, 0, larger.shape[1] % 2)
            levels.append(F.avg_pool2d(F.pad(larger[None], padding, mode="replicate"), 2)[0])
    crop_from_level = matrix * matrix.new_tensor([2.0**level, 2.0**level, 1.0])
    return warp(levels[level][None], crop_from_level[None], (side_px, side_px))[0]
