"""Turn the camera of a scene about its axis."""

from dataclasses import replace

import numpy as np

from morphable_synth.scene.camera import CAM_FROM_UP
from morphable_synth.scene.description import Blob, Scene


def rolled(scene: Scene, angle_rad: float) -> Scene:
    """Return the scene as a camera sees it that is turned so that the picture turns clockwise by the angle.

    People, hands, blobs and light turn together; labels are exact because poses carry the turn.
    """
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])  # y points down: clockwise in the picture
    head_turn = CAM_FROM_UP @ turn @ CAM_FROM_UP
    people = tuple(
        replace(
            person,
            rotation_head=np.asarray(head_turn @ person.rotation_head, np.float32),
            rotation_body=np.asarray(head_turn @ person.rotation_body, np.float32),
            translation_m=np.asarray(turn @ person.translation_m, np.float32),
        )
        for person in scene.people
    )
    hands = tuple(
        replace(
            hand,
            rotation=np.asarray(turn @ hand.rotation, np.float32),
            center_m=tuple(float(value) for value in turn @ np.array(hand.center_m)),  # type: ignore[arg-type]
        )
        for hand in scene.hands
    )
    light = replace(scene.light, env_from_cam=np.asarray(scene.light.env_from_cam @ turn.T, np.float32))
    blobs = tuple(_rolled_blob(blob, turn, angle_rad) for blob in scene.blobs)
    return replace(scene, people=people, hands=hands, light=light, blobs=blobs)


def _rolled_blob(blob: Blob, turn: np.ndarray, angle_rad: float) -> Blob:
    x, y = turn[:2, :2] @ (np.array(blob.center_px) - blob.half_size_px) + blob.half_size_px
    return replace(blob, center_px=(float(x), float(y)), angle_rad=blob.angle_rad + angle_rad)
