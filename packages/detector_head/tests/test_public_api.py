import subprocess
import sys

import morphable_detector_head

PUBLIC = """
MOBILE MOBILE_V3 PRESETS RESNET50 RESNET50_128 STRIDE_PX WM3DR_OFFICIAL BackboneName BackboneSpec CellPredictions
CenterTargets Centers Detections DetectorConfig FaceDetector ParameterLayout build_backbone build_detector
cell_centers cells_from_parameters check_image decode_centers describe_backbone encode_centers gather_patches
gaussian_radius load_detector load_official local_maxima parameters_from_cells save_detector
"""


def test_public_names():
    assert morphable_detector_head.__all__ == PUBLIC.split()
    assert all(hasattr(morphable_detector_head, name) for name in morphable_detector_head.__all__)


def test_import_needs_no_extras():
    heavy = ["torchvision", "onnxruntime", "onnx", "onnxscript", "openvino", "nncf"]
    code = f"import sys, morphable_detector_head; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
