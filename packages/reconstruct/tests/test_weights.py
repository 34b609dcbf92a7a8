"""The weights file: what is written is read back, anything else is one clear error."""

import dataclasses

import pytest
import torch
from stand_ins import random_detector, toy_model

from morphable import WeightsInfo, read_weights, reference_to, write_weights
from morphable_detector_head import load_detector
from morphable_reconstruct.reconstructor import weights
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.reconstructor.weights import file_sha256, find_weights


@pytest.fixture
def info(model):
    detector = random_detector()
    return WeightsInfo(
        name="test",
        architecture=dataclasses.asdict(detector.config),
        model=reference_to(model),
        license="CC0-1.0",
        training_data="none",
        results={"nme": 1.0},
    )


@pytest.fixture
def path(tmp_path, info):
    write_weights(tmp_path / "w.safetensors", info, random_detector().state_dict())
    return tmp_path / "w.safetensors"


def test_round_trip(path, info, model):
    read, state = read_weights(path)
    assert read == info
    for name, tensor in random_detector().state_dict().items():
        torch.testing.assert_close(state[name], tensor.half().float() if tensor.is_floating_point() else tensor)
    detector = load_detector(path, model)
    assert detector.config == random_detector().config
    assert not detector.training
    assert Reconstructor(path, model=model).defaults.size_px == 512
    assert [p.name for p in path.parent.iterdir()] == ["w.safetensors"]


def test_missing_bundled_weights_say_what_to_do(monkeypatch, tmp_path, model):
    monkeypatch.setattr(weights, "BUNDLED_FOLDER", tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r'bundled weights "mobile" are missing .* reinstall morphable-reconstruct'
    ):
        Reconstructor("mobile", model=model)
    (tmp_path / "other.safetensors").touch()
    assert find_weights("other") == tmp_path / "other.safetensors"
    with pytest.raises(FileNotFoundError, match=r"mobile or other or an existing file, got nope\.safetensors"):
        find_weights("nope.safetensors")


def test_names_are_looked_for_in_the_folder_first(path, model):
    folder = path.parent
    reconstructor = Reconstructor("w", model=model, weights_dir=folder)
    assert reconstructor.detector.network.config == random_detector().config
    (folder / "mobile.safetensors").touch()
    assert find_weights("mobile", folder) == folder / "mobile.safetensors"
    with pytest.raises(FileNotFoundError, match=r"must be mobile or w or an existing file, got nope"):
        find_weights("nope", folder)
    with pytest.raises(FileNotFoundError, match=r"weights_dir must be an existing folder, got .*nowhere"):
        find_weights("mobile", folder / "nowhere")


@pytest.mark.parametrize("mark", ["", "*"])
def test_a_file_that_its_folder_lists_with_another_sum_is_refused(path, mark):
    sums = path.with_name("SHA256SUMS")
    sums.write_text(f"{file_sha256(path)} {mark or ' '}{path.name}\n{'0' * 64}  another.safetensors\n")
    assert find_weights("w", path.parent) == find_weights(path) == path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    for name, folder in (("w", path.parent), (path, None)):
        with pytest.raises(ValueError, match=r"weights must be the file that .*SHA256SUMS lists, got another one"):
            find_weights(name, folder)


def test_another_face_model_is_refused(path):
    with pytest.raises(ValueError, match=r'model must be the one the weights "test" were trained with .toy 4/3/2'):
        Reconstructor(path, model=toy_model(1))


def test_damaged_files_are_refused(path, tmp_path, model):
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:5000])
    (tmp_path / "text.safetensors").write_text("hello")
    for name in ("cut", "text"):
        with pytest.raises(ValueError, match="must be a whole safetensors file"):
            Reconstructor(tmp_path / f"{name}.safetensors", model=model)
