"""Files as the code of November 2026 wrote them still load and mean the same.

`old_formats/make_files.py` and `old_formats/make_shards.py` wrote them.
"""

import json
import lzma
from pathlib import Path

import numpy as np
import pytest
import torch

from morphable import load_model, model_sha256, read_weights
from morphable.geometry import Pinhole, camera_from_model
from morphable.landmarks import MOUTH
from morphable_detector_head import load_detector
from morphable_evalkit import read_predictions
from morphable_regressors import SystemSpec, load_system
from morphable_synth import read_shard
from morphable_train import ShardReader
from morphable_train.data.shards import read_info
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


def projected(labels, model, size_hw):
    """The 68 points where the labels' coefficients and poses put them."""
    shape = model.decode_shape(torch.from_numpy(labels.identity), torch.from_numpy(labels.expression))
    pose = torch.from_numpy(labels.rotation_head), torch.from_numpy(labels.translation_m)
    return Pinhole(size_hw, float(labels.focal_px)).project(model.landmarks(camera_from_model(shape, *pose))).numpy()


def test_prepared_shards():
    exact, weak = (ShardReader(FILES / "shards" / name).read(0) for name in ("exact", "weak"))
    assert exact.image.shape == weak.image.shape == (64, 64, 3)
    assert exact.skin is not None
    assert exact.labels.exact.all()
    assert not weak.labels.exact.any()
    assert weak.labels.contour.all()
    found = projected(exact.labels, load_model(FILES / "model.safetensors"), (64, 64))
    np.testing.assert_allclose(found, exact.labels.landmarks68_px, atol=0.05)
    info = read_info(FILES / "shards" / "weak")
    assert info is not None
    assert (info.name, info.license, info.records) == ("stand-in", "CC0-1.0", 1)


def test_synthetic_shards():
    folder = FILES / "shards" / "synthetic"
    (sample,) = read_shard(folder / "synth-0000-000000.tar")
    record = ShardReader(folder).read(0)
    np.testing.assert_array_equal(sample.image, record.image)
    assert record.labels.exact.tolist() == [True]
    found = projected(record.labels, load_model("open"), (128, 128))
    truth = record.labels.landmarks68_px
    np.testing.assert_allclose(found[:, : MOUTH.start], truth[:, : MOUTH.start], atol=0.05)
    np.testing.assert_allclose(found, truth, atol=1.0)  # the lips of `open` were reworked since: 0.86 px
    assert read_info(folder) is not None
