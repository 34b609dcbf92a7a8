"""The weights file: what is written is read back, anything else is one clear error."""

import dataclasses
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from stand_ins import random_detector, toy_model

from morphable_reconstruct import weights
from morphable_reconstruct.engines.build import load_detector
from morphable_reconstruct.reconstructor import Reconstructor
from morphable_reconstruct.weights import (
    WeightsInfo,
    find_weights,
    model_sha256,
    read_weights,
    reference_to,
    write_weights,
)


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


def edited(path, **changes):
    """The same file with other metadata; None removes a key."""
    with safe_open(path, framework="pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    metadata = {key: value for key, value in (metadata | changes).items() if value is not None}
    save_file(tensors, path, metadata=metadata)
    return path


def test_round_trip(path, info, model):
    read, state = read_weights(path)
    assert read == info
    for name, tensor in random_detector().state_dict().items():
        torch.testing.assert_close(state[name], tensor.half().float() if tensor.is_floating_point() else tensor)
    detector, defaults = load_detector(path, model)
    assert detector.config == random_detector().config
    assert not detector.training
    assert defaults.size_px == 512
    assert [p.name for p in path.parent.iterdir()] == ["w.safetensors"]


def test_the_models_hash_is_of_its_numbers(tmp_path, model):
    assert model_sha256(toy_model(0)) == model_sha256(model)
    assert model_sha256(toy_model(1)) != model_sha256(model)
    model.save(tmp_path / "m.safetensors")
    import morphable

    assert model_sha256(morphable.load(tmp_path / "m.safetensors")) == model_sha256(model)


def test_missing_bundled_weights_say_what_to_do(monkeypatch, tmp_path, model):
    monkeypatch.setattr(weights, "BUNDLED_FOLDER", tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r'bundled weights "mobile" are missing .* reinstall morphable-reconstruct'
    ):
        Reconstructor("mobile", model=model)
    with pytest.raises(
        FileNotFoundError, match=r"mobile or mobile-research or an existing file, got nope\.safetensors"
    ):
        find_weights("nope.safetensors")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": "2"}, "must have format version 1, got 2"),
        ({"format": "other"}, 'file of format "morphable-weights"'),
        ({"license": None}, r"missing \['license'\]"),
        ({"extra": "x"}, r"unknown \['extra'\]"),
        ({"architecture": "{"}, "JSON metadata as documented"),
        ({"architecture": "[]"}, "architecture must be a JSON object, got list"),
        ({"inference": json.dumps({"size": 3})}, r"unknown fields \['size'\]"),
        ({"architecture": json.dumps({"depth": 3})}, "a network this version knows, got .*depth"),
        ({"architecture": json.dumps({"width": 16})}, "fit the network they describe"),
    ],
)
def test_other_metadata_is_refused(path, model, changes, message):
    with pytest.raises(ValueError, match=message):
        load_detector(edited(path, **changes), model)


def test_another_face_model_is_refused(path):
    with pytest.raises(ValueError, match=r'model must be the one the weights "test" were trained with .toy 4/3/2'):
        Reconstructor(path, model=toy_model(1))


def test_damaged_files_are_refused(path, tmp_path, model):
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:5000])
    (tmp_path / "text.safetensors").write_text("hello")
    for name in ("cut", "text"):
        with pytest.raises(ValueError, match="must be a whole safetensors file"):
            load_detector(tmp_path / f"{name}.safetensors", model)


def test_a_failed_write_leaves_nothing(tmp_path, info, monkeypatch):
    monkeypatch.setattr(weights, "save_file", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_weights(tmp_path / "w.safetensors", info, {})
    assert list(tmp_path.iterdir()) == []
