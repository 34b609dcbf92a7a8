"""Albedo carried over from a model file: `packages/synth/tools/build_albedo.py` makes it from synthetic people."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from morphable.model_file import read_model_file

NUM_MODES = 80
GRAY = 0.6
NOT_BUILT = "albedo: none yet"
_WORD = "albedo: "


@dataclass(frozen=True)
class Albedo:
    """Per base vertex, sRGB-encoded."""

    mean: NDArray[np.float64]
    basis: NDArray[np.float64]
    """Per standard deviation."""
    flip: NDArray[np.float64]
    source: str


def carried_albedo(path: Path, num_vertices: int) -> Albedo:
    """Return the albedo of a model file; even gray where there is none, or none for so many base vertices."""
    data = read_model_file(path) if path.is_file() else None
    if data is None or len(data.mean_albedo) != num_vertices or data.albedo_flip is None:
        gray = np.full((num_vertices, 3), GRAY)
        return Albedo(gray, np.zeros((NUM_MODES, num_vertices, 3)), np.ones(NUM_MODES), NOT_BUILT)
    _, word, told = data.source.partition(_WORD)
    arrays = (data.mean_albedo, data.albedo_basis, data.albedo_flip)
    mean, basis, flip = (array.double().numpy() for array in arrays)
    return Albedo(mean, basis, flip, word + told if word else NOT_BUILT)
