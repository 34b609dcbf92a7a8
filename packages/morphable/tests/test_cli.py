"""The command line."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from morphable.cli import main


@pytest.fixture
def file(model, tmp_path) -> str:
    model.save(tmp_path / "tiny.safetensors")
    return str(tmp_path / "tiny.safetensors")


def test_info_prints_names_and_sizes(file, capsys):
    assert main(["info", file]) == 0
    assert "ibug68_3d, aflw21, five" in capsys.readouterr().out
    assert main(["info", file, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["vertices"] == 63
    assert facts["parts"] == {"skin": 82, "lips": 14}
    assert facts["expressions"] == ["move0", "move1", "move2"]


def test_sample_draws_a_sheet_and_is_seeded(file, tmp_path):
    sheets = []
    for name in ("a.png", "b.png"):
        assert main(["sample", file, "-n", "5", "-o", str(tmp_path / name), "--size-px", "48", "--landmarks"]) == 0
        sheets.append(np.asarray(Image.open(tmp_path / name)))
    # 3 columns leave one place of 6 empty, 4 would leave three of 8
    assert sheets[0].shape == (96, 144, 3)
    assert (sheets[0] == sheets[1]).all()
    face, empty = sheets[0][:48, :48], sheets[0][48:, 96:]
    assert (empty == 245).all()
    assert 0.2 < (face != 245).any(-1).mean() < 0.9


def glb_colors(content: bytes) -> np.ndarray:
    """Read the vertex colors of the only mesh: trimesh leaves them out where there is a material."""
    length = int.from_bytes(content[12:16], "little")
    document, binary = json.loads(content[20 : 20 + length]), content[28 + length :]
    accessor = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]]
    view = document["bufferViews"][accessor["bufferView"]]
    return np.frombuffer(binary, np.uint8, 4 * accessor["count"], view["byteOffset"]).reshape(-1, 4)


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".glb"])
def test_export_writes_the_face_in_metres(file, tmp_path, suffix, model):
    path = tmp_path / f"face{suffix}"
    assert main(["export", file, "-o", str(path), "--expression", "move1", "0.5"]) == 0
    mesh = trimesh.load(path, force="mesh", process=False)
    expected = model.decode_shape(torch.zeros(4), torch.tensor([0.0, 0.5, 0.0])).numpy()
    assert len(mesh.faces) == len(model.triangles)
    np.testing.assert_allclose(np.sort(mesh.vertices, axis=0), np.sort(expected, axis=0), atol=1e-6)
    # mean albedo 0.6 as a byte: 153
    colors = glb_colors(path.read_bytes()) if suffix == ".glb" else np.asarray(mesh.visual.vertex_colors)
    assert (colors[:, :3] == 153).all()
    if suffix == ".glb":
        assert mesh.visual.material.metallicFactor == 0.0  # the format's default is metal, which viewers draw dark
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, "tiny.safetensors"])


def test_errors_are_one_line_and_status_1(file, tmp_path, capsys):
    assert main(["info", str(tmp_path / "none.safetensors")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "none.safetensors" in captured.err
    assert main(["export", file, "-o", str(tmp_path / "face.stl")]) == 1
    assert "must end in .glb, .obj, .ply, got face.stl" in capsys.readouterr().err
    assert main(["export", file, "-o", str(tmp_path / "face.obj"), "--expression", "smile", "1"]) == 1
    assert "move0, move1, move2, got 'smile'" in capsys.readouterr().err
    assert main(["convert", "ict", str(tmp_path), "-o", str(tmp_path / "o.safetensors")]) == 1
    assert "generic_neutral_mesh" in capsys.readouterr().err
    assert not (tmp_path / "o.safetensors").exists()


def test_bad_options_exit_with_2(tmp_path):
    with pytest.raises(SystemExit) as refused:
        main(["convert", "bfm2030", str(tmp_path), "-o", "x"])
    assert refused.value.code == 2


def test_import_is_light():
    heavy = ("scipy", "trimesh", "tyro", "rich", "PIL", "anny")
    code = f"import sys, morphable; print([name for name in {heavy} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
