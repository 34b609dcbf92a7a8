"""A scene's numbers as JSON and NPZ."""

import json
from typing import Any

import numpy as np
from jaxtyping import Shaped

from morphable.landmarks import MEDIAPIPE468
from morphable_reconstruct.faces.eyes import Eye
from morphable_reconstruct.faces.rows import Face, SceneRows

FORMAT_VERSION = 1
_DECIMALS = 6


def scene_to_dict(scene: SceneRows) -> dict[str, Any]:
    """Describe a scene by plain numbers: meters, radians, pixels of the photograph (corner at (0, 0))."""
    height, width = scene.camera.size_hw
    return {
        "format": "morphable-scene",
        "format_version": FORMAT_VERSION,
        "image": scene.name,
        "image_size_hw": [height, width],
        "camera": {"focal_px": scene.camera.focal_px, "principal_px": _list(scene.camera.principal_px)},
        "model": scene.model.name,
        "faces": [_face_to_dict(face) for face in scene],
    }


def scene_to_json(scene: SceneRows) -> str:
    """Encode `scene_to_dict` as JSON; NaN is refused, never written."""
    return json.dumps(scene_to_dict(scene), indent=1, allow_nan=False)


def scene_to_arrays(scene: SceneRows) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Stack every face's numbers, one row per face, for `numpy.savez`."""
    faces = scene.faces
    optional = {
        "camera_residual_px": scene.residual_px,
        "track_id": scene.track_id,
        "landmarks68_std_px": scene.landmarks68_std_px,
        "iris_px": scene.iris_px,
        "gaze_cam": scene.gaze_cam,
        "gaze_angles_deg": scene.gaze_angles_deg,
    }
    if MEDIAPIPE468 in scene.model.landmark_schemes:
        optional["landmarks468_px"] = scene.scheme_px(MEDIAPIPE468)
    if scene.surface_m is not None:
        optional["surface_m"] = scene.surface_m.numpy()
    return {name: values for name, values in optional.items() if values is not None} | {
        "format_version": np.array(FORMAT_VERSION),
        "image": np.array(scene.name),
        "image_size_hw": np.array(scene.camera.size_hw),
        "focal_px": np.array(scene.camera.focal_px, dtype=np.float32),
        "principal_px": scene.camera.principal_px,
        "model_name": np.array(scene.model.name),
        "expression_names": np.array(scene.model.expression_names, dtype=np.str_),
        "score": scene.score,
        "center_px": scene.center_px,
        "identity": faces.identity.numpy(),
        "expression": faces.expression.numpy(),
        "albedo": faces.albedo.numpy(),
        "rotation_head": faces.rotation_head.numpy(),
        "translation_m": faces.translation_m.numpy(),
        "illumination": faces.illumination.numpy(),
        "head_angles_deg": scene.head_angles_deg,
        "cam_from_model": scene.cam_from_model,
        "box_xyxy_px": scene.box_xyxy_px,
        "landmarks68_px": scene.landmarks68_px,
        "landmarks68_contour_px": scene.landmarks68_contour_px,
        "landmarks68_cam_m": scene.landmarks68_cam_m,
        "landmarks5_px": scene.landmarks5_px,
        "vertices_cam_m": scene.vertices_cam_m.numpy(),
        "vertices_px": scene.vertices_px,
        "triangles": scene.model.triangles.cpu().numpy(),
    }


def _face_to_dict(face: Face) -> dict[str, Any]:
    """One face of the JSON."""
    angles = face.angles
    record = {
        "score": round(face.score, _DECIMALS),
        "box_xyxy_px": _list(face.box_xyxy_px),
        "center_px": _list(face.center_px),
        "translation_m": _list(face.translation_m),
        "rotation_head": _list(face.rotation_head),
        "cam_from_model": _list(face.cam_from_model),
        "head_angles_rad": {"pitch": angles.pitch, "yaw": angles.yaw, "roll": angles.roll},
        "head_angles_deg": {name: round(value, _DECIMALS) for name, value in angles.degrees.items()},
        "landmarks68_px": _list(face.landmarks68_px),
        "landmarks68_contour_px": _list(face.landmarks68_contour_px),
        "landmarks5_px": _list(face.landmarks5_px),
        "landmarks68_cam_m": _list(face.landmarks68_cam_m),
        "identity": _list(face.identity),
        "expressions": {name: round(value, _DECIMALS) for name, value in face.expressions.items()},
        "albedo": _list(face.albedo),
        "illumination": _list(face.illumination),
    }
    if face.eyes is not None:
        record["eyes"] = {side: _eye_to_dict(eye) for side, eye in face.eyes.items()}
    if face.camera_residual_px is not None:
        record["camera_residual_px"] = round(face.camera_residual_px, _DECIMALS)
    if face.landmarks68_std_px is not None:
        record["landmarks68_std_px"] = _list(face.landmarks68_std_px)
    if face.track_id is not None:
        record["track_id"] = face.track_id
    return record


def _eye_to_dict(eye: Eye) -> dict[str, Any]:
    """One eye of a face of the JSON."""
    angles = {name: round(value, _DECIMALS) for name, value in eye.degrees.items()}
    return {"iris_px": _list(eye.iris_px), "gaze_cam": _list(eye.gaze_cam), "gaze_angles_deg": angles}


def _list(values: Shaped[np.ndarray, "..."]) -> list[Any]:
    """Nested lists with six decimals: a micrometer, a micropixel."""
    return np.round(values.astype(np.float64), _DECIMALS).tolist()
