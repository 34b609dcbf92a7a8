"""A graph with the face model: its points and meshes are those of the model."""

from pathlib import Path

import onnxruntime
import pytest
import torch

import morphable
from morphable.geometry import Pinhole
from morphable_detector_head import DetectorConfig, build_detector, save_detector
from morphable_detector_head.cli import main
from morphable_detector_head.engines import OnnxDetector
from morphable_detector_head.layout import ParameterLayout
from morphable_detector_head.mesh_graph import MESH_OUTPUTS, MeshDecoder, vertex_model
from morphable_detector_head.weights import find_weights

OPEN = morphable.load_model("open")


def test_plain_matrix_products_give_the_models_points_and_vertices():
    faces = OPEN.sample(3, torch.Generator().manual_seed(0))
    pixels, points, vertices, triangles = MeshDecoder(OPEN)(torch.zeros(1, 3, 96, 160), faces)
    torch.testing.assert_close(vertices, OPEN.vertices(faces), atol=1e-6, rtol=0)
    torch.testing.assert_close(points, OPEN.landmarks(OPEN.vertices(faces)), atol=1e-6, rtol=0)
    torch.testing.assert_close(pixels, Pinhole((96, 160)).project(points))
    assert torch.equal(triangles, OPEN.triangles)


def test_the_vertex_model_has_no_colors():
    assert len(vertex_model(OPEN).albedo_basis) == 0


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    layout = ParameterLayout(
        num_identity=OPEN.num_identity, num_expression=OPEN.num_expression, num_albedo=OPEN.num_albedo
    )
    torch.manual_seed(0)
    detector = build_detector(DetectorConfig(width=8, center_width=8, parameter_width=8, layout=layout)).eval()
    inference = morphable.InferenceDefaults(size_px=64, min_score=0.01)
    path = tmp_path / "tiny.safetensors"
    save_detector(detector, path, OPEN, name="tiny", license="CC0", training_data="none", inference=inference)
    return path


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    """As if a distribution brought the weights."""

    class Entry:
        def load(self) -> Path:
            return weights.parent

    monkeypatch.setattr("morphable_detector_head.weights.entry_points", lambda *, group: [Entry()])


def test_weights_are_found_by_path_and_by_name(weights: Path, installed: None):
    assert find_weights(weights) == weights
    assert find_weights("tiny") == weights
    with pytest.raises(FileNotFoundError, match="weights must be an existing file, or tiny, got small; check the path"):
        find_weights("small")


@pytest.mark.usefixtures("installed")
def test_the_command_exports_bundled_weights_with_their_own_threshold_and_meshes(tmp_path: Path):
    assert main(["export", "tiny", "--model", "open", "--top-k", "2", "-o", str(tmp_path / "tiny.onnx")]) == 0
    session = onnxruntime.InferenceSession(tmp_path / "tiny.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    assert tuple(names[-len(MESH_OUTPUTS) :]) == MESH_OUTPUTS
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    found = dict(zip(names, session.run(None, {"image": image.numpy()}), strict=True))
    assert ((found["score"] > 0.01) == found["valid"]).all()
    detected = OnnxDetector(tmp_path / "tiny.onnx").detect(image)  # engines leave the meshes out
    expected = OPEN.vertices(detected.parameters)
    torch.testing.assert_close(torch.from_numpy(found["vertices_cam_m"]), expected, atol=1e-5, rtol=1e-5)
    assert found["landmarks68_px"].shape == (1, 2, 68, 2)


def test_another_face_model_is_refused(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    other = morphable.load_model("open")
    other.mean.add_(0.001)
    other.save(tmp_path / "other.safetensors")
    arguments = ["export", str(weights), "--model", str(tmp_path / "other.safetensors"), "-o", str(tmp_path / "x.onnx")]
    assert main(arguments) == 1
    assert "model must be the one the weights" in capsys.readouterr().err
    assert not (tmp_path / "x.onnx").exists()
