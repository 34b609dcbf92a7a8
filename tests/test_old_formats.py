"""Files as the code of November 2026 wrote them (`old_formats/make_files.py`) still load and mean the same."""

import json
import lzma
from pathlib import Path

import numpy as np
import pytest
import torch

from morphable import load_model, model_sha256, read_weights
from morphable_detector_head import load_detector
from morphable_evalkit import read_predictions
from morphable_regressors import SystemSpec, load_system
from morphable_train.runs.checkpoint import read_checkpoint
from morphable_train.runs.settings import read_run_config

FILES = Path(__file__).parent / "old_formats"


@pytest.fixture
def unpacked(tmp_path):
    def unpack(name: str) -> Path:
        target = tmp_path / name
        target.write_bytes(lzma.decompress((FILES / f"{name}.xz").read_bytes()))
        return target

    return unpack


@pytest.fixture(scope="module")
def expected():
    with np.load(FILES / "expected.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def picture():
    y, x = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 96), indexing="ij")
    return torch.stack([x, y, (x * y).sqrt()])[None]


def test_model_file():
    model = load_model(FILES / "model.safetensors")
    assert (model.name, model.num_identity, model.num_expression, model.num_albedo) == ("stand-in", 6, 4, 3)
    assert model.landmarks(model.mean).shape == (68, 3)


@torch.no_grad()
def test_detector_weights(unpacked, expected):
    detector = load_detector(unpacked("detector.safetensors"), load_model(FILES / "model.safetensors"))
    found = detector.detect(picture(), top_k=3, min_score=0.0)
    face = found.parameters
    torch.testing.assert_close(found.score, expected["score"])
    torch.testing.assert_close(face.identity, expected["identity"])
    torch.testing.assert_close(face.rotation_head, expected["rotation"])
    torch.testing.assert_close(face.translation_m, expected["translation"])
    torch.testing.assert_close(face.illumination, expected["illumination"])


@torch.no_grad()
def test_per_face_weights(unpacked, expected):
    info, state = read_weights(unpacked("per_face.safetensors"))
    assert info.model.sha256 == model_sha256(load_model(FILES / "model.safetensors"))
    spec = SystemSpec.from_json(info.architecture)
    assert (spec.network, spec.crop.side_px, spec.crop.face_share) == ("mobile_frnet", 120, 0.7)
    crop = torch.nn.functional.interpolate(picture(), (120, 120), mode="bilinear")
    torch.testing.assert_close(load_system(spec, state)(crop), expected["parameters"])


def test_run_and_its_checkpoint(unpacked, tmp_path):
    (tmp_path / "run.json").write_text((FILES / "run.json").read_text())
    config = read_run_config(tmp_path)
    assert (config.detector.width, config.run.steps, config.data.exact) == (8, 2, (Path("shards"),))
    architecture = json.loads((FILES / "run.json").read_text())["config"]["detector"]
    groups, progress = read_checkpoint(unpacked("checkpoint.safetensors"), None)
    assert architecture["backbone"] == "mobilenet_v3_small"
    assert progress.step == 2
    assert groups["network"].keys() >= groups["average"].keys()
    assert {"torch", "python", "numpy_keys"} <= groups["random"].keys()


def test_predictions():
    found = read_predictions(FILES / "predictions.npz")
    assert found.processed_image == ("2008_001009.jpg",)
    assert found.landmarks68_px.shape == (len(found.image), 68, 2)
    np.testing.assert_allclose(np.linalg.det(found.rotation_head), 1.0, rtol=1e-5)
