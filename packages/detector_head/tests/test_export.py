from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from morphable_detector_head import Detections, DetectorConfig, FaceDetector, build_detector
from morphable_detector_head.engines import (
    Detector,
    OnnxDetector,
    OpenvinoDetector,
    TorchDetector,
    detections_from_outputs,
)
from morphable_detector_head.export import export_onnx, export_openvino, export_program
from morphable_detector_head.layout import ParameterLayout
from morphable_detector_head.quantize import calibration_images, quantize_onnx, quantize_openvino

CONFIG = DetectorConfig(
    backbone="mobilenet_v3_small",
    width=16,
    center_width=16,
    parameter_width=32,
    refinement_width=24,
    fine_refinement_width=16,
    color_width=16,
    layout=ParameterLayout(num_identity=5, num_expression=4, num_albedo=3),
)
TOP_K = 6
SIZES = [(1, 96, 64), (3, 64, 160)]


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = measure_statistics(build_detector(CONFIG))
        torch.nn.init.normal_(network.center_head.output.weight)
        torch.nn.init.zeros_(network.center_head.output.bias)
        torch.nn.init.normal_(network.parameter_head.output.weight, std=0.02)
        torch.nn.init.normal_(network.refinement.output.weight, std=0.02)
        torch.nn.init.normal_(network.fine_refinement.output.weight, std=0.02)
        torch.nn.init.normal_(network.color_head.output.weight, std=0.02)
    return network.eval()


@pytest.fixture(scope="module")
def onnx_path(detector: FaceDetector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "detector.onnx"
    export_onnx(detector, path)
    return path


def measure_statistics(network: FaceDetector) -> FaceDetector:
    """Without statistics of its inputs a random network's features vanish, and with them what int8 can express."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # cumulative average
    with torch.no_grad():
        for seed in range(4):
            network.features(pictures(4, 96, 64, seed=seed))
    return network


def pictures(batch: int, height: int, width: int, seed: int = 2) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def landmarks_px(found: Detections, height: int, width: int) -> torch.Tensor:
    """68 points of a random linear face model, 0.1 m large, through the shared camera."""
    generator = torch.Generator().manual_seed(5)
    mean = 0.1 * (torch.rand(68, 3, generator=generator) - 0.5)
    basis = 0.005 * torch.randn(9, 68, 3, generator=generator)
    face = found.parameters
    coefficients = torch.cat([face.identity, face.expression], -1)
    shape = mean + torch.einsum("btk,kvc->btvc", coefficients, basis)
    cam = shape @ face.rotation_head.mT * torch.tensor([1.0, -1.0, -1.0]) + face.translation_m[:, :, None]
    return 1015.0 * cam[..., :2] / cam[..., 2:] + torch.tensor([width / 2, height / 2])


def assert_same_faces(found: Detections, expected: Detections, size: tuple[int, int], tolerance_px: float) -> None:
    assert torch.equal(found.valid, expected.valid)
    assert expected.valid.any()
    torch.testing.assert_close(found.score, expected.score, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.center_px[found.valid], expected.center_px[found.valid])
    error = (landmarks_px(found, *size) - landmarks_px(expected, *size))[expected.valid].abs().max()
    assert error < tolerance_px
    light = (found.parameters.illumination - expected.parameters.illumination)[expected.valid]
    assert light.abs().max() < 1e-4


@pytest.mark.parametrize(("batch", "height", "width"), SIZES)
def test_onnx_equals_eager(detector: FaceDetector, onnx_path: Path, batch: int, height: int, width: int):
    image = pictures(batch, height, width)
    with torch.no_grad():
        expected = detector.detect(image, top_k=TOP_K)
    found = OnnxDetector(onnx_path, num_threads=1).detect(image, top_k=TOP_K)
    assert_same_faces(found, expected, (height, width), 0.05)


@pytest.mark.parametrize(("batch", "height", "width"), SIZES)
def test_openvino_equals_eager(
    detector: FaceDetector, onnx_path: Path, tmp_path: Path, batch: int, height: int, width: int
):
    image = pictures(batch, height, width)
    with torch.no_grad():
        expected = detector.detect(image, top_k=TOP_K)
    export_openvino(onnx_path, tmp_path / "detector.xml")
    found = OpenvinoDetector(tmp_path / "detector.xml", num_threads=1).detect(image, top_k=TOP_K)
    assert_same_faces(found, expected, (height, width), 0.05)


def test_graph_without_weights_takes_them_from_a_state(detector: FaceDetector, tmp_path: Path):
    export_onnx(detector, tmp_path / "bare.onnx", with_weights=False)
    assert (tmp_path / "bare.onnx").stat().st_size < 1_000_000
    image, state = pictures(1, 96, 64), detector.state_dict()
    with torch.no_grad():
        expected = detector.detect(image, top_k=TOP_K)
    for engine in (OnnxDetector, OpenvinoDetector):
        found = engine(tmp_path / "bare.onnx", state=state, num_threads=1).detect(image, top_k=TOP_K)
        assert_same_faces(found, expected, (96, 64), 0.05)
    del state["center_head.output.weight"]
    with pytest.raises(ValueError, match="must be a complete ONNX file"):
        OnnxDetector(tmp_path / "bare.onnx", state=state)


def test_every_engine_answers_the_same_call(detector: FaceDetector, onnx_path: Path):
    image = pictures(3, 64, 160)
    with torch.no_grad():
        expected = detector.detect(image, top_k=TOP_K)
    for engine in (TorchDetector(detector, "cpu"), OnnxDetector(onnx_path), OpenvinoDetector(onnx_path)):
        assert isinstance(engine, Detector)
        found = engine.detect(image, top_k=TOP_K, min_score=0.5)
        assert_same_faces(found, expected, (64, 160), 0.05)
        assert engine.detect(image, top_k=2, min_score=0.5).valid.sum(1).max() <= 2
        assert not engine.detect(image, top_k=TOP_K, min_score=1.0).valid.any()


def test_torch_export_equals_eager(detector: FaceDetector):
    program = export_program(detector).module()
    for batch, height, width in SIZES:
        image = pictures(batch, height, width)
        with torch.no_grad():
            found = detections_from_outputs(program(image, torch.tensor(TOP_K), torch.tensor(0.5)))
            assert_same_faces(found, detector.detect(image, top_k=TOP_K), (height, width), 1e-3)


def test_batch_equals_single_within_an_engine(detector: FaceDetector, onnx_path: Path):
    image = pictures(3, 64, 160)
    onnx, openvino = OnnxDetector(onnx_path, num_threads=1), OpenvinoDetector(onnx_path, num_threads=1)
    with torch.no_grad():
        for engine in (onnx, openvino, detector):
            together = landmarks_px(engine.detect(image, top_k=TOP_K), 64, 160)
            for index in range(3):
                found = engine.detect(image[index : index + 1], top_k=TOP_K)
                own = landmarks_px(found, 64, 160)[0]
                difference = (own - together[index, : len(own)])[found.valid[0]]
                assert difference.abs().max() < 1e-3


def test_int8(detector: FaceDetector, onnx_path: Path, tmp_path: Path):
    """The quantized graphs run, are smaller, and score within 8-bit rounding of the float network."""
    images = [pictures(1, 96, 64, seed=seed).numpy() for seed in range(8)]
    quantize_onnx(onnx_path, tmp_path / "int8.onnx", images)
    quantize_openvino(onnx_path, tmp_path / "int8.xml", images)
    image = pictures(1, 96, 64, seed=3)
    with torch.no_grad():
        expected = detector.detect(image, top_k=TOP_K)
    assert (tmp_path / "int8.onnx").stat().st_size < 0.7 * onnx_path.stat().st_size
    for engine in (OnnxDetector(tmp_path / "int8.onnx"), OpenvinoDetector(tmp_path / "int8.xml")):
        found = engine.detect(image, top_k=TOP_K)
        # measured 0.06 on random weights: a few steps of 8-bit activations before the sigmoid
        torch.testing.assert_close(found.score, expected.score, atol=0.12, rtol=0)
    assert list(tmp_path.glob("*.tmp")) == []


def test_calibration_images(tmp_path: Path):
    from PIL import Image

    Image.new("RGB", (100, 50), (255, 0, 0)).save(tmp_path / "a.png")
    (picture,) = calibration_images(tmp_path, size_px=64)
    assert picture.shape == (1, 3, 64, 64)
    # 100x50 fits 64x64 as 64x32; the rest is padding
    assert (picture[0, 0, 16:48] == 1).all()
    mean = np.array([124, 116, 104], np.float32)[:, None, None] / 255
    assert (picture[0, :, :16] == mean).all()
    assert (picture[0, :, 48:] == mean).all()
    (tmp_path / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match="photographs, got none"):
        next(calibration_images(tmp_path))


def test_refusals(detector: FaceDetector, onnx_path: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=r"got training mode; call detector\.eval\(\)"):
        export_program(build_detector(CONFIG))
    with pytest.raises(ValueError, match="at least one picture, got none"):
        quantize_onnx(onnx_path, tmp_path / "x.onnx", [])
    with pytest.raises(ValueError, match="multiples of 32"):
        OnnxDetector(onnx_path).detect(torch.zeros(1, 3, 65, 64))
    content = onnx_path.read_bytes()
    (tmp_path / "cut.onnx").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="must be a complete ONNX file"):
        OnnxDetector(tmp_path / "cut.onnx")
    with pytest.raises(ValueError, match="model must be complete"):
        OpenvinoDetector(tmp_path / "cut.onnx")
    for engine in (OnnxDetector, OpenvinoDetector):
        with pytest.raises(FileNotFoundError, match="does not exist; write it with"):
            engine(tmp_path / "nothing.onnx")


@pytest.mark.parametrize(("module", "extra"), [("onnxscript", "onnx"), ("openvino", "openvino")])
def test_missing_extras(
    detector: FaceDetector, onnx_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, extra: str
):
    import sys

    monkeypatch.setitem(sys.modules, module, None)
    export = partial(export_onnx, detector) if extra == "onnx" else partial(export_openvino, onnx_path)
    with pytest.raises(
        ModuleNotFoundError,
        match=rf"run `pip install '.*\(extra 'morphable-detector-head\[{extra}\]'\)",
    ):
        export(tmp_path / "x")
