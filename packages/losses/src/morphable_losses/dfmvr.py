"""DF-MVR's losses: weighted photo, mask, 3D landmarks, and their weights."""

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from morphable.geometry import fit_similarity

from ._reduce import face_mean, safe_norm

FEATURE_WEIGHT, FACE_WEIGHT, BACKGROUND_WEIGHT = 254.0, 128.0, 32.0
DILATION_KERNEL_PX = 10
"""Side of the kernel that the released code dilates features by, in crops of 224 px."""
BACKGROUND_CLASS, SKIN_CLASS = 0, 1


@dataclass(frozen=True, kw_only=True)
class DfmvrWeights:
    """DF-MVR's weights of the terms."""

    photo: float = 24.0
    """`weighted_photo_loss`."""
    landmark_2d: float = 0.02
    """`landmark_loss` with `squared=False`."""
    landmark_3d: float = 1.0
    """`landmark_3d_loss`."""
    coefficients: float = 3e-4
    """`coefficient_norm` with 1, 0.8 and `albedo_weight=0.017`."""
    reflectance: float = 5.0
    """`albedo_variance` with `scale=1`."""
    light: float = 10.0
    """`light_prior`."""
    mask: float = 1.0
    """`parsing_loss`."""
    mask_from_epoch: int = 100
    """The mask term counts from this epoch on."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) >= 0:
                raise ValueError(f"{field.name} must be at least 0, got {getattr(self, field.name)}")


def photo_weights(
    parsing: Int[Tensor, "batch height width"], *, kernel_px: int = DILATION_KERNEL_PX
) -> Float[Tensor, "batch height width"]:
    """Build the weight map: facial features 254, other face 128, background 32.

    Features grow by a square kernel, but not beyond the face, as in the released code; the text's "dilate with 20
    pixel" leaves open what grows.

    Args:
        parsing: Classes of `morphable_regressors.PARSING_CLASSES`: 0 background, 1 skin, then the features.
        kernel_px: Side of the kernel; an even one reaches one pixel further to the left and up.
    """
    face = parsing != BACKGROUND_CLASS
    features = face & _dilate(parsing > SKIN_CLASS, kernel_px)
    weights = torch.full(parsing.shape, BACKGROUND_WEIGHT, device=parsing.device)
    return torch.where(features, FEATURE_WEIGHT, torch.where(face, FACE_WEIGHT, weights))


def _dilate(mask: Tensor, kernel_px: int) -> Tensor:
    """Grow a mask by a square kernel."""
    height, width = mask.shape[1:]
    grown = F.max_pool2d(mask[:, None].float(), kernel_px, stride=1, padding=kernel_px // 2)
    return grown[:, 0, :height, :width] > 0


def weighted_photo_loss(
    rendered: Float[Tensor, "batch 3 height width"],
    photograph: Float[Tensor, "batch 3 height width"],
    weights: Float[Tensor, "batch height width"],
    covered: Bool[Tensor, "batch height width"],
) -> Float[Tensor, ""]:
    """Compare colors where the rendered face and the photograph's meet (DF-MVR, equation 2).

    Args:
        rendered: One view per row, sRGB-encoded colors in [0, 1].
        photograph: The same of the photograph.
        weights: See `photo_weights`. The result does not change with their scale.
        covered: Pixels that the rendered face covers.

    Returns:
        Per view the weighted mean of the distances over the covered pixels; the mean over views that cover anything;
        zero if none does.

    >>> picture, covered = torch.rand(1, 3, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool)
    >>> weighted_photo_loss(picture, picture, torch.ones(1, 4, 4), covered)
    tensor(0.)
    """
    difference = torch.where(covered[:, None], rendered - photograph, 0.0)
    counted = weights * covered
    total = counted.sum((-2, -1))
    mean = (safe_norm(difference.movedim(1, -1)) * counted).sum((-2, -1)) / torch.where(total > 0, total, 1.0)
    return face_mean(mean, total > 0)


def parsing_loss(
    logits: Float[Tensor, "batch classes height width"],
    target: Int[Tensor, "batch height width"],
    *,
    counted: Bool[Tensor, "batch height width"] | None = None,
) -> Float[Tensor, ""]:
    """Compare the parsing of the rendered face with the photograph's (DF-MVR, equation 3, cross entropy).

    Run the frozen parser on the render without detaching it: the gradient goes through the parser into the
    face (the released code detaches the render, so that its term has no gradient).

    Args:
        logits: The parser's output on the rendered picture.
        target: Classes of the photograph.
        counted: Pixels that count; all if None.

    Returns:
        The mean over counted pixels; zero if there are none.

    >>> parsing_loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64))  # ln 2
    tensor(0.6931)
    """
    if logits.shape[0] == 0:
        return logits.sum()
    loss = F.cross_entropy(logits, target, reduction="none")
    return face_mean(loss, counted)


def landmark_3d_loss(
    predicted: Float[Tensor, "*batch points 3"],
    target: Float[Tensor, "*batch points 3"],
    anchors: Int[Tensor, " anchors"],
    *,
    present: Bool[Tensor, "*batch"] | None = None,
) -> Float[Tensor, ""]:
    """Compare 3D landmarks after a similarity fit on some of them (DF-MVR, equations 5-6; 101 and 7 points).

    Args:
        predicted: Landmarks of the predicted shape, model frame.
        target: True landmarks, any frame and unit; the error is in their unit.
        anchors: The points that the fit uses.
        present: False on padding.

    Returns:
        Mean distance of the points, averaged over faces; zero without faces. Gradient zero where points agree.

    >>> points = torch.rand(2, 68, 3)
    >>> bool(landmark_3d_loss(points, 2 * points, torch.tensor([8, 30, 36, 45])) < 1e-5)
    True
    """
    if present is not None:
        # a well-posed stand-in, so that the fit of padding has a finite gradient
        corners = torch.eye(3, dtype=predicted.dtype, device=predicted.device)
        scales = torch.arange(1, 4, dtype=predicted.dtype, device=predicted.device)
        stand_in = (corners * scales)[torch.arange(predicted.shape[-2], device=predicted.device) % 3]
        keep = present[..., None, None]
        predicted, target = torch.where(keep, predicted, stand_in), torch.where(keep, target, stand_in)
    source, goal = predicted[..., anchors, :], target[..., anchors, :]
    scale, rotation, translation = fit_similarity(source, goal)
    moved = scale[..., None, None] * predicted @ rotation.mT + translation[..., None, :]
    return face_mean(safe_norm(moved - target).mean(-1), present)
