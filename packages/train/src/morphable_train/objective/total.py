"""The total loss: exact terms where the truth is known, weak terms elsewhere, the center map in stage 2."""

from dataclasses import fields

import torch
from jaxtyping import Float
from torch import Tensor

from morphable import FaceParameters
from morphable.geometry import GLOBAL_FOCAL_PX
from morphable_detector_head.cells import parameters_from_cells
from morphable_losses import center_focal_loss
from morphable_losses.face_errors import prior_errors
from morphable_losses.landmarks import landmark_weights
from morphable_train.data.batch import Batch, FaceTargets
from morphable_train.objective.base import CellObjective
from morphable_train.objective.cells import CellTargets, Counts
from morphable_train.objective.perception import perception_error
from morphable_train.objective.rendered import render_batch, rendered_color, skin_variance
from morphable_train.objective.supervised import compare_exact
from morphable_train.objective.weak import compare_landmarks, point_colors


class Objective(CellObjective):
    """Computes the loss terms of a batch."""

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
        where, cell_px = cells.valid, cells.cell_px()
        truth = batch.faces.select(cells.face[where])
        *earlier, predicted = (
            parameters_from_cells(estimate.float()[where], cell_px[where], batch.size_hw, self.layout)
            for estimate in channels
        )
        terms = self._geometric_terms(predicted, truth, batch.size_hw)
        first = [term for e in earlier for term in self._geometric_terms(e, truth, batch.size_hw).values()]
        if first:
            terms["first_estimate"] = self.config.first_estimate * torch.stack(first).sum()
        prior = prior_errors(predicted, self.model.expression_prior)
        terms["prior_albedo"] = self.config.prior_albedo * prior.albedo.sum()
        terms["prior_light"] = self.config.prior_light * prior.light.sum()
        if photometric and (self.config.photometric > 0 or self.embedder is not None):
            owner = torch.arange(len(where), device=where.device)[:, None].expand_as(where)[where]
            scale = self.config.photometric_every * counts.cells / counts.centers.clamp(min=1.0)
            colors = self._color_terms(predicted, truth, batch, owner, cells.is_center[where])
            terms |= {name: scale * value for name, value in colors.items()}  # as if in every cell and every step
        divided = {name: value / counts.cells.clamp(min=1.0) for name, value in terms.items()}
        if center_logits is not None:
            loss = center_focal_loss(center_logits.float(), cells.heatmap, weight=cells.center_weight)
            loss = loss * cells.is_center.sum().clamp(min=1)
            divided["center"] = self.config.center * loss / counts.centers.clamp(min=1.0)
        return divided

    def _point_weights(self) -> Float[Tensor, " 68"]:
        """Return the weights of the 68 points, mean one."""
        weights = landmark_weights(emphasis=self.config.feature_weight)
        return weights / weights.mean()

    def _geometric_terms(
        self, predicted: FaceParameters, truth: FaceTargets, size_hw: tuple[int, int]
    ) -> dict[str, Tensor]:
        """Return all terms that need no colors, summed over the cells."""
        return self._exact_terms(predicted, truth, size_hw) | self._weak_terms(predicted, truth, size_hw)

    def _exact_terms(
        self, predicted: FaceParameters, truth: FaceTargets, size_hw: tuple[int, int]
    ) -> dict[str, Tensor]:
        """Return the terms of the exactly labeled cells, summed."""
        known = truth.exact
        errors = compare_exact(
            predicted[known],
            truth.select(known),
            self.surface,
            focal_px=GLOBAL_FOCAL_PX,
            size_hw=size_hw,
            landmark_weights=self.weights,
        )
        return {f.name: getattr(self.config, f.name) * getattr(errors, f.name).sum() for f in fields(errors)}

    def _weak_terms(self, predicted: FaceParameters, truth: FaceTargets, size_hw: tuple[int, int]) -> dict[str, Tensor]:
        """Return the terms of the weakly labeled cells and the priors of their coefficients, summed."""
        unknown = ~truth.exact
        errors = compare_landmarks(
            predicted[unknown],
            truth.select(unknown),
            self.surface,
            focal_px=GLOBAL_FOCAL_PX,
            size_hw=size_hw,
            landmark_weights=self.weights,
        )
        prior = prior_errors(predicted, self.model.expression_prior)
        config = self.config
        return {
            "weak_landmarks": config.landmarks * errors.landmarks.sum(),
            "weak_opening": config.opening * errors.opening.sum(),
            "prior_identity": config.prior_identity * prior.identity[unknown].sum(),
            "prior_expression": config.prior_expression * prior.expression[unknown].sum(),
        }

    def _color_terms(
        self, predicted: FaceParameters, truth: FaceTargets, batch: Batch, owner: Tensor, is_center: Tensor
    ) -> dict[str, Tensor]:
        """Return the photometric and perception terms, summed over center cells."""
        chosen, faces = predicted[is_center], truth.select(is_center)
        geometry, image_index = _known_geometry(chosen, faces), owner[is_center]
        config = self.config
        terms: dict[str, Tensor] = {}
        if config.photometric_kind == "points" and config.photometric > 0:
            error, compared = point_colors(
                chosen,
                geometry,
                self.surface,
                image=batch.image,
                skin=batch.skin,
                image_index=image_index,
                focal_px=GLOBAL_FOCAL_PX,
            )
            terms["photometric"] = config.photometric * (error * compared).sum()
        if config.photometric_kind == "rendered" or self.embedder is not None:
            terms |= self._rendered_terms(chosen, geometry, faces, batch, image_index)
        return terms

    def _rendered_terms(
        self,
        chosen: FaceParameters,
        geometry: FaceParameters,
        faces: FaceTargets,
        batch: Batch,
        image_index: Tensor,
    ) -> dict[str, Tensor]:
        """Return the terms that need rendered faces, summed."""
        config, model, image = self.config, self.model, batch.image
        pixels = render_batch(
            chosen, geometry, model, size_hw=batch.size_hw, image_index=image_index, num_images=len(image)
        )
        terms: dict[str, Tensor] = {}
        if config.photometric_kind == "rendered":
            color = rendered_color(pixels, image=image, skin=batch.skin, image_index=image_index)
            terms["photometric"] = config.photometric * color
            terms["variance"] = config.variance * skin_variance(chosen.albedo, model)
        if self.embedder is not None:
            error = perception_error(pixels, faces, model, self.embedder, image=image, image_index=image_index)
            terms["perception"] = config.perception * error
        return terms


def _known_geometry(predicted: FaceParameters, truth: FaceTargets) -> FaceParameters:
    """Take shape and pose from the truth where it is known."""
    exact = truth.exact

    def choose(known: Tensor, own: Tensor) -> Tensor:
        return torch.where(exact.view(-1, *[1] * (own.ndim - 1)), known, own)

    return FaceParameters(
        identity=choose(truth.identity, predicted.identity),
        expression=choose(truth.expression, predicted.expression),
        albedo=predicted.albedo,
        rotation_head=choose(truth.rotation_head, predicted.rotation_head),
        translation_m=choose(truth.translation_m, predicted.translation_m),
        illumination=predicted.illumination,
    )
