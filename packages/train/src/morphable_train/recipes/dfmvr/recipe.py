"""The recipe of DF-MVR: three views of one face, fused, under the paper's weak losses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from morphable import MorphableModel
from morphable.geometry import Pinhole, camera_from_model
from morphable_losses import coefficient_norm, landmark_3d_loss, landmark_loss
from morphable_losses.landmarks import landmark_weights
from morphable_regressors import SystemSpec
from morphable_regressors.dfmvr import MultiViewParameters
from morphable_regressors.parsing import parsing_channel
from morphable_regressors.poses import view_poses
from morphable_regressors.systems import MultiViewConfig, MultiViewRegressor, ParserConfig
from morphable_train.configs.recipes import DfmvrConfig
from morphable_train.data.batch import FaceTargets
from morphable_train.data.labels import NUM_LANDMARKS
from morphable_train.data.streams import Shard
from morphable_train.data.surface import SurfaceSample
from morphable_train.packaging.recipes import read_system
from morphable_train.recipes.base.batches import CropBatch, finish_crops, plain_crops
from morphable_train.recipes.base.crops import PartCrops
from morphable_train.recipes.base.held_out import pictures_of
from morphable_train.recipes.base.measures import dense_nme, landmark_nme, shape_error_mm, training_mean
from morphable_train.recipes.base.own_start import require_own
from morphable_train.recipes.base.targets import points_in_crop, true_shape
from morphable_train.recipes.dfmvr.rendered import rendered_terms
from morphable_train.recipes.dfmvr.views import NUM_VIEWS, LoadedViews, ViewStream, group_views
from morphable_train.recipes.parsing.recipe import classes_of
from morphable_train.runs.drawing import PREDICTED_COLOR, TRUE_COLOR, draw_points, grid

NUM_POINTS = 101
"""3D landmarks: the 68, and the first 33 of the surface sample, which are spread evenly over the face."""
ANCHORS = (36, 39, 42, 45, 33, 48, 54)
"""The seven of them that are fitted: eye corners, base of the nose, mouth corners."""
PAPER_SIDE_PX = 224
"""Input of the paper, whose pixels its weights are meant for."""
FRONT = 1
SHEET_PEOPLE = 3
_BATCH = 8


class DfmvrRecipe:
    """Trains a `MultiViewRegressor`."""

    def __init__(
        self,
        config: DfmvrConfig,
        model: MorphableModel,
        crops: PartCrops,
        held_out: PartCrops | None,
        shard: Shard,
    ) -> None:
        if config.crop.side_px % 32:
            raise ValueError(f"crop.side_px must be a multiple of 32 for dfmvr, got {config.crop.side_px}")
        self.config, self.model, self.surface = config, model, SurfaceSample(model).to(model.mean.device)
        shape = MultiViewConfig(
            with_parser=config.parsing_channel and config.parser is not None,
            num_identity=model.num_identity,
            num_expression=model.num_expression,
            num_albedo=model.num_albedo,
            width=config.width,
            fusion=config.fusion,
            involution=config.involution,
            parsing_channel=config.parsing_channel,
        )
        parser_state: dict[str, Tensor] = {}
        if config.parsing_channel and config.parser is not None:
            backbone, parser_state = _read_parser(config.parser)
            shape = replace(shape, parser_backbone=backbone)
        self.spec = SystemSpec(crop=config.crop, config=shape)
        regressor = MultiViewRegressor(shape)
        if config.start is not None:
            require_own(regressor, self.spec, config.start)
        self.network: nn.Module = ViewTensors(regressor)
        self.system: nn.Module = regressor
        self._parser: nn.Module | None = regressor.parser
        if self._parser is not None:
            self._parser.load_state_dict(parser_state)
        self.stream = ViewStream(crops, config, shard)
        self._held_out, self._held_people = held_out, None if held_out is None else group_views(held_out)
        self.emphasis = landmark_weights(config.emphasized).to(model.mean.device)
        self.anchors = torch.tensor(ANCHORS, device=model.mean.device)
        self._mean_points: Tensor | None = None

    def load(self, step: int) -> LoadedViews:
        """Read a step's people."""
        return self.stream.load(step)

    def losses(self, network: nn.Module, loaded: LoadedViews, step: int) -> dict[str, Float[Tensor, ""]]:
        """Return the paper's terms, landmarks in pixels of its input."""
        weights = self.config.weights
        batch = finish_crops(loaded.crops, self.config.crop, self.model, self.surface)
        batch = _shown(batch, loaded.inputs)
        found = self.regress(network, batch)
        few = self.surface.few.decode_shape(found.identity, found.expression)
        known = true_shape(batch.faces, self.surface)[::NUM_VIEWS]
        unit = self.config.landmark_3d_unit_m
        side = self.config.crop.side_px
        exact = batch.faces.exact[::NUM_VIEWS]
        terms = {
            "landmark_2d": weights.landmark_2d
            * landmark_loss(
                self.landmarks_px(found, few, batch.faces.contour),
                batch.faces.landmarks68_px,
                self.emphasis,
                known=batch.faces.landmark_weight > 0,
                unit_px=torch.full((len(batch),), side / PAPER_SIDE_PX, device=few.device),
                squared=False,
            ),
            "landmark_3d": weights.landmark_3d
            * landmark_3d_loss(few[exact, :NUM_POINTS] / unit, known[exact, :NUM_POINTS] / unit, self.anchors)
            if bool(exact.any())
            else few.sum() * 0.0,
            "coefficients": weights.coefficients
            * coefficient_norm(found.identity, found.expression, found.albedo, albedo_weight=0.017),
        }
        if step % self.config.photo_every == 0:
            epoch = step * self.config.run.batch_size // len(self.stream.people)
            parser = self._parser if epoch >= weights.mask_from_epoch else None
            rotation, translation = view_poses(found, self.config.crop)
            rendered = rendered_terms(found, rotation, translation, batch, self.model, weights=weights, parser=parser)
            terms |= {name: value * self.config.photo_every for name, value in rendered.items()}
        return terms

    def regress(self, network: nn.Module, batch: CropBatch) -> MultiViewParameters:
        """Run the network on a batch of three pictures a person."""
        views = batch.image.unflatten(0, (-1, NUM_VIEWS))
        exact = None
        if self.config.parsing_channel and self._parser is None:
            exact = parsing_channel(classes_of(batch.part)).unflatten(0, (-1, NUM_VIEWS))
        found = network(views, exact)
        return MultiViewParameters(**{name: value.float() for name, value in found.items()})

    def landmarks_px(self, found: MultiViewParameters, few: Tensor, contour: Tensor) -> Float[Tensor, "pictures 68 2"]:
        """Project the 68 points into every view: on the silhouette for labels of the visible contour."""
        rotation, translation = view_poses(found, self.config.crop)
        side = self.config.crop.side_px
        if not bool(contour.any()):
            points = few[:, None, :NUM_LANDMARKS].expand(-1, NUM_VIEWS, -1, -1)
            points_cam = camera_from_model(points, rotation, translation).flatten(0, 1)
        else:
            every = self.surface.decode_shape(found.identity, found.expression)[:, None].expand(-1, NUM_VIEWS, -1, -1)
            cam = camera_from_model(every, rotation, translation).flatten(0, 1)
            outline = self.surface.contour_landmarks(cam)
            points_cam = torch.where(contour[:, None, None], outline, cam[:, :NUM_LANDMARKS])
        return Pinhole((side, side)).project(points_cam)

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Measure points in every view, and the shape after a similarity fit, from three views and from the front one.

        `dense_3d_nme` is of the posed surface; `mean_face_dense_3d_nme` is the error of the mean of all training
        pictures, as PRNet's, `mean_view_dense_3d_nme` that of their means in each view, `mean_face_shape_mm` that of
        the model's mean shape.
        """
        if self._held_people is None:
            return {}
        people = self._held_people[: self.config.data.max_held_out]
        parts = [self._errors(network, rows) for rows in people.split(_BATCH)]
        means = {name: float(torch.cat([part[name] for part in parts]).mean()) for name in parts[0]}
        return means | {"people": float(len(people))}

    def _errors(self, network: nn.Module, people: Tensor) -> dict[str, Tensor]:
        """Errors of some held-out people."""
        batch = self._held_batch(people)
        known = true_shape(batch.faces, self.surface)[::NUM_VIEWS]
        every = self.regress(network, batch)
        alone = self.regress(network, _shown(batch, torch.full((len(people), NUM_VIEWS), FRONT)))
        few = self.surface.few.decode_shape(every.identity, every.expression)
        if not bool(batch.faces.exact.all()):  # photographs: nothing is known but their points
            points_px = self.landmarks_px(every, few, batch.faces.contour)
            return {"nme": landmark_nme(points_px, batch.faces).unflatten(0, (-1, NUM_VIEWS)).mean(1)}
        mean = self.surface.few.decode_shape(torch.zeros_like(every.identity), torch.zeros_like(every.expression))
        rotation, translation = view_poses(every, self.config.crop)
        posed = replace(batch.faces, rotation_head=rotation.flatten(0, 1), translation_m=translation.flatten(0, 1))
        points = {
            "": self._points(few, posed),
            "mean_view_": self._mean().repeat(len(people), 1, 1),
            "mean_face_": self._mean().mean(0).expand(len(people) * NUM_VIEWS, -1, -1),
        }
        goal = self._points(known, batch.faces)
        errors = {
            f"{prefix}dense_3d_nme": dense_nme(found, goal, batch.faces).unflatten(0, (-1, NUM_VIEWS)).mean(1)
            for prefix, found in points.items()
        }
        nme = landmark_nme(points[""][:, :NUM_LANDMARKS, :2], batch.faces)
        return errors | {
            "shape_mm": shape_error_mm(few, known),
            "one_view_shape_mm": shape_error_mm(self.surface.few.decode_shape(alone.identity, alone.expression), known),
            "mean_face_shape_mm": shape_error_mm(mean, known),
            "nme": nme.unflatten(0, (-1, NUM_VIEWS)).mean(1),
        }

    def _points(self, few: Tensor, faces: FaceTargets) -> Float[Tensor, "pictures few 3"]:
        """Points of people as each of their pictures shows them, in pixels of the crop."""
        return points_in_crop(few.repeat_interleave(NUM_VIEWS, 0), faces, self.config.crop.side_px)

    def _mean(self) -> Float[Tensor, "views few 3"]:
        """The mean points of training faces in each view, as they are augmented."""
        if self._mean_points is None:
            self._mean_points = training_mean(self._step_mean, NUM_VIEWS * self.config.run.batch_size)
        return self._mean_points

    def _step_mean(self, step: int) -> Float[Tensor, "views few 3"]:
        """The mean true points of a step's people in each view."""
        faces = finish_crops(self.load(step).crops, self.config.crop, self.model, self.surface).faces
        points = self._points(true_shape(faces, self.surface)[::NUM_VIEWS], faces)
        return points.unflatten(0, (-1, NUM_VIEWS)).mean(0)

    def _held_batch(self, people: Tensor) -> CropBatch:
        """Pictures and truth of some held-out people."""
        assert self._held_out is not None
        crops = plain_crops(self._held_out, people.flatten(), self.config.crop)
        return finish_crops(crops, self.config.crop, self.model, self.surface)

    @torch.no_grad()
    def sheet(self, network: nn.Module) -> UInt8[np.ndarray, "rows cols 3"] | None:
        """Draw held-out people, one per row, with true (red) and predicted (green) points."""
        if self._held_people is None:
            return None
        batch = self._held_batch(self._held_people[:SHEET_PEOPLE])
        found = self.regress(network, batch)
        few = self.surface.few.decode_shape(found.identity, found.expression)
        points = self.landmarks_px(found, few, batch.faces.contour).cpu().numpy()
        truth = batch.faces.drawn_px().cpu().numpy()
        drawn = [
            draw_points(draw_points(picture, truth[k], TRUE_COLOR), points[k], PREDICTED_COLOR)
            for k, picture in enumerate(pictures_of(batch))
        ]
        return grid([drawn[start : start + NUM_VIEWS] for start in range(0, len(drawn), NUM_VIEWS)])


class ViewTensors(nn.Module):
    """A system whose call gives plain tensors by name, which Fabric can wrap."""

    def __init__(self, system: MultiViewRegressor) -> None:
        super().__init__()
        self.system = system

    def forward(
        self,
        views: Float[Tensor, "people views 3 side side"],
        parsing: Float[Tensor, "people views side side"] | None,
    ) -> dict[str, Tensor]:
        """Return the fields of `MultiViewParameters`."""
        return dict(vars(self.system(views, parsing)))


def _read_parser(source: Path) -> tuple[str, dict[str, Tensor]]:
    """Backbone and tensors of a parsing network.

    Raises:
        ValueError: It is of another recipe.
    """
    spec, state = read_system(source)
    if not isinstance(spec.config, ParserConfig):
        raise ValueError(f"parser must be a run or weights of parsing, got {spec.network} in {source}")
    return spec.config.backbone, state


def _shown(batch: CropBatch, inputs: Tensor) -> CropBatch:
    """Put the chosen view of each person into each input."""
    first = torch.arange(len(inputs))[:, None] * NUM_VIEWS
    rows = (first + inputs).flatten().to(batch.image.device)
    faces = replace(batch.faces.select(rows), image_index=torch.arange(len(rows), device=rows.device))
    return CropBatch(batch.image[rows], batch.part[rows], faces)
