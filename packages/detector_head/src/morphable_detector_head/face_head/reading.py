"""What the face head reads from crops, and the faces that follow from it."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from morphable import FaceParameters

from .crops import ANCHOR_M, CropFrames, camera_rotation, in_head_axes

_LEAST_SCORE = 1e-6


@dataclass(frozen=True)
class FaceReading:
    """What the face head reads from crops."""

    identity: Float[Tensor, "*batch id"]
    expression: Float[Tensor, "*batch expr"]
    """As it was regressed; `FaceHead.limited` limits activations to [0, 1]."""
    rotation_crop: Float[Tensor, "*batch 3 3"]
    """`R_head` in the crop's camera."""
    shift: Float[Tensor, "*batch 2"]
    """Anchor relative to the crop's center, in units of its side."""
    log_depth: Float[Tensor, "*batch"]
    """Logarithm of the anchor's depth over the estimated one."""
    points: Float[Tensor, "*batch points 2"]
    """`NUM_POINTS` landmarks in units of the crop's side, relative to its center."""
    rough_points: Float[Tensor, "*batch points 2"]
    """The same, placed roughly: the maps look for each point around there."""
    log_std: Float[Tensor, "*batch points"]
    """Logarithm of the standard deviation of each coordinate of a point, units of the crop's side."""
    face_logit: Float[Tensor, "*batch"]
    """Logit of the probability that the crop shows a face where the estimate says."""


def corrected(estimate: FaceParameters, frames: CropFrames, reading: FaceReading) -> FaceParameters:
    """Return an estimate with pose, identity and expression as they were read from the crops."""
    turn = in_head_axes(frames.crop_from_camera)
    rotation = turn.mT @ reading.rotation_crop
    anchor = reading.rotation_crop.new_tensor(ANCHOR_M)
    depth = frames.depth_m * reading.log_depth.exp()
    place = frames.to_picture(reading.shift[..., None, :])[..., 0, :] / frames.focal_px
    at = torch.cat([place, torch.ones_like(place[..., :1])], -1) * depth[..., None]
    translation = at - camera_rotation(rotation) @ anchor
    return replace(
        estimate,
        identity=reading.identity,
        expression=reading.expression,
        rotation_head=rotation,
        translation_m=translation,
    )


def finite_logit(score: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Return the logit of a score in [0, 1], which stays finite at its ends."""
    return torch.logit(score.clamp(_LEAST_SCORE, 1 - _LEAST_SCORE))
