"""3D morphable face models: decoding, landmarks, regions, UV, files, importers, and the open model."""

from morphable.geometry import SurfacePoints
from morphable.landmarks import IBUG68_FLIP, derive_landmarks
from morphable.library import load
from morphable.linear import SparseRows
from morphable.model import MorphableModel
from morphable.model_data import ModelData

__all__ = [
    "IBUG68_FLIP",
    "ModelData",
    "MorphableModel",
    "SparseRows",
    "SurfacePoints",
    "derive_landmarks",
    "load",
]
__version__ = "0.1.0"
