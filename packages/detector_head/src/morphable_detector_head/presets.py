"""Named network shapes."""

from dataclasses import replace

from .detector import DetectorConfig
from .layout import ParameterLayout

MOBILE = DetectorConfig(refinement_width=256, fine_refinement_width=192, color_width=128)
"""MobileNetV2 with TensorFlow's padding, 96 channels, found faces refined twice, with a color head: for CPU users."""

MOBILE_V3 = DetectorConfig(backbone="mobilenet_v3_large", width=64, center_width=32, parameter_width=512)
"""MobileNetV3-Large, 64 channels: less arithmetic than `MOBILE`, torchvision's weights."""

RESNET50_128 = replace(MOBILE, backbone="resnet50", width=128, center_width=64)
"""ResNet-50 with a 128-channel aggregation, refined as `MOBILE`: the practical large network."""

RESNET50 = DetectorConfig(backbone="resnet50", width=256, center_width=256, parameter_width=256)
"""The paper's layer shapes."""

WM3DR_OFFICIAL = DetectorConfig(
    backbone="resnet50",
    width=256,
    center_width=256,
    parameter_width=256,
    peak_window=5,
    bgr_input=True,
    model_name="bfm09",
    layout=ParameterLayout(rotation="euler_xyz", rotation_frame="camera", depth="offset", offset_unit_px=1.0),
)
"""The paper's layer shapes and the readings of the official checkpoint."""

PRESETS = {
    "mobile": MOBILE,
    "mobile_v3": MOBILE_V3,
    "resnet50_128": RESNET50_128,
    "resnet50": RESNET50,
    "wm3dr_official": WM3DR_OFFICIAL,
}
"""The presets by name."""
