"""Rows of the CSV files that Epic's Live Link Face app records: ARKit's 52 expressions, then turns of head and eyes."""

from morphable import MorphableModel
from morphable_reconstruct.faces.rows import Face

SHAPES = (
    *("EyeBlinkLeft", "EyeLookDownLeft", "EyeLookInLeft", "EyeLookOutLeft", "EyeLookUpLeft"),
    *("EyeSquintLeft", "EyeWideLeft"),
    *("EyeBlinkRight", "EyeLookDownRight", "EyeLookInRight", "EyeLookOutRight", "EyeLookUpRight"),
    *("EyeSquintRight", "EyeWideRight"),
    *("JawForward", "JawRight", "JawLeft", "JawOpen", "MouthClose", "MouthFunnel", "MouthPucker"),
    *("MouthRight", "MouthLeft", "MouthSmileLeft", "MouthSmileRight", "MouthFrownLeft", "MouthFrownRight"),
    *("MouthDimpleLeft", "MouthDimpleRight", "MouthStretchLeft", "MouthStretchRight"),
    *("MouthRollLower", "MouthRollUpper", "MouthShrugLower", "MouthShrugUpper"),
    *("MouthPressLeft", "MouthPressRight", "MouthLowerDownLeft", "MouthLowerDownRight"),
    *("MouthUpperUpLeft", "MouthUpperUpRight"),
    *("BrowDownLeft", "BrowDownRight", "BrowInnerUp", "BrowOuterUpLeft", "BrowOuterUpRight"),
    *("CheekPuff", "CheekSquintLeft", "CheekSquintRight", "NoseSneerLeft", "NoseSneerRight", "TongueOut"),
)
"""ARKit's expressions in the order of the app's columns."""
TURNS = tuple(f"{part}{angle}" for part in ("Head", "LeftEye", "RightEye") for angle in ("Yaw", "Pitch", "Roll"))
"""Turns in radians: yaw to the person's left, pitch downward, roll to the person's left shoulder."""
FRAMES_PER_SECOND = 60
"""Rate in which time codes count frames, the app's own by default."""
_ARKIT = tuple(name[0].lower() + name[1:] for name in SHAPES)
_DECIMALS = 8


def check_livelink(model: MorphableModel) -> None:
    """Refuse models without ARKit's expressions.

    Raises:
        ValueError: The model lacks some.
    """
    missing = [name for name in _ARKIT if name not in model.expression_names]
    if missing:
        raise ValueError(
            f"model must have ARKit's {len(SHAPES)} expressions for csv livelink, got {model.name!r} without "
            f"{missing[0]}; take the open model, or csv table"
        )


def livelink_header() -> str:
    """Return the names of the columns."""
    return ",".join(["Timecode", "BlendShapeCount", *SHAPES, *TURNS]) + "\n"


def livelink_row(face: Face, time_s: float) -> str:
    """Return one line: a face at a time from the start of its video."""
    expressions, head = face.expressions, face.angles
    values = [min(max(expressions[name], 0.0), 1.0) for name in _ARKIT]
    values += [-head.yaw, -head.pitch, head.roll]
    for side in ("left", "right"):
        eye = None if face.eyes is None else face.eyes[side]
        values += [0.0, 0.0, 0.0] if eye is None else [eye.yaw, -eye.pitch, 0.0]
    numbers = [f"{value:.{_DECIMALS}f}" for value in values]
    return ",".join([timecode(time_s), str(len(values)), *numbers]) + "\n"


def timecode(time_s: float) -> str:
    """Return hours:minutes:seconds:frames.thousandths of a frame.

    >>> timecode(3661.525)
    '01:01:01:31.500'
    """
    thousandths = round(time_s * FRAMES_PER_SECOND * 1000)
    frames, part = divmod(thousandths, 1000)
    seconds, frame = divmod(frames, FRAMES_PER_SECOND)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{frame:02d}.{part:03d}"
