"""3D morphable face models: decoding, landmarks, regions, UV, files, importers, and the open model."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from morphable.faces import FaceParameters
    from morphable.fitting import Fit, fit_landmarks, fit_surface
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

__version__ = "0.1.0"

_MODULES = {
    "faces": ("FaceParameters",),
    "fitting": ("Fit", "fit_landmarks", "fit_surface"),
    "geometry": ("SparseRows", "SurfacePoints"),
    "landmarks": ("IBUG68_FLIP", "derive_landmarks"),
    "library": ("load_model",),
    "model": ("MorphableModel",),
    "model_data": ("ModelData",),
    "point_model": ("PointModel",),
    "weights": (
        "InferenceDefaults",
        "ModelReference",
        "WeightsInfo",
        "check_model",
        "model_sha256",
        "read_weights",
        "read_weights_info",
        "reference_to",
        "write_weights",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "IBUG68_FLIP",
    "FaceParameters",
    "Fit",
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
    "fit_landmarks",
    "fit_surface",
    "load_model",
    "model_sha256",
    "read_weights",
    "read_weights_info",
    "reference_to",
    "write_weights",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the commands' `--help` must not wait for PyTorch."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
