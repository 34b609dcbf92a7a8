"""The truth of a crop in the cameras of the per-face networks."""

import torch
from jaxtyping import Float
from torch import Tensor

from morphable.geometry import GLOBAL_FOCAL_PX, camera_from_model
from morphable_regressors.face_codec import OrthographicFaces
from morphable_regressors.poses import similarity_pose
from morphable_train.data.batch import FaceTargets
from morphable_train.data.surface import SurfaceSample


def true_shape(faces: FaceTargets, surface: SurfaceSample) -> Float[Tensor, "faces few 3"]:
    """Return the true 68 points and a sample of the surface, model frame, meters."""
    return surface.few.decode_shape(faces.identity, faces.expression)


def points_in_crop(
    shape_m: Float[Tensor, "faces points 3"], faces: FaceTargets, side_px: int
) -> Float[Tensor, "faces points 3"]:
    """Return points as the crop's camera sees them.

    Args:
        shape_m: Points in the model frame, meters.
        faces: Their poses, true or predicted, in the crop's pinhole camera.
        side_px: Side of the crop.

    Returns:
        x right and y down in pixels with perspective; depth into the scene, 0 at the model origin, in pixels at the
        scale of that origin.
    """
    points_cam = camera_from_model(shape_m, faces.rotation_head, faces.translation_m)
    depth = points_cam[..., 2:].clamp(min=1e-2)
    origin_m = faces.translation_m[:, None, 2:]
    xy = points_cam[..., :2] / depth * GLOBAL_FOCAL_PX + side_px / 2
    return torch.cat([xy, (points_cam[..., 2:] - origin_m) * GLOBAL_FOCAL_PX / origin_m], dim=-1)


def orthographic_truth(faces: FaceTargets, surface: SurfaceSample, side_px: int) -> OrthographicFaces:
    """Return the scaled-orthographic pose nearest to the true picture of each face, with its true coefficients."""
    shape = true_shape(faces, surface)
    rotation, scale, offset = similarity_pose(points_in_crop(shape, faces, side_px), shape)
    return OrthographicFaces(rotation, scale, offset, faces.identity, faces.expression)
