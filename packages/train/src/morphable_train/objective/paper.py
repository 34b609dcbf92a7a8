"""WM3DR's objective as it is printed (equations 7 to 16): weak labels and photographs alone, at the center cells."""

import torch
from jaxtyping import Float
from torch import Tensor

from morphable import FaceParameters
from morphable.geometry import Pinhole, camera_from_model
from morphable_detector_head.cells import parameters_from_cells
from morphable_losses import center_focal_loss, coefficient_norm, landmark_loss, pixel_loss, wm3dr_loss
from morphable_losses.coefficients import albedo_variance
from morphable_losses.landmarks import landmark_weights
from morphable_losses.pixels import photometric_mask
from morphable_losses.wm3dr import Wm3drTerms
from morphable_render.pixels import RenderedPixels
from morphable_train.data.batch import Batch, FaceTargets
from morphable_train.data.labels import NUM_LANDMARKS
from morphable_train.objective.base import CellObjective
from morphable_train.objective.cells import CellTargets, Counts
from morphable_train.objective.perception import perception_error
from morphable_train.objective.rendered import SKIN_REGION, region_or_all, render_batch

MIN_SKIN = 0.5
"""Pixels with at least this much of the skin mask are skin."""


class PaperObjective(CellObjective):
    """Computes `wm3dr_loss` of a batch; exactly labeled faces count by their landmarks, as any other."""

    def forward(
        self,
        channels: tuple[Float[Tensor, "batch top channels"], ...],
        center_logits: Float[Tensor, "batch rows cols"] | None,
        batch: Batch,
        cells: CellTargets,
        counts: Counts,
        photometric: bool,
    ) -> dict[str, Float[Tensor, ""]]:
        """Return the weighted terms by name; their sum is minimized."""
        where = cells.is_center & cells.valid
        truth = batch.faces.select(cells.face[where])
        predicted = parameters_from_cells(
            channels[-1].float()[where], cells.cell_px()[where], batch.size_hw, self.layout
        )
        owner = torch.arange(len(where), device=where.device)[:, None].expand_as(where)[where]
        of_step = len(truth) / counts.centers.clamp(min=1.0)
        rendered = self._rendered_terms(predicted, truth, batch, owner, counts) if photometric else {}
        every = self.config.photometric_every
        terms = Wm3drTerms(
            center=None if center_logits is None else self._center(center_logits, cells) * of_step,
            landmark=self._landmarks(predicted, truth, batch.size_hw) * of_step,
            norm=coefficient_norm(predicted.identity, predicted.expression, predicted.albedo) * of_step,
            **{name: value * every for name, value in rendered.items()},
        )
        return wm3dr_loss(terms, self.config.paper).weighted

    def _point_weights(self) -> Float[Tensor, " 68"]:
        """Return the weights of equation 12."""
        return landmark_weights()

    def _center(self, logits: Tensor, cells: CellTargets) -> Tensor:
        """Equations 7 and 8."""
        return center_focal_loss(logits.float(), cells.heatmap, weight=cells.center_weight)

    def _landmarks(self, predicted: FaceParameters, truth: FaceTargets, size_hw: tuple[int, int]) -> Tensor:
        """Equation 12; jaw points slide along the silhouette for labels of the visible contour."""
        points = self.surface.decode_shape(predicted.identity, predicted.expression)
        points_cam = camera_from_model(points, predicted.rotation_head, predicted.translation_m)
        static = points_cam[:, :NUM_LANDMARKS]
        chosen = torch.where(truth.contour[:, None, None], self.surface.contour_landmarks(points_cam), static)
        found = Pinhole(size_hw).project(chosen)
        return landmark_loss(found, truth.landmarks68_px, self.weights, known=truth.landmark_weight > 0)

    def _rendered_terms(
        self, predicted: FaceParameters, truth: FaceTargets, batch: Batch, owner: Tensor, counts: Counts
    ) -> dict[str, Tensor]:
        """Equations 9, 11 and 14: means over the pictures or faces of the whole step."""
        image, model = batch.image, self.model
        pixels = render_batch(
            predicted, predicted, model, size_hw=batch.size_hw, image_index=owner, num_images=len(image)
        )
        pictures, faces = counts.pictures.clamp(min=1.0), counts.centers.clamp(min=1.0)
        colors = model.decode_albedo(predicted.albedo)
        terms = {
            "pixel": self._pixels(pixels, batch) / pictures,
            "variance": albedo_variance(colors, region_or_all(model, SKIN_REGION)) * len(truth) / faces,
        }
        if self.embedder is not None:
            error = perception_error(pixels, truth, model, self.embedder, image=image, image_index=owner)
            terms["perception"] = error / faces
        return terms

    def _pixels(self, pixels: RenderedPixels, batch: Batch) -> Tensor:
        """Sum of equation 9 over the pictures."""
        mask = photometric_mask(batch.skin[:, 0] >= MIN_SKIN, pixels.mask)
        rendered = pixels.over(batch.image.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        covered = (mask.flatten(1).amax(1) > 0).sum()
        return pixel_loss(rendered, batch.image, mask) * covered
