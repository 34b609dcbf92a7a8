"""A few hundred points of a face model, decoded without the rest of it.

Losses at every supervised cell need landmarks and a fair sample of the surface, not eighteen thousand vertices.
Points on the surface are linear in the coefficients as vertices are, so their own small bases are exact.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from morphable import MorphableModel, SurfacePoints
from morphable.contour import jaw_outward, space_evenly, up_weights, visible_outline
from morphable.landmarks import LEFT_EYE, NUM_JAW, RIGHT_EYE
from morphable_train.data.labels import NUM_LANDMARKS

_NUM_IRISES = 2
_CHUNK = 16
"""Modes decoded at a time while the bases are built."""


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


class SurfaceSample(nn.Module):
    """Landmarks, jaw candidates and evenly spread triangles of a model."""

    mean: Tensor
    identity_basis: Tensor
    expression_basis: Tensor
    mean_albedo: Tensor
    albedo_basis: Tensor
    outward: Tensor
    up: Tensor

    def __init__(self, model: MorphableModel, *, num_dense: int = 256, region: str = "face") -> None:
        """Choose the points.

        Args:
            model: The face model.
            num_dense: Triangles sampled by farthest points.
            region: Named region of the model they are taken from.
        """
        super().__init__()
        triangles = _spread_triangles(model, num_dense, region)
        corners = model.triangles[triangles]
        lines = SurfacePoints(model.contour_triangle, model.contour_barycentric)
        self.num_dense, self.num_candidates = len(triangles), lines.triangle.shape[1]

        def pick(vertices: Tensor) -> Tensor:
            parts = [model.landmarks(vertices), lines.on(vertices, model.triangles).flatten(-3, -2)]
            return torch.cat([*parts, vertices[..., corners.flatten(), :], _irises(model, vertices, parts[0])], -2)

        zeros = model.mean.new_zeros
        identity, expression = zeros(model.num_identity), zeros(model.num_expression)
        mean = pick(model.decode_shape(identity, expression))
        by_identity = [
            pick(model.decode_shape(rows, expression)) - mean for rows in _unit_rows(model.num_identity, mean)
        ]
        by_expression = [
            pick(model.decode_shape(identity, rows)) - mean for rows in _unit_rows(model.num_expression, mean)
        ]
        mean_albedo = _triangle_colors(model, zeros(1, model.num_albedo), corners)[0]
        by_albedo = [
            _triangle_colors(model, rows, corners) - mean_albedo for rows in _unit_rows(model.num_albedo, mean)
        ]
        static = mean[:NUM_LANDMARKS]
        buffers = {
            "mean": mean,
            "identity_basis": torch.cat(by_identity),
            "expression_basis": torch.cat(by_expression),
            "mean_albedo": mean_albedo,
            "albedo_basis": torch.cat(by_albedo),
            "outward": jaw_outward(static),
            "up": up_weights(static),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value.contiguous(), persistent=False)

    def decode(
        self, identity: Float[Tensor, "*batch id"], expression: Float[Tensor, "*batch expr"]
    ) -> Float[Tensor, "*batch points 3"]:
        """Return all points in metres, model frame."""
        offset = identity @ self.identity_basis.flatten(1) + expression @ self.expression_basis.flatten(1)
        return self.mean + offset.unflatten(-1, (-1, 3))

    def decode_few(
        self, identity: Float[Tensor, "*batch id"], expression: Float[Tensor, "*batch expr"]
    ) -> Float[Tensor, "*batch few 3"]:
        """Return the static landmarks and the first corner of every dense triangle: what solving a pose needs."""
        index = self._few_index(self.mean.device)
        offset = identity @ self.identity_basis[:, index].flatten(1)
        offset = offset + expression @ self.expression_basis[:, index].flatten(1)
        return self.mean[index] + offset.unflatten(-1, (-1, 3))

    def groups(self, points: Float[Tensor, "*batch points 3"]) -> PointGroups:
        """Split decoded points, in any frame; the dense ones are the triangles' centroids."""
        jaw_end = NUM_LANDMARKS + NUM_JAW * self.num_candidates
        contour = points[..., NUM_LANDMARKS:jaw_end, :].unflatten(-2, (NUM_JAW, self.num_candidates))
        dense = self.triangles(points).mean(-2)
        return PointGroups(points[..., :NUM_LANDMARKS, :], contour, dense, points[..., -_NUM_IRISES:, :])

    def triangles(self, points: Float[Tensor, "*batch points 3"]) -> Float[Tensor, "*batch dense 3 3"]:
        """Return the corners of the dense triangles (triangle, corner, axis)."""
        start = NUM_LANDMARKS + NUM_JAW * self.num_candidates
        return points[..., start:-_NUM_IRISES, :].unflatten(-2, (self.num_dense, 3))

    def normals(self, points: Float[Tensor, "*batch points 3"]) -> Float[Tensor, "*batch dense 3"]:
        """Return the outward unit normals of the dense triangles, in the frame of the points."""
        a, b, c = self.triangles(points).unbind(-2)
        return torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1)

    def albedo(self, albedo: Float[Tensor, "*batch alb"]) -> Float[Tensor, "*batch dense 3"]:
        """Return the colours of the dense triangles, not clamped."""
        return self.mean_albedo + (albedo @ self.albedo_basis.flatten(1)).unflatten(-1, (-1, 3))

    def contour_landmarks(self, points_cam: Float[Tensor, "*batch points 3"]) -> Float[Tensor, "*batch 68 3"]:
        """Return the 68 points with the jaw on the visible outline, as `MorphableModel.contour_landmarks` does."""
        groups = self.groups(points_cam)
        jaw = space_evenly(visible_outline(groups.landmarks, groups.contour, self.outward, self.up))
        return torch.cat([jaw, groups.landmarks[..., NUM_JAW:, :]], -2)

    def _few_index(self, device: torch.device) -> Int[Tensor, " few"]:
        start = NUM_LANDMARKS + NUM_JAW * self.num_candidates
        dense = torch.arange(start, len(self.mean) - _NUM_IRISES, 3, device=device)
        return torch.cat([torch.arange(NUM_LANDMARKS, device=device), dense])


def _irises(model: MorphableModel, vertices: Tensor, landmarks: Tensor) -> Tensor:
    """The iris centers, or the middles of the lids' points in a model whose eyes do not turn."""
    if model.iris_vertices is not None:
        return model.iris_centers(vertices)
    return torch.stack([landmarks[..., list(points), :].mean(-2) for points in (LEFT_EYE, RIGHT_EYE)], -2)


def _unit_rows(count: int, like: Tensor) -> tuple[Tensor, ...]:
    """The rows of an identity matrix, a few at a time."""
    return torch.eye(count, dtype=like.dtype, device=like.device).split(_CHUNK)


def _triangle_colors(model: MorphableModel, albedo: Tensor, corners: Tensor) -> Tensor:
    """Mean colours of triangles."""
    return model.decode_albedo(albedo)[:, corners].mean(-2)


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
