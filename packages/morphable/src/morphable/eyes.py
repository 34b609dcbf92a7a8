"""Where the eyeballs of a decoded face are, and where they look."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from morphable.geometry.similarity import fit_similarity
from morphable.model import MorphableModel

EYE_PARTS = ("right_eye", "left_eye")
"""Parts of a model that hold its eyeballs, in the order of everything here: the person's right eye first."""
LIMBUS_RAD = math.radians(28.0)
"""Angle between the eye's axis and the rim of the iris, seen from the center of the eyeball."""
_LEAST_VERTICES = 8
_ROUNDS = 1000


@dataclass(frozen=True)
class Eyes:
    """Both eyes of faces, the person's right first, in the frame of the vertices they were read from."""

    center_m: Float[Tensor, "*batch 2 3"]
    """Centers of the eyeballs."""
    iris_m: Float[Tensor, "*batch 2 3"]
    """Centers of the irises' rims."""
    gaze: Float[Tensor, "*batch 2 3"]
    """Unit vectors along the eyes' axes, out of the face."""


@dataclass(frozen=True)
class _Eyeball:
    """One eyeball of the mean face, which looks along +z."""

    vertex: Int[Tensor, " ball"]
    points_m: Float[Tensor, "ball 3"]
    center_m: Float[Tensor, "3"]
    radius_m: float


class EyeReader:
    """Reads the eyes of a model's decoded faces.

    An eyeball is the island of its part's mesh that touches no other part. How it lies in a decoded face is the
    similarity that fits it best to the mean face's, whose eyes look straight ahead.

    >>> import morphable, torch
    >>> model = morphable.load_model("open")
    >>> activation = torch.zeros(model.num_expression)
    >>> activation[[model.expression_names.index(f"eyeLook{way}") for way in ("OutLeft", "InRight")]] = 1.0
    >>> eyes = EyeReader(model)(model.decode_shape(torch.zeros(model.num_identity), activation))
    >>> gaze_angles(eyes.gaze).rad2deg().round().tolist()  # yaw to the person's left, pitch up
    [[35.0, 0.0], [35.0, 0.0]]
    """

    def __init__(self, model: MorphableModel) -> None:
        """Find a model's eyeballs.

        Raises:
            ValueError: The model has none.
        """
        self._balls = [_eyeball(model, part) for part in EYE_PARTS]

    def __call__(self, vertices: Float[Tensor, "*batch verts 3"]) -> Eyes:
        """Read the eyes of decoded faces; differentiable."""
        read = [_place(ball, vertices) for ball in self._balls]
        return Eyes(*(torch.stack(parts, -2) for parts in zip(*read, strict=True)))


def gaze_angles(gaze: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 2"]:
    """Return yaw toward the person's left and pitch upward, radians, of directions in the model frame."""
    yaw = torch.atan2(gaze[..., 0], gaze[..., 2])
    pitch = torch.atan2(gaze[..., 1], gaze[..., [0, 2]].norm(dim=-1))
    return torch.stack([yaw, pitch], -1)


def has_eyes(model: MorphableModel) -> bool:
    """Return whether a model has eyeballs, whose turn is the gaze."""
    return set(EYE_PARTS) <= set(model.part_names) and all(len(_island(model, part)) for part in EYE_PARTS)


def _eyeball(model: MorphableModel, part: str) -> _Eyeball:
    """Find one eyeball of the mean face, and its sphere."""
    vertex = _island(model, part) if part in model.part_names else torch.zeros(0)
    if not len(vertex):
        raise ValueError(f"model must have an eyeball of its own in its part {part}, got {model.name!r} without")
    zeros = model.mean.new_zeros
    with torch.no_grad():
        points = model.decode_shape(zeros(model.num_identity), zeros(model.num_expression))[vertex]
    center, radius_m = _sphere(points.double())
    return _Eyeball(vertex, points, center.to(points), radius_m)


def _island(model: MorphableModel, part: str) -> Int[Tensor, " ball"]:
    """Return the vertices of the largest piece of a part that touches no other part; none if all of it does."""
    inside = model.part_labels == model.part_names.index(part)
    label = torch.arange(model.num_vertices, device=inside.device)
    corners = model.triangles[inside]
    for _ in range(_ROUNDS):
        least = label[corners].amin(1, keepdim=True).expand_as(corners)
        joined = label.scatter_reduce(0, corners.reshape(-1), least.reshape(-1), "amin")
        if torch.equal(joined, label):
            break
        label = joined
    own = corners.unique()
    alone = own[~torch.isin(label[own], label[model.triangles[~inside].unique()])]
    islands, size = label[alone].unique(return_counts=True)
    if not len(islands) or int(size.max()) < _LEAST_VERTICES:
        return alone[:0]
    return alone[label[alone] == islands[size.argmax()]]


def _sphere(points: Float[Tensor, "ball 3"]) -> tuple[Float[Tensor, "3"], float]:
    """Return center and radius of the sphere nearest to points (algebraic least squares)."""
    design = torch.cat([2 * points, torch.ones_like(points[:, :1])], 1)
    solution = torch.linalg.lstsq(design, points.square().sum(1, keepdim=True)).solution[:, 0]
    center = solution[:3]
    return center, float((solution[3] + center @ center).sqrt())


def _place(ball: _Eyeball, vertices: Float[Tensor, "*batch verts 3"]) -> tuple[Tensor, Tensor, Tensor]:
    """Return center, iris and direction of one eyeball in decoded faces."""
    scale, rotation, translation = fit_similarity(ball.points_m.to(vertices), vertices[..., ball.vertex, :])
    gaze = rotation[..., :, 2]
    center = scale[..., None] * (rotation @ ball.center_m.to(vertices)) + translation
    to_rim = ball.radius_m * math.cos(LIMBUS_RAD)
    return center, center + scale[..., None] * to_rim * gaze, gaze
