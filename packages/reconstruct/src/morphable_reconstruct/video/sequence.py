"""Coefficients over time as CSV: one row per frame and face, expressions by name."""

import math
from typing import TextIO

from morphable import MorphableModel
from morphable_reconstruct.scene import Scene

_DECIMALS = 5


def csv_header(model: MorphableModel) -> str:
    """Column names: time, track, expressions by name, head angles in degrees, place in metres."""
    pose = ["head_pitch_deg", "head_yaw_deg", "head_roll_deg", "x_m", "y_m", "z_m"]
    return ",".join(["frame", "time_s", "track_id", "score", *model.expression_names, *pose]) + "\n"


def write_csv_rows(file: TextIO, scene: Scene, *, frame: int, time_s: float) -> None:
    """Append a frame's faces in order of their track ids."""
    for face in sorted(scene.faces, key=lambda face: face.track_id or 0):
        angles = (math.degrees(value) for value in (face.angles.pitch, face.angles.yaw, face.angles.roll))
        numbers = [time_s, face.track_id, face.score, *face.expression.tolist(), *angles, *face.translation_m.tolist()]
        cells = (str(n) if isinstance(n, int) else f"{n:.{_DECIMALS}f}" for n in numbers if n is not None)
        file.write(",".join([str(frame), *cells]) + "\n")
