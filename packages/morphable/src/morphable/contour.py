"""Contour landmarks (`ibug68_contour`): jaw points that slide to the outline a camera sees, evenly spaced along it."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from morphable.landmarks import NUM_JAW

MIN_DEPTH_M = 1e-3
"""Depth floor of the projection, so that points at or behind the camera give finite extents."""
_CHIN = NUM_JAW // 2


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
    centered = (landmarks - landmarks.mean(0)).double()
    return torch.linalg.pinv(centered)[1].to(landmarks.dtype)


def outward_in_image(
    landmarks_cam: Float[Tensor, "*batch 68 3"],
    outward: Float[Tensor, "17 2"],
    weights: Float[Tensor, " 68"],
) -> Float[Tensor, "*batch 17 2"]:
    """Return the image direction pointing out of the visible face for each jaw point.

    Sideways out of the face is perpendicular to the head's projected up axis, whatever the yaw: in a profile
    view the far side's outline is the front of the face, and out of the near side is toward the ear.

    Args:
        landmarks_cam: Static 68 points in the camera frame, meters.
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
        lines_cam: Candidates in the camera frame (camera at the origin, +z forward), meters.
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


def visible_outline(
    landmarks_cam: Float[Tensor, "*batch 68 3"],
    lines_cam: Float[Tensor, "*batch 17 candidates 3"],
    outward: Float[Tensor, "17 2"],
    weights: Float[Tensor, " 68"],
) -> Float[Tensor, "*batch 17 3"]:
    """Return of each line the candidate on the visible outline; the choice carries no gradient, positions do.

    Args:
        landmarks_cam: Static 68 points in the camera frame, meters.
        lines_cam: Candidates of the jaw points in the camera frame, meters.
        outward: From `jaw_outward`.
        weights: From `up_weights`.
    """
    direction = outward_in_image(landmarks_cam.detach(), outward, weights)
    chosen = silhouette_index(lines_cam.detach(), direction)[..., None, None]
    return lines_cam.gather(-2, chosen.expand(*chosen.shape[:-1], 3)).squeeze(-2)


def space_evenly(outline_cam: Float[Tensor, "*batch 17 3"]) -> Float[Tensor, "*batch 17 3"]:
    """Move the points along the outline until each half of the jaw, ear to chin, is divided evenly in the image.

    So annotators place them (`benchmarks/landmark_placement.py` prints the steps of Helen's jaw lines).

    Args:
        outline_cam: Points on the visible outline in the camera frame, meters, from ear to ear.
    """
    rays = outline_cam[..., :2] / outline_cam[..., 2:].clamp(min=MIN_DEPTH_M)
    right, left = slice(0, _CHIN + 1), slice(_CHIN, NUM_JAW)
    first = _divide_evenly(outline_cam[..., right, :], rays[..., right, :])
    second = _divide_evenly(outline_cam[..., left, :], rays[..., left, :])
    return torch.cat([first, second[..., 1:, :]], dim=-2)


def _divide_evenly(
    points: Float[Tensor, "*batch points 3"], rays: Float[Tensor, "*batch points 2"]
) -> Float[Tensor, "*batch points 3"]:
    """Resample a line at equal steps of its length in the image."""
    steps = (rays[..., 1:, :] - rays[..., :-1, :]).norm(dim=-1)
    along = F.pad(steps.cumsum(-1), (1, 0))
    wanted = along[..., -1:] * torch.linspace(0, 1, points.shape[-2], dtype=points.dtype, device=points.device)
    segment = (torch.searchsorted(along.detach(), wanted.detach(), right=True) - 1).clamp(0, steps.shape[-1] - 1)
    tiny = torch.finfo(points.dtype).tiny
    share = ((wanted - along.gather(-1, segment)) / steps.gather(-1, segment).clamp(min=tiny)).clamp(0, 1)[..., None]
    at = segment[..., None].expand(*segment.shape, 3)
    start, end = points.gather(-2, at), points.gather(-2, at + 1)
    return start + share * (end - start)
