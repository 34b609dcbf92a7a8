"""A person's geometry before dressing: the decoded face, the base mesh around it, and how they are posed."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from morphable_synth.assets.library import Library
from morphable_synth.people.layers import vertex_normals
from morphable_synth.scene.camera import CAM_FROM_UP
from morphable_synth.scene.description import Person

CAM_FROM_HEAD = CAM_FROM_UP.astype(np.float32)
_EYE_VERTICES = np.arange(14598, 14742)
_NECK_BELOW_EYES_M = np.array([0.0, -0.10, -0.10], np.float32)


@dataclass(frozen=True)
class Figure:
    """A person's geometry before dressing."""

    person: Person
    decoded: Float[np.ndarray, "verts 3"]
    """The face in the model frame."""
    hm08: Float[np.ndarray, "hm08 3"]
    """The base mesh in the model frame."""
    resting_hm08: Float[np.ndarray, "hm08 3"]
    """The same with eyes looking ahead."""
    face_cam: Float[np.ndarray, "verts 3"]
    """The face as labeled: head pose alone, no bending of the neck."""
    drawn_cam: Float[np.ndarray, "verts 3"]
    """The face as drawn: the neck bent toward the shoulders."""
    drawn_normal: Float[np.ndarray, "verts 3"]

    def pose(
        self, xyz: Float[np.ndarray, "points 3"], head_share: Float[np.ndarray, " points"] | float
    ) -> Float[np.ndarray, "points 3"]:
        """Bring model-frame points to the camera frame, turned with the head (1), the shoulders (0) or in between."""
        return pose_points(self.person, xyz, head_share, self.pivot)

    @property
    def pivot(self) -> Float[np.ndarray, "3"]:
        """Where the neck bends, model frame."""
        return _pivot(self.hm08)


def build_figure(library: Library, person: Person, decoded: Float[np.ndarray, "verts 3"]) -> Figure:
    """Put the base mesh around a decoded face and the face into the camera frame."""
    extension = library.hm08
    resting = extension.resting(person.identity, decoded)
    hm08 = extension.moved(resting, person.expression)
    face_cam = decoded @ (CAM_FROM_HEAD @ person.rotation_head).T + person.translation_m
    drawn_cam = pose_points(person, decoded, extension.head_neck_weight, _pivot(hm08))
    normal = vertex_normals(drawn_cam, library.head_triangles)
    return Figure(person, decoded, hm08, resting, np.asarray(face_cam, np.float32), drawn_cam, normal)


def _pivot(hm08: np.ndarray) -> np.ndarray:
    return np.asarray(hm08[_EYE_VERTICES].mean(0) + _NECK_BELOW_EYES_M)


def pose_points(
    person: Person,
    xyz: Float[np.ndarray, "points 3"],
    head_share: Float[np.ndarray, " points"] | float,
    pivot: np.ndarray,
) -> Float[np.ndarray, "points 3"]:
    """See `Figure.pose`."""
    share = np.broadcast_to(np.asarray(head_share, np.float32), xyz.shape[:1])
    out = np.asarray(xyz @ (CAM_FROM_HEAD @ person.rotation_head).T + person.translation_m, np.float32)
    bent = np.flatnonzero(share < 0.999)
    if len(bent) == 0:
        return out
    relative = person.rotation_head @ person.rotation_body.T
    axis, angle = _axis_angle(relative)
    offset = (xyz[bent] - pivot) @ person.rotation_body.T
    turn = (share[bent] * angle)[:, None]
    turned = offset * np.cos(turn) + np.cross(axis, offset) * np.sin(turn)
    turned += axis * (offset @ axis)[:, None] * (1 - np.cos(turn))
    out[bent] = (turned + person.rotation_head @ pivot) @ CAM_FROM_HEAD.T + person.translation_m
    return out


def _axis_angle(rotation: np.ndarray) -> tuple[np.ndarray, float]:
    angle = float(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)))
    skew = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    length = np.linalg.norm(skew)
    return (skew / length if length > 1e-9 else np.array([0.0, 1.0, 0.0])), angle
