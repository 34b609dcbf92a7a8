"""Points of a face model's surface at which colors are compared with the photograph."""

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from morphable import MorphableModel, PointModel, SurfacePoints
from morphable_reconstruct.colors.lids import between_lids
from morphable_reconstruct.drawing.colors import EYE_POINTS, LIDS_SCHEME, lid_shadow
from morphable_reconstruct.faces.landmarks import landmark_points

POINTS_PER_PART = {
    "skin": 120,
    "nose": 28,
    "left_brow": 16,
    "right_brow": 16,
    "left_eye": 14,
    "right_eye": 14,
    "upper_lip": 14,
    "lower_lip": 14,
}
"""Number of points on each part of the face; the inside of the mouth, which has no light of its own, has none."""
POINTS_WITHOUT_PARTS = 320
"""Number of points on a model that names none of these parts."""
WIDE = 1.2
"""An eye that is wider open than the mean face's by this factor still has points all over its opening."""
_FRONT = 0.2
"""Points lie where the mean face's normal has at least this share toward the viewer."""
_KEPT_MODELS = 4


@dataclass(frozen=True, eq=False)
class ColorPoints:
    """A face model restricted to some points of its surface."""

    corner: Int[Tensor, "points 3"]
    """Corners of each point's triangle."""
    barycentric: Float[Tensor, "points 3"]
    part: Int[Tensor, " points"]
    """Index into the model's `part_names`."""
    landmarks: PointModel | None
    """The 68 points, whose lids hide eyeballs; None for a model without them."""
    on_eye: dict[str, Bool[Tensor, " points"]]
    """Which points lie on the eyeballs, by their parts' names in `EYE_POINTS`; empty without landmarks."""
    mean: Float[Tensor, "points 3 3"]
    """Corners of the triangles of the mean face, meters."""
    modes: Float[Tensor, "modes points 3 3"]
    """The same for each mode: identity first, then expressions."""
    mean_albedo: Float[Tensor, "points 3"]
    """As pictures show it: in the shadow of the lids on eyeballs (`lid_shadow`). The same holds for the modes."""
    albedo_modes: Float[Tensor, "alb points 3"]

    def place(
        self, identity: Float[Tensor, "faces id"], expression: Float[Tensor, "faces expr"]
    ) -> tuple[Float[Tensor, "faces points 3"], Float[Tensor, "faces points 3"]]:
        """Return positions and unit normals in the model frame; differentiable."""
        coefficients = torch.cat([identity, expression], dim=-1).to(self.modes)
        corners = self.mean + (coefficients @ self.modes.flatten(1)).unflatten(-1, self.mean.shape)
        positions = (corners * self.barycentric[..., None]).sum(-2)
        first, second, third = corners.unbind(-2)
        return positions, F.normalize(torch.cross(second - first, third - first, dim=-1), dim=-1)


@lru_cache(maxsize=_KEPT_MODELS)
def color_points(model: MorphableModel) -> ColorPoints:
    """Spread points over the front of a face model, evenly within each part; kept for the last few models."""
    neutral = torch.zeros(1, model.num_identity), torch.zeros(1, model.num_expression)
    with torch.no_grad():
        mean = model.decode_shape(*neutral)[0]
        has_lids = LIDS_SCHEME in model.landmark_schemes
        lids = model.landmarks(mean[None], LIDS_SCHEME) if has_lids else None
        triangle, part = _spread(model, mean, lids)
        corner = model.triangles[triangle]
        each_corner = torch.eye(3).expand(len(triangle), 3, 3)
        corners = model.restrict(SurfacePoints(triangle[:, None].expand(-1, 3), each_corner))
        modes = torch.cat([corners.identity_basis, corners.expression_basis])
        if lids is not None:
            shade = lid_shadow(model, lids, mean[None])[0][corner].mean(1)[:, None]
        else:
            shade = torch.ones(len(corner), 1)
        eyes = [name for name in EYE_POINTS if has_lids and name in model.part_names]
        on_eye = {name: part == model.part_names.index(name) for name in eyes}
        return ColorPoints(
            corner=corner,
            barycentric=torch.full((len(triangle), 3), 1 / 3),
            part=part,
            landmarks=landmark_points(model) if has_lids else None,
            on_eye=on_eye,
            mean=corners.mean.unflatten(0, (-1, 3)),
            modes=modes.unflatten(1, (-1, 3)),
            mean_albedo=corners.mean_albedo.unflatten(0, (-1, 3)).mean(1) * shade,
            albedo_modes=corners.albedo_basis.unflatten(1, (-1, 3)).mean(2) * shade,
        )


def _spread(model: MorphableModel, mean: Tensor, lids: Tensor | None) -> tuple[Tensor, Tensor]:
    """Choose triangles of every part, each as far from those before it as can be; on eyeballs those that eyes show."""
    corners = mean[model.triangles]
    center = corners.mean(1)
    normal = F.normalize(torch.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], dim=-1), dim=-1)
    front = normal[:, 2] > _FRONT
    named = {name: count for name, count in POINTS_PER_PART.items() if name in model.part_names}
    if not named:
        chosen = _farthest(center, front.nonzero()[:, 0], POINTS_WITHOUT_PARTS)
        return chosen, model.part_labels[chosen]
    picked = []
    for name, count in named.items():
        inside = front & (model.part_labels == model.part_names.index(name))
        if lids is not None and name in EYE_POINTS:
            rim = lids[0, EYE_POINTS[name], :2]
            inside &= between_lids(center[:, :2], rim.mean(0) + WIDE * (rim - rim.mean(0)))
        picked.append(_farthest(center, inside.nonzero()[:, 0], count))
    triangle = torch.cat(picked)
    return triangle, model.part_labels[triangle]


def _farthest(center: Tensor, candidates: Tensor, count: int) -> Tensor:
    """Pick candidates one by one, the farthest from those picked first."""
    if len(candidates) <= count:
        return candidates
    points = center[candidates]
    distance = (points - points.mean(0)).norm(dim=1)
    nearest = torch.full_like(distance, torch.inf)
    index = distance.argmin()
    picked = []
    for _ in range(count):
        picked.append(index)
        nearest = torch.minimum(nearest, (points - points[index]).norm(dim=1))
        index = nearest.argmax()
    return candidates[torch.stack(picked)]
