"""Per-face networks beside the single-shot one: Mobile-FRNet, PRNet, DF-MVR and face parsing."""

from morphable_regressors.counting import count_operations
from morphable_regressors.crops import CropRule, crop_matrices, cut_crops
from morphable_regressors.parsing import FaceParser
from morphable_regressors.systems import SystemSpec, build_system, load_system

__version__ = "0.1.0"

__all__ = [
    "CropRule",
    "FaceParser",
    "SystemSpec",
    "build_system",
    "count_operations",
    "crop_matrices",
    "cut_crops",
    "load_system",
]
