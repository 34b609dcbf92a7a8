"""Upright crops of found faces: where they lie in a picture, the cameras that look at them, their pixels.

A crop's camera looks at the crop's center with the crop's roll. A face's rotation in that camera does not depend on
where in the picture the face is.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from morphable import FaceParameters
from morphable.geometry import GLOBAL_FOCAL_PX, axes_flip

ANCHOR_M = (0.0, -0.010, 0.025)
"""Point of the model frame at the crop's center: the middle of the face, between its front and its ears."""
CROP_SIDE_M = 0.22
"""Side of the crop at the anchor's depth, meters: from above the brows to below the chin, with a margin."""
CROP_PX = 224
"""Samples along the crop's side."""
SAME_FACE = 0.2
"""Faces whose crops' centers are nearer than this share of the crop's side are one face: 44 mm side by side."""
OUTSIDE = 0.5
"""Gray level of samples beyond the picture's border."""
_NEAREST_M = 0.05


@dataclass(frozen=True)
class CropFrames:
    """Where the upright crops of faces lie in a picture, and the cameras that look at them."""

    center_px: Float[Tensor, "*batch 2"]
    """Relative to the principal point."""
    side_px: Float[Tensor, "*batch"]
    right: Float[Tensor, "*batch 2"]
    """Unit vector in the picture along the crop's rows."""
    down: Float[Tensor, "*batch 2"]
    """Unit vector in the picture along the crop's columns."""
    depth_m: Float[Tensor, "*batch"]
    """Estimated depth of the anchor."""
    focal_px: float = GLOBAL_FOCAL_PX

    @property
    def crop_from_camera(self) -> Float[Tensor, "*batch 3 3"]:
        """Rotation from the picture's camera to the crop's, which looks at the crop's center with the crop's roll."""
        ray = torch.cat([self.center_px / self.focal_px, torch.ones_like(self.side_px)[..., None]], -1)
        z = F.normalize(ray, dim=-1)
        across = torch.cat([self.right, torch.zeros_like(self.side_px)[..., None]], -1)
        x = F.normalize(across - (across * z).sum(-1, keepdim=True) * z, dim=-1)
        return torch.stack([x, torch.linalg.cross(z, x), z], -2)

    def to_crop(self, from_principal_px: Float[Tensor, "*batch points 2"]) -> Float[Tensor, "*batch points 2"]:
        """Return picture points in units of the crop's side, relative to its center, x right and y down."""
        offset = (from_principal_px - self.center_px[..., None, :]) / self.side_px[..., None, None]
        return offset @ torch.stack([self.right, self.down], -1)

    def to_picture(self, in_crop: Float[Tensor, "*batch points 2"]) -> Float[Tensor, "*batch points 2"]:
        """Return crop points (units of its side, relative to its center) in pixels from the principal point."""
        turned = in_crop @ torch.stack([self.right, self.down], -2)
        return turned * self.side_px[..., None, None] + self.center_px[..., None, :]


def crop_frames(faces: FaceParameters, focal_px: float = GLOBAL_FOCAL_PX) -> CropFrames:
    """Place upright crops by the estimated pose of faces."""
    rotation = camera_rotation(faces.rotation_head)
    anchor = rotation @ rotation.new_tensor(ANCHOR_M) + faces.translation_m
    depth = anchor[..., 2].clamp(min=_NEAREST_M)
    ray = anchor[..., :2] / depth[..., None]
    up = rotation[..., :, 1]
    up_px = up[..., :2] - ray * up[..., 2:]
    down = F.normalize(-up_px + up_px.new_tensor((0.0, 1e-6)), dim=-1)
    right = torch.stack([down[..., 1], -down[..., 0]], -1)
    return CropFrames(ray * focal_px, CROP_SIDE_M * focal_px / depth, right, down, depth, focal_px)


def cut_crops(
    image: Float[Tensor, "batch 3 height width"], frames: CropFrames
) -> Float[Tensor, "batch top 3 crop crop"]:
    """Sample the crops of each picture's faces bilinearly; samples beyond the border are gray.

    Args:
        image: RGB in [0, 1].
        frames: Leading axes batch, top.
    """
    height, width = image.shape[-2:]
    batch, top = frames.side_px.shape
    along = (torch.arange(CROP_PX, device=image.device, dtype=torch.float32) + 0.5) / CROP_PX - 0.5
    right, down = (axis * frames.side_px[..., None] for axis in (frames.right, frames.down))
    place = torch.stack(
        [
            # one sum for each sample; a tensor of both sides would be fixed by an export
            ((frames.center_px[..., k, None] + right[..., k, None] * along) * (2.0 / side))[..., None, :]
            + (down[..., k, None] * along * (2.0 / side))[..., None]
            for k, side in enumerate((width, height))
        ],
        -1,
    ).view(batch, top, -1, 2)
    sampled = F.grid_sample(image.float() - OUTSIDE, place.flatten(1, 2)[:, :, None], align_corners=False)
    return (sampled + OUTSIDE).view(batch, 3, top, CROP_PX, CROP_PX).transpose(1, 2)


def repeated(
    faces: FaceParameters, score: Float[Tensor, "batch top"], focal_px: float = GLOBAL_FOCAL_PX
) -> Bool[Tensor, "batch top"]:
    """Return which faces of each picture lie on one with a higher score: several cells may lead to one face."""
    frames = crop_frames(faces, focal_px)
    apart = (frames.center_px[:, :, None] - frames.center_px[:, None]).norm(dim=-1)
    near = apart < SAME_FACE * frames.side_px[:, None]
    return (near & (score[:, None] > score[:, :, None])).any(-1)


def rotation_in_crop(rotation: Float[Tensor, "*batch 3 3"], frames: CropFrames) -> Float[Tensor, "*batch 3 3"]:
    """Return `R_head` in the crops' cameras."""
    return in_head_axes(frames.crop_from_camera) @ rotation


def camera_rotation(rotation: Tensor) -> Tensor:
    """`diag(1, -1, -1) @ R_head`."""
    return axes_flip(rotation)[:, None] * rotation


def in_head_axes(rotation: Tensor) -> Tensor:
    """A camera rotation in the head's axes: `diag(1, -1, -1)` on both sides."""
    sign = axes_flip(rotation)
    return rotation * sign[:, None] * sign
