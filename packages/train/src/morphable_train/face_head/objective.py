"""What the face head is trained to minimize."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from morphable import FaceParameters
from morphable_detector_head.face_head.network import NUM_IRISES
from morphable_detector_head.face_head.reading import FaceReading, corrected
from morphable_losses.face_errors import point_likelihood
from morphable_train.data.surface import SurfaceSample
from morphable_train.face_head.config import FaceHeadLoss
from morphable_train.face_head.crops import CropTruth, in_camera, project_surface


def channel_weights(names: tuple[str, ...], loss: FaceHeadLoss) -> Float[Tensor, " expr"]:
    """Return the weight of each expression coefficient's error."""
    lids = ("eyeBlink", "eyeSquint", "eyeWide")
    factor = [loss.gaze if n.startswith("eyeLook") else loss.lids if n.startswith(lids) else 1.0 for n in names]
    return torch.tensor(factor)


def face_head_losses(
    reading: FaceReading,
    truth: CropTruth,
    surface: SurfaceSample,
    weights: Float[Tensor, " expr"],
    loss: FaceHeadLoss,
) -> dict[str, Float[Tensor, ""]]:
    """Return the weighted terms by name.

    Args:
        reading: What the head gives.
        truth: What it should give.
        surface: Linear model of the points.
        weights: Of each expression coefficient.
        loss: Weights of the terms.
    """
    wrong_identity, wrong_expression = reading.identity - truth.identity, reading.expression - truth.expression
    shape, motion = (
        surface.groups((wrong @ basis.flatten(1)).unflatten(-1, (-1, 3))).dense.norm(dim=-1).mean()
        for wrong, basis in (
            (wrong_identity, surface.identity_basis),
            (wrong_expression, surface.expression_basis),
        )
    )
    found = corrected(no_estimate(reading), truth.frames, reading)
    seen = project_surface(
        in_camera(surface.decode_shape(found.identity, found.expression), found), truth.frames, surface
    )
    turned = reading.rotation_crop - truth.rotation_crop
    error = reading.points - truth.points
    likelihood = point_likelihood(reading.points, truth.points, reading.log_std)
    return {
        "shape": loss.shape * shape,
        "motion": loss.motion * motion,
        "identity": loss.identity * wrong_identity.square().mean(),
        "expression": loss.expression * (wrong_expression.square() * weights).mean(),
        "rotation": loss.rotation * turned.norm(dim=(-1, -2)).mean(),
        "place": loss.place * (reading.shift - truth.shift).norm(dim=-1).mean(),
        "depth": loss.depth * (reading.log_depth - truth.log_depth).abs().mean(),
        "surface": loss.surface * (seen - truth.surface).norm(dim=-1).clamp(max=1.0).mean(),
        "points": loss.points * error.norm(dim=-1).mean(),
        "rough": loss.rough * (reading.rough_points - truth.points).norm(dim=-1).mean(),
        "irises": loss.irises * error[:, -NUM_IRISES:].norm(dim=-1).mean(),
        "likelihood": loss.likelihood * likelihood.mean(),
        "face": loss.face * F.softplus(-reading.face_logit).mean(),
    }


def negative_loss(face_logit: Float[Tensor, " crops"], loss: FaceHeadLoss) -> Float[Tensor, ""]:
    """Return the weighted cross entropy of crops that show no face."""
    return loss.face * F.softplus(face_logit).mean()


def no_estimate(reading: FaceReading) -> FaceParameters:
    """Return parameters of which `corrected` keeps nothing."""
    none = reading.rotation_crop.new_zeros
    count = len(reading.shift)
    return FaceParameters(
        identity=reading.identity,
        expression=reading.expression,
        albedo=none(count, 0),
        rotation_head=reading.rotation_crop,
        translation_m=none(count, 3),
        illumination=none(count, 9, 3),
    )
