"""Per-face networks beside the single-shot one: Mobile-FRNet, PRNet, DF-MVR and face parsing."""

from morphable_regressors.attention import AttentionGate, SpatialGroupEnhance, SqueezeExcitation
from morphable_regressors.counting import Counts, count_operations
from morphable_regressors.dfmvr import DFMVR, DFMVRConfig, MultiViewParameters, repeat_views
from morphable_regressors.involution import Involution2d
from morphable_regressors.mobile_frnet import MobileFRNet, MobileFRNetConfig
from morphable_regressors.mulen_unet import MulEnUNet
from morphable_regressors.parsing import PARSING_CLASSES, FaceParser
from morphable_regressors.prnet import PRNet
from morphable_regressors.rednet import RedNet50

__all__ = [
    "DFMVR",
    "PARSING_CLASSES",
    "AttentionGate",
    "Counts",
    "DFMVRConfig",
    "FaceParser",
    "Involution2d",
    "MobileFRNet",
    "MobileFRNetConfig",
    "MulEnUNet",
    "MultiViewParameters",
    "PRNet",
    "RedNet50",
    "SpatialGroupEnhance",
    "SqueezeExcitation",
    "count_operations",
    "repeat_views",
]
__version__ = "0.1.0"
