"""The weights file: what is written is read back, anything else is one clear error."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import morphable
from morphable import (
    MorphableModel,
    WeightsInfo,
    check_model,
    model_sha256,
    read_weights,
    read_weights_info,
    reference_to,
    write_weights,
)

STATE = {"layer.weight": torch.tensor([[0.5, -1.25]]), "layer.count": torch.tensor(3)}


@pytest.fixture
def info(model):
    return WeightsInfo(
        name="test",
        architecture={"width": 8, "layout": {"depth": "log"}},
        model=reference_to(model),
        license="CC0-1.0",
        training_data="none",
        results={"nme": 1.0},
    )


@pytest.fixture
def path(tmp_path, info):
    write_weights(tmp_path / "w.safetensors", info, STATE)
    return tmp_path / "w.safetensors"


def edited(path, **changes):
    """The same file with other metadata; None removes a key."""
    with safe_open(path, framework="pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    metadata = {key: value for key, value in (metadata | changes).items() if value is not None}
    save_file(tensors, path, metadata=metadata)
    return path


def test_round_trip(path, info):
    read, state = read_weights(path)
    assert read == info == read_weights_info(path)
    assert set(state) == set(STATE)
    for name, tensor in STATE.items():
        torch.testing.assert_close(state[name], tensor, rtol=0, atol=0)  # the numbers are exact in float16
    with safe_open(path, framework="pt") as file:
        assert file.get_tensor("layer.weight").dtype == torch.float16
    assert [p.name for p in path.parent.iterdir()] == ["w.safetensors"]


def test_the_models_hash_is_of_its_numbers(tmp_path, model, data):
    model.save(tmp_path / "m.safetensors")
    assert model_sha256(morphable.load_model(tmp_path / "m.safetensors")) == model_sha256(model)
    data.mean[0, 0] += 0.01
    assert model_sha256(MorphableModel(data)) != model_sha256(model)


def test_another_face_model_is_refused(info, model, data):
    check_model(info, model)
    data.mean[0, 0] += 0.01
    with pytest.raises(ValueError, match=r'model must be the one the weights "test" were trained with \('):
        check_model(info, MorphableModel(data))
    with pytest.raises(ValueError, match=r"got flame .*; reconstruct with 'tiny', then bring .*: `morphable fit`"):
        check_model(info, MorphableModel(replace(data, name="flame")))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": "2"}, "must have format version 1, got 2"),
        ({"format": "other"}, 'file of format "morphable-weights"'),
        ({"license": None}, r"missing \['license'\]"),
        ({"extra": "x"}, r"unknown \['extra'\]"),
        ({"architecture": "{"}, "JSON metadata as documented"),
        ({"architecture": "[]"}, "architecture must be a JSON object, got a list"),
        ({"inference": json.dumps({"size": 3})}, "inference must have no unknown keys, got size"),
        ({"model": json.dumps({"name": "x"})}, "model.sha256 must be given"),
    ],
)
def test_other_metadata_is_refused(path, changes, message):
    with pytest.raises(ValueError, match=message):
        read_weights(edited(path, **changes))


def test_damaged_and_missing_files_are_refused(path, tmp_path):
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:50])
    (tmp_path / "text.safetensors").write_text("hello")
    for name in ("cut", "text"):
        with pytest.raises(ValueError, match="must be a whole safetensors file"):
            read_weights(tmp_path / f"{name}.safetensors")
    with pytest.raises(FileNotFoundError, match="weights must be an existing file"):
        read_weights(tmp_path / "none.safetensors")


def test_a_failed_write_leaves_nothing(tmp_path, info, monkeypatch):
    monkeypatch.setattr(morphable.weights, "save_file", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_weights(tmp_path / "w.safetensors", info, STATE)
    assert list(tmp_path.iterdir()) == []


def test_metadata_are_in_order_so_that_equal_weights_are_equal_files(path):
    """safetensors alone writes them in an order that differs from process to process."""
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert list(header["__metadata__"]) == sorted(header["__metadata__"])
    assert read_weights(path)[1]["layer.weight"].tolist() == [[0.5, -1.25]]
