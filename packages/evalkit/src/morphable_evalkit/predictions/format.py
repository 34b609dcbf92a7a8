"""The arrays of a prediction file: names, shapes and kinds, as data."""

from collections.abc import Mapping
from dataclasses import dataclass

FORMAT_VERSION = 1
"""Version written; readers refuse every other one."""

EXTRA_PREFIX = "extra_"
"""Arrays whose name starts with this are carried along and never read."""


@dataclass(frozen=True)
class ArraySpec:
    """Shape and kind of one array; a name in the shape is an axis shared with other arrays."""

    axes: tuple[str | int | tuple[int, ...], ...]
    """Axis name, exact size, or the allowed sizes."""
    kind: str
    """NumPy kinds accepted: `f` floating, `iu` integer, `U` text."""
    required: bool = False


_LANDMARKS_2D = ArraySpec(("faces", 68, 2), "f")

ARRAYS: Mapping[str, ArraySpec] = {
    "format_version": ArraySpec((), "iu", required=True),
    "processed_image": ArraySpec(("images",), "U", required=True),
    "processed_size_hw": ArraySpec(("images", 2), "iu", required=True),
    "image": ArraySpec(("faces",), "U", required=True),
    "image_size_hw": ArraySpec(("faces", 2), "iu", required=True),
    "score": ArraySpec(("faces",), "f", required=True),
    "box_xyxy_px": ArraySpec(("faces", 4), "f", required=True),
    "landmarks68_px": _LANDMARKS_2D,
    "landmarks68_contour_px": _LANDMARKS_2D,
    "landmarks68_std_px": ArraySpec(("faces", 68), "f"),
    "landmarks68_cam_m": ArraySpec(("faces", 68, 3), "f"),
    "landmarks68_depth_px": ArraySpec(("faces", 68), "f"),
    "rotation_head": ArraySpec(("faces", 3, 3), "f"),
    "translation_m": ArraySpec(("faces", 3), "f"),
    "focal_px": ArraySpec(("faces",), "f"),
    "vertices_px": ArraySpec(("faces", "verts", (2, 3)), "f"),
    "vertices_model_m": ArraySpec(("faces", "verts", 3), "f"),
    "model_name": ArraySpec((), "U"),
    "system": ArraySpec((), "U"),
}
"""Every array a prediction file may hold; see docs/prediction_file.md for their meaning."""

STREAMED = ("vertices_px", "vertices_model_m")
"""Arrays too large to hold in memory: read row by row from the file."""


def describe_axes(spec: ArraySpec) -> str:
    """Write a shape for an error message, for example `(faces, 68, 2)`."""
    parts = ["|".join(map(str, axis)) if isinstance(axis, tuple) else str(axis) for axis in spec.axes]
    return f"({', '.join(parts)})" if parts else "a single value"
