"""Poses of faces in crops: scaled orthography (Mobile-FRNet, PRNet) and a pinhole camera per view (DF-MVR)."""

import torch
from jaxtyping import Float
from torch import Tensor

from morphable_regressors.crops import CropRule
from morphable_regressors.dfmvr import MultiViewParameters

CROP_FOCAL_PX = 1015.0
"""Focal length of DF-MVR's crops in their own pixels, the project's choice for every input (WM3DR, eq. 4)."""
MEAN_FACE_M = 0.145
"""Longer side of the 68-point box of a mean face: what a raw depth of zero means."""


def axes_flip(like: Tensor) -> Float[Tensor, " 3"]:
    """Return the diagonal that turns the model's axes (y up, z out of the face) into the camera's."""
    return torch.tensor([1.0, -1.0, -1.0], dtype=like.dtype, device=like.device)


def nearest_rotation(
    matrix: Float[Tensor, "*batch 3 3"],
) -> tuple[Float[Tensor, "*batch 3 3"], Float[Tensor, "*batch"]]:
    """Return the rotation nearest to a scaled one, and the scale: `matrix ~ scale rotation`."""
    left, spread, right = torch.linalg.svd(matrix)
    sign = torch.linalg.det(left @ right).sign()
    signs = torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], dim=-1)
    return left @ (signs[..., None] * right), (spread * signs).mean(-1)


def similarity_pose(
    points_px: Float[Tensor, "*batch points 3"], points_model: Float[Tensor, "*#batch points 3"]
) -> tuple[Float[Tensor, "*batch 3 3"], Float[Tensor, "*batch"], Float[Tensor, "*batch 2"]]:
    """Find the pose whose scaled-orthographic picture of a shape is nearest to given points (Umeyama 1991).

    Args:
        points_px: x right, y down in pixels, and depth into the scene in pixels of the same scale, from any zero.
        points_model: The shape's points in the model frame, metres.

    Returns:
        Head rotation, scale in pixels per metre, and the pixel of the model origin.
    """
    goal_mean, source_mean = points_px.mean(-2, keepdim=True), points_model.mean(-2, keepdim=True)
    goal, source = points_px - goal_mean, points_model - source_mean
    turn, _ = nearest_rotation(goal.mT @ source)
    scale = ((source @ turn.mT) * goal).sum((-2, -1)) / source.square().sum((-2, -1))
    offset = (goal_mean - scale[..., None, None] * source_mean @ turn.mT)[..., 0, :2]
    return axes_flip(turn)[:, None] * turn, scale, offset


def view_poses(
    parameters: MultiViewParameters, rule: CropRule
) -> tuple[Float[Tensor, "batch views 3 3"], Float[Tensor, "batch views 3"]]:
    """Decode DF-MVR's poses: head rotation, and translation in metres, in the pinhole camera of each crop.

    Raw zeros mean a face that looks straight at the camera from the middle of the crop, as large as the rule says.

    Args:
        parameters: The network's output.
        rule: Of the crops; their focal length is `CROP_FOCAL_PX`, their principal point their middle.
    """
    x, y, z = parameters.rotation_vector.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    depth = MEAN_FACE_M * CROP_FOCAL_PX / rule.face_px * parameters.depth.exp()
    lateral = parameters.offset * (depth * rule.side_px / CROP_FOCAL_PX)[..., None]
    return torch.linalg.matrix_exp(skew), torch.cat([lateral, depth[..., None]], dim=-1)
