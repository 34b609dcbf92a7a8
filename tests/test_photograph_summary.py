"""The table of the development photographs (benchmarks/photograph_summary.py) on made-up pictures."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from morphable_evalkit import Predictions, write_predictions

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "photograph_summary.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("photograph_summary", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # tyro reads the comments under options from the module's source
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def _points() -> np.ndarray:
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (68, 2))
    points[0], points[1] = (-0.5, -0.5), (0.5, 0.5)
    return points * 50 + 100


def _predictions(points: np.ndarray) -> Predictions:
    size = np.int64([[200, 300]])
    return Predictions(
        processed_image=("a.jpg",),
        processed_size_hw=size,
        image=("a.jpg",),
        image_size_hw=size,
        score=np.ones(1),
        box_xyxy_px=np.concatenate([points.min(axis=0), points.max(axis=0)])[None],
        landmarks68_px=points[None],
        landmarks68_contour_px=points[None],
    )


@pytest.fixture
def dev_folders(tmp_path):
    """The shared folder's layout with one or two made-up pictures per set, and a system 2 px off."""
    data, preds = tmp_path / "data", tmp_path / "mine"
    (data / "aflw2000_gt").mkdir(parents=True)
    (data / "backgrounds").mkdir()
    preds.mkdir()
    face = _points()
    points = np.tile(np.concatenate([face + 0.5, np.zeros((68, 1))], axis=1).T.astype(np.float32), (2000, 1, 1))
    np.save(data / "aflw2000_gt" / "AFLW2000-3D.pts68.npy", points)
    np.save(data / "aflw2000_gt" / "AFLW2000-3D.pose.npy", np.tile([0.0, 45.0, 80.0, 0.0], 500))
    for name in ("aflw2000", "helen", "afw_multi"):
        (data / "faces_dev" / name).mkdir(parents=True)
        Image.new("RGB", (450, 450) if name == "aflw2000" else (300, 200)).save(data / "faces_dev" / name / "a.jpg")
    (data / "faces_dev" / "aflw2000" / "rows.json").write_text(json.dumps({"a.jpg": {"row": 0}}))
    for name, value in (("helen", face.tolist()), ("afw_multi", [face.tolist(), (face + 100).tolist()])):
        listing = data / "faces_dev" / name / "landmarks68.json"
        listing.write_text(json.dumps({"a.jpg": {"landmarks68_px": value}}))
    Image.new("RGB", (300, 200)).save(data / "backgrounds" / "a.jpg")
    shifted = face + [2.0, 0.0]
    base = _predictions(shifted)
    for name in ("helen", "afw_multi", "backgrounds"):
        write_predictions(preds / f"{name}.npz", base)
    size = np.array([[450, 450]])
    posed = replace(base, processed_size_hw=size, image_size_hw=size, rotation_head=np.eye(3)[None])
    write_predictions(preds / "aflw2000.npz", posed)
    return data, preds


def test_summary_measures_every_set_and_names_those_it_could_not(script, dev_folders, capsys, tmp_path):
    data, preds = dev_folders

    def run(*options) -> str:
        assert script.main(["--preds", str(preds), "--root", str(data), *map(str, options)]) == 0
        return capsys.readouterr().out

    out = run("--markdown", tmp_path / "s.md")
    lines = {line.split()[0]: line for line in out.splitlines() if " mine " in line}
    assert lines["aflw2000"].split()[2:6] == ["1", "0", "1.00", "4.00"]
    assert "0.00" in lines["aflw2000"].split()  # yaw error
    assert lines["afw_multi"].split()[2:6] == ["2", "1", "0.50", "4.00"]
    assert "not measured" in lines["dlib_groups"]
    assert lines["no-faces"].split()[-1] == "1.000"
    assert "to reach first" in out
    assert "| helen | mine | 1 | 0 | 1.00 | 4.00 |" in (tmp_path / "s.md").read_text()
    assert "to reach first" not in run("--no-reference")
    with pytest.raises(FileNotFoundError, match="preds must be folders of prediction files"):
        script.main(["--preds", str(tmp_path / "none"), "--root", str(data)])
