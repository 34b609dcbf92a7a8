"""Fitting any face model to 68 points in a picture, or to the surface of faces that another model has.

Both are maximum a posteriori fits: squared errors in standard deviations, plus the squares of coefficients that are
standard normal a priori, minimized by Levenberg-Marquardt in float64 for all faces of a batch at once. Expressions that
are activations stay in [0, 1].
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from morphable.faces import FaceParameters
from morphable.geometry import (
    Pinhole,
    axes_flip,
    derivative_by_step,
    fit_similarity,
    linearize_projection,
    skew,
    solve_normal_equations,
    triangles_of_vertices,
    vertex_normals,
)
from morphable.landmarks import NUM_IBUG68, NUM_JAW
from morphable.model import STATIC68, MorphableModel
from morphable.point_model import PointModel

POINT_STD = 0.02
"""Standard deviation of each coordinate of a point in a picture, as a share of the longer side of the points' box,
where none is given."""
JAW_FACTOR = 3.0
"""How many times less certain than others the 17 points of the jaw are, which annotators place on the outline."""
LANDMARK_STD_M = 0.004
"""Standard deviation of a landmark of one model as the place of another's: their definitions differ."""
SURFACE_STD_M = 0.001
"""Standard deviation of the distance between the surfaces of two models."""
ACTIVATION_STD = 0.5
"""Expressions that are activations count as this likely a priori."""
FARTHEST_M = 0.02
"""Surface points farther apart than this do not belong together,"""
LEAST_COSINE = 0.5
"""nor do those whose normals differ by more than 60 degrees."""
MOST_POINTS = 1500
"""Surface points that are compared."""
_STEPS, _ROUNDS, _STEPS_PER_ROUND = 40, 10, 2
_FIRST_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-3, 1e-9, 1e6
_SETTLED = 1e-10
"""A step that gains less than this part of the cost was the last."""
_CHUNK_POINTS = 256
_CHUNK = 16
"""Modes decoded at a time."""


@dataclass(frozen=True)
class Fit:
    """Faces of a model that were fitted to something.

    >>> fit = morphable.Fit(faces, residual=torch.zeros(2))
    >>> fit.faces.identity.shape
    torch.Size([2, 80])
    """

    faces: FaceParameters
    """Leading axis: the faces. Albedo is the mean, light soft white."""
    residual: Float[Tensor, " faces"]
    """Root mean square distance that is left: pixels for `fit_landmarks`, meters for `fit_surface`."""


@dataclass(frozen=True)
class _State:
    """What is solved for."""

    cam: Float[Tensor, "faces 3 3"]
    """Camera frame from model frame."""
    translation: Float[Tensor, "faces 3"]
    identity: Float[Tensor, "faces id"]
    expression: Float[Tensor, "faces expr"]

    def moved(self, step: Float[Tensor, "faces unknowns"], *, bounded: bool) -> "_State":
        """Add a step: turn, shift, coefficients."""
        turn, shift, identity, expression = step.split([3, 3, self.identity.shape[1], self.expression.shape[1]], 1)
        expression = self.expression + expression
        return _State(
            torch.linalg.matrix_exp(skew(turn)) @ self.cam,
            self.translation + shift,
            self.identity + identity,
            expression.clamp(0, 1) if bounded else expression,
        )

    def where(self, better: Bool[Tensor, " faces"], other: "_State") -> "_State":
        """Take some faces from another state."""
        return _State(
            *(
                torch.where(better.view(-1, *[1] * (mine.ndim - 1)), theirs, mine)
                for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)
            )
        )


@dataclass(frozen=True)
class _Points:
    """The linear model of the compared points, in float64."""

    mean: Float[Tensor, "points 3"]
    basis: Float[Tensor, "points 3 modes"]
    """How identity, then expression coefficients move the points."""

    @staticmethod
    def of(points: PointModel) -> "_Points":
        """Take over a model of points."""
        bases = torch.cat([points.identity_basis, points.expression_basis])
        return _Points(points.mean.double(), bases.double().permute(1, 2, 0))

    def place(self, state: _State) -> tuple[Float[Tensor, "faces points 3"], Float[Tensor, "faces points 3"]]:
        """Return the points in the camera frame, and relative to the face's origin."""
        coefficients = torch.cat([state.identity, state.expression], 1)
        turned = (self.mean + torch.einsum("fm,pam->fpa", coefficients, self.basis)) @ state.cam.mT
        return turned + state.translation[:, None], turned


_Errors = Callable[[_State], tuple[Tensor, Tensor]]
"""Errors in standard deviations (faces, errors) and their derivative by a step (faces, errors, unknowns)."""


def fit_landmarks(
    model: MorphableModel,
    landmarks68_px: Float[Tensor, "faces 68 2"],
    camera: Pinhole,
    *,
    std_px: Float[Tensor, "faces 68"] | None = None,
) -> Fit:
    """Fit faces of a model to 68 points each.

    Args:
        model: Any model with the static 68 points.
        landmarks68_px: iBUG's points in the picture.
        camera: The picture's camera.
        std_px: Standard deviation of each coordinate of the points; by default `POINT_STD`, the jaw `JAW_FACTOR` times.

    Raises:
        ValueError: The model has no 68 points, or points or deviations are not what they should be.

    >>> import morphable, torch
    >>> from morphable.geometry import Pinhole
    >>> model, camera = morphable.load_model("open"), Pinhole((480, 640), 800.0)
    >>> faces = model.sample(2, torch.Generator().manual_seed(0))
    >>> points = camera.project(model.landmarks(model.vertices(faces)))
    >>> fit = fit_landmarks(model, points, camera)
    >>> fit.faces.identity.shape, bool((fit.residual < 2).all())
    (torch.Size([2, 80]), True)
    """
    points = _landmark_model(model)
    goal = _checked("landmarks68_px", landmarks68_px, 2).double()
    if std_px is None:
        side = (goal.amax(1) - goal.amin(1)).amax(1)[:, None]
        factor = torch.ones(NUM_IBUG68, dtype=torch.float64)
        factor[:NUM_JAW] = JAW_FACTOR
        std_px = (POINT_STD * side * factor).clamp(min=1e-6)
    if std_px.shape != goal.shape[:2] or not bool((std_px > 0).all()):
        raise ValueError(f"std_px must be positive, one per point, got shape {tuple(std_px.shape)}")
    weight = 1.0 / std_px.double()
    focal = torch.as_tensor(camera.focal_px, dtype=torch.float64).expand(len(goal))
    from_center = goal - camera.principal_px(goal).expand(len(goal), 2)[:, None]

    def errors(state: _State) -> tuple[Tensor, Tensor]:
        placed, turned = points.place(state)
        found, by_point = linearize_projection(placed, focal)
        jacobian = derivative_by_step(by_point * weight[..., None, None], turned, state.cam, points.basis)
        return ((found - from_center) * weight[..., None]).flatten(1), jacobian.flatten(1, 2)

    start = _orthographic(points.mean, from_center, focal)
    state = _minimize(errors, _with_coefficients(start, model), model, steps=_STEPS)
    error = errors(state)[0].view(*goal.shape) / weight[..., None]
    return Fit(_faces(state, model), error.square().sum(-1).mean(-1).sqrt().to(model.mean))


def fit_surface(
    model: MorphableModel,
    vertices_cam_m: Float[Tensor, "faces verts 3"],
    triangles: Int[Tensor, "tris 3"],
    landmarks68_cam_m: Float[Tensor, "faces 68 3"],
    *,
    compared: Bool[Tensor, " verts"] | None = None,
) -> Fit:
    """Fit faces of a model to surfaces of another topology, which stand in a camera.

    Every compared point belongs to the nearest vertex of the fitted face whose normal agrees; its distance from the
    plane there counts. Where the surfaces tell nothing (the back of a head that only one of them has), the prior does.

    Args:
        model: Any model with the static 68 points.
        vertices_cam_m: Surfaces in meters, e.g. those of a reconstructed scene.
        triangles: Corners of the surfaces' triangles, counter-clockwise from outside.
        landmarks68_cam_m: iBUG's static points on the surfaces, from which the fit starts.
        compared: Vertices to compare; by default all. Leave out what the models do not share: eyes, mouth, hair.

    Raises:
        ValueError: The model has no 68 points, or an argument is not what it should be.

    >>> import morphable, torch
    >>> model = morphable.load_model("open")
    >>> faces = model.sample(1, torch.Generator().manual_seed(0))
    >>> vertices = model.vertices(faces)
    >>> fit = fit_surface(model, vertices, model.triangles, model.landmarks(vertices), compared=model.region("skin"))
    >>> bool(fit.residual < 0.001)
    True
    """
    points = _landmark_model(model)
    goal = _checked("landmarks68_cam_m", landmarks68_cam_m, 3).double()
    surface = vertices_cam_m.double()
    if surface.ndim != goal.ndim or len(surface) != len(goal) or not bool(surface.isfinite().all()):
        raise ValueError(f"vertices_cam_m must be finite, one surface per face, got shape {tuple(surface.shape)}")
    chosen = _evenly(torch.arange(surface.shape[1]) if compared is None else compared.nonzero()[:, 0])
    around = triangles_of_vertices(triangles, surface.shape[1])
    normals = vertex_normals(surface, triangles, around)[:, chosen]
    surface = surface[:, chosen]
    weight = torch.full((NUM_IBUG68, 1), 1.0 / LANDMARK_STD_M, dtype=torch.float64)
    weight[:NUM_JAW] /= JAW_FACTOR
    by_place = torch.eye(3, dtype=torch.float64) * weight[..., None]

    def landmark_errors(state: _State) -> tuple[Tensor, Tensor]:
        placed, turned = points.place(state)
        jacobian = derivative_by_step(by_place.expand(len(goal), -1, 3, 3), turned, state.cam, points.basis)
        return ((placed - goal) * weight).flatten(1), jacobian.flatten(1, 2)

    _, rotation, _ = fit_similarity(points.mean, goal)
    translation = goal.mean(1) - (rotation @ points.mean.mean(0)[:, None])[..., 0]
    start = _with_coefficients((rotation, translation), model)
    state = _minimize(landmark_errors, start, model, steps=_STEPS)
    dense = _all_vertices(model)
    for _ in range(_ROUNDS):
        errors, _ = _surface_errors(dense, model, state, surface, normals)

        def both(state: _State, errors: _Errors = errors) -> tuple[Tensor, Tensor]:
            first, second = landmark_errors(state), errors(state)
            return torch.cat([first[0], second[0]], 1), torch.cat([first[1], second[1]], 1)

        state = _minimize(both, state, model, steps=_STEPS_PER_ROUND)
    _, residual_m = _surface_errors(dense, model, state, surface, normals)
    return Fit(_faces(state, model), residual_m.to(model.mean))


def _surface_errors(
    dense: PointModel, model: MorphableModel, state: _State, surface: Tensor, normals: Tensor
) -> tuple[_Errors, Float[Tensor, " faces"]]:
    """Match surface points with vertices; return the errors of these matches, and their distances' root mean square."""
    with torch.no_grad():
        shape = dense.decode_shape(state.identity.to(dense.mean), state.expression.to(dense.mean)).double()
        placed = shape @ state.cam.mT + state.translation[:, None]
        facing = model.normals(placed.to(model.mean)).double()
    nearest = torch.stack([_nearest(each, mesh) for each, mesh in zip(surface, placed, strict=True)])
    rows = nearest[..., None].expand(-1, -1, 3)
    plane, offset = facing.gather(1, rows), placed.gather(1, rows) - surface
    valid = (offset.norm(dim=-1) < FARTHEST_M) & ((plane * normals).sum(-1) > LEAST_COSINE)
    distance = (plane * offset).sum(-1)
    residual = ((distance.square() * valid).sum(1) / valid.sum(1).clamp(min=1)).sqrt()
    parts = [_Points.of(dense[index]) for index in nearest]
    weighted = plane * valid[..., None] / SURFACE_STD_M

    def errors(state: _State) -> tuple[Tensor, Tensor]:
        found, jacobian = [], []
        for face, part in enumerate(parts):
            one, across = _one(state, face), weighted[face : face + 1]
            placed, turned = part.place(one)
            found.append((across * (placed - surface[face])).sum(-1))
            jacobian.append(derivative_by_step(across[..., None, :], turned, one.cam, part.basis)[..., 0, :])
        return torch.cat(found), torch.cat(jacobian)

    return errors, residual


def _nearest(points: Float[Tensor, "points 3"], vertices: Float[Tensor, "verts 3"]) -> Int[Tensor, " points"]:
    """Return the nearest vertex of each point; single precision separates vertices a micrometer apart."""
    center = points.mean(0)
    near, far = (points - center).float(), (vertices - center).float()
    return torch.cat([torch.cdist(part, far).argmin(1) for part in near.split(_CHUNK_POINTS)])


def _minimize(errors: _Errors, state: _State, model: MorphableModel, *, steps: int) -> _State:
    """Take Levenberg-Marquardt steps on the errors and the prior; each face has a damping of its own."""
    bounded = model.expression_prior == "activation"
    prior = _prior(model, state)
    damping = torch.full((len(state.cam),), _FIRST_DAMPING, dtype=torch.float64)
    error, jacobian = errors(state)
    cost = _cost(error, state, prior)
    for _ in range(steps):
        normal = jacobian.mT @ jacobian + torch.diag(prior)
        slope = (jacobian.mT @ error[..., None])[..., 0] + prior * _unknowns(state)
        fixed = _at_bounds(state, slope) if bounded else torch.zeros_like(slope, dtype=torch.bool)
        free = (~fixed).double()
        normal = normal * free[:, :, None] * free[:, None, :]
        damped = normal + torch.diag_embed(damping[:, None] * normal.diagonal(dim1=-2, dim2=-1) + fixed.double())
        candidate = state.moved(-solve_normal_equations(damped, slope * free), bounded=bounded)
        new_error, new_jacobian = errors(candidate)
        new_cost = _cost(new_error, candidate, prior)
        better = new_cost < cost
        settled = better & (cost - new_cost <= _SETTLED * cost) | (damping >= _MOST_DAMPING)
        state = state.where(better, candidate)
        error = torch.where(better[:, None], new_error, error)
        jacobian = torch.where(better[:, None, None], new_jacobian, jacobian)
        cost = torch.where(better, new_cost, cost)
        damping = torch.where(better, damping / 10, damping * 10).clamp(_LEAST_DAMPING, _MOST_DAMPING)
        if bool(settled.all()):
            break
    return state


def _one(state: _State, face: int) -> _State:
    """Return one face of a state, as a batch of one."""
    return _State(*(values[face : face + 1] for values in vars(state).values()))


def _unknowns(state: _State) -> Float[Tensor, "faces unknowns"]:
    """Return what the prior pulls toward zero; pose has none."""
    return torch.cat([state.translation.new_zeros(len(state.cam), 6), state.identity, state.expression], 1)


def _prior(model: MorphableModel, state: _State) -> Float[Tensor, " unknowns"]:
    """Return one over the variance of every unknown."""
    expression_std = ACTIVATION_STD if model.expression_prior == "activation" else 1.0
    sizes = (6, state.identity.shape[1], state.expression.shape[1])
    values = (0.0, 1.0, 1.0 / expression_std**2)
    return torch.cat([torch.full((n,), v, dtype=torch.float64) for n, v in zip(sizes, values, strict=True)])


def _cost(error: Tensor, state: _State, prior: Tensor) -> Float[Tensor, " faces"]:
    """Return twice the negative logarithm of the posterior."""
    return error.square().sum(1) + (prior * _unknowns(state).square()).sum(1)


def _at_bounds(state: _State, slope: Tensor) -> Bool[Tensor, "faces unknowns"]:
    """Mark activations that the next step would take out of [0, 1]."""
    first = slope.shape[1] - state.expression.shape[1]
    out = (state.expression <= 0) & (slope[:, first:] > 0) | (state.expression >= 1) & (slope[:, first:] < 0)
    return torch.cat([torch.zeros_like(slope[:, :first], dtype=torch.bool), out], 1)


def _orthographic(mean: Tensor, from_center_px: Tensor, focal: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pose of the mean shape under a scaled orthographic camera, as rotation and translation."""
    shape, center_px = mean, from_center_px.mean(1, keepdim=True)
    solution = torch.linalg.lstsq(
        (shape - shape.mean(0)).expand(len(from_center_px), -1, -1), from_center_px - center_px
    ).solution
    right, down = solution.mT.unbind(1)
    scale = (right.norm(dim=-1) + down.norm(dim=-1)) / 2
    right = torch.nn.functional.normalize(right, dim=-1)
    down = torch.nn.functional.normalize(down - (down * right).sum(-1, keepdim=True) * right, dim=-1)
    rotation = torch.stack([right, down, torch.linalg.cross(right, down)], 1)
    depth = focal / scale.clamp(min=1e-6)
    place = torch.cat([center_px[:, 0] / focal[:, None], torch.ones_like(depth)[:, None]], 1) * depth[:, None]
    return rotation, place - (rotation @ shape.mean(0)[:, None])[..., 0]


def _with_coefficients(pose: tuple[Tensor, Tensor], model: MorphableModel) -> _State:
    """Return the mean face in some poses."""
    rotation, translation = pose
    zeros = translation.new_zeros
    return _State(
        rotation, translation, zeros(len(rotation), model.num_identity), zeros(len(rotation), model.num_expression)
    )


def _faces(state: _State, model: MorphableModel) -> FaceParameters:
    """Return a state as faces."""
    count, like = len(state.cam), model.mean
    flip = axes_flip(state.cam)
    return FaceParameters(
        identity=state.identity.to(like),
        expression=state.expression.to(like),
        albedo=like.new_zeros(count, model.num_albedo),
        rotation_head=(flip[:, None] * state.cam).to(like),
        translation_m=state.translation.to(like),
        illumination=like.new_zeros(count, 9, 3),
    )


def _landmark_model(model: MorphableModel) -> _Points:
    """Return the model of the 68 points.

    Raises:
        ValueError: The model has none.
    """
    if STATIC68 not in model.landmark_schemes:
        raise ValueError(f"model must have the 68 points to be fitted, got {model.name!r} without; see --landmarks")
    return _Points.of(model.restrict(model.surface_points(STATIC68)))


def _all_vertices(model: MorphableModel) -> PointModel:
    """Return the linear model of all vertices."""
    zeros, like = model.mean.new_zeros, model.mean
    identity, expression = zeros(model.num_identity), zeros(model.num_expression)
    mean = model.decode_shape(identity, expression)

    def modes(count: int, decode: Callable[[Tensor], Tensor]) -> Tensor:
        rows = torch.eye(count, dtype=like.dtype, device=like.device).split(_CHUNK)
        return torch.cat([zeros(0, *mean.shape), *(decode(row) - mean for row in rows)])

    return PointModel(
        mean,
        modes(model.num_identity, lambda row: model.decode_shape(row, expression)),
        modes(model.num_expression, lambda row: model.decode_shape(identity, row)),
    )


def _checked(name: str, points: Tensor, axes: int) -> Tensor:
    """Refuse what are not 68 finite points per face."""
    if points.ndim != 3 or points.shape[1:] != (NUM_IBUG68, axes) or not bool(points.isfinite().all()):
        raise ValueError(f"{name} must be finite and of shape (faces, 68, {axes}), got shape {tuple(points.shape)}")
    return points


def _evenly(chosen: Int[Tensor, " many"]) -> Int[Tensor, " some"]:
    """Return at most `MOST_POINTS` of some indices, evenly spread over them."""
    if len(chosen) <= MOST_POINTS:
        return chosen
    return chosen[torch.linspace(0, len(chosen) - 1, MOST_POINTS).round().long()]
