"""What is known about the faces of one picture, and its form on disk."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float

from morphable.geometry import GLOBAL_FOCAL_PX
from morphable.landmarks import NUM_IBUG68

LABELS_VERSION = 1
SYNTH_VERSION = 1
SYNTH_MARK = "landmarks68_contour_px"
"""An array that only shards of `morphable-synth` have."""
NUM_LANDMARKS = NUM_IBUG68
_FORMS: dict[str, tuple[str, tuple[int | None, ...]]] = {
    "landmarks68_px": ("f", (NUM_LANDMARKS, 2)),
    "landmark_valid": ("b", (NUM_LANDMARKS,)),
    "contour": ("b", ()),
    "exact": ("b", ()),
    "identity": ("f", (None,)),
    "expression": ("f", (None,)),
    "rotation_head": ("f", (3, 3)),
    "translation_m": ("f", (3,)),
}
"""Kind of number and axes after the faces of each array; None is any length."""


class LabelVersionError(ValueError):
    """Labels of a version that this code does not read."""


@dataclass(frozen=True)
class FaceLabels:
    """Labels of the faces of one picture, in its pixels (corner at (0,0)) and its camera (center principal point).

    Weak labels are landmarks alone: `exact` is false there, and pose and coefficients are zeros that mean nothing.
    """

    landmarks68_px: Float[np.ndarray, "faces 68 2"]
    landmark_valid: Bool[np.ndarray, "faces 68"]
    """False where a point is not annotated; its position means nothing."""
    contour: Bool[np.ndarray, " faces"]
    """True where the jaw points lie on the visible silhouette (`ibug68_contour`), false for `ibug68_3d`."""
    exact: Bool[np.ndarray, " faces"]
    identity: Float[np.ndarray, "faces id"]
    expression: Float[np.ndarray, "faces expr"]
    rotation_head: Float[np.ndarray, "faces 3 3"]
    translation_m: Float[np.ndarray, "faces 3"]
    focal_px: float
    """Focal length of the picture in its own pixels; `GLOBAL_FOCAL_PX` for weak labels, whose camera is not known."""

    def __len__(self) -> int:
        return len(self.landmarks68_px)

    def select(self, index: Sequence[int]) -> "FaceLabels":
        """Return some of the faces, in the order asked for."""
        chosen = np.asarray(index, dtype=np.int64)
        arrays = {f.name: getattr(self, f.name)[chosen] for f in fields(self) if f.name != "focal_px"}
        return replace(self, **arrays)

    def boxes_px(self) -> Float[np.ndarray, "faces 4"]:
        """Return the tight boxes (left, top, right, bottom) of the annotated points."""
        valid = self.landmark_valid[..., None]
        low = np.where(valid, self.landmarks68_px, np.inf).min(1)
        high = np.where(valid, self.landmarks68_px, -np.inf).max(1)
        return np.concatenate([low, high], 1).astype(np.float32)


def weak_labels(
    landmarks68_px: Float[np.ndarray, "faces 68 2"],
    *,
    contour: bool = True,
    valid: Bool[np.ndarray, "faces 68"] | None = None,
) -> FaceLabels:
    """Return labels of landmarks alone.

    Args:
        landmarks68_px: The points; those that are not valid become zeros.
        contour: Jaw points lie on the visible silhouette.
        valid: False where a point is not annotated; None where all are.
    """
    faces = len(landmarks68_px)
    known = np.ones((faces, NUM_LANDMARKS), bool) if valid is None else valid
    return FaceLabels(
        landmarks68_px=np.where(known[..., None], landmarks68_px, 0.0).astype(np.float32),
        landmark_valid=known,
        contour=np.full(faces, contour),
        exact=np.zeros(faces, bool),
        identity=np.zeros((faces, 0), np.float32),
        expression=np.zeros((faces, 0), np.float32),
        rotation_head=np.tile(np.eye(3, dtype=np.float32), (faces, 1, 1)),
        translation_m=np.zeros((faces, 3), np.float32),
        focal_px=GLOBAL_FOCAL_PX,
    )


def moved_labels(
    labels: FaceLabels,
    *,
    scale: float,
    corner_px: tuple[float, float],
    old_hw: tuple[int, int],
    new_hw: tuple[int, int],
) -> FaceLabels:
    """Return the labels of a window that was cut out of a picture and scaled.

    The middle of the window becomes the principal point. Poses keep their rotation: this is right under the long focal
    length of labels from scaled-orthographic cameras, whose viewing rays are nearly parallel.

    Args:
        labels: Of the picture.
        scale: Pixels of the window per pixel of the picture.
        corner_px: The window's left and top edge in the picture.
        old_hw: Height and width of the picture.
        new_hw: Height and width of the window.
    """
    corner = np.array(corner_px, np.float32)
    moved = (labels.landmarks68_px - corner) * np.float32(scale)
    if not labels.exact.any():
        return replace(labels, landmarks68_px=moved)
    old_middle, new_middle = (np.array([cols, rows]) / 2 for rows, cols in (old_hw, new_hw))
    depth = labels.translation_m[:, 2:]
    origin = labels.translation_m[:, :2] / depth * labels.focal_px + old_middle
    focal_px = labels.focal_px * scale
    lateral = ((origin - corner) * scale - new_middle) / focal_px * depth
    translation = np.concatenate([lateral, depth], 1).astype(np.float32)
    return replace(labels, landmarks68_px=moved, translation_m=translation, focal_px=focal_px)


def labels_to_bytes(labels: FaceLabels) -> bytes:
    """Write labels as an npz archive without pickles."""
    buffer = io.BytesIO()
    arrays = {field.name: np.asarray(getattr(labels, field.name)) for field in fields(labels)}
    np.savez(buffer, version=np.asarray(LABELS_VERSION), allow_pickle=False, **arrays)
    return buffer.getvalue()


def labels_from_bytes(data: bytes) -> FaceLabels:
    """Read labels written by `labels_to_bytes`, or the npz member of a shard of `morphable-synth generate`.

    Raises:
        ValueError: Not such an archive, damaged, or of a newer version.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        labels = _labels(arrays)
        _check_forms(labels)
        return labels
    except LabelVersionError:
        raise
    except Exception as error:
        raise ValueError(f"labels must be a whole npz archive, got {len(data)} bytes: {error}") from error


def _check_forms(labels: FaceLabels) -> None:
    """Refuse arrays that do not belong together."""
    for name, (kind, axes) in _FORMS.items():
        value = np.asarray(getattr(labels, name))
        wanted = (len(labels), *axes)
        fits = value.ndim == len(wanted) and all(b in (None, a) for a, b in zip(value.shape, wanted, strict=True))
        if not fits or value.dtype.kind != kind:
            shown = " x ".join("any" if length is None else str(length) for length in wanted)
            raise ValueError(f"{name} must be {shown}, got shape {value.shape} of {value.dtype}")


def _labels(arrays: dict[str, np.ndarray]) -> FaceLabels:
    """Check the arrays of either kind of file."""
    if SYNTH_MARK in arrays:
        return _from_synth(arrays)
    version = int(arrays.pop("version", np.asarray(0)))
    if version != LABELS_VERSION:
        raise LabelVersionError(f"labels must be of version {LABELS_VERSION}, got {version}; prepare the shards again")
    expected = {field.name for field in fields(FaceLabels)}
    if set(arrays) != expected:
        raise ValueError(f"labels must hold {sorted(expected)}, got {sorted(arrays)}; prepare the shards again")
    focal_px = float(arrays.pop("focal_px"))
    return FaceLabels(**arrays, focal_px=focal_px)


def _from_synth(arrays: dict[str, np.ndarray]) -> FaceLabels:
    """Exact labels of a synthetic scene; the landmarks are its static 3D points."""
    version = int(arrays.get("format_version", np.asarray(0)))
    if version != SYNTH_VERSION:
        raise LabelVersionError(
            f"synthetic labels must be of version {SYNTH_VERSION}, got {version}; generate the shards again"
        )
    return exact_labels(arrays)


def exact_labels(arrays: Mapping[str, np.ndarray]) -> FaceLabels:
    """Return the labels of a synthetic scene from its arrays, which carry the names of `morphable_synth.Sample`.

    Raises:
        ValueError: An array is missing.
    """
    missing = sorted(
        {"identity", "expression", "rotation_head", "translation_m", "landmarks68_px", "focal_px"} - set(arrays)
    )
    if missing:
        raise ValueError(f"synthetic labels must hold {', '.join(missing)}, got {', '.join(sorted(arrays))}")
    faces = len(arrays["identity"])
    return FaceLabels(
        landmarks68_px=np.asarray(arrays["landmarks68_px"], np.float32),
        landmark_valid=np.ones((faces, NUM_LANDMARKS), bool),
        contour=np.zeros(faces, bool),
        exact=np.ones(faces, bool),
        identity=np.asarray(arrays["identity"], np.float32),
        expression=np.asarray(arrays["expression"], np.float32),
        rotation_head=np.asarray(arrays["rotation_head"], np.float32),
        translation_m=np.asarray(arrays["translation_m"], np.float32),
        focal_px=float(arrays["focal_px"]),
    )
