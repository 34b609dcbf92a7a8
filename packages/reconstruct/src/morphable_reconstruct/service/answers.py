"""What the service answers with: the JSON's types, and scenes in every format. Needs FastAPI's Pydantic at import."""

import io
from collections.abc import Callable
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from morphable_reconstruct.exports.coefficients import scene_to_arrays, scene_to_json
from morphable_reconstruct.exports.glb import scene_to_glb
from morphable_reconstruct.exports.pictures import crop_png, overlay_jpeg
from morphable_reconstruct.scene import Scene

Format = Literal["json", "glb", "npz", "overlay", "crop"]
Texture = Literal["photo", "delit", "albedo", "none"]
MEDIA_TYPES: dict[str, str] = {
    "json": "application/json",
    "glb": "model/gltf-binary",
    "npz": "application/x-npz",
    "overlay": "image/jpeg",
    "crop": "image/png",
}
Point2 = tuple[float, float]
Point3 = tuple[float, float, float]
Matrix = tuple[Point3, Point3, Point3]
Row4 = tuple[float, float, float, float]


class _Answer(BaseModel):
    """A JSON object without other fields."""

    model_config = ConfigDict(extra="forbid")


class CameraAnswer(_Answer):
    """The pinhole camera of the photograph."""

    focal_px: float
    principal_px: Point2


class AnglesAnswer(_Answer):
    """Pitch, yaw and roll of a head; zero looks straight at the camera."""

    pitch: float
    yaw: float
    roll: float


class GazeAnswer(_Answer):
    """Gaze relative to the head in degrees: yaw to the person's left, pitch upward."""

    yaw: float
    pitch: float


class EyeAnswer(_Answer):
    """One eye as the mesh has it, whether or not the lid covers it."""

    iris_px: Point2
    gaze_cam: Point3 = Field(description="Unit vector in camera space.")
    gaze_angles_deg: GazeAnswer


class EyesAnswer(_Answer):
    """The person's right and left eye."""

    right: EyeAnswer
    left: EyeAnswer


class FaceAnswer(_Answer):
    """One face: meters, pixels of the photograph (corner at 0, 0); left and right are the person's own."""

    score: float
    box_xyxy_px: Row4
    center_px: Point2
    translation_m: Point3
    rotation_head: Matrix
    cam_from_model: tuple[Row4, Row4, Row4, Row4] = Field(description="Model frame to camera, homogeneous.")
    head_angles_rad: AnglesAnswer
    head_angles_deg: AnglesAnswer
    landmarks68_px: list[Point2] = Field(description="68 static points, hidden jaw included.")
    landmarks68_contour_px: list[Point2] = Field(description="68 points with the jaw on the visible outline.")
    landmarks5_px: list[Point2] = Field(description="Eyes, tip of the nose, corners of the mouth.")
    landmarks68_cam_m: list[Point3]
    identity: list[float]
    expressions: dict[str, float] = Field(description="Activation by name, 0 neutral, 1 full.")
    albedo: list[float]
    illumination: list[Point3] = Field(description="9 spherical-harmonics coefficients (bands 0 to 2) per RGB channel.")
    landmarks68_std_px: list[float] | None = Field(
        None, description="Expected standard deviation of each coordinate of the static points."
    )
    eyes: EyesAnswer | None = Field(None, description="Irises and gaze, of face models that have eyeballs.")
    camera_residual_px: float | None = None
    track_id: int | None = None


class SceneAnswer(_Answer):
    """A photograph and all of its faces, best score first."""

    format: Literal["morphable-scene"]
    format_version: int
    image: str
    image_size_hw: tuple[int, int]
    camera: CameraAnswer
    model: str
    faces: list[FaceAnswer]


class HealthAnswer(_Answer):
    """Whether the service works, and how much waits."""

    alive: bool
    waiting: int


class ErrorAnswer(BaseModel):
    """What is wrong, in a sentence."""

    detail: str


class NoSuchFaceError(Exception):
    """A crop of a face that the photograph does not have."""


def encode_scene(scene: Scene, *, file_format: Format, texture: Texture, face: int) -> bytes:
    """Encode a scene as the body of an answer.

    Args:
        scene: The faces.
        file_format: One of `MEDIA_TYPES`.
        texture: Texture of GLB.
        face: Index of the face to crop.

    Raises:
        NoSuchFaceError: There is no face of that index to crop.
    """
    encoders: dict[str, Callable[[], bytes]] = {
        "json": lambda: scene_to_json(scene).encode(),
        "glb": lambda: scene_to_glb(scene, texture=texture),
        "npz": lambda: _npz(scene),
        "overlay": lambda: overlay_jpeg(scene.overlay()),
        "crop": lambda: _crop(scene, face),
    }
    return encoders[file_format]()


def _npz(scene: Scene) -> bytes:
    """Encode the arrays."""
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **scene_to_arrays(scene))
    return stream.getvalue()


def _crop(scene: Scene, face: int) -> bytes:
    """Encode the upright crop of one face."""
    if face >= len(scene):
        raise NoSuchFaceError(f"face must be below the number of faces, got {face} with {len(scene)} faces")
    return crop_png(scene[face])
