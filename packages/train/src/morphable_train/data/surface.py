"""A few hundred points of a face model, decoded without the rest of it.

Losses at every supervised cell need landmarks and a fair sample of the surface, not eighteen thousand vertices.
Points on the surface are linear in the coefficients as vertices are, so their own small bases are exact.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from morphable import MorphableModel, PointModel, SurfacePoints
from morphable.contour import jaw_outward, space_evenly, up_weights, visible_outline
from morphable.landmarks import LEFT_EYE, NUM_JAW, RIGHT_EYE
from morphable.model import STATIC68
from morphable_detector_head.layout import located_irises
from morphable_train.data.labels import NUM_LANDMARKS


@dataclass(frozen=True)
class PointGroups:
    """The decoded points by what they are for, in the frame of the decoding."""

    landmarks: Float[Tensor, "*batch 68 3"]
    """Static 68 points (`ibug68_3d`)."""
    contour: Float[Tensor, "*batch 17 candidates 3"]
    """Candidates of the sliding jaw points."""
    dense: Float[Tensor, "*batch dense 3"]
    """Points spread evenly over the face."""
    irises: Float[Tensor, "*batch 2 3"]
    """Centers of the left and the right iris; of the lids, for a model whose eyes do not turn."""


class SurfaceSample(PointModel):
    """Landmarks, jaw candidates, corners of evenly spread triangles, and irises of a model, in this order."""

    outward: Tensor
    up: Tensor

    def __init__(self, model: MorphableModel, *, num_dense: int = 256, region: str = "face") -> None:
        """Choose the points.

        Args:
            model: The face model.
            num_dense: Triangles sampled by farthest points.
            region: Named region of the model they are taken from.
        """
        triangles = _spread_triangles(model, num_dense, region)
        lines = SurfacePoints(model.contour_triangle, model.contour_barycentric)
        corners = SurfacePoints(triangles.repeat_interleave(3), torch.eye(3).repeat(len(triangles), 1))
        irises = located_irises(model)
        parts = [model.surface_points(STATIC68), lines, corners, irises]
        joined = SurfacePoints(
            torch.cat([part.triangle.reshape(-1) for part in parts]),
            torch.cat([part.barycentric.reshape(-1, 3).to(model.mean) for part in parts]),
        )
        super().__init__(*model.restrict(joined).buffers())
        self.num_dense, self.num_candidates, self.num_irises = (
            len(triangles),
            lines.triangle.shape[1],
            len(irises.triangle),
        )
        static = self.mean[:NUM_LANDMARKS]
        self.register_buffer("outward", jaw_outward(static), persistent=False)
        self.register_buffer("up", up_weights(static), persistent=False)
        dense = torch.arange(NUM_LANDMARKS + NUM_JAW * self.num_candidates, len(self) - self.num_irises, 3)
        self.few = self[torch.cat([torch.arange(NUM_LANDMARKS), dense]).to(self.mean.device)]
        """The static landmarks and the first corner of every dense triangle: what solving a pose needs."""

    def groups(self, points: Float[Tensor, "*batch points 3"]) -> PointGroups:
        """Split decoded points, in any frame; the dense ones are the triangles' centroids."""
        jaw_end = NUM_LANDMARKS + NUM_JAW * self.num_candidates
        landmarks = points[..., :NUM_LANDMARKS, :]
        contour = points[..., NUM_LANDMARKS:jaw_end, :].unflatten(-2, (NUM_JAW, self.num_candidates))
        if self.num_irises:
            irises = points[..., -self.num_irises :, :]
        else:
            irises = torch.stack([landmarks[..., list(lids), :].mean(-2) for lids in (LEFT_EYE, RIGHT_EYE)], -2)
        return PointGroups(landmarks, contour, self.triangles(points).mean(-2), irises)

    def triangles(self, points: Float[Tensor, "*batch points 3"]) -> Float[Tensor, "*batch dense 3 3"]:
        """Return the corners of the dense triangles (triangle, corner, axis)."""
        start = NUM_LANDMARKS + NUM_JAW * self.num_candidates
        return points[..., start : start + 3 * self.num_dense, :].unflatten(-2, (self.num_dense, 3))

    def normals(self, points: Float[Tensor, "*batch points 3"]) -> Float[Tensor, "*batch dense 3"]:
        """Return the outward unit normals of the dense triangles, in the frame of the points."""
        a, b, c = self.triangles(points).unbind(-2)
        return torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1)

    def dense_albedo(self, albedo: Float[Tensor, "*batch alb"]) -> Float[Tensor, "*batch dense 3"]:
        """Return the colors of the dense triangles, not clamped."""
        return self.triangles(self.decode_albedo(albedo)).mean(-2)

    def contour_landmarks(self, points_cam: Float[Tensor, "*batch points 3"]) -> Float[Tensor, "*batch 68 3"]:
        """Return the 68 points with the jaw on the visible outline, as `MorphableModel.contour_landmarks` does."""
        groups = self.groups(points_cam)
        jaw = space_evenly(visible_outline(groups.landmarks, groups.contour, self.outward, self.up))
        return torch.cat([jaw, groups.landmarks[..., NUM_JAW:, :]], -2)


def _spread_triangles(model: MorphableModel, count: int, region: str) -> Int[Tensor, " dense"]:
    """Farthest-point sample of the triangles whose corners all lie in a region (of all, if it is not named)."""
    known = {*model.region_names, *model.part_names}
    inside = model.region(region)[model.triangles].all(-1) if region in known else None
    candidates = torch.arange(len(model.triangles), device=model.triangles.device)
    candidates = candidates if inside is None else candidates[inside]
    mean = model.decode_shape(model.mean.new_zeros(model.num_identity), model.mean.new_zeros(model.num_expression))
    centers = mean[model.triangles[candidates]].mean(1)
    count = min(count, len(candidates))
    chosen = [int(centers[:, 2].argmax())]
    distance = (centers - centers[chosen[0]]).square().sum(-1)
    for _ in range(count - 1):
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, (centers - centers[chosen[-1]]).square().sum(-1))
    return candidates[torch.tensor(chosen, device=candidates.device)]
