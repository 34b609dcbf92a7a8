"""Derivatives of pixels and points by pose and coefficients, which Gauss-Newton and Levenberg-Marquardt steps need."""

import torch
from jaxtyping import Float
from torch import Tensor

from morphable.geometry.camera import MIN_DEPTH_M
from morphable.geometry.rotation import skew


def linearize_projection(
    points_cam: Float[Tensor, "*batch points 3"],
    focal_px: Float[Tensor, "*batch"] | float,
    *,
    min_depth_m: float = MIN_DEPTH_M,
) -> tuple[Float[Tensor, "*batch points 2"], Float[Tensor, "*batch points 2 3"]]:
    """Project camera-frame points; return the derivative of the pixels by the points as well.

    Args:
        points_cam: Points in meters.
        focal_px: Focal length, one for all or one for each item of the batch.
        min_depth_m: Points nearer than this depth are projected from it.

    Returns:
        (x, y) in pixels from the principal point, and the derivative (pixel axis, point axis).

    >>> pixel, derivative = linearize_projection(torch.tensor([[0.5, 0.5, 2.0]]), 1000.0)
    >>> pixel.tolist(), derivative.tolist()  # 500 px a meter sideways, -125 px a meter in depth
    ([[250.0, 250.0]], [[[500.0, 0.0, -125.0], [0.0, 500.0, -125.0]]])
    """
    focal = focal_px[..., None, None] if isinstance(focal_px, Tensor) else focal_px
    depth_m = points_cam[..., 2:].clamp(min=min_depth_m)
    slope = points_cam[..., :2] / depth_m
    sideways = torch.eye(2, dtype=slope.dtype, device=slope.device).expand(*slope.shape, 2)
    by_point = torch.cat([sideways, -slope[..., None]], dim=-1) * (focal / depth_m)[..., None]
    return focal * slope, by_point


def derivative_by_step(
    by_point: Float[Tensor, "*batch points values 3"],
    turned_m: Float[Tensor, "*batch points 3"],
    cam_from_model: Float[Tensor, "*batch 3 3"] | None = None,
    basis: Float[Tensor, "points 3 modes"] | None = None,
) -> Float[Tensor, "*batch points values unknowns"]:
    """Return the derivative of what depends on posed points by a step of the pose and of the coefficients.

    The step turns the face about its own origin (a rotation vector in camera axes, applied after the rotation), shifts
    the face, and adds to the coefficients: six unknowns, then one for each mode.

    Args:
        by_point: Derivative of the values of each point by the point's place in the camera frame.
        turned_m: The points in camera axes, relative to the face's origin.
        cam_from_model: Rotation from the model's axes to the camera's; needed with a basis.
        basis: How the coefficients move the points, model frame.

    >>> by_point = torch.eye(3)[None]
    >>> derivative_by_step(by_point, torch.tensor([[1.0, 0.0, 0.0]]))[0]
    tensor([[ 0.,  0.,  0.,  1.,  0.,  0.],
            [ 0.,  0.,  1.,  0.,  1.,  0.],
            [ 0., -1.,  0.,  0.,  0.,  1.]])
    """
    parts = [-by_point @ skew(turned_m), by_point]
    if basis is not None and cam_from_model is not None:
        parts.append(by_point @ cam_from_model[..., None, :, :] @ basis)
    return torch.cat(parts, dim=-1)


def solve_normal_equations(
    normal: Float[Tensor, "*batch unknowns unknowns"], right: Float[Tensor, "*batch unknowns"]
) -> Float[Tensor, "*batch unknowns"]:
    """Return the Gauss-Newton step of each item: the solution of normal @ step = right.

    The factors are Cholesky's, in double precision. `torch.linalg.solve` of several matrices of 150 or more unknowns
    never ends with more than one thread (PyTorch 2.15).

    Args:
        normal: Symmetric positive definite matrices, such as the jacobian's Gram matrix plus a prior's precision.
        right: Right-hand sides.

    Raises:
        torch.linalg.LinAlgError: A matrix is not positive definite.

    >>> solve_normal_equations(torch.tensor([[2.0, 1.0], [1.0, 2.0]]), torch.tensor([5.0, 4.0]))
    tensor([2., 1.])
    """
    factor = torch.linalg.cholesky(normal.double())
    return torch.cholesky_solve(right.double()[..., None], factor)[..., 0].to(right.dtype)
