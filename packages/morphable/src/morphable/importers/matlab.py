"""MATLAB files, read through SciPy (the extra `convert`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from morphable.extras import import_extra
from morphable.importers.foreign import HDF5_MAGIC, foreign_kind
from morphable.importers.matlab_structure import check_matlab

HEADER_BYTES = 512
"""Bytes at the beginning of a version 7.3 file before the HDF5 content."""
VERSION_73 = b"MATLAB 7.3"


def load_matlab(
    path: Path, names: Sequence[str], *, extra: tuple[str, str] = ("morphable", "convert")
) -> dict[str, np.ndarray]:
    """Read numeric arrays of a `.mat` file (up to version 7).

    Args:
        path: The file.
        names: Variables to read.
        extra: Distribution and extra that bring SciPy, named where it is missing.

    Raises:
        ModuleNotFoundError: If SciPy is not installed.
        ValueError: If the file is none of MATLAB's, damaged, of version 7.3, or lacks one of the variables.
    """
    loadmat: Any = import_extra("scipy.io", *extra).loadmat
    if not path.is_file():
        raise FileNotFoundError(f"folder must hold {path.name}, got {path.parent} without")
    _refuse_others(path)
    try:
        check_matlab(path.read_bytes(), names)
        content = loadmat(path, variable_names=list(names))
    except Exception as error:  # SciPy's reader raises what the damaged bytes happen to cause
        raise ValueError(f"{path} must be a complete MATLAB file of version 7 or older: {error}") from error
    for name in names:
        if name not in content or content[name].dtype.kind not in "fiub":
            raise ValueError(f"{path} must hold a numeric array {name}")
    return {name: content[name] for name in names}


def _refuse_others(path: Path) -> None:
    """Refuse what only has MATLAB's suffix, in words that name the next step."""
    with path.open("rb") as file:
        raw = file.read(HEADER_BYTES + len(HDF5_MAGIC))
    if raw.startswith(VERSION_73) or raw[HEADER_BYTES:].startswith(HDF5_MAGIC):
        raise ValueError(f"{path} must be of MATLAB's version 7 or older, got version 7.3; save it with `save -v7`")
    kind = foreign_kind(raw)
    if kind is not None:
        raise ValueError(f"{path} must be a MATLAB file, got {kind}")
