"""Training losses of WM3DR, Mobile-FRNet, PRNet and DF-MVR as functions of tensors."""

from morphable_losses.centers import center_focal_loss
from morphable_losses.coefficients import coefficient_norm
from morphable_losses.dfmvr import landmark_3d_loss, parsing_loss, weighted_photo_loss
from morphable_losses.landmarks import landmark_loss
from morphable_losses.perception import perception_loss
from morphable_losses.pixels import pixel_loss
from morphable_losses.position_map import position_map_loss
from morphable_losses.wing import wing_loss
from morphable_losses.wm3dr import wm3dr_loss
from morphable_losses.wpdc import wpdc_loss

__version__ = "0.1.0"

__all__ = [
    "center_focal_loss",
    "coefficient_norm",
    "landmark_3d_loss",
    "landmark_loss",
    "parsing_loss",
    "perception_loss",
    "pixel_loss",
    "position_map_loss",
    "weighted_photo_loss",
    "wing_loss",
    "wm3dr_loss",
    "wpdc_loss",
]
