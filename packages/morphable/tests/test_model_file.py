"""The model file: round trips, compatibility, refusals, atomic writing."""

import json
import math
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import morphable
from morphable import ModelData, MorphableModel, SparseRows, SurfacePoints
from morphable.model_file import FORMAT_VERSION, read_model_file, write_model_file


def metadata_of(path: Path) -> dict[str, object]:
    """Read the JSON metadata by hand: 8 bytes of length, then the header."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(json.loads(raw[8 : 8 + length])["__metadata__"]["morphable"])


def rewrite(path: Path, tensors: dict[str, torch.Tensor | None] | None = None, **fields: object) -> Path:
    """Change tensors (None removes) and metadata fields of a model file."""
    stored = load_file(path) | (tensors or {})
    metadata = metadata_of(path) | fields
    kept = {name: tensor for name, tensor in stored.items() if tensor is not None}
    save_file(kept, path, metadata={"morphable": json.dumps(metadata)})
    return path


@pytest.fixture
def file(model, tmp_path) -> Path:
    model.save(tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


def assert_same(one: ModelData, other: ModelData) -> None:
    for name in ("name", "license", "source", "expression_names", "expression_prior", "part_names"):
        assert getattr(one, name) == getattr(other, name)
    assert one.tensors().keys() == other.tensors().keys()
    for name, tensor in one.tensors().items():
        assert torch.equal(tensor.cpu(), other.tensors()[name].cpu()), name


def test_round_trip_keeps_everything(model, file):
    assert_same(morphable.load_model(file).data(), model.data())


def test_round_trip_of_a_subdivided_model(subdivided, tmp_path):
    MorphableModel(subdivided).save(tmp_path / "m.safetensors")
    assert_same(read_model_file(tmp_path / "m.safetensors"), MorphableModel(subdivided).data())


def test_half_file_is_smaller_and_close(model, file, tmp_path):
    model.save(tmp_path / "half.safetensors", half=True)
    assert load_file(tmp_path / "half.safetensors")["identity_basis"].dtype == torch.float16
    assert (tmp_path / "half.safetensors").stat().st_size < file.stat().st_size
    half = morphable.load_model(tmp_path / "half.safetensors")
    assert half.identity_basis.dtype == torch.float32
    # float16 keeps 11 bits: 2^-11 relative, and 3e-8 absolute below its normal range
    torch.testing.assert_close(half.identity_basis, model.identity_basis, rtol=2**-11, atol=3e-8)


def test_metadata_is_the_documented_json(file):
    metadata = metadata_of(file)
    assert metadata["format"] == "morphable-model"
    assert metadata["format_version"] == FORMAT_VERSION == 1
    assert metadata["units"] == "metre"
    assert metadata["expression_names"] == ["move0", "move1", "move2"]


names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=8)
sizes = st.integers(0, 3)
numbers = st.floats(-1e3, 1e3, width=32)


@st.composite
def any_content(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of models of any small size, with and without the optional parts."""
    base, expr = draw(st.integers(3, 6)), draw(sizes)
    seed = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    subdivide = draw(st.booleans())
    verts = base + 1 if subdivide else base
    tris = draw(st.integers(1, 4))
    scheme = draw(st.sampled_from(["ibug68_3d", "other"]))
    points = SurfacePoints(torch.randint(tris, (5,), generator=seed), torch.tensor([[0.2, 0.3, 0.5]]).expand(5, 3))
    crow = torch.cat([torch.arange(base + 1), torch.tensor([base + 2])])
    rows = SparseRows(crow, torch.arange(base + 2) % base, torch.tensor([1.0] * base + [0.5] * 2))
    return {
        "name": draw(names),
        "license": draw(names),
        "source": draw(names),
        "mean": torch.full((base, 3), draw(numbers)),
        "identity_basis": torch.randn(draw(sizes), base, 3, generator=seed),
        "expression_basis": torch.randn(expr, base, 3, generator=seed),
        "mean_albedo": torch.rand(base, 3, generator=seed),
        "albedo_basis": torch.randn(draw(sizes), base, 3, generator=seed),
        "triangles": torch.randint(verts, (tris, 3), generator=seed),
        "expression_names": tuple(draw(st.lists(names, min_size=expr, max_size=expr, unique=True))) or None,
        "expression_prior": draw(st.sampled_from(["activation", "normal"])),
        "subdivision": rows if subdivide else None,
        "part_names": ("a", "b"),
        "part_labels": torch.randint(2, (tris,), generator=seed) if draw(st.booleans()) else None,
        "regions": {"some": torch.rand(verts, generator=seed) > 0.5} if draw(st.booleans()) else {},
        "landmarks": {scheme: points} if draw(st.booleans()) else {},
        "mirror_vertices": torch.arange(verts).flip(0) if draw(st.booleans()) else None,
        "expression_flip": torch.arange(expr).flip(0) if draw(st.booleans()) else None,
    }


@given(content=any_content())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_model_round_trips(content, tmp_path):
    data = ModelData(**content)
    write_model_file(data, tmp_path / "any.safetensors")
    assert_same(read_model_file(tmp_path / "any.safetensors"), data)


@given(share=st.floats(0, 0.999), seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_truncated_file_is_refused_by_name(share, seed, model, tmp_path):
    path = tmp_path / "cut.safetensors"
    model.save(path)
    raw = path.read_bytes()
    path.write_bytes(raw[: math.floor(share * len(raw))])
    with pytest.raises(ValueError, match=r"complete safetensors file, got .*cut\.safetensors"):
        morphable.load_model(path)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"mean": torch.zeros(5, 3)}, r"identity_basis must have shape \(any, 5, 3\), got \(4, 63, 3\)"),
        ({"mean_albedo": torch.zeros(63)}, r"mean_albedo must have shape \(63, 3\)"),
        ({"albedo_basis": torch.full((2, 63, 3), math.nan)}, "albedo_basis must be finite, got 378 NaN"),
        ({"identity_basis": None}, "tensors must include identity_basis"),
        ({"triangles": torch.full((96, 3), 63)}, "triangles must index 63 vertices, got values from 63 to 63"),
        ({"triangles": torch.zeros(96, 3)}, "triangles must hold integers, got torch.float32"),
        ({"mean": torch.zeros(63, 3, dtype=torch.int32)}, "mean must hold floating-point numbers"),
        ({"uv": torch.zeros(3, 2)}, "uv must be given together with uv_triangles"),
        ({"part_labels": torch.full((96,), 2)}, "part_labels must index 2 part_names"),
        ({"subdivision.crow": torch.zeros(2).long()}, "subdivision must have all of crow, col, value"),
        ({"contour.barycentric": None}, "tensors must include contour.barycentric"),
        ({"landmarks.ibug68_3d.barycentric": torch.ones(68, 3)}, "landmarks.ibug68_3d.barycentric must sum to one"),
        ({"mirror_vertices": torch.zeros(63).long()}, "mirror_vertices must be a permutation that undoes itself"),
        ({"identity_flip": torch.zeros(4)}, r"identity_flip must hold only \+1 and -1"),
        ({"regions.upper": torch.ones(2)}, r"regions.upper must have shape \(63\)"),
        ({"textures": torch.zeros(2)}, "got unknown textures"),
    ],
)
def test_damaged_tensor_is_named_with_its_file(file, tensors, message):
    rewrite(file, tensors)
    with pytest.raises(ValueError, match=rf"tiny\.safetensors: .*{message}"):
        morphable.load_model(file)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format_version": 2}, "format_version must be at most 1, got 2; upgrade morphable"),
        ({"format_version": "1"}, "format_version must be a positive integer, got '1'"),
        ({"format": "lora"}, "format must be 'morphable-model'"),
        ({"units": "inch"}, "units must be 'metre', got 'inch'"),
        ({"license": 3}, "license must be text, got 3"),
        ({"expression_names": ["a"]}, "expression_names must be 3 different names, got 1 of 1"),
        ({"expression_names": "abc"}, "expression_names must be a list of texts"),
        ({"expression_prior": "laplace"}, "expression_prior must be activation or normal, got 'laplace'"),
        ({"part_names": []}, "part_names"),
    ],
)
def test_damaged_metadata_is_named_with_its_file(file, fields, message):
    rewrite(file, **fields)
    with pytest.raises(ValueError, match=rf"tiny\.safetensors: .*{message}"):
        morphable.load_model(file)


def test_other_safetensors_and_other_files_are_refused(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="of another kind"):
        morphable.load_model(tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("not a tensor in sight, but long enough to be read")
    with pytest.raises(ValueError, match="complete safetensors file"):
        morphable.load_model(tmp_path / "text.safetensors")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        morphable.load_model(tmp_path / "nowhere.safetensors")
    with pytest.raises(FileNotFoundError, match="must be a model file"):
        morphable.load_model(tmp_path)


def test_failed_write_leaves_the_old_file_and_no_rest(model, file, monkeypatch):
    before = file.read_bytes()

    def fail(tensors: object, path: str, **_: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr("morphable.model_file.save_file", fail)
    with pytest.raises(OSError, match="no space"):
        model.save(file)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_content_is_checked_when_built_in_memory(data):
    with pytest.raises(ValueError, match=r"contour.triangle must have shape \(17, any\)"):
        replace(data, contour=SurfacePoints(torch.zeros(3, 2).long(), torch.full((3, 2, 3), 1 / 3)))
    rows = SparseRows(torch.tensor([0, 1]), torch.tensor([0]), torch.tensor([0.5]))
    with pytest.raises(ValueError, match=r"subdivision.value must sum to one per point, got sums off by up to 0\.5"):
        replace(data, subdivision=rows)
    with pytest.raises(ValueError, match=r"subdivision.crow must rise from 0 to 1"):
        replace(data, subdivision=replace(rows, crow=torch.tensor([0, 0, 1])))
