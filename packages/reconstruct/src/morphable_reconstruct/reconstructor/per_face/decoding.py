"""From the answers of per-face networks, in the pixels of crops, to faces in the photograph's camera."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from morphable import MorphableModel
from morphable.geometry import GLOBAL_FOCAL_PX, Pinhole, axes_flip
from morphable_reconstruct.faces.camera import Camera
from morphable_reconstruct.reconstructor.per_face.nearest import nearest_coefficients
from morphable_reconstruct.scene import Scene
from morphable_regressors import CropRule
from morphable_regressors.dfmvr import MultiViewParameters
from morphable_regressors.face_codec import OrthographicFaces
from morphable_regressors.poses import similarity_pose, view_poses
from morphable_render import position_map_layout
from morphable_render.uv import PositionMapKind, PositionMapLayout

PARALLEL_FOCAL_PX = 1e6
"""Focal length of the pinhole camera that stands for a scaled-orthographic one: rays are parallel to a millirad."""


def scene_of_parameters(found: OrthographicFaces, crop_from_photo: Float[Tensor, "faces 3 3"], scene: Scene) -> Scene:
    """Place Mobile-FRNet's estimate of every face; albedo, light and score stay the single-shot network's."""
    camera = scene.camera
    center_px = torch.from_numpy(camera.principal_px)
    scale = crop_from_photo[:, 0, 0].double()
    offset = (found.offset_px.double() - crop_from_photo[:, :2, 2]) / scale[:, None]
    depth = PARALLEL_FOCAL_PX / (found.scale_px_per_m.double() / scale)
    lateral = (offset - center_px) * depth[:, None] / PARALLEL_FOCAL_PX
    faces = replace(
        scene.faces,
        identity=found.identity,
        expression=found.expression,
        rotation_head=found.rotation_head,
        translation_m=torch.cat([lateral, depth[:, None]], dim=1),
    )
    return replace(scene, faces=faces).resolved_from(Pinhole(camera.size_hw, PARALLEL_FOCAL_PX, center_px))


def scene_of_position_maps(
    positions: Float[Tensor, "faces side side 3"],
    crop_from_photo: Float[Tensor, "faces 3 3"],
    scene: Scene,
    *,
    layout: PositionMapKind = "atlas",
) -> Scene:
    """Place PRNet's estimate of every face: its own vertices, and the coefficients of the model that come nearest.

    The pose is that of a similarity fit to the mean shape.
    """
    model, side_px = scene.model, positions.shape[-2]
    points = _layout(model, side_px, layout).decode(positions)
    shapes, rotations, translations = (
        torch.stack(parts) for parts in zip(*(_metric(model, each, side_px) for each in points), strict=True)
    )
    nearest = [nearest_coefficients(model, shape.numpy()) for shape in shapes]
    identity, expression = (torch.from_numpy(np.stack(parts)) for parts in zip(*nearest, strict=True))
    faces = replace(
        scene.faces, identity=identity, expression=expression, rotation_head=rotations, translation_m=translations
    )
    source = crop_cameras(crop_from_photo, side_px, scene.camera)
    return replace(replace(scene, faces=faces).resolved_from(source, model.landmarks(shapes)), surface_m=shapes)


def scene_of_views(
    found: MultiViewParameters,
    crop: CropRule,
    crop_from_photo: Float[Tensor, "faces 3 3"],
    scene: Scene,
    *,
    view: int,
) -> Scene:
    """Place DF-MVR's estimate of every person in one of the photographs.

    Args:
        found: The network's answer.
        crop: Rule of the crops.
        crop_from_photo: Pixels of that view's crops from those of its photograph.
        scene: The single-shot network's answer there; scores and places are kept.
        view: Number of that view.
    """
    rotations, translations = view_poses(found, crop)
    faces = replace(
        scene.faces,
        identity=found.identity,
        expression=found.expression,
        albedo=found.albedo,
        illumination=found.illumination.contiguous(),
        rotation_head=rotations[:, view],
        translation_m=translations[:, view],
    )
    return replace(scene, faces=faces).resolved_from(crop_cameras(crop_from_photo, crop.side_px, scene.camera))


def crop_cameras(crop_from_photo: Float[Tensor, "faces 3 3"], side_px: int, photo: Camera) -> Pinhole:
    """Return the cameras of crops, each with a principal point and focal length of its own, in photograph pixels."""
    scale = crop_from_photo[:, 0, 0].double()
    center_px = (side_px / 2 - crop_from_photo[:, :2, 2].double()) / scale[:, None]
    return Pinhole(photo.size_hw, GLOBAL_FOCAL_PX / scale, center_px)


def _metric(
    model: MorphableModel, positions: Float[Tensor, "verts 3"], side_px: int
) -> tuple[Float[Tensor, "verts 3"], Float[Tensor, "3 3"], Float[Tensor, " 3"]]:
    """Undo the crop's perspective: vertices in the model frame in meters, as large as the mean face, and their pose."""
    inside = model.region("face") if "face" in model.region_names else slice(None)
    mean = model.decode_shape(torch.zeros(model.num_identity), torch.zeros(model.num_expression))[inside]
    _, scale, _ = similarity_pose(positions[inside], mean)
    depth = GLOBAL_FOCAL_PX / scale
    z = depth * (1 + positions[:, 2:] / GLOBAL_FOCAL_PX)
    cam = torch.cat([(positions[:, :2] - side_px / 2) / GLOBAL_FOCAL_PX * z, z], dim=1)
    rotation, size, _ = similarity_pose(cam[inside], mean)
    turn = axes_flip(rotation)[:, None] * rotation
    cam = cam / size
    translation = cam[inside].mean(0) - turn @ mean.mean(0)
    return (cam - translation) @ turn, rotation, translation


@lru_cache(maxsize=2)
def _layout(model: MorphableModel, side_px: int, kind: PositionMapKind) -> PositionMapLayout:
    """Texels of a face model; kept for the last two."""
    return position_map_layout(model, side_px, kind=kind)
