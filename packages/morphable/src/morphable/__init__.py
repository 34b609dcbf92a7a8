"""3D morphable face models: decoding, landmarks, regions, UV, files, importers, and the open model."""

from morphable.faces import FaceParameters
from morphable.geometry import SparseRows, SurfacePoints
from morphable.landmarks import IBUG68_FLIP, derive_landmarks
from morphable.library import load_model
from morphable.model import MorphableModel
from morphable.model_data import ModelData
from morphable.point_model import PointModel
from morphable.weights import (
    InferenceDefaults,
    ModelReference,
    WeightsInfo,
    check_model,
    model_sha256,
    read_weights,
    read_weights_info,
    reference_to,
    write_weights,
)

__all__ = [
    "IBUG68_FLIP",
    "FaceParameters",
    "InferenceDefaults",
    "ModelData",
    "ModelReference",
    "MorphableModel",
    "PointModel",
    "SparseRows",
    "SurfacePoints",
    "WeightsInfo",
    "check_model",
    "derive_landmarks",
    "load_model",
    "model_sha256",
    "read_weights",
    "read_weights_info",
    "reference_to",
    "write_weights",
]
__version__ = "0.1.0"
