"""MATLAB files, read through SciPy (the extra `convert`)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def load_matlab(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Read numeric arrays of a `.mat` file (up to version 7).

    Args:
        path: The file.
        names: Variables to read.

    Raises:
        ModuleNotFoundError: If SciPy is not installed.
        ValueError: If the file is damaged or lacks one of the variables.
    """
    try:
        from scipy.io import loadmat
    except ModuleNotFoundError as error:
        if error.name != "scipy":
            raise
        message = "scipy is not installed; run `pip install 'morphable[convert]'`"
        raise ModuleNotFoundError(message, name="scipy") from error
    if not path.is_file():
        raise FileNotFoundError(f"folder must hold {path.name}, got {path.parent} without")
    try:
        content = loadmat(path, variable_names=list(names))
    except Exception as error:  # SciPy's reader raises what the damaged bytes happen to cause
        raise ValueError(f"{path} must be a complete MATLAB file of version 7 or older: {error}") from error
    for name in names:
        if name not in content or content[name].dtype.kind not in "fiub":
            raise ValueError(f"{path} must hold a numeric array {name}")
    return {name: content[name] for name in names}
