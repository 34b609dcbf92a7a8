"""300W-LP and AFLW2000-3D: pictures with a `.mat` file of 3D-consistent landmarks beside each."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from morphable_train.data.labels import NUM_LANDMARKS
from morphable_train.extras import import_extra
from morphable_train.readers.item import SourceItem, layout_error, pictures_in, record_key
from morphable_train.readers.points import MATLAB_TO_CORNER_PX

_KEYS = ("pt3d_68", "pt2d")


def read_mat_landmarks(path: Path) -> Float[np.ndarray, "68 2"]:
    """Read the 68 points of a `.mat` file: `pt3d_68` (AFLW2000-3D, 300W-LP), else `pt2d` of 68 columns.

    Both count pixels from one.

    Raises:
        ValueError: It is damaged or has neither array.
    """
    loadmat = import_extra("scipy.io", "mat").loadmat
    try:
        content = loadmat(str(path), variable_names=list(_KEYS))
    except Exception as error:  # scipy reports damage by many types
        raise ValueError(f"landmark file is damaged: {error}") from error
    for key in _KEYS:
        if key in content and content[key].shape[1] == NUM_LANDMARKS:
            return (np.asarray(content[key][:2].T, np.float64) + MATLAB_TO_CORNER_PX).astype(np.float32)
    raise ValueError(f"landmark file must hold {' or '.join(_KEYS)} with {NUM_LANDMARKS} columns, got neither")


def read_mat_folder(folder: Path) -> Iterator[SourceItem]:
    """Yield pictures with the points of the `.mat` of the same name: static 3D points, hidden jaw included.

    Raises:
        FileNotFoundError: No picture has such a file.
    """
    pictures = pictures_in(folder) if folder.is_dir() else []
    if not any(path.with_suffix(".mat").is_file() for path in pictures):
        raise layout_error(folder, "300W-LP or AFLW2000-3D", "a NAME.mat beside each NAME.jpg")
    for path in pictures:
        name = record_key(path.relative_to(folder))
        try:
            landmarks = read_mat_landmarks(path.with_suffix(".mat"))
        except (ValueError, FileNotFoundError) as error:
            problem = "missing landmark file: no .mat beside it"
            yield SourceItem(name, path, problem=str(error) if path.with_suffix(".mat").is_file() else problem)
            continue
        yield SourceItem(name, path, landmarks[None], contour=False)
