"""Weighted parameter distance cost of 3DDFA and Mobile-FRNet: parameters that move vertices more count more."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from morphable import PointModel

from ._reduce import face_mean, keep_present

NUM_POSE = 12


def wpdc_loss(
    predicted: Float[Tensor, "*batch params"],
    target: Float[Tensor, "*batch params"],
    face: PointModel,
    *,
    parameter_mean: Float[Tensor, " params"] | None = None,
    parameter_std: Float[Tensor, " params"] | None = None,
    present: Bool[Tensor, "*batch"] | None = None,
) -> Float[Tensor, ""]:
    """Give `(p_g - p)^T W (p_g - p)`, W diagonal (Mobile-FRNet; Zhu et al., "Face alignment in full pose range").

    The weight of a parameter is how far the vertices move when it alone is wrong, divided by the largest
    such distance; the weights are constants, no gradient flows through them.

    Args:
        predicted: Whitened parameters: 12 of the pose (3x4 matrix by rows, scale included), identity,
            expression (40 and 10 in the paper).
        target: The true ones, whitened alike.
        face: The face model on the points that weigh the parameters (the 68 suffice), in the unit that pose and
            coefficients are meant for.
        parameter_mean: Undoes the whitening, `p = whitened * std + mean`; zero if None.
        parameter_std: Undoes the whitening; one if None.
        present: False on padding.

    Returns:
        The weighted sum of squares, averaged over faces; zero without faces, and where all is right.

    >>> landmarks = model.restrict(model.surface_points("ibug68_3d"))
    >>> parameters = torch.randn(1, 12 + 80 + 64)
    >>> wpdc_loss(parameters, parameters, landmarks)
    tensor(0.)
    """
    difference = keep_present(predicted - target, present)
    error, truth = difference.detach(), keep_present(target, present).detach()
    if parameter_std is not None:
        error, truth = error * parameter_std, truth * parameter_std
    if parameter_mean is not None:
        truth = truth + parameter_mean
    distance = vertex_displacement(error, truth, face)
    largest = distance.amax(-1, keepdim=True)
    weight = distance / torch.where(largest > 0, largest, 1.0)
    return face_mean((weight * difference.square()).sum(-1), present)


def vertex_displacement(
    error: Float[Tensor, "*batch params"], truth: Float[Tensor, "*batch params"], face: PointModel
) -> Float[Tensor, "*batch params"]:
    """Give how far all vertices move (root of the summed squares) when one parameter alone is wrong.

    The face is `V = P S + t` with `[P | t]` the pose and S linear in the coefficients. So an error e of the
    entry (r, c) of P moves every vertex by e S_c along axis r, of t by e, and of coefficient i by e P B_i.

    Args:
        error: Error of each parameter, not whitened.
        truth: The true parameters, not whitened.
        face: The linear model.
    """
    num_identity = len(face.identity_basis)
    pose = truth[..., :NUM_POSE].unflatten(-1, (3, 4))
    identity = truth[..., NUM_POSE : NUM_POSE + num_identity]
    expression = truth[..., NUM_POSE + num_identity :]
    shape = (
        face.mean
        + torch.einsum("...k,kpc->...pc", identity, face.identity_basis)
        + torch.einsum("...k,kpc->...pc", expression, face.expression_basis)
    )
    count = shape.new_full((*shape.shape[:-2], 1), shape.shape[-2])
    moved = torch.cat([shape.square().sum(-2), count], dim=-1).sqrt()
    pose_reach = moved[..., None, :].expand(*moved.shape[:-1], 3, 4).flatten(-2)
    basis = torch.cat([face.identity_basis, face.expression_basis])
    turned = torch.einsum("...rc,kpc->...kpr", pose[..., :3], basis)
    coefficient_reach = turned.square().sum((-2, -1)).sqrt()
    return error.abs() * torch.cat([pose_reach, coefficient_reach], dim=-1)
