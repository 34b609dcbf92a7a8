"""Rotations as matrices, from and to the parametrizations that networks and labels use.

`roma` is imported by the function that calls it: `roma` loads PyTorch's compiler, which takes 4 seconds, and
reconstruction, which needs `rotation_from_vector` alone, would wait for it.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

AXES_FLIP = (1.0, -1.0, -1.0)
"""Diagonal of the rotation between the axes of the model (y up, z to the viewer) and of the camera."""
_LEAST_SQUARE = 1e-24
"""Keeps the angle of no rotation from 0, where its derivative is unknown."""


def axes_flip(like: Float[Tensor, "..."]) -> Float[Tensor, " 3"]:
    """Return `AXES_FLIP` in the type and on the device of another tensor."""
    return torch.tensor(AXES_FLIP, dtype=like.dtype, device=like.device)


def skew(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Return the matrix of the cross product `vector x ...`."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))


def rotation_from_vector(vector_rad: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Turn rotation vectors (axis times angle) into matrices by Rodrigues' formula; smooth at zero."""
    angle = (vector_rad.square().sum(-1) + _LEAST_SQUARE).sqrt()[..., None, None]
    turn, half = skew(vector_rad), angle / 2
    first, second = angle.sin() / angle, (half.sin() / half).square() / 2
    return torch.eye(3).to(turn) + first * turn + second * (turn @ turn)


def vector_from_rotation(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Turn rotation matrices into rotation vectors with angle in [0, pi]."""
    import roma

    return roma.rotmat_to_rotvec(rotation)


def rotation_from_euler_xyz(angles_rad: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Compose `R = Rz(c) @ Ry(b) @ Rx(a)` from angles (a, b, c) about x, y, z."""
    cx, cy, cz = angles_rad.cos().unbind(-1)
    sx, sy, sz = angles_rad.sin().unbind(-1)
    rows = [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
        [-sy, cy * sx, cy * cx],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def euler_xyz_from_rotation(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Undo `rotation_from_euler_xyz`, with b in [-pi/2, pi/2]; at the ends a and c are not unique."""
    x = torch.atan2(rotation[..., 2, 1], rotation[..., 2, 2])
    y = torch.asin((-rotation[..., 2, 0]).clamp(-1.0, 1.0))
    z = torch.atan2(rotation[..., 1, 0], rotation[..., 0, 0])
    return torch.stack([x, y, z], dim=-1)


def rotation_from_angles(angles_rad: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Compose the head rotation `R_head = Rx(-pitch) @ Ry(-yaw) @ Rz(-roll)`.

    Args:
        angles_rad: Pitch, yaw, roll as in 3DDFA's labels (AFLW2000-3D, 300W-LP: `Pose_Para[:3]`).
    """
    return rotation_from_euler_xyz(angles_rad).transpose(-1, -2)


def head_angles(rotation_head: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Read pitch, yaw, roll off a head rotation; undoes `rotation_from_angles`.

    Every rotation has two such triples. The one returned has pitch in [-pi/2, pi/2], so that a head turned past
    profile reads as yaw beyond 90 degrees with small pitch and roll, as in the labels. At yaw = +-90 degrees exactly,
    only the sum or difference of pitch and roll is defined.
    """
    side = torch.where(rotation_head[..., 2, 2] < 0, -1.0, 1.0).to(rotation_head)
    pitch = torch.atan2(side * rotation_head[..., 1, 2], side * rotation_head[..., 2, 2])
    yaw = torch.asin((-rotation_head[..., 0, 2]).clamp(-1.0, 1.0))
    roll = torch.atan2(side * rotation_head[..., 0, 1], side * rotation_head[..., 0, 0])
    past_profile = torch.where(yaw < 0, -math.pi, math.pi).to(yaw) - yaw
    return torch.stack([pitch, torch.where(side < 0, past_profile, yaw), roll], dim=-1)


def rotation_between(
    source: Float[Tensor, "*batch 3"], target: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 3 3"]:
    """Return the smallest rotation that turns one direction into the other (not defined for opposite ones)."""
    a, b = F.normalize(source, dim=-1), F.normalize(target, dim=-1)
    axis, cosine = torch.linalg.cross(a, b), (a * b).sum(-1)[..., None, None]
    k = skew(axis)
    return torch.eye(3, dtype=a.dtype, device=a.device) + k + k @ k / (1 + cosine)


def ray_rotation(ray_xy: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 3 3"]:
    """Return the smallest rotation, in the head's axes, that turns the optical axis into the ray (x, y, 1).

    It is `diag(1, -1, -1) @ rotation_between(z, ray) @ diag(1, -1, -1)`, written out for exported graphs: with the
    unit ray d and K the cross-product matrix of z x d, the rotation is I + K + K K / (1 + d_z) in camera axes, and the
    diagonals change the signs of the entries xy, xz and their mirrors.

    Args:
        ray_xy: Pixels relative to the principal point, divided by the focal length.
    """
    x, y = ray_xy.unbind(-1)
    length = torch.sqrt(x * x + y * y + 1)
    x, y, z = x / length, y / length, 1 / length
    xx, xy, yy = x * x / (1 + z), x * y / (1 + z), y * y / (1 + z)
    rows = [[1 - xx, xy, -x], [xy, 1 - yy, y], [x, -y, z]]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
