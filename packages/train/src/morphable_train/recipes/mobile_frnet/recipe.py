"""The recipe of Mobile-FRNet: whitened parameters, WPDC and wing losses."""

from typing import cast

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from morphable import MorphableModel, PointModel
from morphable_losses import wing_loss, wpdc_loss
from morphable_regressors import SystemSpec
from morphable_regressors.face_codec import FaceCodec
from morphable_regressors.systems import ParameterConfig, ParameterRegressor
from morphable_train.configs.recipes import MobileFrnetConfig
from morphable_train.data.labels import NUM_LANDMARKS
from morphable_train.data.streams import Shard
from morphable_train.data.surface import SurfaceSample
from morphable_train.recipes.base.batches import CropBatch, FaceStream, LoadedCrops, crop_targets, finish_crops
from morphable_train.recipes.base.crops import PartCrops
from morphable_train.recipes.base.held_out import HeldOut
from morphable_train.recipes.base.measures import dense_nme, landmark_nme, rotation_error_deg, shape_error_mm
from morphable_train.recipes.base.mobilenet_start import start_from_mobilenet
from morphable_train.recipes.base.own_start import go_on_from
from morphable_train.recipes.base.recipe import channels_last
from morphable_train.recipes.base.targets import orthographic_truth, points_in_crop, true_shape


class FrnetRecipe:
    """Trains a `ParameterRegressor`."""

    def __init__(
        self,
        config: MobileFrnetConfig,
        model: MorphableModel,
        crops: PartCrops,
        held_out: PartCrops | None,
        shard: Shard,
    ) -> None:
        self.config, self.model, self.surface = config, model, SurfaceSample(model).to(model.mean.device)
        shape = ParameterConfig(
            backbone=config.backbone,
            num_identity=config.num_identity,
            num_expression=config.num_expression,
            model_identity=model.num_identity,
            model_expression=model.num_expression,
        )
        self.spec = SystemSpec(crop=config.crop, config=shape)
        self.stream = FaceStream(crops, config, shard)
        self.held_out = HeldOut(held_out, config, model, self.surface)
        network = ParameterRegressor(shape).to(model.mean.device)
        self.network: nn.Module = channels_last(network)
        self.system: nn.Module = self.network
        goes_on = config.start is not None and go_on_from(self.network, self.spec, config.start)
        if config.start is not None and not goes_on:
            start_from_mobilenet(self.network, config.start)
        if not goes_on:
            self._fit_codec()
        self.face = linear_face(self._codec, self.surface)

    @property
    def _codec(self) -> FaceCodec:
        return cast("FaceCodec", self.network.codec)

    def load(self, step: int) -> LoadedCrops:
        """Read a step's crops."""
        return self.stream.load(step)

    def losses(self, network: nn.Module, loaded: LoadedCrops, step: int) -> dict[str, Float[Tensor, ""]]:
        """Return WPDC on parameters and the wing loss in pixels of the crop, on the 68 points and on the surface."""
        config, codec = self.config, self._codec
        batch = finish_crops(loaded, config.crop, self.model, self.surface)
        predicted = network(batch.image).float()
        target = codec.whiten(codec.pack(orthographic_truth(batch.faces, self.surface, config.crop.side_px)))
        wpdc = wpdc_loss(predicted, target, self.face, parameter_mean=codec.mean, parameter_std=codec.std)
        points = points_of_parameters(codec.unwhiten(predicted), self.face)
        known = points_in_crop(true_shape(batch.faces, self.surface), batch.faces, config.crop.side_px)
        width, curvature = config.wing_width_px, config.wing_curvature_px
        landmarks, surface = (
            config.wing / 2 * wing_loss(points[:, part], known[:, part], width=width, curvature=curvature)
            for part in (slice(NUM_LANDMARKS), slice(NUM_LANDMARKS, None))
        )
        return {"wpdc": config.wpdc * wpdc, "wing_landmarks": landmarks, "wing_surface": surface}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Measure points, shape and rotation; `mean_face_*` are the errors of the training faces' mean parameters."""
        return self.held_out.measure(lambda batch: self._errors(network, batch))

    @torch.no_grad()
    def sheet(self, network: nn.Module) -> UInt8[np.ndarray, "rows cols 3"] | None:
        """Draw held-out faces with true (red) and predicted (green) points."""
        return self.held_out.points_sheet(lambda batch: self._points(network, batch)[:, :NUM_LANDMARKS, :2])

    def _points(self, network: nn.Module, batch: CropBatch) -> Tensor:
        """Predicted surface points in the crop."""
        found = self._codec.unpack(self._codec.unwhiten(network(batch.image).float()))
        return found.project(self.surface.few.decode_shape(found.identity, found.expression))

    @torch.no_grad()
    def _errors(self, network: nn.Module, batch: CropBatch) -> dict[str, Tensor]:
        codec, truth, side = self._codec, batch.faces, self.config.crop.side_px
        known = true_shape(truth, self.surface)
        goal, true_rotation = (
            points_in_crop(known, truth, side),
            orthographic_truth(truth, self.surface, side).rotation_head,
        )
        errors: dict[str, Tensor] = {}
        for prefix, raw in (
            ("", codec.unwhiten(network(batch.image).float())),
            ("mean_face_", codec.mean.expand(len(batch), -1)),
        ):
            found = codec.unpack(raw)
            shape = self.surface.few.decode_shape(found.identity, found.expression)
            points = found.project(shape)
            errors |= {
                f"{prefix}nme": landmark_nme(points[:, :NUM_LANDMARKS, :2], truth),
                f"{prefix}dense_3d_nme": dense_nme(points, goal, truth),
                f"{prefix}shape_mm": shape_error_mm(shape, known),
                f"{prefix}rotation_deg": rotation_error_deg(found.rotation_head, true_rotation),
            }
        return errors

    @torch.no_grad()
    def _fit_codec(self) -> None:
        """Choose expression directions and whiten, by training faces as they are augmented."""
        config, codec = self.config, self._codec
        device, count = self.surface.mean.device, self.model.num_expression
        neutral = torch.zeros(count, self.model.num_identity, device=device)
        rows = torch.eye(count, device=device)
        moved = self.surface.few.decode_shape(neutral, rows) - self.surface.few.decode_shape(
            neutral, torch.zeros_like(rows)
        )
        codec.fit_expressions(self.stream.crops.faces.expression.to(device), moved)
        raw = []
        for step in range(-(-config.whitening_faces // config.run.batch_size)):
            truth = crop_targets(self.load(step), config.crop, self.model, self.surface)
            raw.append(codec.pack(orthographic_truth(truth, self.surface, config.crop.side_px)))
        codec.fit_whitening(torch.cat(raw))


@torch.no_grad()
def linear_face(codec: FaceCodec, surface: SurfaceSample) -> PointModel:
    """Return the sampled surface as a linear function of a codec's coefficients."""
    device = surface.mean.device
    model_identity = surface.identity_basis.shape[0]
    identity = torch.eye(model_identity, device=device)[: codec.num_identity]
    expression = codec.expression_mean.expand(len(identity), -1)
    moved = codec.expression_mean + codec.expression_basis
    mean = surface.few.decode_shape(torch.zeros(model_identity, device=device), codec.expression_mean)
    return PointModel(
        mean=mean,
        identity_basis=surface.few.decode_shape(identity, expression) - mean,
        expression_basis=surface.few.decode_shape(torch.zeros(len(moved), model_identity, device=device), moved) - mean,
    )


def points_of_parameters(raw: Float[Tensor, "faces params"], face: PointModel) -> Float[Tensor, "faces points 3"]:
    """Return the points that raw parameters mean, the pose matrix as it is: x, y and depth in pixels of the crop."""
    num_identity = len(face.identity_basis)
    pose, identity, expression = raw.split([12, num_identity, len(face.expression_basis)], dim=1)
    matrix = pose.unflatten(1, (3, 4))
    moved = identity @ face.identity_basis.flatten(1) + expression @ face.expression_basis.flatten(1)
    shape = face.mean + moved.unflatten(1, face.mean.shape)
    return shape @ matrix[:, :, :3].mT + matrix[:, None, :, 3]
