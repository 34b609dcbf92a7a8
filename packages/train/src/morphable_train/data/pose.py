"""What a shift, turn, zoom or flip of a picture does to the faces in camera space.

The network's camera has one focal length and its principal point in the middle of its input. Moving the picture
under this camera is not a rigid motion of the face: zooming by s brings the face nearer by s, and shifting it off
the axis turns the viewing ray, and with it the head as the camera sees it. `repose` starts from these two facts
and then solves for the pose whose projection of the known shape fits the moved pixels best.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from morphable_render import camera_from_model, rotation_from_vector

_MODEL_TO_CAMERA = (1.0, -1.0, -1.0)
"""Diagonal of the change of axes from the model frame (y up, z out of the face) to the camera's."""

GAUSS_NEWTON_STEPS = 4
"""Steps from the ray-turned start; the fourth changes the pose by less than float32 can hold."""

_DAMPING = 1e-6
"""Relative damping of the 6x6 normal equations; keeps a degenerate face (all points equal) from raising."""


def project_points(
    points_cam: Float[Tensor, "batch points 3"],
    focal_px: Float[Tensor, " batch"],
    center_px: Float[Tensor, "batch 2"],
    *,
    min_depth_m: float = 1e-2,
) -> Float[Tensor, "batch points 2"]:
    """Project with one focal length and principal point per face; nearer points use the depth floor."""
    depth = points_cam[..., 2:].clamp(min=min_depth_m)
    return points_cam[..., :2] / depth * focal_px[:, None, None] + center_px[:, None]


def rotation_between(source: Float[Tensor, "batch 3"], target: Float[Tensor, "batch 3"]) -> Float[Tensor, "batch 3 3"]:
    """Return the smallest rotation that turns one direction into the other (not opposite ones)."""
    a, b = F.normalize(source, dim=-1), F.normalize(target, dim=-1)
    cross = torch.linalg.cross(a, b)
    k = skew(cross)
    cos = (a * b).sum(-1)[:, None, None]
    return torch.eye(3, dtype=a.dtype, device=a.device) + k + k @ k / (1.0 + cos)


def skew(vector: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Return the matrix of the cross product with a vector."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [torch.stack(r, -1) for r in ((zero, -z, y), (z, zero, -x), (-y, x, zero))]
    return torch.stack(rows, -2)


def mirror_pose(
    rotation_head: Float[Tensor, "batch 3 3"], translation_m: Float[Tensor, "batch 3"]
) -> tuple[Float[Tensor, "batch 3 3"], Float[Tensor, "batch 3"]]:
    """Return the pose of the mirrored face: `M R M` and `M t` with `M = diag(-1, 1, 1)`."""
    mirror = torch.tensor([-1.0, 1.0, 1.0], dtype=rotation_head.dtype, device=rotation_head.device)
    return rotation_head * mirror[:, None] * mirror, translation_m * mirror


def mirror_illumination(illumination: Float[Tensor, "*batch 9 3"]) -> Float[Tensor, "*batch 9 3"]:
    """Return the lighting of the mirrored scene: the bands odd in x (-x, xy, -xz) change sign."""
    sign = torch.tensor([1, 1, 1, -1, -1, 1, 1, -1, 1], dtype=illumination.dtype, device=illumination.device)
    return illumination * sign[:, None]


@dataclass(frozen=True)
class Reposed:
    """Faces in a picture that was moved under the network's camera."""

    rotation_head: Float[Tensor, "batch 3 3"]
    translation_m: Float[Tensor, "batch 3"]
    """With the rotation, the pose whose projection of the shape is nearest to `points_px`."""
    points_px: Float[Tensor, "batch points 2"]
    """Where the moved picture shows the points: no pose is fitted to them."""
    residual_px: Float[Tensor, " batch"]
    """Root mean square distance of the two: foreshortening that no rigid pose reproduces."""


def repose(
    points_model: Float[Tensor, "batch points 3"],
    rotation_head: Float[Tensor, "batch 3 3"],
    translation_m: Float[Tensor, "batch 3"],
    *,
    source_focal_px: Float[Tensor, " batch"],
    source_center_px: Float[Tensor, "batch 2"],
    target_from_source: Float[Tensor, "batch 3 3"],
    target_focal_px: float,
    target_center_px: Float[Tensor, "batch 2"],
) -> Reposed:
    """Follow faces in a picture that was moved by similarities.

    Args:
        points_model: Points of each face's own shape (identity and expression applied), metres.
        rotation_head: Pose in the source picture's camera.
        translation_m: Pose in the source picture's camera.
        source_focal_px: Focal length of the source picture, in its pixels.
        source_center_px: Its principal point.
        target_from_source: The similarity (no mirror: mirror the pose first).
        target_focal_px: Focal length of the network's camera.
        target_center_px: The middle of the network's input.
    """
    points_cam = camera_from_model(points_model, rotation_head, translation_m)
    source_px = project_points(points_cam, source_focal_px, source_center_px)
    linear, shift = target_from_source[:, :2, :2], target_from_source[:, None, :2, 2]
    target_px = source_px @ linear.transpose(1, 2) + shift
    focal = torch.full_like(source_focal_px, target_focal_px)
    rotation, translation = _turned_start(
        rotation_head, translation_m, source_focal_px, source_center_px, target_from_source, focal, target_center_px
    )
    for _ in range(GAUSS_NEWTON_STEPS):
        rotation, translation = _gauss_newton(points_model, rotation, translation, target_px, focal, target_center_px)
    fitted = project_points(camera_from_model(points_model, rotation, translation), focal, target_center_px)
    return Reposed(rotation, translation, target_px, (fitted - target_px).square().sum(-1).mean(-1).sqrt())


def _turned_start(
    rotation_head: Tensor,
    translation_m: Tensor,
    source_focal_px: Tensor,
    source_center_px: Tensor,
    target_from_source: Tensor,
    focal: Tensor,
    target_center_px: Tensor,
) -> tuple[Tensor, Tensor]:
    """Scale the distance by the zoom, keep the origin on its moved pixel, turn R with the viewing ray."""
    linear = target_from_source[:, :2, :2]
    scale = torch.linalg.det(linear).sqrt()
    origin_px = project_points(translation_m[:, None], source_focal_px, source_center_px)[:, 0]
    moved_px = (linear @ origin_px[..., None])[..., 0] + target_from_source[:, :2, 2]
    ray = torch.cat([(moved_px - target_center_px) / focal[:, None], torch.ones_like(focal)[:, None]], -1)
    distance = translation_m.norm(dim=-1) * focal / (source_focal_px * scale)
    translation = F.normalize(ray, dim=-1) * distance[:, None]
    turn = torch.zeros_like(rotation_head)
    turn[:, :2, :2], turn[:, 2, 2] = linear / scale[:, None, None], 1.0
    axes = torch.tensor(_MODEL_TO_CAMERA, dtype=turn.dtype, device=turn.device)
    in_camera = turn @ (axes[:, None] * rotation_head)
    turned_ray = (turn @ translation_m[..., None])[..., 0]
    return axes[:, None] * (rotation_between(turned_ray, ray) @ in_camera), translation


def _gauss_newton(
    points_model: Tensor, rotation: Tensor, translation: Tensor, target_px: Tensor, focal: Tensor, center_px: Tensor
) -> tuple[Tensor, Tensor]:
    """One step on the six pose parameters; the rotation update acts in the camera frame."""
    axes = torch.tensor(_MODEL_TO_CAMERA, dtype=rotation.dtype, device=rotation.device)
    turned = points_model @ rotation.transpose(1, 2) * axes
    x, y, z = (turned + translation[:, None]).unbind(-1)
    z = z.clamp(min=1e-2)
    zero, f = torch.zeros_like(z), focal[:, None]
    d_point = torch.stack(
        [torch.stack([f / z, zero, -f * x / z**2], -1), torch.stack([zero, f / z, -f * y / z**2], -1)], -2
    )
    jacobian = torch.cat([d_point @ -skew(turned), d_point * translation.norm(dim=-1)[:, None, None, None]], -1)
    residual = (target_px - torch.stack([f * x / z, f * y / z], -1) - center_px[:, None])[..., None]
    normal = (jacobian.transpose(-1, -2) @ jacobian).sum(1)
    gradient = (jacobian.transpose(-1, -2) @ residual).sum(1)
    damping = _DAMPING * normal.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
    eye = torch.eye(6, dtype=normal.dtype, device=normal.device)
    step = torch.linalg.solve((normal + damping * eye).double(), gradient.double())[..., 0].to(rotation.dtype)
    turn = rotation_from_vector(step[:, :3])
    moved = translation + step[:, 3:] * translation.norm(dim=-1)[:, None]
    return axes[:, None] * (turn @ (axes[:, None] * rotation)), moved
