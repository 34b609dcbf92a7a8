"""3D morphable face models: decode shape and albedo, landmarks, regions, UV, file formats, and the open model."""

from morphable.geometry import SparseRows, SurfacePoints
from morphable.landmarks import IBUG68_FLIP, derive_landmarks
from morphable.library import load
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
