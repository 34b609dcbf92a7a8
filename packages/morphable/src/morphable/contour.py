"""Contour landmarks (`ibug68_contour`): jaw points that slide to the outline a camera sees."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from morphable.landmarks import NUM_JAW

MIN_DEPTH_M = 1e-3
"""Depth floor of the projection, so that points at or behind the camera give finite extents."""


def jaw_outward(landmarks: Float[Tensor, "68 3"]) -> Float[Tensor, "17 2"]:
    """Return which way is out of the face at each jaw point, seen from the front.

    Args:
        landmarks: Static 68 points of the mean face in the model frame.

    Returns:
        Unit vectors (toward the person's left, up), perpendicular to the jaw line.
    """
    jaw = landmarks[:NUM_JAW, :2]
    ahead = torch.cat([jaw[1:], jaw[-1:]]) - torch.cat([jaw[:1], jaw[:-1]])
    return F.normalize(torch.stack([ahead[:, 1], -ahead[:, 0]], dim=-1), dim=-1)


def up_weights(landmarks: Float[Tensor, "68 3"]) -> Float[Tensor, " 68"]:
    """Return the weights by which posed landmarks give the head's up axis.

    The sum of posed points by these weights is the second column of the affine map that best takes the mean
    landmarks to the posed ones (least squares): where the model's +y points there.
    """
    centred = (landmarks - landmarks.mean(0)).double()
    return torch.linalg.pinv(centred)[1].to(landmarks.dtype)


def outward_in_image(
    landmarks_cam: Float[Tensor, "*batch 68 3"],
    outward: Float[Tensor, "17 2"],
    weights: Float[Tensor, " 68"],
) -> Float[Tensor, "*batch 17 2"]:
    """Return the image direction pointing out of the visible face for each jaw point.

    Sideways out of the face is perpendicular to the head's projected up axis, whatever the yaw: in a profile
    view the far side's outline is the front of the face, and out of the near side is toward the ear.

    Args:
        landmarks_cam: Static 68 points in the camera frame, metres.
        outward: From `jaw_outward`.
        weights: From `up_weights`.
    """
    center = landmarks_cam.mean(-2)
    up_cam = (landmarks_cam * weights[:, None]).sum(-2)
    center_xy = center[..., :2] / center[..., 2:].clamp(min=MIN_DEPTH_M)
    up = F.normalize(up_cam[..., :2] - center_xy * up_cam[..., 2:], dim=-1)
    left = torch.stack([-up[..., 1], up[..., 0]], dim=-1)
    return outward[:, :1] * left[..., None, :] + outward[:, 1:] * up[..., None, :]


def silhouette_index(
    lines_cam: Float[Tensor, "*batch 17 candidates 3"], outward: Float[Tensor, "*batch 17 2"]
) -> Int[Tensor, "*batch 17"]:
    """Return for each line the candidate on the visible outline.

    Where a line on a closed surface reaches farthest out in the image, the surface turns away from the camera: that
    point is on the line's outline, and nothing of the line hides it. Out is first where `outward` points and then, once
    more, across the outline that was found, which a turned head's foreshortening has tilted.

    Args:
        lines_cam: Candidates in the camera frame (camera at the origin, +z forward), metres.
        outward: Image directions (x right, y down) out of the face, from `outward_in_image`.
    """
    rays = lines_cam[..., :2] / lines_cam[..., 2:].clamp(min=MIN_DEPTH_M)
    first = (rays * outward[..., None, :]).sum(-1).argmax(-1)
    found = rays.gather(-2, first[..., None, None].expand(*first.shape, 1, 2)).squeeze(-2)
    padded = torch.cat([found[..., :1, :], found, found[..., -1:, :]], dim=-2)
    along = padded[..., 2:, :] - padded[..., :-2, :]
    across = F.normalize(torch.stack([along[..., 1], -along[..., 0]], dim=-1), dim=-1)
    across = across * (across * outward).sum(-1, keepdim=True).sign()
    return (rays * across[..., None, :]).sum(-1).argmax(-1)
