"""Per-face networks beside the single-shot one: Mobile-FRNet, PRNet, DF-MVR and face parsing."""

from morphable_regressors.attention import AttentionGate, SpatialGroupEnhance, SqueezeExcitation
from morphable_regressors.backbones import BACKBONES, build_backbone
from morphable_regressors.counting import Counts, count_operations
from morphable_regressors.crops import CropRule, boxes_of_landmarks, crop_matrices, cut_crops
from morphable_regressors.dfmvr import DFMVR, DFMVRConfig, MultiViewParameters, repeat_views
from morphable_regressors.face_codec import FaceCodec, OrthographicFaces
from morphable_regressors.involution import Involution2d
from morphable_regressors.mobile_frnet import MobileFRNet, MobileFRNetConfig
from morphable_regressors.mulen_unet import MulEnUNet
from morphable_regressors.parsing import PARSER_BACKBONES, PARSING_CLASSES, FaceParser, parsing_channel
from morphable_regressors.poses import similarity_pose, view_poses
from morphable_regressors.position_map import map_of_points, points_of_map
from morphable_regressors.prnet import PRNet
from morphable_regressors.rednet import RedNet50
from morphable_regressors.systems import (
    NETWORKS,
    MultiViewConfig,
    MultiViewRegressor,
    ParameterConfig,
    ParameterRegressor,
    ParserConfig,
    PositionMapConfig,
    PositionMapRegressor,
    SystemSpec,
    build_system,
    load_system,
)

__all__ = [
    "BACKBONES",
    "DFMVR",
    "NETWORKS",
    "PARSER_BACKBONES",
    "PARSING_CLASSES",
    "AttentionGate",
    "Counts",
    "CropRule",
    "DFMVRConfig",
    "FaceCodec",
    "FaceParser",
    "Involution2d",
    "MobileFRNet",
    "MobileFRNetConfig",
    "MulEnUNet",
    "MultiViewConfig",
    "MultiViewParameters",
    "MultiViewRegressor",
    "OrthographicFaces",
    "PRNet",
    "ParameterConfig",
    "ParameterRegressor",
    "ParserConfig",
    "PositionMapConfig",
    "PositionMapRegressor",
    "RedNet50",
    "SpatialGroupEnhance",
    "SqueezeExcitation",
    "SystemSpec",
    "boxes_of_landmarks",
    "build_backbone",
    "build_system",
    "count_operations",
    "crop_matrices",
    "cut_crops",
    "load_system",
    "map_of_points",
    "parsing_channel",
    "points_of_map",
    "repeat_views",
    "similarity_pose",
    "view_poses",
]
__version__ = "0.1.0"
