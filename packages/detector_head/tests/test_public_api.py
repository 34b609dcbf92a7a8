import subprocess
import sys


def test_import_needs_no_extras():
    heavy = ["torchvision", "onnxruntime", "onnx", "onnxscript", "openvino", "nncf"]
    code = f"import sys, morphable_detector_head; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
