"""Faces on their way from a shard to the network: labels of the source picture and where its pixels have gone."""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from morphable import IBUG68_FLIP, MorphableModel
from morphable.geometry import Pinhole, mirror_pose, resolve_pose
from morphable.geometry.warping import flip_matrix, transform_points
from morphable_train.data.batch import FaceTargets
from morphable_train.data.labels import NUM_LANDMARKS, FaceLabels
from morphable_train.data.mirroring import flip_coefficients
from morphable_train.data.surface import SurfaceSample

POSE_STEPS = 4
"""Refinement steps of a pose; the fourth changes it by less than float32 can hold."""


@dataclass(frozen=True)
class SourceFaces:
    """Faces with the labels of their source pictures, and the crop made of them so far."""

    landmarks68_px: Float[Tensor, "faces 68 2"]
    landmark_weight: Float[Tensor, "faces 68"]
    contour: Bool[Tensor, " faces"]
    exact: Bool[Tensor, " faces"]
    identity: Float[Tensor, "faces id"]
    expression: Float[Tensor, "faces expr"]
    rotation_head: Float[Tensor, "faces 3 3"]
    translation_m: Float[Tensor, "faces 3"]
    focal_px: Float[Tensor, " faces"]
    """Focal length of the source picture."""
    width_height_px: Float[Tensor, "faces 2"]
    """Size of the source picture, whose middle is the principal point."""
    crop_from_source: Float[Tensor, "faces 3 3"]

    def __len__(self) -> int:
        return len(self.exact)

    def __getitem__(self, index: Int[Tensor, " chosen"] | Bool[Tensor, " faces"]) -> "SourceFaces":
        return SourceFaces(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def to(self, device: torch.device) -> "SourceFaces":
        """Move to a device."""
        return SourceFaces(**{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)})

    def with_crop(self, crop_from_source: Float[Tensor, "3 3"]) -> "SourceFaces":
        """Return the faces with one crop made of their picture."""
        return replace(self, crop_from_source=crop_from_source[None].expand(len(self), 3, 3))

    @staticmethod
    def concatenate(parts: "list[SourceFaces]") -> "SourceFaces":
        """Join lists of faces."""
        return SourceFaces(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(SourceFaces)})


def source_faces(labels: FaceLabels, size_hw: tuple[int, int], model: MorphableModel) -> SourceFaces:
    """Turn the labels of a picture into tensors; weak ones get zeros for the model's coefficients.

    Raises:
        ValueError: Exact labels of another number of coefficients than the model's.
    """
    faces = len(labels)
    return SourceFaces(
        landmarks68_px=torch.from_numpy(labels.landmarks68_px.astype(np.float32)),
        landmark_weight=torch.from_numpy(labels.landmark_valid.astype(np.float32)),
        contour=torch.from_numpy(labels.contour.copy()),
        exact=torch.from_numpy(labels.exact.copy()),
        identity=_coefficients("identity", labels.identity, labels.exact, model.num_identity),
        expression=_coefficients("expression", labels.expression, labels.exact, model.num_expression),
        rotation_head=torch.from_numpy(labels.rotation_head.astype(np.float32)),
        translation_m=torch.from_numpy(labels.translation_m.astype(np.float32)),
        focal_px=torch.full((faces,), float(labels.focal_px)),
        width_height_px=torch.tensor([[size_hw[1], size_hw[0]]], dtype=torch.float32).repeat(faces, 1),
        crop_from_source=torch.eye(3).repeat(faces, 1, 1),
    )


def _coefficients(name: str, values: np.ndarray, exact: np.ndarray, count: int) -> Tensor:
    """Coefficients as a tensor of the model's width."""
    if values.shape[1] == count:
        return torch.from_numpy(values.astype(np.float32))
    if exact.any():
        raise ValueError(
            f"{name} labels must have the model's {count} coefficients, got {values.shape[1]}; "
            "make the shards with the model that is trained"
        )
    return torch.zeros(len(values), count)


def input_targets(
    source: SourceFaces,
    image_index: Int[Tensor, " faces"],
    input_from_crop: Float[Tensor, "faces 3 3"],
    flipped: Bool[Tensor, " faces"],
    *,
    input_px: int,
    model: MorphableModel,
    surface: SurfaceSample,
) -> FaceTargets:
    """Return the truth of the network's input, after the crop and the augmentation.

    Args:
        source: The faces.
        image_index: Picture of the batch each one is in.
        input_from_crop: What the augmentation did to the crop's pixels, mirroring included.
        flipped: Where that mirrors the picture.
        input_px: Side of the input.
        model: For the mirror image of coefficients.
        surface: For the shapes whose pose is solved.
    """
    moved = input_from_crop @ source.crop_from_source
    mirrored = mirror_source(source, flipped, model)
    unflip = torch.where(
        flipped[:, None, None], flip_matrix(source.width_height_px[:, 0]), torch.eye(3, device=moved.device)
    )
    input_from_source = moved @ unflip
    pixels, rotation, translation = _seen(mirrored, input_from_source, input_px=input_px, surface=surface)
    return FaceTargets(
        image_index=image_index,
        landmarks68_px=torch.where(
            source.exact[:, None, None],
            pixels[:, :NUM_LANDMARKS],  # where the model has its points now, not when the shard was written
            transform_points(mirrored.landmarks68_px, input_from_source),
        ),
        landmark_weight=mirrored.landmark_weight,
        dense_px=pixels[:, NUM_LANDMARKS:],
        contour=source.contour,
        exact=source.exact,
        identity=mirrored.identity,
        expression=mirrored.expression,
        rotation_head=rotation,
        translation_m=translation,
    )


def _seen(
    faces: SourceFaces, input_from_source: Tensor, *, input_px: int, surface: SurfaceSample
) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels of the surface points of exact faces in the network's input, and the poses that fit them best."""
    shape = surface.few.decode_shape(faces.identity, faces.expression)
    known = faces.exact.nonzero()[:, 0]
    if not len(known):
        return torch.zeros_like(shape[..., :2]), faces.rotation_head, faces.translation_m
    seen = resolve_pose(
        shape[known],
        faces.rotation_head[known],
        faces.translation_m[known],
        source=Pinhole((0, 0), faces.focal_px[known], faces.width_height_px[known] / 2),
        target=Pinhole((input_px, input_px)),
        target_from_source=input_from_source[known],
        steps=POSE_STEPS,
    )
    return (
        torch.zeros_like(shape[..., :2]).index_copy(0, known, seen.points_px),
        faces.rotation_head.index_copy(0, known, seen.rotation_head),
        faces.translation_m.index_copy(0, known, seen.translation_m),
    )


def mirror_source(source: SourceFaces, flipped: Bool[Tensor, " faces"], model: MorphableModel) -> SourceFaces:
    """Return the labels of the mirrored source pictures where asked for, the others unchanged."""
    swap = IBUG68_FLIP.to(source.exact.device)
    landmarks = source.landmarks68_px[:, swap]
    landmarks = torch.stack([source.width_height_px[:, :1] - landmarks[..., 0], landmarks[..., 1]], -1)
    rotation, translation = mirror_pose(source.rotation_head, source.translation_m)
    identity, expression = source.identity, source.expression
    if bool((source.exact & flipped).any()):
        identity, expression = flip_coefficients(model, identity, expression)
    mirrored = {
        "landmarks68_px": landmarks,
        "landmark_weight": source.landmark_weight[:, swap],
        "identity": identity,
        "expression": expression,
        "rotation_head": rotation,
        "translation_m": translation,
    }
    result = {f.name: getattr(source, f.name) for f in fields(source)}
    for name, value in mirrored.items():
        result[name] = torch.where(flipped.view(-1, *[1] * (value.ndim - 1)), value, result[name])
    return SourceFaces(**result)
