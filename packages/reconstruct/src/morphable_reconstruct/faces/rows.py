"""The rows of a scene, one per face, and everything that follows from them, computed for all faces when asked for."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from morphable import FaceParameters, MorphableModel
from morphable.eyes import EYE_PARTS, Eyes, gaze_angles
from morphable.geometry import Pinhole, head_angles, resolve_pose
from morphable.landmarks import derive_landmarks
from morphable_reconstruct.faces.camera import MODEL_TO_CAMERA, Camera
from morphable_reconstruct.faces.eyes import Eye, eye_reader
from morphable_reconstruct.faces.landmarks import landmark_points
from morphable_reconstruct.photographs.reading import Photograph

_Rows = TypeVar("_Rows", bound="SceneRows")
_KEPT_WHEN_TAKEN = frozenset({"vertices_model_m", "vertices_cam_m", "albedo_rgb"})
"""Properties with a row of their own for each face."""


@dataclass(frozen=True, kw_only=True)
class HeadAngles:
    """Head pose in radians, 3DDFA's convention; zero looks straight at the camera."""

    pitch: float
    yaw: float
    roll: float

    @property
    def degrees(self) -> dict[str, float]:
        """The angles in degrees, by name."""
        return {name: math.degrees(value) for name, value in vars(self).items()}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SceneRows:
    """A photograph, its camera, and one row per face, best score first; no face is a valid result.

    Parameters and meshes are tensors on the CPU, positions and scores NumPy arrays. Lengths in meters, pixels of the
    photograph, left and right are the person's own. `rows[i]` is a view of one face.
    """

    photo: Photograph
    camera: Camera
    model: MorphableModel
    faces: FaceParameters
    """Coefficients, pose in `camera`, and light."""
    score: Float[np.ndarray, " faces"]
    """Probability of the center heatmap."""
    center_px: Float[np.ndarray, "faces 2"]
    """Center of the heatmap cell that the face was read from."""
    residual_px: Float[np.ndarray, " faces"] | None = None
    """Root mean square distance by which the 68 points moved when poses were re-solved for `camera`; NaN, or None for
    all faces, where they were not."""
    track_id: Int[np.ndarray, " faces"] | None = None
    """Number of the person's track, the same throughout a video; None in photographs."""
    landmarks68_std_px: Float[np.ndarray, "faces 68"] | None = None
    """Standard deviation of each coordinate of the 68 static points in pixels of the photograph, as the network expects
    it; None of networks without a face head and of per-face networks."""
    surface_m: Float[Tensor, "faces verts 3"] | None = None
    """Vertices in the model frame, where a network gave them itself; by default the coefficients' own."""
    photographed: "SceneRows | None" = None
    """The same faces as the photograph shows them, where they were changed since: textures are read there."""

    @property
    def name(self) -> str:
        """File name of the photograph."""
        return self.photo.name

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, index: int) -> "Face":
        """Return a view of one face.

        Raises:
            IndexError: There is no such face.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"index must be below {len(self)}, the number of faces of {self.name}, got {index}")
        return Face(self, index % len(self))

    def __iter__(self) -> Iterator["Face"]:
        return (Face(self, index) for index in range(len(self)))

    def take(self: _Rows, indices: Int[np.ndarray, " kept"]) -> _Rows:
        """Return the same photograph with some of the faces, in the order of their indices."""
        rows = torch.from_numpy(np.asarray(indices, dtype=np.int64))
        kept = replace(
            self,
            faces=self.faces[rows],
            score=self.score[indices],
            center_px=self.center_px[indices],
            residual_px=None if self.residual_px is None else self.residual_px[indices],
            track_id=None if self.track_id is None else self.track_id[indices],
            landmarks68_std_px=None if self.landmarks68_std_px is None else self.landmarks68_std_px[indices],
            surface_m=None if self.surface_m is None else self.surface_m[rows],
            photographed=None if self.photographed is None else self.photographed.take(indices),
        )
        for name in _KEPT_WHEN_TAKEN & vars(self).keys():  # what was computed stays so
            vars(kept)[name] = vars(self)[name][rows]
        return kept

    def changed(self: _Rows, faces: FaceParameters, surface_m: Float[Tensor, "faces verts 3"] | None = None) -> _Rows:
        """Return the same faces with other coefficients, which remember how the photograph shows them."""
        shown = self if self.photographed is None else self.photographed
        return replace(self, faces=faces, surface_m=surface_m, photographed=shown)

    def resolved_from(
        self: _Rows, source: Pinhole, points_model_m: Float[Tensor, "faces points 3"] | None = None
    ) -> _Rows:
        """Return rows whose poses, which hold in another camera, are solved anew for `camera`.

        Args:
            source: Camera of the poses; like `camera` it counts pixels of the photograph.
            points_model_m: Points that keep their pixels, model frame; by default the 68 static points.
        """
        faces = self.faces
        if points_model_m is None:
            points_model_m = landmark_points(self.model).decode_shape(faces.identity, faces.expression)
        pose = resolve_pose(
            points_model_m, faces.rotation_head, faces.translation_m, source=source, target=self.camera.pinhole
        )
        moved = replace(faces, rotation_head=pose.rotation_head.float(), translation_m=pose.translation_m.float())
        return replace(self, faces=moved, residual_px=pose.residual_px.float().numpy())

    @cached_property
    def vertices_model_m(self) -> Float[Tensor, "faces verts 3"]:
        """Vertices in the model frame, expression applied."""
        if self.surface_m is not None:
            return self.surface_m
        with torch.no_grad():
            return self.model.decode_shape(self.faces.identity, self.faces.expression)

    @cached_property
    def vertices_cam_m(self) -> Float[Tensor, "faces verts 3"]:
        """Vertices in camera space."""
        return self._to_camera(self.vertices_model_m)

    @cached_property
    def albedo_rgb(self) -> Float[Tensor, "faces verts 3"]:
        """sRGB-encoded reflectance of the vertices, clamped to [0, 1]."""
        with torch.no_grad():
            return self.model.decode_albedo(self.faces.albedo).clamp(0.0, 1.0)

    @cached_property
    def landmarks68_cam_m(self) -> Float[np.ndarray, "faces 68 3"]:
        """The 68 static surface points (`ibug68_3d`), hidden jaw included, in camera space."""
        if self.surface_m is not None:
            points = self.model.landmarks(self.surface_m)
        else:
            points = landmark_points(self.model).decode_shape(self.faces.identity, self.faces.expression)
        return self._to_camera(points).numpy()

    @cached_property
    def landmarks68_px(self) -> Float[np.ndarray, "faces 68 2"]:
        """The 68 static surface points in the photograph."""
        return self.camera.project(self.landmarks68_cam_m)

    @cached_property
    def landmarks68_contour_px(self) -> Float[np.ndarray, "faces 68 2"]:
        """The 68 points with the jaw on the visible silhouette (`ibug68_contour`), in the photograph."""
        with torch.no_grad():
            return self.camera.project(self.model.contour_landmarks(self.vertices_cam_m).numpy())

    @property
    def landmarks5_px(self) -> Float[np.ndarray, "faces 5 2"]:
        """Eye centers, nose tip and mouth corners in the photograph, the person's right first."""
        return derive_landmarks(torch.from_numpy(self.landmarks68_px), "five").numpy()

    def scheme_px(self, scheme: str) -> Float[np.ndarray, "faces lmk 2"]:
        """Points of one of the model's schemes in the photograph."""
        with torch.no_grad():
            return self.camera.project(self.model.landmarks(self.vertices_cam_m, scheme).numpy())

    @property
    def vertices_px(self) -> Float[np.ndarray, "faces verts 2"]:
        """Vertices projected into the photograph."""
        return self.camera.project(self.vertices_cam_m.numpy())

    @cached_property
    def eyes(self) -> Eyes | None:
        """Eyeballs, irises and gaze in the model frame, the person's right eye first; None for models without."""
        reader = eye_reader(self.model)
        if reader is None:
            return None
        with torch.no_grad():
            return reader(self.vertices_model_m)

    @property
    def iris_px(self) -> Float[np.ndarray, "faces 2 2"] | None:
        """Centers of the irises in the photograph, the person's right first; None for models without eyes."""
        return None if self.eyes is None else self.camera.project(self._to_camera(self.eyes.iris_m).numpy())

    @property
    def gaze_cam(self) -> Float[np.ndarray, "faces 2 3"] | None:
        """Unit vectors of the gaze in camera space, the person's right eye first; None for models without eyes."""
        if self.eyes is None:
            return None
        turn = MODEL_TO_CAMERA.astype(np.float32) @ self.faces.rotation_head.numpy()
        return self.eyes.gaze.numpy() @ turn.swapaxes(-1, -2)

    @property
    def gaze_angles_deg(self) -> Float[np.ndarray, "faces 2 2"] | None:
        """Yaw toward the person's left and pitch upward of each eye relative to the head, degrees, right first."""
        return None if self.eyes is None else np.rad2deg(gaze_angles(self.eyes.gaze).numpy())

    @property
    def head_angles_deg(self) -> Float[np.ndarray, "faces 3"]:
        """Pitch, yaw and roll of the heads in degrees."""
        return np.rad2deg(head_angles(self.faces.rotation_head).numpy())

    @property
    def box_xyxy_px(self) -> Float[np.ndarray, "faces 4"]:
        """Tight boxes of the 68 static points: left, top, right, bottom."""
        return np.concatenate([self.landmarks68_px.min(1), self.landmarks68_px.max(1)], axis=1)

    @property
    def cam_from_model(self) -> Float[np.ndarray, "faces 4 4"]:
        """Homogeneous matrices from the model frame to camera space, meters."""
        matrices = np.tile(np.eye(4, dtype=np.float32), (len(self), 1, 1))
        matrices[:, :3, :3] = MODEL_TO_CAMERA @ self.faces.rotation_head.numpy()
        matrices[:, :3, 3] = self.faces.translation_m.numpy()
        return matrices

    def _to_camera(self, points_model_m: Float[Tensor, "faces points 3"]) -> Float[Tensor, "faces points 3"]:
        """Model frame to camera space."""
        turn = torch.from_numpy(MODEL_TO_CAMERA) @ self.faces.rotation_head.double()
        return (points_model_m.double() @ turn.mT + self.faces.translation_m[:, None].double()).float()


def concatenate_rows(parts: Sequence[_Rows]) -> _Rows:
    """Join the faces of one photograph that are in one camera."""
    values = {
        field.name: torch.cat([getattr(rows.faces, field.name) for rows in parts]) for field in fields(FaceParameters)
    }
    residuals = [np.full(len(r), np.nan, np.float32) if r.residual_px is None else r.residual_px for r in parts]
    spreads = [rows.landmarks68_std_px for rows in parts if rows.landmarks68_std_px is not None]
    return replace(
        parts[0],
        faces=FaceParameters(**values),
        score=np.concatenate([rows.score for rows in parts]),
        center_px=np.concatenate([rows.center_px for rows in parts]),
        residual_px=np.concatenate(residuals),
        landmarks68_std_px=np.concatenate(spreads) if len(spreads) == len(parts) else None,
        surface_m=None if parts[0].surface_m is None else torch.cat([rows.vertices_model_m for rows in parts]),
    )


@dataclass(frozen=True, eq=False, repr=False)
class Face:
    """A view of one face of a scene. Lengths in meters, pixels of the photograph, left and right the person's own.

    >>> face = scene[0]
    >>> face.landmarks68_px.shape, face.box_xyxy_px.shape, sorted(face.angles.degrees)
    ((68, 2), (4,), ['pitch', 'roll', 'yaw'])
    >>> face.cam_from_model.shape, 0.0 <= face.expressions["jawOpen"] <= 1.0
    ((4, 4), True)
    """

    scene: SceneRows
    index: int
    """Row of the scene."""

    def __repr__(self) -> str:
        depth_m, yaw_deg = float(self.translation_m[2]), self.angles.degrees["yaw"]
        return f"Face({self.index}, score={self.score:.2f}, depth_m={depth_m:.2f}, yaw_deg={yaw_deg:+.0f})"

    @property
    def photographed(self) -> "Face":
        """The face as the photograph shows it, if it was changed since."""
        return self if self.scene.photographed is None else self.scene.photographed[self.index]

    @property
    def camera(self) -> Camera:
        """The photograph's camera."""
        return self.scene.camera

    @property
    def model(self) -> MorphableModel:
        """The face model."""
        return self.scene.model

    @property
    def parameters(self) -> FaceParameters:
        """This face's row of `scene.faces`."""
        return self.scene.faces[self.index]

    @property
    def score(self) -> float:
        """Probability of the center heatmap."""
        return float(self.scene.score[self.index])

    @property
    def center_px(self) -> Float[np.ndarray, "2"]:
        """Center of the heatmap cell that the face was read from."""
        return self.scene.center_px[self.index]

    @property
    def camera_residual_px(self) -> float | None:
        """Root mean square distance by which the 68 points moved when the pose was re-solved; None where it was not."""
        residual = None if self.scene.residual_px is None else float(self.scene.residual_px[self.index])
        return None if residual is None or math.isnan(residual) else residual

    @property
    def track_id(self) -> int | None:
        """Number of the person's track, the same throughout a video; None in photographs."""
        return None if self.scene.track_id is None else int(self.scene.track_id[self.index])

    @property
    def identity(self) -> Float[np.ndarray, " id"]:
        """Shape coefficients, standard normal a priori."""
        return self.parameters.identity.numpy()

    @property
    def expression(self) -> Float[np.ndarray, " expr"]:
        """Expression activations, 0 neutral, 1 full; by name in `expressions`."""
        return self.parameters.expression.numpy()

    @property
    def expressions(self) -> dict[str, float]:
        """Expression activations by name, e.g. `jawOpen`."""
        return dict(zip(self.model.expression_names, self.expression.tolist(), strict=True))

    @property
    def albedo(self) -> Float[np.ndarray, " alb"]:
        """Albedo coefficients, standard normal a priori."""
        return self.parameters.albedo.numpy()

    @property
    def illumination(self) -> Float[np.ndarray, "9 3"]:
        """Spherical-harmonics light: nine coefficients (bands 0 to 2) per RGB channel."""
        return self.parameters.illumination.numpy()

    @property
    def rotation_head(self) -> Float[np.ndarray, "3 3"]:
        """Rotation of the head; the identity for a face that looks straight at the camera."""
        return self.parameters.rotation_head.numpy()

    @property
    def translation_m(self) -> Float[np.ndarray, "3"]:
        """Model origin in camera space."""
        return self.parameters.translation_m.numpy()

    @property
    def cam_from_model(self) -> Float[np.ndarray, "4 4"]:
        """Homogeneous matrix from the model frame to camera space, meters."""
        return self.scene.cam_from_model[self.index]

    @property
    def angles(self) -> HeadAngles:
        """Pitch, yaw and roll of the head."""
        pitch, yaw, roll = head_angles(self.parameters.rotation_head).tolist()
        return HeadAngles(pitch=pitch, yaw=yaw, roll=roll)

    @property
    def eyes(self) -> dict[str, Eye] | None:
        """Irises and gaze of the `right` and the `left` eye; None for face models without eyeballs."""
        seen, scene = self.scene.eyes, self.scene
        if seen is None:
            return None
        iris, center = (scene._to_camera(points)[self.index].numpy() for points in (seen.iris_m, seen.center_m))
        iris_px, gaze_cam = scene.camera.project(iris), scene.gaze_cam
        angles = gaze_angles(seen.gaze[self.index]).tolist()
        assert gaze_cam is not None
        return {
            part.removesuffix("_eye"): Eye(
                iris_px=iris_px[side],
                iris_cam_m=iris[side],
                center_cam_m=center[side],
                gaze_cam=gaze_cam[self.index, side],
                yaw=angles[side][0],
                pitch=angles[side][1],
            )
            for side, part in enumerate(EYE_PARTS)
        }

    @property
    def vertices_model_m(self) -> Float[np.ndarray, "verts 3"]:
        """Vertices in the model frame, expression applied."""
        return self.scene.vertices_model_m[self.index].numpy()

    @property
    def vertices_cam_m(self) -> Float[np.ndarray, "verts 3"]:
        """Vertices in camera space."""
        return self.scene.vertices_cam_m[self.index].numpy()

    @property
    def vertices_px(self) -> Float[np.ndarray, "verts 2"]:
        """Vertices projected into the photograph."""
        return self.scene.vertices_px[self.index]

    @property
    def albedo_rgb(self) -> Float[np.ndarray, "verts 3"]:
        """sRGB-encoded reflectance of the vertices, clamped to [0, 1]."""
        return self.scene.albedo_rgb[self.index].numpy()

    @property
    def landmarks68_cam_m(self) -> Float[np.ndarray, "68 3"]:
        """The 68 static surface points (`ibug68_3d`), hidden jaw included, in camera space."""
        return self.scene.landmarks68_cam_m[self.index]

    @property
    def landmarks68_px(self) -> Float[np.ndarray, "68 2"]:
        """The 68 static surface points in the photograph."""
        return self.scene.landmarks68_px[self.index]

    @property
    def landmarks68_contour_px(self) -> Float[np.ndarray, "68 2"]:
        """The 68 points with the jaw on the visible silhouette (`ibug68_contour`), in the photograph."""
        return self.scene.landmarks68_contour_px[self.index]

    @property
    def landmarks68_std_px(self) -> Float[np.ndarray, "68"] | None:
        """Standard deviation of each coordinate of the 68 static points in pixels; None where it is not known."""
        return None if self.scene.landmarks68_std_px is None else self.scene.landmarks68_std_px[self.index]

    @property
    def landmarks5_px(self) -> Float[np.ndarray, "5 2"]:
        """Eye centers, nose tip and mouth corners in the photograph, the person's right first."""
        return self.scene.landmarks5_px[self.index]

    @property
    def box_xyxy_px(self) -> Float[np.ndarray, "4"]:
        """Tight box of the 68 static points: left, top, right, bottom."""
        return self.scene.box_xyxy_px[self.index]

    def landmarks(self, scheme: str) -> Float[np.ndarray, "lmk 3"]:
        """Points of one of the model's schemes, in the model frame."""
        with torch.no_grad():
            return self.model.landmarks(self.scene.vertices_model_m[self.index], scheme).numpy()

    def landmarks_px(self, scheme: str) -> Float[np.ndarray, "lmk 2"]:
        """Points of one of the model's schemes in the photograph.

        >>> scene[0].landmarks_px("mediapipe468").shape
        (468, 2)
        """
        return self.scene.scheme_px(scheme)[self.index]
