"""All engines find the same faces."""

import dataclasses
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from stand_ins import random_detector

from morphable import WeightsInfo, read_weights, reference_to, write_weights
from morphable_detector_head.engines import CloserDetector, TorchDetector
from morphable_detector_head.export import export_onnx
from morphable_detector_head.weights import detector_config, face_head_from
from morphable_reconstruct.reconstructor import detectors
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.detectors import GRAPH_FOLDER, graph_names
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.reconstructor.weights import find_weights

MAX_DIFFERENCE_PX = 0.05
"""Between float32 engines, in pixels of the network's input."""
GROUPS = Path(__file__).parents[3].parent / "shared" / "data" / "faces_dev" / "afw_multi"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write(random_detector(), tmp_path_factory)


def write(detector, tmp_path_factory):
    """Write a weights file of the toy model."""
    from stand_ins import toy_model

    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    architecture = dataclasses.asdict(detector.config)
    info = WeightsInfo(
        name="test", architecture=architecture, model=reference_to(toy_model()), license="CC0", training_data="none"
    )
    write_weights(path, info, detector.state_dict())
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


def pictures():
    rng = np.random.default_rng(4)
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in [(256, 256, 3), (256, 256, 3), (160, 256, 3)]]


def landmarks(scene):
    """In order of place: scores of an untrained network are often equal."""
    faces = sorted(scene, key=lambda face: tuple(face.center_px))
    return np.array([face.landmarks68_px for face in faces]).reshape(-1, 68, 2)


def build(weights, model, engine):
    config = ReconstructConfig(size_px=256, min_score=0.6, max_faces=256, engine=engine)
    return Reconstructor(weights, model=model, config=config)


def photographs():
    """Faces that a trained network finds; scores of an untrained one tie, and engines break ties differently."""
    astronaut = pytest.importorskip("skimage.data").astronaut()
    return [astronaut, np.ascontiguousarray(astronaut[:, ::-1]), astronaut[:320]]


def test_graphs_are_of_the_bundled_weights_and_taken():
    """Run packages/reconstruct/tools/build_graphs.py where this fails."""
    path = find_weights("mobile")
    info, state = read_weights(path)
    needed = set(graph_names(detector_config(info, path), state))
    assert {file.name for file in GRAPH_FOLDER.glob("*.onnx")} == needed
    assert isinstance(trained("auto").detector, CloserDetector)


def test_the_default_engine_starts_without_the_compiler():
    """PyTorch's compiler and SymPy take longer to import than all the rest."""
    code = (
        "import sys; from morphable_reconstruct import Reconstructor, ReconstructConfig;"
        "Reconstructor('mobile', config=ReconstructConfig(device='cpu'));"
        "assert not {'torch._dynamo', 'sympy', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_face_head_larger_than_its_weights_is_refused():
    path = find_weights("mobile")
    info, state = read_weights(path)
    config = detector_config(info, path)
    wide = dataclasses.replace(config, face_head=dataclasses.replace(config.face_head, width=10**12))
    with pytest.raises(ValueError, match="weights must fit the network they describe"):
        face_head_from(wide, state, path)


def test_a_missing_runtime_or_graph_leaves_the_torch_engine(monkeypatch, weights, model):
    config = ReconstructConfig(device="cpu")
    assert isinstance(Reconstructor(weights, model=model, config=config).detector, TorchDetector)  # it has no graph
    monkeypatch.setattr(detectors, "find_spec", lambda name: None)
    assert isinstance(Reconstructor("mobile", config=config).detector, TorchDetector)


def trained(engine):
    return Reconstructor("mobile", config=ReconstructConfig(size_px=256, min_score=0.3, engine=engine))


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_engines_agree_single_batched_and_concurrently(cache, engine):
    pytest.importorskip(engine)
    expected = list(trained("torch").many(photographs()))
    assert sum(len(scene) for scene in expected) >= 3
    exported = trained(engine)
    for one, other in zip(expected, exported.many(photographs()), strict=True):
        np.testing.assert_allclose(landmarks(other), landmarks(one), atol=MAX_DIFFERENCE_PX)
    with ThreadPoolExecutor(3) as pool:
        for one, other in zip(expected * 2, pool.map(exported, photographs() * 2), strict=True):
            np.testing.assert_allclose(landmarks(other), landmarks(one), atol=MAX_DIFFERENCE_PX)


@pytest.mark.parametrize("engine", ["torch", "onnxruntime", "openvino"])
def test_more_faces_may_be_asked_for_than_a_small_picture_has_places(engine):
    pytest.importorskip(engine)
    config = ReconstructConfig(size_px=64, max_faces=1000, engine=engine, device="cpu")
    assert len(Reconstructor("mobile", config=config)(np.full((48, 64, 3), 128, np.uint8))) == 0


@pytest.mark.parametrize("size_px", [384, 704])
def test_engines_agree_on_photographs_of_groups(size_px):
    pytest.importorskip("openvino")
    if not GROUPS.is_dir():
        pytest.skip("shared/data is absent: real photographs are not part of the repository")
    paths = sorted(GROUPS.glob("*.jpg"))[2:4]
    config = ReconstructConfig(size_px=size_px, device="cpu")
    expected = list(Reconstructor("mobile", config=dataclasses.replace(config, engine="torch")).many(paths))
    assert sum(len(scene) for scene in expected) >= 3
    for engine in ("onnxruntime", "openvino"):
        found = Reconstructor("mobile", config=dataclasses.replace(config, engine=engine)).many(paths)
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_allclose(other.score, one.score, atol=1e-3)
            np.testing.assert_allclose(landmarks(other), landmarks(one), atol=MAX_DIFFERENCE_PX / 384 * 1280)


@pytest.mark.slow  # the export takes most of a minute
@pytest.mark.filterwarnings("ignore")  # of the exporter
def test_a_graph_with_weights_is_taken_as_it_is(tmp_path, model, weights):
    export_onnx(random_detector(), tmp_path / "graph.onnx")
    (expected,) = build(weights, model, "torch").many(pictures()[:1])
    for engine in ("auto", "onnxruntime", "openvino"):
        (found,) = build(tmp_path / "graph.onnx", model, engine).many(pictures()[:1])
        np.testing.assert_allclose(landmarks(found), landmarks(expected), atol=0.5)  # weights files round to 16 bits
    with pytest.raises(ValueError, match=r"engine must be onnxruntime or openvino for .*got torch"):
        build(tmp_path / "graph.onnx", model, "torch")
    with pytest.raises(ValueError, match=r"model must have the graph's .* coefficients"):
        Reconstructor(tmp_path / "graph.onnx")


def test_bfloat16_stays_near_float32(weights, model):
    """An untrained network's scores are noise, so its best cells differ; where they agree, so do the faces."""
    config = ReconstructConfig(size_px=256, min_score=0.6, max_faces=16, precision="bfloat16")
    exact = {tuple(face.center_px): face for face in build(weights, model, "torch")(pictures()[0])}
    found = {tuple(face.center_px): face for face in Reconstructor(weights, model=model, config=config)(pictures()[0])}
    common = exact.keys() & found.keys()
    assert len(common) >= 3
    for place in common:
        points, other = exact[place].landmarks68_px, found[place].landmarks68_px
        size = float(np.sqrt(np.prod(points.max(0) - points.min(0))))
        assert 0 < float(np.linalg.norm(points - other, axis=1).mean()) < 0.02 * size
        assert found[place].rotation_head.dtype == np.float32
        np.testing.assert_allclose(found[place].rotation_head @ found[place].rotation_head.T, np.eye(3), atol=1e-5)


def test_refusals(weights, model, monkeypatch):
    config = ReconstructConfig(engine="openvino", device="cuda")
    with pytest.raises(ValueError, match="device must be cpu with the engine openvino, got 'cuda'"):
        Reconstructor(weights, model=model, config=config)
    config = ReconstructConfig(engine="onnxruntime", precision="bfloat16")
    with pytest.raises(ValueError, match="precision must be float32 with the engine onnxruntime, got bfloat16"):
        Reconstructor(weights, model=model, config=config)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ImportError, match=r"run `pip install 'openvino.*\(extra 'morphable-reconstruct\[openvino\]'\)"):
        Reconstructor(weights, model=model, config=ReconstructConfig(engine="openvino"))


def test_the_official_checkpoint_needs_its_model(tmp_path, model):
    import torch

    from morphable_detector_head import build_detector
    from morphable_detector_head.presets import WM3DR_OFFICIAL

    assert build_detector is not None
    assert WM3DR_OFFICIAL.model_name == "bfm09"
    torch.save({"state_dict": {"x": torch.zeros(1)}}, tmp_path / "final.pth")
    with pytest.raises(ValueError, match="official WM3DR checkpoint"):
        Reconstructor(tmp_path / "final.pth", model=model)


def test_every_engine_runs_the_face_head_and_can_leave_it_out(tmp_path_factory, model, cache):
    from morphable_detector_head.face_head.network import FaceHeadConfig

    detector = random_detector(face_head=FaceHeadConfig(width=8))
    path = write(detector, tmp_path_factory)
    picture = (np.random.default_rng(0).random((96, 128, 3)) * 255).astype(np.uint8)
    scenes = {}
    for engine in ("torch", "onnxruntime", "openvino"):
        for face_head in (True, False):
            config = ReconstructConfig(engine=engine, size_px=128, max_faces=4, min_score=0.5, face_head=face_head)
            scenes[engine, face_head] = Reconstructor(path, model=model, config=config)(picture)
    with_head, without = (scenes["torch", face_head] for face_head in (True, False))
    assert len(with_head) > 0
    rows, others = same_cells(with_head, without)
    assert np.abs(with_head.faces.expression[rows] - without.faces.expression[others]).max() > 1e-4
    for engine in ("onnxruntime", "openvino"):
        for face_head in (True, False):
            expected, scene = scenes["torch", face_head], scenes[engine, face_head]
            rows, others = same_cells(expected, scene)
            found = scene.faces.expression.numpy()[others]
            np.testing.assert_allclose(found, expected.faces.expression.numpy()[rows], atol=1e-3)
        rows, others = same_cells(with_head, scenes[engine, True])
        # An untrained network's crops differ by 0.12 % in size between engines, and with them the pixels.
        np.testing.assert_allclose(
            scenes[engine, True].landmarks68_std_px[others], with_head.landmarks68_std_px[rows], rtol=1e-2
        )
        assert scenes[engine, False].landmarks68_std_px is None
    assert with_head.landmarks68_std_px.shape == (len(with_head), 68)


def same_cells(first, second):
    """Rows of faces that both scenes have from one cell; an untrained network finds others nearly as good."""
    apart = np.abs(first.center_px[:, None] - second.center_px).max(-1)
    rows, others = np.nonzero(apart < 1e-3)
    assert len(rows) > 0
    return rows, others


def test_expected_errors_are_calibrated_pixels_of_the_photograph(tmp_path_factory, model):
    """Twice the factor of the weights, or a photograph twice as large for the same input, doubles them."""
    from morphable import InferenceDefaults, read_weights
    from morphable_detector_head.face_head.network import FaceHeadConfig
    from morphable_reconstruct.photographs.reading import load_photograph

    path = write(random_detector(face_head=FaceHeadConfig(width=8)), tmp_path_factory)
    info, state = read_weights(path)
    calibrated = path.with_name("calibrated.safetensors")
    for file, factor in ((path, 1.0), (calibrated, 2.0)):
        write_weights(file, dataclasses.replace(info, inference=InferenceDefaults(point_std_factor=factor)), state)
    pixels = (np.random.default_rng(0).random((256, 256, 3)) * 255).astype(np.uint8)
    config = ReconstructConfig(size_px=128, max_faces=4, min_score=0.5)
    plain, doubled = (Reconstructor(weights, model=model, config=config)(pixels) for weights in (path, calibrated))
    np.testing.assert_allclose(doubled.landmarks68_std_px, 2 * plain.landmarks68_std_px, rtol=1e-6)
    larger = load_photograph(pixels.repeat(2, 0).repeat(2, 1))
    seen = Reconstructor(path, model=model, config=config)(larger)
    np.testing.assert_allclose(seen.landmarks68_std_px, 2 * plain.landmarks68_std_px, rtol=1e-3)
