"""Training losses of WM3DR, Mobile-FRNet, PRNet and DF-MVR as functions of tensors."""

from .centers import center_focal_loss
from .coefficients import albedo_variance, coefficient_norm, light_prior
from .dfmvr import DfmvrWeights, landmark_3d_loss, parsing_loss, photo_weights, weighted_photo_loss
from .face_errors import (
    ExactErrors,
    LandmarkErrors,
    PriorErrors,
    exact_errors,
    landmark_errors,
    opening_errors,
    point_color_errors,
    point_distance,
    prior_errors,
)
from .landmarks import landmark_loss, landmark_weights
from .perception import Embedder, FacenetEmbedder, facenet_embedder, perception_loss
from .pixels import photometric_mask, pixel_loss
from .position_map import position_map_loss, position_map_weights
from .wing import wing_loss
from .wm3dr import TotalLoss, Wm3drTerms, Wm3drWeights, wm3dr_loss
from .wpdc import vertex_displacement, wpdc_loss

__version__ = "0.1.0"

__all__ = [
    "DfmvrWeights",
    "Embedder",
    "ExactErrors",
    "FacenetEmbedder",
    "LandmarkErrors",
    "PriorErrors",
    "TotalLoss",
    "Wm3drTerms",
    "Wm3drWeights",
    "albedo_variance",
    "center_focal_loss",
    "coefficient_norm",
    "exact_errors",
    "facenet_embedder",
    "landmark_3d_loss",
    "landmark_errors",
    "landmark_loss",
    "landmark_weights",
    "light_prior",
    "opening_errors",
    "parsing_loss",
    "perception_loss",
    "photo_weights",
    "photometric_mask",
    "pixel_loss",
    "point_color_errors",
    "point_distance",
    "position_map_loss",
    "position_map_weights",
    "prior_errors",
    "vertex_displacement",
    "weighted_photo_loss",
    "wing_loss",
    "wm3dr_loss",
    "wpdc_loss",
]
