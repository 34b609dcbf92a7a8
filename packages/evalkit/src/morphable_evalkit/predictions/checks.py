"""List what is wrong with a prediction file, and where."""

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int, Shaped

from morphable_evalkit.files import foreign_content, read_npz, refusing
from morphable_evalkit.predictions.format import ARRAYS, EXTRA_PREFIX, FORMAT_VERSION, STREAMED, describe_axes
from morphable_evalkit.predictions.rows import array_shape, check_sum, is_compressed

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]
Shapes = Mapping[str, tuple[tuple[int, ...], np.dtype]]

_ROTATION_TOLERANCE = 1e-3
_REPROJECTION_TOLERANCE_PX = 1.0
_NAMED_ROWS = 3
"""Rows named in one message, before the number of the others."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a prediction file."""

    severity: Literal["error", "warning"]
    """An error makes the file unreadable; a warning is probably a mistake of the writer."""
    where: str
    """Array, and rows where it is about rows."""
    message: str


def check_predictions(path: Path) -> list[Problem]:
    """List everything wrong with a prediction file, errors first.

    Raises:
        FileNotFoundError: No such file.

    Example:
        >>> np.savez("found.npz", format_version=1, image=["a.jpg"])
        >>> print(check_predictions(Path("found.npz"))[0].message)
        is missing; every prediction file holds processed_image (images)
    """
    if not path.is_file():
        raise FileNotFoundError(f"preds must be a prediction file, got {path} (no such file)")
    if not zipfile.is_zipfile(path):
        met = foreign_content(path) or "another kind of file, or a part of one"
        return [Problem("error", str(path), f"must be an .npz file, got {met}; write it with numpy.savez")]
    try:
        arrays = read_npz(path, skip=STREAMED)
        shapes = _streamed_shapes(path)
    except ValueError as error:
        return [Problem("error", str(path), f"must hold plain arrays without pickled objects ({error})")]
    problems = check_arrays(arrays, shapes)
    problems += [
        Problem("warning", name, "is compressed: it is loaded as a whole; write it with numpy.savez")
        for name in shapes
        if is_compressed(path, name)
    ]
    return sorted(problems, key=lambda problem: problem.severity)


def _streamed_shapes(path: Path) -> Shapes:
    """Read the shapes of the large arrays, whose values are only compared with their check sums."""
    with refusing(path, "an .npz file"), zipfile.ZipFile(path) as archive:
        names = [name for name in STREAMED if f"{name}.npy" in archive.namelist()]
    shapes = {}
    for name in names:
        with refusing(path, "an undamaged array", name):
            check_sum(path, name)
            shapes[name] = array_shape(path, name)
    return shapes


def check_arrays(arrays: Arrays, streamed: Shapes) -> list[Problem]:
    """List everything wrong with the arrays of a prediction file.

    Args:
        arrays: All arrays but the streamed ones.
        streamed: Shape and type of the large ones.
    """
    shapes = {name: (array.shape, array.dtype) for name, array in arrays.items()} | dict(streamed)
    problems = list(_check_names(shapes)) + list(_check_shapes(shapes))
    if problems:
        return problems
    return [
        *_check_version(arrays),
        *_check_images(arrays),
        *_check_boxes(arrays),
        *_check_landmarks(arrays),
        *_check_spread(arrays),
        *_check_camera(arrays),
    ]


def _check_names(shapes: Shapes) -> Iterator[Problem]:
    """Arrays that are missing or unknown."""
    for name, spec in ARRAYS.items():
        if spec.required and name not in shapes:
            yield Problem("error", name, f"is missing; every prediction file holds {name} {describe_axes(spec)}")
    for name in shapes:
        if name not in ARRAYS and not name.startswith(EXTRA_PREFIX):
            yield Problem("error", name, f"is unknown; name it {EXTRA_PREFIX}{name} to carry it along")
    if not {"landmarks68_px", "landmarks68_contour_px"} & set(shapes):
        yield Problem("error", "landmarks68_px", "is missing; give landmarks68_px or landmarks68_contour_px")


def _check_shapes(shapes: Shapes) -> Iterator[Problem]:
    """Arrays of the wrong shape or type; axes of one name must agree."""
    sizes: dict[str, tuple[int, str]] = {}
    for name, (shape, dtype) in shapes.items():
        spec = ARRAYS.get(name)
        if spec is None:
            continue
        if dtype.kind not in spec.kind and 0 not in shape:
            yield Problem("error", name, f"must be of kind {spec.kind!r}, got {dtype}")
        if len(shape) != len(spec.axes):
            yield Problem("error", name, f"must be {describe_axes(spec)}, got {shape}")
            continue
        for axis, size in zip(spec.axes, shape, strict=True):
            if isinstance(axis, str):
                expected, first = sizes.setdefault(axis, (size, name))
                wrong = size != expected
                rule = f"must have {expected} {axis} as {first} has, got {size}"
            else:
                wrong = size not in (axis if isinstance(axis, tuple) else (axis,))
                rule = f"must be {describe_axes(spec)}, got {shape}"
            if wrong:
                yield Problem("error", name, rule)


def _check_version(arrays: Arrays) -> Iterator[Problem]:
    """A file of another version."""
    version = int(arrays["format_version"])
    if version != FORMAT_VERSION:
        yield Problem("error", "format_version", f"must be {FORMAT_VERSION}, got {version}")


def _check_images(arrays: Arrays) -> Iterator[Problem]:
    """Pictures named twice, wrongly, not at all, or of two sizes."""
    processed, image = arrays["processed_image"], arrays["image"]
    names, counts = np.unique(processed, return_counts=True)
    for name in names[counts > 1][:_NAMED_ROWS]:
        yield Problem("error", "processed_image", f"must name every picture once, got {name!r} several times")
    bad_names = [
        str(name) for name in names if "\\" in str(name) or PurePosixPath(str(name)).is_absolute() or not str(name)
    ]
    if bad_names:
        yield Problem("error", "processed_image", f"must be relative names with '/', got {bad_names[0]!r}")
    unknown = np.isin(image, processed, invert=True)
    if unknown.any():
        yield Problem(
            "error",
            f"image{_rows(unknown)}",
            f"must be listed in processed_image, got {str(image[unknown][0])!r}",
        )
        return
    if (arrays["processed_size_hw"] <= 0).any():
        yield Problem("error", "processed_size_hw", "must be positive heights and widths")
    order = np.argsort(processed)
    row = order[np.searchsorted(processed, image, sorter=order)] if len(image) else np.empty(0, np.int64)
    differs = (arrays["processed_size_hw"][row] != arrays["image_size_hw"]).any(axis=1)
    if differs.any():
        yield Problem("error", f"image_size_hw{_rows(differs)}", "must equal processed_size_hw of the same picture")


def _check_boxes(arrays: Arrays) -> Iterator[Problem]:
    """Scores and boxes that cannot be."""
    bad_score: Bool[np.ndarray, " faces"] = np.logical_not(np.isfinite(arrays["score"]))
    if bad_score.any():
        yield Problem("error", f"score{_rows(bad_score)}", "must be finite")
    box = arrays["box_xyxy_px"]
    inverted: Bool[np.ndarray, " faces"] = np.any(box[:, 2:] < box[:, :2], axis=1)
    if inverted.any():
        yield Problem("error", f"box_xyxy_px{_rows(inverted)}", "must be x0, y0, x1, y1 with x0 <= x1 and y0 <= y1")


def _check_landmarks(arrays: Arrays) -> Iterator[Problem]:
    """Duplicate faces, missing values, points in units other than pixels."""
    for name in ("landmarks68_px", "landmarks68_contour_px"):
        if name not in arrays:
            continue
        points = arrays[name]
        duplicate = _duplicates(arrays["image"], points)
        if duplicate.any():
            yield Problem("error", f"{name}{_rows(duplicate)}", "repeats another face of the same picture exactly")
        missing: Bool[np.ndarray, " faces"] = np.logical_not(np.isfinite(points).all(axis=(1, 2)))
        if missing.any():
            yield Problem("warning", f"{name}{_rows(missing)}", "is not finite; the face counts as a failure")
        finite = points[~missing]
        if len(finite) and np.abs(finite).max() <= 1.0 + 1e-6:
            yield Problem("warning", name, "lies in [-1, 1] throughout; points are in pixels of the whole picture")
        size_wh = arrays["image_size_hw"][:, ::-1].astype(np.float64)
        center = points.mean(axis=1)
        outside = ((center < -size_wh) | (center > 2 * size_wh)).any(axis=1)
        if outside.any():
            yield Problem(
                "warning",
                f"{name}{_rows(outside)}",
                "lies far outside its picture; is the picture's size right?",
            )


def _check_spread(arrays: Arrays) -> Iterator[Problem]:
    """Standard deviations that are none."""
    if "landmarks68_std_px" in arrays:
        wrong: Bool[np.ndarray, " faces"] = np.logical_not((arrays["landmarks68_std_px"] > 0).all(axis=1))
        if wrong.any():
            yield Problem("error", f"landmarks68_std_px{_rows(wrong)}", "must be positive")


def _check_camera(arrays: Arrays) -> Iterator[Problem]:
    """Rotations that are none, faces behind the camera, 3D points that do not project to the 2D points."""
    if "rotation_head" in arrays:
        R = arrays["rotation_head"].astype(np.float64)
        error = np.abs(R @ R.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2), initial=0.0)
        wrong = ~((error < _ROTATION_TOLERANCE) & (np.linalg.det(R) > 0))
        if wrong.any():
            yield Problem("error", f"rotation_head{_rows(wrong)}", "must be a rotation matrix")
    if "focal_px" in arrays and (wrong := ~(arrays["focal_px"] > 0)).any():
        yield Problem("error", f"focal_px{_rows(wrong)}", "must be positive")
    if "translation_m" in arrays and (behind := ~(arrays["translation_m"][:, 2] > 0)).any():
        yield Problem("warning", f"translation_m{_rows(behind)}", "lies behind the camera (+z points forward)")
    if {"landmarks68_cam_m", "landmarks68_px", "focal_px"} <= set(arrays):
        cam = arrays["landmarks68_cam_m"].astype(np.float64)
        in_front: Bool[np.ndarray, " faces"] = np.all(cam[..., 2] > 0, axis=1)
        depth = np.where(in_front[:, None, None], cam[..., 2:], 1.0)
        center_px = arrays["image_size_hw"][:, None, ::-1] / 2
        projected = arrays["focal_px"][:, None, None] * cam[..., :2] / depth + center_px
        off = in_front & (np.abs(projected - arrays["landmarks68_px"]).max(axis=(1, 2)) > _REPROJECTION_TOLERANCE_PX)
        if off.any():
            message = "does not project to landmarks68_px within 1 px (principal point at the picture's center)"
            yield Problem("warning", f"landmarks68_cam_m{_rows(off)}", message)


def _duplicates(
    image: Shaped[np.ndarray, " faces"], points: Shaped[np.ndarray, "faces 68 2"]
) -> Bool[np.ndarray, " faces"]:
    """Mark faces that repeat an earlier face of the same picture."""
    seen: set[tuple[str, bytes]] = set()
    repeated = np.zeros(len(image), dtype=bool)
    for index, (name, face) in enumerate(zip(image, points, strict=True)):
        key = (str(name), np.ascontiguousarray(face).tobytes())
        repeated[index] = key in seen and bool(np.isfinite(face).all())
        seen.add(key)
    return repeated


def _rows(mask: Bool[np.ndarray, " faces"]) -> str:
    """Name the first rows of a mask, for example `[3, 8, 9 and 4 more]`."""
    rows: Int[np.ndarray, " marked"] = np.flatnonzero(mask)
    shown = ", ".join(map(str, rows[:_NAMED_ROWS]))
    more = f" and {len(rows) - _NAMED_ROWS} more" if len(rows) > _NAMED_ROWS else ""
    return f"[{shown}{more}]"
