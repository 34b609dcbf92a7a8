"""Mirror images of faces: what mirroring a picture does to the coefficients of its faces."""

import sys
import weakref
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from morphable import MorphableModel
from morphable_train.configs.stages import AugmentConfig

MAX_RESIDUAL_M = 1.5e-3
"""Faces whose mirror image a model misses by more (root mean square over the surface) are not mirrored: one percent of
a face."""
NUM_FACES = 32
"""Faces, with standard normal coefficients, on which mirror images are measured."""
NUM_POINTS = 2000
"""Vertices, spread over the mesh, on which mirror images are fitted."""
NEIGHBOURS = 12
"""Nearest triangles, by their centroids, that are searched for the mirror image of a vertex."""
CHUNK = 256
"""Points whose distances are computed at a time."""
_TINY = 1e-18
"""Squared double area of a triangle, in m^4, below which it has no plane."""
_DAMPING_M = 1e-5
"""Errors of the fit smaller than this are not bought with coefficients far from zero."""
_MM = 1000.0
_MIRROR = (-1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Mirror:
    """The coefficients of mirrored faces, a linear function of the faces' own."""

    matrix: Float[Tensor, "modes modes"]
    """Identity first, then expression."""
    offset: Float[Tensor, " modes"]
    residual_m: float
    """Root mean square distance between the mirrored surface and what the mirrored coefficients give, over faces with
    standard normal coefficients."""

    def apply(
        self, identity: Float[Tensor, "faces id"], expression: Float[Tensor, "faces expr"]
    ) -> tuple[Float[Tensor, "faces id"], Float[Tensor, "faces expr"]]:
        """Return identity and expression of the mirrored faces."""
        both = torch.cat([identity, expression], 1)
        mirrored = both @ self.matrix.to(both).T + self.offset.to(both)
        return mirrored[:, : identity.shape[1]], mirrored[:, identity.shape[1] :]


_FITTED: "weakref.WeakKeyDictionary[MorphableModel, Mirror]" = weakref.WeakKeyDictionary()


def flip_coefficients(
    model: MorphableModel, identity: Float[Tensor, "faces id"], expression: Float[Tensor, "faces expr"]
) -> tuple[Float[Tensor, "faces id"], Float[Tensor, "faces expr"]]:
    """Return the coefficients of mirrored faces: as the model stores them, or else by `fit_mirror`."""
    if model.identity_flip is not None and model.expression_flip is not None:
        return model.flip_identity(identity), model.flip_expression(expression)
    return fit_mirror(model).apply(identity, expression)


def fit_mirror(model: MorphableModel) -> Mirror:
    """Fit the mirror images of a model's faces by least squares; computed once for each model.

    The modes of a model made of scans are neither symmetric nor antisymmetric, and its mirrored faces are in general
    none of its own. Vertices are paired by the model's `mirror_vertices`; without them, each with the nearest point of
    the mean surface to its mirror image.
    """
    if model not in _FITTED:
        _FITTED[model] = _fit(model)
    return _FITTED[model]


@torch.no_grad()
def mirror_error_m(model: MorphableModel) -> float:
    """Return the root mean square distance between mirrored faces and what their coefficients give, over some faces."""
    generator = torch.Generator().manual_seed(0)
    identity, expression = (
        torch.randn(NUM_FACES, count, generator=generator).to(model.mean)
        for count in (model.num_identity, model.num_expression)
    )
    mean, chosen = _mean_and_points(model)
    corner, weight = _counterparts(model, mean, chosen)
    found = model.decode_shape(*flip_coefficients(model, identity, expression))[:, chosen]
    there = _mirrored(model.decode_shape(identity, expression).double(), corner, weight)
    return float((found - there).square().sum(-1).mean().sqrt())


def mirrored_if_possible(augment: AugmentConfig, model: MorphableModel, *, exact: bool) -> AugmentConfig:
    """Turn mirroring off where the model cannot describe mirrored faces, and say so; say how well it does otherwise.

    Args:
        augment: What is asked for.
        model: The face model.
        exact: Whether there are faces with known coefficients; mirrored landmarks need no model.
    """
    signs = (model.identity_flip, model.expression_flip)
    if not augment.flip or not exact or all(flip is not None and flip.ndim == 1 for flip in signs):
        return augment
    residual = mirror_error_m(model)
    if residual <= MAX_RESIDUAL_M:
        sys.stderr.write(
            f"mirrored faces of the model {model.name!r} are fitted by least squares, {residual * _MM:.2f} mm off\n"
        )
        return augment
    sys.stderr.write(
        f"pictures are not mirrored: the model {model.name!r} misses the mirror images of its faces by "
        f"{residual * _MM:.2f} mm, more than {MAX_RESIDUAL_M * _MM:g} mm\n"
    )
    return replace(augment, flip=False)


@torch.no_grad()
def _fit(model: MorphableModel) -> Mirror:
    """Solve for the coefficients of mirrored faces on points spread over the mesh."""
    mean, chosen = _mean_and_points(model)
    corner, weight = _counterparts(model, mean, chosen)
    modes = _modes(model).double() - mean
    basis = modes[:, chosen].flatten(1).T
    mirrored = _mirrored(modes, corner, weight).flatten(1).T
    moved = (_mirrored(mean, corner, weight) - mean[chosen]).flatten()
    normal = basis.T @ basis + _DAMPING_M**2 * torch.eye(basis.shape[1]).to(basis)
    solved = torch.linalg.solve(normal, basis.T @ torch.cat([mirrored, moved[:, None]], 1))
    matrix, offset = solved[:, :-1], solved[:, -1]
    missed = (basis @ matrix - mirrored).square().sum() + (basis @ offset - moved).square().sum()
    return Mirror(matrix, offset, float((missed / len(chosen)).sqrt()))


def _mean_and_points(model: MorphableModel) -> tuple[Float[Tensor, "verts 3"], Int[Tensor, " points"]]:
    """The mean face, and some of its vertices."""
    none = model.mean.new_zeros(model.num_identity), model.mean.new_zeros(model.num_expression)
    mean = model.decode_shape(*none).double()
    return mean, torch.linspace(0, len(mean) - 1, min(NUM_POINTS, len(mean)), device=mean.device).long()


def _mirrored(
    vertices: Float[Tensor, "*batch verts 3"],
    corner: Int[Tensor, "points corners"],
    weight: Float[Tensor, "points corners"],
) -> Float[Tensor, "*batch points 3"]:
    """Mirror images of the counterparts of the chosen vertices."""
    return (vertices[..., corner, :] * weight[:, :, None]).sum(-2) * vertices.new_tensor(_MIRROR)


def _modes(model: MorphableModel) -> Float[Tensor, "modes verts 3"]:
    """The mean face with one coefficient of 1 at a time, identity first."""
    counts = model.num_identity, model.num_expression
    rows = torch.eye(sum(counts), dtype=model.mean.dtype, device=model.mean.device)
    return model.decode_shape(*rows.split(counts, dim=1))


def _counterparts(
    model: MorphableModel, mean: Float[Tensor, "verts 3"], chosen: Int[Tensor, " points"]
) -> tuple[Int[Tensor, "points corners"], Float[Tensor, "points corners"]]:
    """Return the vertices, with weights, whose mirror image each chosen vertex is."""
    if model.mirror_vertices is not None:
        return model.mirror_vertices[chosen][:, None], torch.ones(len(chosen), 1, dtype=mean.dtype, device=mean.device)
    return _nearest_on_surface(mean[chosen] * mean.new_tensor(_MIRROR), mean, model.triangles)


def _nearest_on_surface(
    points: Float[Tensor, "points 3"], vertices: Float[Tensor, "verts 3"], triangles: Int[Tensor, "tris 3"]
) -> tuple[Int[Tensor, "points 3"], Float[Tensor, "points 3"]]:
    """Return the corners of the nearest triangle to each point, and the weights of the nearest point on it.

    Searched among the triangles with the nearest centroids; beyond an edge, weights are clamped.
    """
    centroids = vertices[triangles].mean(1)
    corner, weight = [], []
    for part in points.split(CHUNK):
        near = torch.cdist(part, centroids).topk(min(NEIGHBOURS, len(centroids)), largest=False).indices
        corners = vertices[triangles[near]]
        share = _weights(part[:, None], corners).clamp(0, 1)
        share = share / share.sum(-1, keepdim=True)
        distance = ((corners * share[..., None]).sum(-2) - part[:, None]).norm(dim=-1)
        row, best = torch.arange(len(part), device=part.device), distance.argmin(1)
        corner.append(triangles[near[row, best]])
        weight.append(share[row, best])
    return torch.cat(corner), torch.cat(weight)


def _weights(point: Float[Tensor, "*#batch 3"], corners: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Barycentric weights of the projection of a point onto the plane of a triangle."""
    a, b, c = corners.unbind(-2)
    normal = torch.linalg.cross(b - a, c - a)
    area = normal.square().sum(-1).clamp(min=_TINY)
    second = (torch.linalg.cross(point - a, c - a) * normal).sum(-1) / area
    third = (torch.linalg.cross(b - a, point - a) * normal).sum(-1) / area
    return torch.stack([1 - second - third, second, third], dim=-1)
