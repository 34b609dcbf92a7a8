"""Rotations as matrices, from and to the parametrisations that networks and labels use.

`roma` is imported by the functions that call it: it loads PyTorch's compiler, seconds that drawing need not wait for.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def rotation_from_vector(vector_rad: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Turn rotation vectors (axis times angle) into matrices; smooth at zero."""
    import roma

    return roma.rotvec_to_rotmat(vector_rad)


def vector_from_rotation(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Turn rotation matrices into rotation vectors with angle in [0, pi]."""
    import roma

    return roma.rotmat_to_rotvec(rotation)


def _axis_rotation(axis: int, angle_rad: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotate about one coordinate axis (0 = x, 1 = y, 2 = z), right-handed."""
    cos, sin, zero, one = angle_rad.cos(), angle_rad.sin(), torch.zeros_like(angle_rad), torch.ones_like(angle_rad)
    rows = {
        0: [one, zero, zero, zero, cos, -sin, zero, sin, cos],
        1: [cos, zero, sin, zero, one, zero, -sin, zero, cos],
        2: [cos, -sin, zero, sin, cos, zero, zero, zero, one],
    }[axis]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def rotation_from_euler_xyz(angles_rad: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Compose `R = Rz(c) @ Ry(b) @ Rx(a)` from angles (a, b, c) about x, y, z."""
    x, y, z = (_axis_rotation(axis, angles_rad[..., axis]) for axis in range(3))
    return z @ y @ x


def euler_xyz_from_rotation(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Undo `rotation_from_euler_xyz`, with b in [-pi/2, pi/2]; at the ends a and c are not unique."""
    x = torch.atan2(rotation[..., 2, 1], rotation[..., 2, 2])
    y = torch.asin((-rotation[..., 2, 0]).clamp(-1.0, 1.0))
    z = torch.atan2(rotation[..., 1, 0], rotation[..., 0, 0])
    return torch.stack([x, y, z], dim=-1)


def rotation_from_6d(columns: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 3 3"]:
    """Orthonormalise two 3-vectors (first column, then second) into a rotation (Zhou et al., CVPR 2019)."""
    import roma

    return roma.special_gramschmidt(columns.unflatten(-1, (2, 3)).transpose(-1, -2))


def six_d_from_rotation(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 6"]:
    """Return the first two columns of a rotation, one after the other."""
    return rotation[..., :2].transpose(-1, -2).flatten(-2)


def rotation_from_quaternion(q_wxyz: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Turn quaternions (w, x, y, z), of any length but zero, into rotation matrices."""
    import roma

    unit = torch.nn.functional.normalize(q_wxyz, dim=-1)
    return roma.unitquat_to_rotmat(unit.roll(-1, dims=-1))


def quaternion_from_rotation(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Turn rotation matrices into unit quaternions (w, x, y, z) with w >= 0."""
    import roma

    q_wxyz = roma.rotmat_to_unitquat(rotation).roll(1, dims=-1)
    return torch.where(q_wxyz[..., :1] < 0, -q_wxyz, q_wxyz)


def rotation_from_angles(angles_rad: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Compose the head rotation `R_head = Rx(-pitch) @ Ry(-yaw) @ Rz(-roll)`.

    Args:
        angles_rad: Pitch, yaw, roll as in 3DDFA's labels (AFLW2000-3D, 300W-LP: `Pose_Para[:3]`).
    """
    x, y, z = (_axis_rotation(axis, -angles_rad[..., axis]) for axis in range(3))
    return x @ y @ z


def head_angles(rotation_head: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Read pitch, yaw, roll off a head rotation; undoes `rotation_from_angles`.

    Every rotation has two such triples. The one returned has pitch in [-pi/2, pi/2], so that a head
    turned past profile reads as yaw beyond 90 degrees with small pitch and roll, as the labels do.
    At yaw = +-90 degrees exactly, only the sum or difference of pitch and roll is defined.
    """
    side = torch.where(rotation_head[..., 2, 2] < 0, -1.0, 1.0).to(rotation_head)
    pitch = torch.atan2(side * rotation_head[..., 1, 2], side * rotation_head[..., 2, 2])
    yaw = torch.asin((-rotation_head[..., 0, 2]).clamp(-1.0, 1.0))
    roll = torch.atan2(side * rotation_head[..., 0, 1], side * rotation_head[..., 0, 0])
    past_profile = torch.where(yaw < 0, -math.pi, math.pi).to(yaw) - yaw
    return torch.stack([pitch, torch.where(side < 0, past_profile, yaw), roll], dim=-1)
