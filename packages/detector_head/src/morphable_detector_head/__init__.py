"""WM3DR's network: from a picture to face centres and morphable-model parameters in one forward pass."""

from .backbones import BackboneName, BackboneSpec, build_backbone, describe_backbone
from .cells import cells_from_parameters, parameters_from_cells
from .decode import STRIDE_PX, Centers, cell_centers, decode_centers, local_maxima
from .detector import CellPredictions, Detections, DetectorConfig, FaceDetector, build_detector, check_image
from .heads import gather_patches
from .layout import ParameterLayout
from .official import load_official
from .presets import MOBILE, MOBILE_V3, PRESETS, RESNET50, RESNET50_128, WM3DR_OFFICIAL
from .targets import CenterTargets, encode_centers, gaussian_radius
from .weights import load_detector, save_detector

__version__ = "0.1.0"

__all__ = [
    "MOBILE",
    "MOBILE_V3",
    "PRESETS",
    "RESNET50",
    "RESNET50_128",
    "STRIDE_PX",
    "WM3DR_OFFICIAL",
    "BackboneName",
    "BackboneSpec",
    "CellPredictions",
    "CenterTargets",
    "Centers",
    "Detections",
    "DetectorConfig",
    "FaceDetector",
    "ParameterLayout",
    "build_backbone",
    "build_detector",
    "cell_centers",
    "cells_from_parameters",
    "check_image",
    "decode_centers",
    "describe_backbone",
    "encode_centers",
    "gather_patches",
    "gaussian_radius",
    "load_detector",
    "load_official",
    "local_maxima",
    "parameters_from_cells",
    "save_detector",
]
