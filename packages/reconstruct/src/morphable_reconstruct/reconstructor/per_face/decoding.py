"""From the answers of per-face networks, in the pixels of crops, to faces in the photograph's camera."""

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from morphable import MorphableModel
from morphable_reconstruct.extras import require
from morphable_reconstruct.faces.camera import Camera, change_camera
from morphable_reconstruct.faces.face import Face
from morphable_reconstruct.faces.landmarks import landmark_basis
from morphable_reconstruct.faces.surface import SurfaceFace, nearest_coefficients
from morphable_render import UvLayout, uv_layout, uv_mesh, vertices_from_uv_map

PARALLEL_FOCAL_PX = 1e6
"""Focal length of the pinhole camera that stands for a scaled-orthographic one: rays are parallel to a millirad."""


def faces_of_parameters(
    system: Any, crops: Tensor, crop_from_photo: Float[Tensor, "faces 3 3"], faces: Sequence[Face]
) -> tuple[Face, ...]:
    """Run Mobile-FRNet; albedo, light and score stay the single-shot network's."""
    found = system.faces(crops)
    camera, model = faces[0].camera, faces[0].model
    scale = crop_from_photo[:, 0, 0].double()
    offset = ((found.offset_px.double() - crop_from_photo[:, :2, 2]) / scale[:, None]).numpy()
    depth = PARALLEL_FOCAL_PX / (found.scale_px_per_m.double() / scale).numpy()
    lateral = (offset - camera.principal_px) * depth[:, None] / PARALLEL_FOCAL_PX
    identity, expression = found.identity.numpy(), found.expression.numpy()
    far = replace(camera, focal_px=PARALLEL_FOCAL_PX, center_px=tuple(camera.principal_px.tolist()))
    pose = change_camera(
        landmark_basis(model).decode(identity, expression),
        found.rotation.numpy(),
        np.concatenate([lateral, depth[:, None]], axis=1),
        source=far,
        target=camera,
    )
    return tuple(
        replace(
            face,
            identity=identity[k],
            expression=expression[k],
            rotation_head=pose.rotation_head[k],
            translation_m=pose.translation_m[k],
            camera_residual_px=float(pose.residual_px[k]),
        )
        for k, face in enumerate(faces)
    )


def crop_camera(crop_from_photo: Float[Tensor, "3 3"], side_px: int, photo: Camera) -> Camera:
    """Return the camera of a crop, which has its own principal point and focal length, in the photograph's pixels."""
    focal_px = require("morphable_regressors", extra="per-face").CROP_FOCAL_PX
    scale = float(crop_from_photo[0, 0])
    center = ((side_px / 2 - crop_from_photo[:2, 2]) / scale).tolist()
    return Camera(focal_px=focal_px / scale, size_hw=photo.size_hw, center_px=(center[0], center[1]))


def faces_of_position_maps(
    system: Any, crops: Tensor, crop_from_photo: Float[Tensor, "faces 3 3"], faces: Sequence[Face]
) -> tuple[Face, ...]:
    """Run PRNet: its own vertices, the pose by a similarity fit to the mean shape, the model's nearest coefficients."""
    model, side = faces[0].model, crops.shape[-1]
    points = vertices_from_uv_map(system.positions(crops), _layout(model, side))
    results = []
    for face, positions, matrix in zip(faces, points, crop_from_photo, strict=True):
        vertices, rotation, translation = _metric(model, positions, side)
        source = crop_camera(matrix, side, face.camera)
        landmarks = model.landmarks(vertices).numpy()
        pose = change_camera(
            landmarks[None], rotation.numpy()[None], translation.numpy()[None], source=source, target=face.camera
        )
        surface = vertices.numpy()
        identity, expression = nearest_coefficients(model, surface)
        values = {field.name: getattr(face, field.name) for field in fields(Face)}
        values |= {
            "identity": identity,
            "expression": expression,
            "rotation_head": pose.rotation_head[0],
            "translation_m": pose.translation_m[0],
            "camera_residual_px": float(pose.residual_px[0]),
        }
        results.append(SurfaceFace(**values, surface_m=surface))
    return tuple(results)


def _metric(
    model: MorphableModel, positions: Float[Tensor, "verts 3"], side_px: int
) -> tuple[Float[Tensor, "verts 3"], Float[Tensor, "3 3"], Float[Tensor, " 3"]]:
    """Undo the crop's perspective: vertices in the model frame in metres, as large as the mean face, and their pose."""
    regressors = require("morphable_regressors", extra="per-face")
    inside = model.region("face") if "face" in model.region_names else slice(None)
    mean = model.decode_shape(torch.zeros(model.num_identity), torch.zeros(model.num_expression))[inside]
    _, scale, _ = regressors.similarity_pose(positions[inside], mean)
    depth = regressors.CROP_FOCAL_PX / scale
    z = depth * (1 + positions[:, 2:] / regressors.CROP_FOCAL_PX)
    cam = torch.cat([(positions[:, :2] - side_px / 2) / regressors.CROP_FOCAL_PX * z, z], dim=1)
    rotation, size, _ = regressors.similarity_pose(cam[inside], mean)
    turn = torch.tensor([1.0, -1.0, -1.0])[:, None] * rotation
    cam = cam / size
    translation = cam[inside].mean(0) - turn @ mean.mean(0)
    return (cam - translation) @ turn, rotation, translation


@lru_cache(maxsize=2)
def _layout(model: MorphableModel, side_px: int) -> UvLayout:
    """Texels of a face model; kept for the last two."""
    return uv_layout(uv_mesh(model), side_px)


def face_of_views(
    system: Any, views: Tensor, crop: Any, matrix: Float[Tensor, "3 3"], face: Face, *, view: int
) -> Face:
    """Run DF-MVR on one person's views and place the face in one of the photographs.

    Args:
        system: The network.
        views: Crops of left, front and right, RGB in [0, 1].
        crop: Their rule.
        matrix: Pixels of that view's crop from those of its photograph.
        face: The single-shot network's answer there; score and place are kept.
        view: Number of that view.
    """
    regressors = require("morphable_regressors", extra="per-face")
    found = system(views[None])
    rotations, translations = regressors.view_poses(found, crop)
    identity, expression = found.identity.numpy(), found.expression.numpy()
    pose = change_camera(
        landmark_basis(face.model).decode(identity, expression),
        rotations[:, view].numpy(),
        translations[:, view].numpy(),
        source=crop_camera(matrix, crop.side_px, face.camera),
        target=face.camera,
    )
    return replace(
        face,
        identity=identity[0],
        expression=expression[0],
        albedo=found.albedo[0].numpy(),
        illumination=found.illumination[0].contiguous().numpy(),
        rotation_head=pose.rotation_head[0],
        translation_m=pose.translation_m[0],
        camera_residual_px=float(pose.residual_px[0]),
    )
