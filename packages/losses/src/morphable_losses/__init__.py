"""Training losses of WM3DR, Mobile-FRNet, PRNet and DF-MVR as functions of tensors."""

from .centers import center_focal_loss
from .coefficients import albedo_variance, coefficient_norm, light_prior
from .landmarks import landmark_loss, landmark_weights
from .pixels import photometric_mask, pixel_loss
from .wm3dr import TotalLoss, Wm3drTerms, Wm3drWeights, wm3dr_loss

__version__ = "0.1.0"

__all__ = [
    "TotalLoss",
    "Wm3drTerms",
    "Wm3drWeights",
    "albedo_variance",
    "center_focal_loss",
    "coefficient_norm",
    "landmark_loss",
    "landmark_weights",
    "light_prior",
    "photometric_mask",
    "pixel_loss",
    "wm3dr_loss",
]
