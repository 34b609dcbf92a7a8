"""The prediction file: what a system found in each picture (docs/prediction_file.md)."""

import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, Shaped

from morphable_evalkit.files import atomic_path, read_npz, refusing
from morphable_evalkit.predictions.checks import check_arrays, check_predictions
from morphable_evalkit.predictions.format import ARRAYS, FORMAT_VERSION, STREAMED
from morphable_evalkit.predictions.rows import Rows, open_rows

_SHOWN_PROBLEMS = 5


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Faces found in a set of pictures; pixels have their origin at the corner of the first pixel.

    Example:
        >>> import numpy as np
        >>> points = np.random.default_rng(0).uniform(100, 200, (1, 68, 2))
        >>> found = Predictions.from_points({"a.jpg": points, "b.jpg": points[:0]}, size_hw=(480, 640))
        >>> found.faces_by_image()
        {'a.jpg': [0], 'b.jpg': []}
    """

    processed_image: tuple[str, ...]
    """Every picture the system was run on, also those without a face; relative to the data set's folder."""
    processed_size_hw: Int[np.ndarray, "images 2"]
    image: tuple[str, ...]
    """Picture of each face."""
    image_size_hw: Int[np.ndarray, "faces 2"]
    score: Float[np.ndarray, " faces"]
    box_xyxy_px: Float[np.ndarray, "faces 4"]
    landmarks68_px: Float[np.ndarray, "faces 68 2"] | None = None
    """Static points on the surface (AFLW2000-3D's convention)."""
    landmarks68_contour_px: Float[np.ndarray, "faces 68 2"] | None = None
    """The same with the jaw on the visible silhouette (300-W's convention)."""
    landmarks68_std_px: Float[np.ndarray, "faces 68"] | None = None
    """Expected standard deviation of each coordinate of the points."""
    landmarks68_cam_m: Float[np.ndarray, "faces 68 3"] | None = None
    landmarks68_depth_px: Float[np.ndarray, "faces 68"] | None = None
    """Depth away from the camera in pixels, with an arbitrary origin: of systems with a scaled-orthographic camera."""
    rotation_head: Float[np.ndarray, "faces 3 3"] | None = None
    translation_m: Float[np.ndarray, "faces 3"] | None = None
    focal_px: Float[np.ndarray, " faces"] | None = None
    vertices_px: Rows | None = None
    """Rows of x, y and (for 3D measures) depth away from the camera in pixels, with an arbitrary origin."""
    vertices_model_m: Rows | None = None
    model_name: str = ""
    system: str = ""
    """Name of the system that made the file, for tables."""

    @classmethod
    def from_points(
        cls, faces: Mapping[str, Float[np.ndarray, "_ 68 2"]], size_hw: tuple[int, int] | Mapping[str, tuple[int, int]]
    ) -> "Predictions":
        """Put the static points of some pictures into the form of the file.

        Args:
            faces: Points of each picture's faces, by the picture's name; no row where nothing was found.
            size_hw: Height and width of all pictures, or of each.

        Returns:
            Predictions of score 1 with the points' own boxes; `dataclasses.replace` adds what else is known.
        """
        sizes = {name: size_hw[name] if isinstance(size_hw, Mapping) else size_hw for name in faces}
        image = tuple(name for name, points in faces.items() for _ in points)
        points = np.concatenate([np.empty((0, 68, 2)), *faces.values()])
        return cls(
            processed_image=tuple(faces),
            processed_size_hw=np.array(list(sizes.values()), dtype=np.int64).reshape(-1, 2),
            image=image,
            image_size_hw=np.array([sizes[name] for name in image], dtype=np.int64).reshape(-1, 2),
            score=np.ones(len(image)),
            box_xyxy_px=np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1),
            landmarks68_px=points,
        )

    def sizes_by_image(self) -> dict[str, tuple[int, int]]:
        """Height and width of every processed picture, by name."""
        return {
            name: (int(h), int(w)) for name, (h, w) in zip(self.processed_image, self.processed_size_hw, strict=True)
        }

    def faces_by_image(self) -> dict[str, list[int]]:
        """Indices of the faces of every processed picture, empty where none was found."""
        faces: dict[str, list[int]] = {name: [] for name in self.processed_image}
        for index, name in enumerate(self.image):
            faces[name].append(index)
        return faces

    def depths_px(self) -> Float[np.ndarray, "faces 68"] | None:
        """Depth of the static points away from the camera in pixels, zero at their mean; None if unknown.

        Camera-frame points become pixels by the scale of their mean depth (weak perspective).
        """
        if self.landmarks68_depth_px is not None:
            depth = self.landmarks68_depth_px.astype(np.float64)
            return depth - depth.mean(axis=1, keepdims=True)
        if self.landmarks68_cam_m is None or self.focal_px is None:
            return None
        depth_m = self.landmarks68_cam_m[..., 2].astype(np.float64)
        mean_m = depth_m.mean(axis=1, keepdims=True)
        return (depth_m - mean_m) / mean_m * self.focal_px[:, None]


def read_predictions(path: Path) -> Predictions:
    """Read a prediction file.

    Args:
        path: The .npz file. Vertices are left in it and read row by row when asked for.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file breaks the format; the message lists the first problems.

    Example:
        >>> import numpy as np
        >>> points = np.random.default_rng(0).uniform(100, 200, (1, 68, 2))
        >>> write_predictions(Path("found.npz"), Predictions.from_points({"a.jpg": points}, size_hw=(480, 640)))
        >>> read_predictions(Path("found.npz")).processed_image
        ('a.jpg',)
    """
    errors = [problem for problem in check_predictions(path) if problem.severity == "error"]
    if errors:
        shown = "; ".join(f"{problem.where}: {problem.message}" for problem in errors[:_SHOWN_PROBLEMS])
        count = f"{len(errors)} problem{'s' if len(errors) > 1 else ''}"
        raise ValueError(f"{path} must follow the prediction format, got {count}: {shown}; run `evalkit check {path}`")
    arrays = {name: array for name, array in read_npz(path, skip=STREAMED).items() if name in ARRAYS}
    values: dict[str, object] = {name: _as_field(name, array) for name, array in arrays.items()}
    del values["format_version"]
    with zipfile.ZipFile(path) as archive:
        streamed = [name for name in STREAMED if f"{name}.npy" in archive.namelist()]
    values |= {name: open_rows(path, name) for name in streamed}
    return Predictions(**values)  # type: ignore[arg-type]


def read_systems(paths: Sequence[Path]) -> dict[str, Predictions]:
    """Read prediction files by the name of their system, or of the file where that is absent or not unique.

    Args:
        paths: Prediction files, or folders that hold one, such as an output folder of `reconstruct`.

    Raises:
        FileNotFoundError: A file is missing, or a folder holds none.
        ValueError: No file, one file twice, or a folder with several.
    """
    if not paths:
        raise ValueError("preds must name at least one prediction file, got none")
    if len(set(paths)) < len(paths):
        raise ValueError(f"preds must name each file once, got {', '.join(map(str, paths))}")
    paths = [_in_folder(path) if path.is_dir() else path for path in paths]
    files = [read_predictions(path) for path in paths]
    names = [file.system or path.stem for path, file in zip(paths, files, strict=True)]
    taken = Counter(names)
    unique = [
        name if taken[name] == 1 else f"{name} ({path.with_suffix('')})"
        for path, name in zip(paths, names, strict=True)
    ]
    return dict(zip(unique, files, strict=True))


def _in_folder(folder: Path) -> Path:
    """Find the one prediction file among the results of a folder."""
    found = [path for path in sorted(folder.glob("*.npz")) if _is_prediction_file(path)]
    if not found:
        raise FileNotFoundError(f"preds must be a prediction file or a folder that holds one, got none in {folder}")
    if len(found) > 1:
        raise ValueError(f"preds must name one of {', '.join(path.name for path in found)}, got their folder {folder}")
    return found[0]


def _is_prediction_file(path: Path) -> bool:
    """Tell a prediction file from a mesh or a scene; a damaged one is left to the reader."""
    if not zipfile.is_zipfile(path):
        return False
    with refusing(path, "an .npz file"), zipfile.ZipFile(path) as archive:
        return "processed_image.npy" in archive.namelist()


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write a prediction file whole or not at all, uncompressed so that vertices can be streamed.

    Raises:
        ValueError: The values break the format; nothing is written.

    Example:
        >>> import numpy as np
        >>> points = np.random.default_rng(0).uniform(100, 200, (1, 68, 2))
        >>> write_predictions(Path("found.npz"), Predictions.from_points({"a.jpg": points}, size_hw=(480, 640)))
        >>> Path("found.npz").stat().st_size > 1000
        True
    """
    arrays = _stored_arrays(predictions)
    small = {name: value for name, value in arrays.items() if isinstance(value, np.ndarray) and name not in STREAMED}
    shapes = {name: (arrays[name].shape, np.dtype(np.float32)) for name in STREAMED if name in arrays}
    errors = [problem for problem in check_arrays(small, shapes) if problem.severity == "error"]
    if errors:
        raise ValueError(f"predictions must follow the prediction format, got {errors[0].where}: {errors[0].message}")
    save_npz(path, arrays)


def save_npz(path: Path, arrays: Mapping[str, Rows]) -> None:
    """Write arrays to an uncompressed .npz file, whole or not at all; rows are copied one at a time."""
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True) as archive,
    ):
        for name, value in arrays.items():
            _write_member(archive, name, value)


def _write_member(archive: zipfile.ZipFile, name: str, value: Rows) -> None:
    """Write one array; one that is not in memory goes row by row."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        if isinstance(value, np.ndarray):
            np.lib.format.write_array(file, value, allow_pickle=False)
            return
        dtype = np.dtype(np.float32)
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": value.shape}
        np.lib.format.write_array_header_1_0(file, header)
        for index in range(value.shape[0]):
            file.write(np.ascontiguousarray(value[index], dtype).tobytes())


def _as_field(name: str, array: Shaped[np.ndarray, "..."]) -> object:
    """Turn a stored array into the field's type."""
    if ARRAYS[name].kind == "U":
        return str(array) if array.ndim == 0 else tuple(map(str, array))
    return array


def _stored_arrays(predictions: Predictions) -> dict[str, Rows]:
    """Turn the fields that are set into what is stored; rows stay rows."""
    arrays: dict[str, Rows] = {"format_version": np.array(FORMAT_VERSION)}
    for field in fields(predictions):
        value = getattr(predictions, field.name)
        if isinstance(value, tuple):
            arrays[field.name] = np.array(value, dtype=str) if value else np.empty(0, dtype="<U1")
        elif isinstance(value, str) and value:
            arrays[field.name] = np.array(value)
        elif value is not None and not isinstance(value, str):
            arrays[field.name] = value
    return arrays
