"""The network learns eight rendered scenes by heart; its int8 forms still find them.

Needs the sibling packages render and losses, and the extras `onnx` and `openvino`.
"""

import importlib.util
import sys
from pathlib import Path

import pytest

pytest.importorskip("morphable_render", reason="renders its scenes with morphable-render")
pytest.importorskip("morphable_losses", reason="trains with morphable-losses")

STEPS = 300


@pytest.fixture(scope="module")
def overfit():
    path = Path(__file__).parent / "overfit.py"
    spec = importlib.util.spec_from_file_location("overfit", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["overfit"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def trained(overfit):
    import morphable

    model = morphable.load_model("open")
    scenes = overfit.make_scenes(model, overfit.CONFIG)
    return overfit.overfit(overfit.CONFIG, scenes, model, steps=STEPS), scenes, model


@pytest.mark.slow
def test_finds_every_face(overfit, trained):
    result = overfit.score(*trained)
    assert result.recall == 1.0
    assert result.false_positives == 0
    assert result.landmark_error_px < 1.5


@pytest.mark.slow
def test_int8_still_finds_them(overfit, trained, tmp_path: Path):
    from morphable_detector_head.engines import OnnxDetector, OpenvinoDetector
    from morphable_detector_head.export import export_onnx
    from morphable_detector_head.quantize import quantize_onnx, quantize_openvino

    detector, scenes, model = trained
    export_onnx(detector, tmp_path / "float.onnx")
    pictures = [picture[None].numpy() for picture in scenes.image]
    quantize_onnx(tmp_path / "float.onnx", tmp_path / "int8.onnx", pictures)
    quantize_openvino(tmp_path / "float.onnx", tmp_path / "int8.xml", pictures)
    for engine in (OnnxDetector(tmp_path / "int8.onnx"), OpenvinoDetector(tmp_path / "int8.xml")):
        result = overfit.score(engine, scenes, model)
        assert result.recall == 1.0
        assert result.landmark_error_px < 3.0
