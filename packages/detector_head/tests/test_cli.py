import json
from pathlib import Path

import pytest
import torch

import morphable
from morphable_detector_head import DetectorConfig, build_detector, save_detector
from morphable_detector_head.cli import main
from morphable_detector_head.layout import ParameterLayout

CONFIG = DetectorConfig(
    backbone="mobilenet_v3_small",
    width=4,
    center_width=4,
    parameter_width=4,
    layout=ParameterLayout(num_identity=1, num_expression=1, num_albedo=1),
)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path, model = tmp_path / "w.safetensors", morphable.load_model("open")
    save_detector(build_detector(CONFIG), path, model, name="tiny", license="CC0", training_data="none")
    return path


def test_info(weights: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["info", str(weights)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["license"] == "CC0"
    assert printed["architecture"]["backbone"] == "mobilenet_v3_small"


@pytest.mark.slow
def test_export_then_quantize(weights: Path, tmp_path: Path):
    from PIL import Image

    from morphable_detector_head.engines import OnnxDetector

    onnx, int8 = tmp_path / "d.onnx", tmp_path / "d.int8.onnx"
    assert main(["export", str(weights), "-o", str(onnx)]) == 0
    (tmp_path / "photographs").mkdir()
    Image.effect_noise((90, 60), 60).convert("RGB").save(tmp_path / "photographs/a.png")
    arguments = ["quantize", str(onnx), str(tmp_path / "photographs"), "-o", str(int8), "--size-px", "64"]
    assert main(arguments) == 0
    assert OnnxDetector(int8).detect(torch.zeros(1, 3, 64, 64)).score.shape[0] == 1


def test_refusals(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["info", str(tmp_path / "nothing.safetensors")]) == 1
    assert "weights must be an existing file" in capsys.readouterr().err
    assert main(["export", str(weights), "-o", str(tmp_path / "x.tflite")]) == 1
    assert "must end in .onnx or .xml" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["export"])
