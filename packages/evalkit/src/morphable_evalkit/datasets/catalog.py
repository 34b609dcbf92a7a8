"""Data sets by name."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from morphable_evalkit.datasets.aflw import read_aflw, read_aflw_lfpa
from morphable_evalkit.datasets.aflw2000 import Labels, YawFile, read_aflw2000, read_aflw2000_points21
from morphable_evalkit.datasets.folders import read_empty_folder, read_landmark_folder, read_truth_file
from morphable_evalkit.datasets.ground_truth import GroundTruth

DatasetName = Literal[
    "aflw2000", "aflw2000-21", "aflw", "aflw-lfpa", "helen", "afw_single", "afw_multi", "dlib_groups", "ytf",
    "landmarks68", "landmarks68-static", "truth", "truth-contour", "no-faces",
]  # fmt: skip
"""Names that `--dataset` takes."""

_PARTLY_ANNOTATED = {"afw_multi", "dlib_groups"}
"""Sets in which people in the background have no annotation: recall, not precision."""


@dataclass(frozen=True, kw_only=True)
class DatasetConfig:
    """Which ground truth.

    Example:
        >>> config = DatasetConfig(dataset="aflw2000", root=Path("AFLW2000"), labels="reannotated")
        >>> config.yaw
        'default'
    """

    dataset: DatasetName
    """Name of the data set; `landmarks68` is any folder with a landmarks68.json, `truth` a prediction file."""
    root: Path
    """Its folder (for `truth` the file)."""
    arrays: Path | None = None
    """AFLW2000-3D: folder of 3DDFA's arrays where it is not the root."""
    labels: Labels | Literal["both"] = "original"
    """AFLW2000-3D: label set; `both` gives `evalkit nme` a line for each."""
    yaw: YawFile = "default"
    """AFLW2000-3D: yaw file; `new` is AFLW's own."""
    basis: Path | None = None
    """AFLW2000-3D: folder with files of the Basel face model, for dense truth from the pictures' .mat files."""


def open_dataset(config: DatasetConfig) -> GroundTruth:
    """Read the ground truth named.

    Raises:
        FileNotFoundError: A file of the data set is missing.
        ValueError: Its content does not fit.

    Example:
        >>> import json
        >>> import numpy as np
        >>> listing = {"a.jpg": {"landmarks68_px": np.zeros((68, 2)).tolist()}}
        >>> _ = Path("landmarks68.json").write_text(json.dumps(listing))
        >>> open_dataset(DatasetConfig(dataset="landmarks68", root=Path("."))).points_px.shape
        (1, 68, 2)
    """
    if config.labels == "both":
        raise ValueError("labels must be original or reannotated here, got both")
    if config.basis is not None and config.dataset != "aflw2000":
        raise ValueError(f"basis must be given for aflw2000 alone, got it for {config.dataset}")
    labels = config.labels
    if not config.root.exists():
        raise FileNotFoundError(f"root must exist, got {config.root}")
    name, root, arrays = config.dataset, config.root, config.arrays
    readers: dict[str, Callable[[], GroundTruth]] = {
        "aflw2000": lambda: read_aflw2000(
            root, arrays=config.arrays, labels=labels, yaw=config.yaw, basis=config.basis
        ),
        "aflw2000-21": lambda: read_aflw2000_points21(root, arrays=arrays, yaw=config.yaw),
        "aflw": lambda: read_aflw(root),
        "aflw-lfpa": lambda: read_aflw_lfpa(root),
        "landmarks68": lambda: read_landmark_folder(root),
        "landmarks68-static": lambda: read_landmark_folder(root, jaw="static"),
        "truth": lambda: read_truth_file(root),
        "truth-contour": lambda: read_truth_file(root, jaw="contour"),
        "no-faces": lambda: read_empty_folder(root),
    }
    if name in readers:
        return readers[name]()
    return read_landmark_folder(root, name=name, every_face_annotated=name not in _PARTLY_ANNOTATED)


def open_label_sets(config: DatasetConfig) -> dict[str, GroundTruth]:
    """Read the ground truth by label set: one entry without name, or both sets of AFLW2000-3D under theirs.

    Raises:
        ValueError: Both sets are asked for of another data set.
    """
    if config.labels != "both":
        return {"": open_dataset(config)}
    if config.dataset != "aflw2000":
        raise ValueError(f"labels must be original for {config.dataset}, got both; only aflw2000 has two sets")
    return {f"{labels} labels": open_dataset(replace(config, labels=labels)) for labels in get_args(Labels)}


def dataset_names() -> tuple[str, ...]:
    """Return the names that `--dataset` takes."""
    return get_args(DatasetName)
