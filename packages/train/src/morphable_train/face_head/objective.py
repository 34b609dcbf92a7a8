"""What the face head is trained to minimize."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from morphable import FaceParameters
from morphable.landmarks import NUM_IBUG68
from morphable_detector_head.face_head.network import NUM_IRISES
from morphable_detector_head.face_head.reading import FaceReading, corrected
from morphable_losses.face_errors import opening_errors, point_likelihood
from morphable_train.data.surface import SurfaceSample
from morphable_train.face_head.config import FaceHeadLoss
from morphable_train.face_head.crops import CropTruth, KnownPoints, in_camera, project_points, project_surface


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
    placed = in_camera(surface.decode_shape(found.identity, found.expression), found)
    seen, mesh = (project(placed, truth.frames, surface) for project in (project_surface, project_points))
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
        "opening": loss.opening * _opening(reading.points, mesh, truth.points),
        "irises": loss.irises * error[:, -NUM_IRISES:].norm(dim=-1).mean(),
        "likelihood": loss.likelihood * likelihood.mean(),
        "face": loss.face * F.softplus(-reading.face_logit).mean(),
    }


def photograph_losses(
    reading: FaceReading, truth: KnownPoints, surface: SurfaceSample, loss: FaceHeadLoss
) -> dict[str, Float[Tensor, ""]]:
    """Return the weighted terms of crops of which points alone are known, by name.

    Args:
        reading: What the head gives.
        truth: What is known.
        surface: Linear model of the points.
        loss: Weights of the terms.
    """
    known = truth.known.to(reading.points)

    def mean(values: Float[Tensor, "faces points"]) -> Float[Tensor, ""]:
        return (values * known).sum() / known.sum()

    found = corrected(no_estimate(reading), truth.frames, reading)
    shape = surface.decode_shape(found.identity, found.expression)
    mesh = project_points(in_camera(shape, found), truth.frames, surface)
    return {
        "points": loss.points * mean((reading.points - truth.points).norm(dim=-1)),
        "rough": loss.rough * mean((reading.rough_points - truth.points).norm(dim=-1)),
        "surface": loss.surface * mean((mesh - truth.points).norm(dim=-1).clamp(max=1.0)),
        "opening": loss.opening * _opening(reading.points, mesh, truth.points),
        "likelihood": loss.likelihood * mean(point_likelihood(reading.points, truth.points, reading.log_std)),
        "face": loss.face * F.softplus(-reading.face_logit).mean(),
    }


def _opening(located: Tensor, mesh: Tensor, truth: Tensor) -> Float[Tensor, ""]:
    """Error of the lines across eyes and lips, of the located points and of the mesh's; all of them must be known."""
    weight = torch.ones_like(truth[:, :NUM_IBUG68, 0])
    target = truth[:, :NUM_IBUG68]
    errors = [opening_errors(p[:, :NUM_IBUG68], target, weight=weight, unit_px=weight[:, 0]) for p in (located, mesh)]
    return torch.stack(errors).mean()


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
