"""Poses of faces in crops: scaled orthography (Mobile-FRNet, PRNet) and a pinhole camera per view (DF-MVR)."""

import torch
from jaxtyping import Float
from torch import Tensor

from morphable.geometry import GLOBAL_FOCAL_PX, axes_flip, fit_similarity, skew
from morphable_regressors.crops import CropRule
from morphable_regressors.dfmvr import MultiViewParameters

MEAN_FACE_M = 0.145
"""Longer side of the 68-point box of a mean face: what a raw depth of zero means."""


def similarity_pose(
    points_px: Float[Tensor, "*batch points 3"], points_model: Float[Tensor, "*#batch points 3"]
) -> tuple[Float[Tensor, "*batch 3 3"], Float[Tensor, "*batch"], Float[Tensor, "*batch 2"]]:
    """Find the pose whose scaled-orthographic picture of a shape is nearest to given points (Umeyama 1991).

    Args:
        points_px: x right, y down in pixels, and depth into the scene in pixels of the same scale, from any zero.
        points_model: The shape's points in the model frame, meters.

    Returns:
        Head rotation, scale in pixels per meter, and the pixel of the model origin.
    """
    scale, turn, offset = fit_similarity(points_model, points_px)
    return axes_flip(turn)[:, None] * turn, scale, offset[..., :2]


def view_poses(
    parameters: MultiViewParameters, rule: CropRule
) -> tuple[Float[Tensor, "batch views 3 3"], Float[Tensor, "batch views 3"]]:
    """Decode DF-MVR's poses: head rotation, and translation in meters, in the pinhole camera of each crop.

    Raw zeros mean a face that looks straight at the camera from the middle of the crop, as large as the rule makes it.

    Args:
        parameters: The network's output.
        rule: Of the crops; their focal length is `GLOBAL_FOCAL_PX`, their principal point their middle.
    """
    depth = MEAN_FACE_M * GLOBAL_FOCAL_PX / rule.face_px * parameters.depth.exp()
    lateral = parameters.offset * (depth * rule.side_px / GLOBAL_FOCAL_PX)[..., None]
    return torch.linalg.matrix_exp(skew(parameters.rotation_vector)), torch.cat([lateral, depth[..., None]], dim=-1)
