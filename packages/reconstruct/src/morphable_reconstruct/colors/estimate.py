"""Albedo coefficients and light of faces by robust least squares with priors: closed-form steps, no network.

A point of the surface has the color `(A0 + B a) * (Y(n) L) + s`: linear in the albedo coefficients `a` and in the
light `L` in turn; `s` is the sheen of the skin, which looks alike on any skin and would otherwise pass for paleness.
Gauss-Newton steps solve for all at once, since between albedo and light, where more light looks like fairer skin,
steps in turn would creep. Weights of points whose color no such face has (glasses, hair, hands) fall.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from morphable.geometry import solve_normal_equations
from morphable_render.lighting import AMBIENT, sh_basis

STEPS = 4
"""Gauss-Newton steps."""
NOISE = 0.05
"""Standard deviation of a point's color about the model's, in a point that shows the face."""
INDEPENDENT_SHARE = 0.05
"""The errors of neighboring points are alike (shadows, the detail that no mode has): this share of the points counts as
independent. With more of it, light and sheen take over what is the skin's tone."""
FIRST_SCALE, LAST_SCALE = 0.5, 0.2
"""Error at which a point's weight has fallen to a quarter: at the first and at the last step."""
FINAL_STEPS = 2
"""Gauss-Newton steps that fit detail and light, with the tone as it was found and without sheen."""
FINAL_LIGHT_SD = 0.1
"""Standard deviation of the final light's coefficients about those that were found with the tone. With three times as
much the seen points are fitted no better, and the sides of the head that no photograph shows turn black or blue."""
TONE_SD = 0.002
"""How far the mean albedo may still move."""
SMALLEST_LEVEL = 0.1
"""The pattern of light is taken relative to at least this level."""
LUMINANCE = (0.2126, 0.7152, 0.0722)
NUM_LIGHT = 27
"""Coefficients of the light: nine of each channel."""


@dataclass(frozen=True, eq=False)
class LightPrior:
    """Distribution of light and sheen: a level times a pattern, both normally distributed.

    The pattern is taken relative to the level. With a pattern of its own size, the likeliest light would be a dim one:
    its unevenness costs less.
    """

    mean: Float[Tensor, "30"]
    """Pattern at level 1: 9 coefficients of each channel in turn, the ambient light included, then the sheen's RGB."""
    precision: Float[Tensor, "30 30"]
    """Inverse of the covariance of the pattern."""
    level: float
    """Mean luminance of the light on a surface that faces the viewer."""
    level_sd: float


@dataclass(frozen=True, eq=False)
class Colors:
    """Albedo and light of some faces."""

    albedo: Float[Tensor, "faces alb"]
    """Coefficients, standard normal a priori."""
    illumination: Float[Tensor, "faces 9 3"]
    """Spherical-harmonics light, as `morphable_render.shade_sh` takes it."""
    weight: Float[Tensor, "faces points"]
    """Trust in each point, 0 to 1: low where something covers the face."""


def estimate_colors(
    observed: Float[Tensor, "faces points 3"],
    visible: Float[Tensor, "faces points"],
    normals: Float[Tensor, "faces points 3"],
    mean_albedo: Float[Tensor, "points 3"],
    albedo_modes: Float[Tensor, "alb points 3"],
    prior: LightPrior,
) -> Colors:
    """Estimate albedo and light of each face from the colors of points of its surface.

    Args:
        observed: What the photograph shows at the points, sRGB-encoded in [0, 1].
        visible: Weight of each point, 0 where the photograph doesn't show it.
        normals: Unit vectors, y up, z toward the viewer (`R_head` times the model-frame normals).
        mean_albedo: Albedo of the model's mean at the points.
        albedo_modes: What one standard deviation of each coefficient adds there.
        prior: Distribution of light and sheen.

    Returns:
        The estimates, differentiable in colors and normals. The light is the one that, with the albedo and without a
        sheen, comes nearest to the photograph.
    """
    faces = len(observed)
    modes = albedo_modes.to(observed).flatten(1).T
    base, functions, count = mean_albedo.to(observed), sh_basis(normals), modes.shape[1]
    mean = prior.mean.to(observed)
    state, weight = torch.cat([observed.new_zeros(count), prior.level * mean]).expand(faces, -1), visible
    facing = _facing(observed)
    for step in range(STEPS):
        albedo, light = _seen(state, base, modes, functions)
        error = observed - albedo * light - state[:, None, count + NUM_LIGHT :]
        weight = visible * _trust(error, step)
        root = (weight * (INDEPENDENT_SHARE / NOISE**2)).sqrt()[..., None]
        by_sheen = torch.diag_embed(root.expand_as(albedo)).flatten(1, 2)
        jacobian = torch.cat([_jacobian(root, albedo, light, modes, functions), by_sheen], dim=-1)
        precision, pull = _prior_terms(state, count, prior, facing)
        normal = jacobian.mT @ jacobian + precision
        right = (jacobian.mT @ (root * error).flatten(1)[..., None])[..., 0] + pull
        state = state + solve_normal_equations(normal, right)
    state = _detailed(observed, weight, base, modes, functions, state[:, : count + NUM_LIGHT])
    light = state[:, count:].unflatten(1, (3, 9)).mT
    ambient = torch.zeros_like(light[:, :1]) + AMBIENT
    return Colors(state[:, :count], torch.cat([light[:, :1] - ambient, light[:, 1:]], dim=1), weight)


def _seen(state: Tensor, base: Tensor, modes: Tensor, functions: Tensor) -> tuple[Tensor, Tensor]:
    """Albedo of the points and light on them, each (faces, points, 3)."""
    count = modes.shape[1]
    light = state[:, count : count + NUM_LIGHT].unflatten(1, (3, 9)).mT
    return base + (state[:, :count] @ modes.T).unflatten(1, base.shape), functions @ light


def _facing(like: Tensor) -> Float[Tensor, "30"]:
    """Weights of light and sheen in the luminance of the light on a surface that faces the viewer."""
    front = sh_basis(like.new_tensor([0.0, 0.0, 1.0]))
    luminance = like.new_tensor(LUMINANCE)
    return torch.cat([(luminance[:, None] * front).flatten(), like.new_zeros(3)])


def _prior_terms(state: Tensor, count: int, prior: LightPrior, facing: Tensor) -> tuple[Tensor, Tensor]:
    """Precision of the priors at the present level of the light, and their pull on the present state."""
    coefficients, light = state[:, :count], state[:, count:]
    level = (light @ facing).clamp(min=SMALLEST_LEVEL)
    # change of the pattern with the light: a light that only grows keeps its pattern
    relative = torch.eye(len(facing)).to(light) - light[:, :, None] * facing / level[:, None, None]
    weighted = relative.mT @ prior.precision.to(state) / level[:, None, None].square()
    of_level = torch.outer(facing, facing) / prior.level_sd**2
    precision = state.new_zeros(*state.shape, state.shape[1])
    precision[:, :count, :count] = torch.eye(count, dtype=state.dtype, device=state.device)
    precision[:, count:, count:] = weighted @ relative + of_level
    off = level[:, None] * prior.mean.to(state) - light
    pull = (weighted @ off[..., None])[..., 0] + (prior.level - level)[:, None] * facing / prior.level_sd**2
    return precision, torch.cat([-coefficients, pull], dim=1)


def _trust(error: Tensor, step: int) -> Tensor:
    """Geman-McClure weights of the points, stricter from step to step; their choice carries no gradient."""
    share = step / max(STEPS - 1, 1)
    scale = FIRST_SCALE * (LAST_SCALE / FIRST_SCALE) ** share
    square = error.detach().square().mean(-1)
    return (1 + square / scale**2).pow(-2)


def _jacobian(root: Tensor, albedo: Tensor, light: Tensor, modes: Tensor, functions: Tensor) -> Tensor:
    """Weighted change of the points' colors with albedo and light, (faces, points * 3, alb + 27)."""
    by_albedo = modes * (root * light).flatten(1)[..., None]
    by_light = torch.diag_embed(root * albedo)[..., None] * functions[..., None, None, :]
    return torch.cat([by_albedo, by_light.flatten(-2).flatten(1, 2)], dim=-1)


def _detailed(
    observed: Tensor, weight: Tensor, base: Tensor, modes: Tensor, functions: Tensor, found: Tensor
) -> Tensor:
    """Fit albedo and light to every point, with the mean albedo that was found; (faces, alb + 27).

    Each point counts in full here: with the tone known, neighbors whose errors are alike can no longer mislead it.
    """
    count, points = modes.shape[1], observed.shape[1]
    seen = weight / weight.sum(1, keepdim=True).clamp(min=1e-6)
    tone = torch.einsum("fp,pcm->fcm", seen, modes.unflatten(0, (points, 3))) / TONE_SD
    own = torch.cat([tone.new_ones(count), tone.new_full((NUM_LIGHT,), 1 / FINAL_LIGHT_SD**2)])
    precision = own.diag().repeat(len(found), 1, 1)
    precision[:, :count, :count] += tone.mT @ tone
    prior = torch.cat([found[:, :count], torch.zeros_like(found[:, count:])], 1)
    root, state = weight.sqrt()[..., None] / NOISE, found
    for _ in range(FINAL_STEPS):
        albedo, light = _seen(state, base, modes, functions)
        jacobian = _jacobian(root, albedo, light, modes, functions)
        right = (jacobian.mT @ (root * (observed - albedo * light)).flatten(1)[..., None])[..., 0]
        # the tone is drawn to what was found, the coefficients themselves to 0
        right = right + (precision @ (found - state)[..., None])[..., 0] - prior
        state = state + solve_normal_equations(jacobian.mT @ jacobian + precision, right)
    return state
