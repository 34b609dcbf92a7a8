"""The recipe of PRNet: UV position maps under a weight mask."""

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from morphable import MorphableModel
from morphable_losses import position_map_loss
from morphable_losses.position_map import FACE_WEIGHT, FEATURE_WEIGHT, LANDMARK_WEIGHT, position_map_weights
from morphable_regressors import SystemSpec
from morphable_regressors.position_map import map_of_points, points_of_map
from morphable_regressors.systems import PositionMapConfig, PositionMapRegressor
from morphable_render import position_map_layout
from morphable_render.uv import UvLayout, uv_at_surface
from morphable_train.configs.recipes import PrnetConfig
from morphable_train.data.batch import FaceTargets
from morphable_train.data.streams import Shard
from morphable_train.data.surface import SurfaceSample
from morphable_train.recipes.base.batches import CropBatch, FaceStream, LoadedCrops, finish_crops
from morphable_train.recipes.base.crops import PartCrops
from morphable_train.recipes.base.held_out import HeldOut
from morphable_train.recipes.base.measures import dense_nme, landmark_nme, training_mean
from morphable_train.recipes.base.own_start import require_own
from morphable_train.recipes.base.targets import points_in_crop

FACE_REGION = "face"
FEATURE_REGIONS = ("eyes", "nose", "lips", "inner_mouth")


class PrnetRecipe:
    """Trains a `PositionMapRegressor`."""

    def __init__(
        self,
        config: PrnetConfig,
        model: MorphableModel,
        crops: PartCrops,
        held_out: PartCrops | None,
        shard: Shard,
    ) -> None:
        if config.crop.side_px % 32:
            raise ValueError(f"crop.side_px must be a multiple of 32 for prnet, got {config.crop.side_px}")
        self.config, self.model, self.surface = config, model, SurfaceSample(model).to(model.mean.device)
        shape = PositionMapConfig(width=config.width, layout=config.layout)
        self.spec = SystemSpec(crop=config.crop, config=shape)
        self.stream = FaceStream(crops, config, shard)
        self.held_out = HeldOut(held_out, config, model, self.surface)
        self.network: nn.Module = PositionMapRegressor(shape)
        if config.start is not None:
            require_own(self.network, self.spec, config.start)
        self.system: nn.Module = self.network
        self.layout = position_map_layout(model, config.crop.side_px, kind=config.layout)
        self.weights = weight_mask(
            model,
            self.layout.uv,
            landmark=config.landmark_weight,
            feature=config.feature_weight,
            face=config.face_weight,
            elsewhere=config.elsewhere_weight,
        )
        self._inside = model.region(FACE_REGION)
        self._mean_map: Tensor | None = None

    def load(self, step: int) -> LoadedCrops:
        """Read a step's crops."""
        return self.stream.load(step)

    def losses(self, network: nn.Module, loaded: LoadedCrops, step: int) -> dict[str, Float[Tensor, ""]]:
        """Return the weighted error of the positions, in shares of the crop's side."""
        batch = finish_crops(loaded, self.config.crop, self.model, self.surface)
        target, predicted = self._positions(self.true_map(batch.faces)), self._positions(network(batch.image).float())
        return {"position_map": position_map_loss(predicted, target, self.weights, squared=self.config.squared)}

    def _positions(self, maps: Float[Tensor, "faces 3 side side"]) -> Float[Tensor, "faces 3 side side"]:
        """Positions of the texels in shares of the crop's side."""
        side = self.config.crop.side_px
        return points_of_map(maps.permute(0, 2, 3, 1), side).permute(0, 3, 1, 2) / side

    def true_map(self, faces: FaceTargets) -> Float[Tensor, "faces 3 side side"]:
        """Return the map of true faces (`map_of_points`), zero outside the layout."""
        side = self.config.crop.side_px
        vertices = self.model.decode_shape(faces.identity, faces.expression)
        values = map_of_points(points_in_crop(vertices, faces, side), side)
        return self.layout.encode(values).permute(0, 3, 1, 2)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Measure 68 points and the dense face; `mean_face_*` are the errors of the mean map of training faces."""
        return self.held_out.measure(lambda batch: self._errors(network, batch))

    @torch.no_grad()
    def sheet(self, network: nn.Module) -> UInt8[np.ndarray, "rows cols 3"] | None:
        """Draw held-out faces with true (red) and predicted (green) points."""
        return self.held_out.points_sheet(lambda batch: self._points(network(batch.image).float())[0][..., :2])

    def _points(self, maps: Float[Tensor, "faces 3 side side"]) -> tuple[Tensor, Tensor]:
        """The 68 points and the vertices of the face that maps hold, in pixels of the crop."""
        values = self.layout.decode(maps.permute(0, 2, 3, 1))
        vertices = points_of_map(values, self.config.crop.side_px)
        return self.model.landmarks(vertices), vertices[:, self._inside]

    @torch.no_grad()
    def _errors(self, network: nn.Module, batch: CropBatch) -> dict[str, Tensor]:
        truth, side = batch.faces, self.config.crop.side_px
        shape = self.model.decode_shape(truth.identity, truth.expression)[:, self._inside]
        goal = points_in_crop(shape, truth, side)
        errors: dict[str, Tensor] = {}
        mean = self._mean().expand(len(batch), -1, -1, -1)
        for prefix, maps in (("", network(batch.image).float()), ("mean_face_", mean)):
            points, vertices = self._points(maps)
            errors |= {
                f"{prefix}nme": landmark_nme(points[..., :2], truth),
                f"{prefix}dense_3d_nme": dense_nme(vertices, goal, truth),
            }
        return errors

    def _mean(self) -> Tensor:
        """The mean map of training faces, as they are augmented."""
        if self._mean_map is None:
            self._mean_map = training_mean(
                lambda step: self.true_map(
                    finish_crops(self.load(step), self.config.crop, self.model, self.surface).faces
                ).mean(0),
                self.config.run.batch_size,
            )
        return self._mean_map


def weight_mask(
    model: MorphableModel,
    layout: UvLayout,
    *,
    landmark: float = LANDMARK_WEIGHT,
    feature: float = FEATURE_WEIGHT,
    face: float = FACE_WEIGHT,
    elsewhere: float = 0.0,
) -> Float[Tensor, "size size"]:
    """Make PRNet's weight mask from a model's regions: 68 points, eyes with nose and mouth, rest of the face, nothing.

    Raises:
        ValueError: The model names no region `face`.
    """
    named = {*model.region_names, *model.part_names}
    if FACE_REGION not in named:
        raise ValueError(f"model must name the region {FACE_REGION}, got {', '.join(sorted(named))}")
    features = [model.region(name) for name in FEATURE_REGIONS if name in named]
    points = model.surface_points("ibug68_3d")
    at = uv_at_surface(points.triangle, points.barycentric, layout.mesh) * len(layout.mask)
    in_face = _texels(model.region(FACE_REGION), layout)
    none = torch.zeros_like(layout.mask)
    in_features = torch.stack([none, *(_texels(region, layout) for region in features)]).any(0)
    mask = position_map_weights(in_face | in_features, in_features, at)
    own = {LANDMARK_WEIGHT: landmark, FEATURE_WEIGHT: feature, FACE_WEIGHT: face}
    weights = torch.where(layout.mask & (mask == 0), elsewhere, 0.0)
    for old, new in own.items():
        weights = torch.where(mask == old, new, weights)
    return weights


def _texels(region: Bool[Tensor, " verts"], layout: UvLayout) -> Bool[Tensor, "size size"]:
    """Texels of the triangles whose corners all lie in a region."""
    inside = region[layout.mesh.triangles].all(-1)
    return inside[layout.triangle.clamp(min=0)] & layout.mask
