import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from morphable_evalkit import read_predictions, write_predictions
from morphable_evalkit.cli import main
from morphable_evalkit.reports.results import ItemResult, Result, write_results


def _run(capsys, *argv) -> str:
    assert main([str(a) for a in argv]) == 0
    return capsys.readouterr().out


def test_compare_prints_difference_interval_and_p(tmp_path, capsys):
    rng = np.random.default_rng(0)
    base = rng.uniform(0.02, 0.06, 50)
    for name, errors in (("a", base), ("b", base - 0.004)):
        items = tuple(ItemResult(image=f"{i}.jpg", face=0, error=float(e)) for i, e in enumerate(errors))
        result = Result(command="nme", system=name, protocol={"p": "x"}, unit="fraction", summary={}, items=items)
        write_results(tmp_path / f"{name}.json", [result])
        write_results(tmp_path / "both.json", [result, result])
    out = _run(capsys, "compare", tmp_path / "a.json", tmp_path / "b.json", "--resamples", 500)
    assert "-0.400" in out
    assert "0.0040" in out  # p = 2 / 501
    assert main(["compare", str(tmp_path / "a.json"), str(tmp_path / "both.json")]) == 1
    assert "must hold one result, got 2" in capsys.readouterr().err


def test_latency_prints_the_crossover_and_plots(tmp_path, capsys):
    timings = [
        {"system": "one pass", "device": "cpu", "samples_ms": {"1": [30, 31, 32], "20": [33, 34, 35]}},
        {"system": "per face", "device": "cpu", "notes": "detector included", "samples_ms": {"1": [17], "20": [55]}},
    ]
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"format": "evalkit-timing", "version": 1, "timings": timings}))
    out = _run(capsys, "latency", path, "--plot", tmp_path / "t.png", "--json", tmp_path / "r.json")
    assert "one pass, cpu is at least as fast as per face, cpu from 8.6 faces on" in out
    assert "per face, cpu: detector included" in out
    with Image.open(tmp_path / "t.png") as picture:
        assert picture.width > 500
    out = _run(capsys, "table", "--paper", "wm3dr", "--only", "IV-D", "--mine", tmp_path / "r.json")
    assert "one pass, cpu (own)" in out


def test_tables_in_every_format(tmp_path, capsys):
    for kind, words in (("text", "WM3DR"), ("markdown", "| WM3DR |"), ("latex", "WM3DR & 2.60"), ("csv", "WM3DR,2.60")):
        assert words in _run(capsys, "table", "--paper", "wm3dr", "--format", kind)
    assert main(["table", "--paper", "wm3dr", "--only", "nothing"]) == 1
    assert "tables: Table I, section IV-D" in capsys.readouterr().err
    _run(capsys, "table", "--paper", "records", "--format", "json", "--to", tmp_path / "t.json")
    assert "SynergyNet" in (tmp_path / "t.json").read_text()


def test_convert_then_nme_on_made_up_aflw2000(tmp_path, capsys):
    rng = np.random.default_rng(0)
    points = rng.uniform(1, 450, (2000, 3, 68)).astype(np.float32)
    np.save(tmp_path / "AFLW2000-3D.pts68.npy", points)
    np.save(tmp_path / "AFLW2000-3D.pose.npy", np.repeat([0.0, 45.0, 80.0], [1000, 500, 500]))
    np.save(tmp_path / "mine.npy", points + np.float32([3.0, 4.0, 0.0])[:, None])
    argv = [
        "convert",
        "--source",
        "3ddfa",
        "--input",
        tmp_path / "mine.npy",
        "--root",
        tmp_path,
        "--to",
        tmp_path / "p.npz",
    ]
    assert "2000 images, 2000 faces" in _run(capsys, *argv)
    argv = ["nme", "--preds", tmp_path / "p.npz", "--dataset", "aflw2000", "--root", tmp_path, "--form", "gt-crop"]
    line = _run(capsys, *argv).splitlines()[3]
    box = points[:, :2].max(axis=2) - points[:, :2].min(axis=2)
    expected = 100 * np.mean(5 / np.sqrt(box.prod(axis=1)))
    assert float(line.split()[6]) == pytest.approx(expected, abs=2e-3)
    shuffled = points[rng.permutation(2000)] * 0.2 + np.float32(rng.uniform(0, 350, (2000, 1, 1)))
    np.save(tmp_path / "AFLW2000-3D.pts68.npy", shuffled)
    assert main([str(a) for a in argv]) == 1
    assert "order of the sorted file names" in capsys.readouterr().err


def test_convert_json_and_bad_options(tmp_path, capsys, face_points):
    face = {"landmarks68_px": face_points().tolist()}
    (tmp_path / "p.json").write_text(
        json.dumps({"images": [{"image": "a.jpg", "size_hw": [200, 300], "faces": [face]}]})
    )
    _run(capsys, "convert", "--source", "json", "--input", tmp_path / "p.json", "--to", tmp_path / "p.npz")
    assert read_predictions(tmp_path / "p.npz").image == ("a.jpg",)
    for bad in (["--source", "3ddfa", "--to", "p.npz"], ["--source", "json", "--to", "p.txt"]):
        with pytest.raises(SystemExit):
            main(["convert", "--input", str(tmp_path / "p.json"), *bad])
    assert main(["convert", "--source", "3ddfa", "--input", "none.npy", "--root", ".", "--to", "p.npz"]) == 1


def test_pose_command(tmp_path, capsys, face_points, make_predictions):
    truth = make_predictions([("a.jpg", face_points())], rotation_head=np.eye(3)[None])
    write_predictions(tmp_path / "truth.npz", truth)
    R = np.array([[[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]])  # rolled by a right angle
    write_predictions(tmp_path / "p.npz", replace(truth, rotation_head=R, translation_m=np.array([[0.0, 0, 1]])))
    argv = ["pose", "--preds", tmp_path / "p.npz", "--dataset", "truth", "--root", tmp_path / "truth.npz"]
    line = next(
        line for line in _run(capsys, *argv, "--json", tmp_path / "r.json").splitlines() if line.startswith("p ")
    )
    assert line.split() == ["p", "0.00", "0.00", "90.00", "30.00", "1", "0", "0"]
