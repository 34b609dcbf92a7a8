"""Crops that are no faces, and the score of a detection."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from morphable import read_weights
from morphable_detector_head import DetectorConfig, build_detector, load_detector, save_detector
from morphable_detector_head.face_head.crops import CROP_PX
from morphable_detector_head.face_head.network import FaceHeadConfig
from morphable_detector_head.layout import ParameterLayout
from morphable_train.cli import main
from morphable_train.face_head.calibration import calibration_error, fit_logistic
from morphable_train.face_head.config import CropChanges
from morphable_train.face_head.negatives import NEGATIVE_PX, NegativeCrops


@pytest.fixture(scope="module")
def weights(model, tmp_path_factory):
    torch.manual_seed(0)
    config = DetectorConfig(
        width=8,
        center_width=8,
        parameter_width=8,
        layout=ParameterLayout.of_model(model),
        face_head=FaceHeadConfig(width=8),
    )
    detector = build_detector(config)
    with torch.no_grad():
        detector.center_head.output.bias.fill_(0.0)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_detector(detector, path, model, name="w", license="MIT", training_data="none")
    return path


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for k in range(4):
        Image.fromarray(rng.integers(0, 255, (96, 128, 3), np.uint8)).save(folder / f"{k}.jpg")
    return folder


def test_a_logistic_map_is_found_again():
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(size=(20000, 2)), np.ones((20000, 1))], 1)
    true = np.array([1.5, -0.7, 0.3])
    positive = rng.random(20000) < 1 / (1 + np.exp(-features @ true))
    np.testing.assert_allclose(fit_logistic(features, positive), true, atol=0.08)


def test_one_kind_alone_is_refused():
    with pytest.raises(ValueError, match="faces and others"):
        fit_logistic(np.ones((3, 1)), np.ones(3, bool))


def test_calibration_error_by_hand():
    # 0.9 is said of four, three of which are: 0.15 apart; 0.2 of one which is not: 0.2 apart; weighted by numbers.
    probability = np.array([0.9, 0.9, 0.9, 0.9, 0.2])
    positive = np.array([True, True, True, False, False])
    assert calibration_error(probability, positive) == pytest.approx((4 * 0.15 + 0.2) / 5)


def test_negatives_are_collected_and_drawn(weights, photographs, part_shards, tmp_path, capsys):
    arguments = ["negatives", "--detector", str(weights), "--out", str(tmp_path / "n"), "--pictures", str(photographs)]
    arguments += ["--shards", str(part_shards), "--sides", "96", "--random", "3", "--step", "2"]
    assert main(arguments) == 0
    written = sorted((tmp_path / "n").glob("*.jpg"))
    assert len([path for path in written if "random" in path.name]) == 2 * 3
    assert not [path for path in written if path.name[0] in "13" and path.name[1] == "_"]  # between the steps
    assert f"{len(written)} crops" in capsys.readouterr().out
    crops = NegativeCrops((tmp_path / "n",))
    first, again, other = (crops.draw(5, CropChanges(), seed) for seed in (1, 1, 2))
    assert first.shape == (5, CROP_PX, CROP_PX, 3)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_negatives_of_another_size_are_refused(tmp_path):
    Image.new("RGB", (NEGATIVE_PX, 20)).save(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=f"must be {NEGATIVE_PX} px wide and high, got {NEGATIVE_PX}x20"):
        NegativeCrops((tmp_path,))


def test_the_score_is_fitted_and_kept(weights, photographs, part_shards, model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("morphable_train.face_head.calibration._NEAR", 3.0)  # an untrained network finds no face
    monkeypatch.setattr("morphable_train.face_head.calibration._SIZES", (0.0, 1e9))
    out = tmp_path / "scored.safetensors"
    arguments = ["calibrate", "--weights", str(weights), "--out", str(out), "--sides", "96", "--step", "2"]
    assert main([*arguments, "--pictures", str(photographs), "--shards", str(part_shards)]) == 0
    values = json.loads(capsys.readouterr().out)
    info, _ = read_weights(out)
    assert info.inference.min_score == 0.5
    config = load_detector(out, model).config.face_head
    assert config.center_factor == values["center_factor"]
    assert config.crop_factor == values["crop_factor"]
    assert 0 <= values["calibration_error"] <= 1


def test_faces_are_sorted_by_their_new_score(weights, model, monkeypatch):
    """A head that thinks the opposite of the center map turns the order about."""
    detector = load_detector(weights, model)
    image = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = detector.detect(image, 8, min_score=0.0)
        monkeypatch.setattr(detector.face_head, "face_score", lambda center_score, reading: 1 - center_score)
        after = detector.detect(image, 8, min_score=0.0)
        none = detector.detect(image, 8, min_score=0.99)
    kept = before.valid[0]
    assert kept.sum() > 2
    assert torch.equal(after.score[0, kept], (1 - before.score[0, kept]).flip(0))
    assert torch.equal(after.center_px[0, kept], before.center_px[0, kept].flip(0))
    torch.testing.assert_close(
        after.parameters.translation_m[0, kept], before.parameters.translation_m[0, kept].flip(0)
    )
    assert not none.valid.any()
