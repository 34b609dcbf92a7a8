"""A scene's faces as rows of a CSV table, expressions by name."""

from typing import Any

from morphable import MorphableModel
from morphable.eyes import has_eyes
from morphable_reconstruct.exports.glb import morph_weights
from morphable_reconstruct.faces.rows import SceneRows

_DECIMALS = 5
_GAZE = tuple(f"{side}_gaze_{angle}_deg" for side in ("right", "left") for angle in ("yaw", "pitch"))
_POSE = ("head_pitch_deg", "head_yaw_deg", "head_roll_deg", "x_m", "y_m", "z_m")


def scene_to_csv(scene: SceneRows) -> str:
    """Return the whole table of one picture: a header and a row per face."""
    return csv_header(scene.model, ("face",)) + csv_rows(scene, ("face",))


def csv_header(model: MorphableModel, leading: tuple[str, ...]) -> str:
    """Return the names of the columns: the leading ones, score, expressions, head angles in degrees, place, gaze."""
    gaze = _GAZE if has_eyes(model) else ()
    return ",".join([*leading, "score", *model.expression_names, *_POSE, *gaze]) + "\n"


def csv_rows(scene: SceneRows, leading: tuple[str, ...], **values: int | float) -> str:
    """Return one line per face, in order of track ids where there are some.

    Args:
        scene: The faces.
        leading: Names of the first columns: `face`, `track_id`, or names of `values`.
        values: Numbers that are the same for all faces, such as the frame.
    """
    lines = []
    for face in sorted(scene, key=lambda face: face.track_id or 0):
        known: dict[str, Any] = {"face": face.index, "track_id": face.track_id, **values}
        numbers = [known[name] for name in leading]
        numbers += [face.score, *morph_weights(face), *face.angles.degrees.values(), *face.translation_m.tolist()]
        numbers += [angle for eye in (face.eyes or {}).values() for angle in eye.degrees.values()]
        lines.append(",".join(str(n) if isinstance(n, int) else f"{n:.{_DECIMALS}f}" for n in numbers) + "\n")
    return "".join(lines)
