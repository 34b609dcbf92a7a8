import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from morphable_evalkit import write_predictions
from morphable_evalkit.cli import main
from morphable_evalkit.reports.results import read_results


@pytest.fixture
def folder(tmp_path, face_points):
    """A folder data set of two pictures, the second with two faces."""
    root = tmp_path / "set"
    root.mkdir()
    faces = {"a.jpg": [face_points()], "b.jpg": [face_points((60, 60), seed=1), face_points((200, 60), seed=2)]}
    for name in faces:
        Image.new("RGB", (300, 200), (90, 90, 90)).save(root / name)
    content = {name: {"landmarks68_px": np.array(points).tolist()} for name, points in faces.items()}
    (root / "landmarks68.json").write_text(json.dumps(content))
    return root, [(name, points) for name, group in faces.items() for points in group]


@pytest.fixture
def preds(folder, tmp_path, make_predictions):
    """Predictions 2 px off, the last face missed."""
    _, faces = folder
    shifted = [(name, points + [2.0, 0.0]) for name, points in faces[:2]]
    path = tmp_path / "mine.npz"
    points = np.stack([p for _, p in shifted])
    write_predictions(path, make_predictions(shifted, landmarks68_contour_px=points, system="mine"))
    return path


def test_check_prints_what_the_file_holds(preds, capsys):
    assert main(["check", str(preds)]) == 0
    assert "valid, 0 warning(s); 2 images, 2 faces, 0 images without a face" in capsys.readouterr().out


def test_check_fails_on_a_broken_file(tmp_path, capsys):
    np.savez(tmp_path / "p.npz", score=np.zeros(3))
    assert main(["check", str(tmp_path / "p.npz")]) == 1
    captured = capsys.readouterr()
    assert "error: image: is missing" in captured.out
    assert captured.err.startswith("evalkit: ")


def test_nme_prints_and_writes_every_format(folder, preds, tmp_path, capsys):
    root, _ = folder
    out = tmp_path / "out"
    argv = ["nme", "--preds", str(preds), "--dataset", "landmarks68", "--root", str(root)]
    files = {name: out / f"r.{name}" for name in ("json", "csv", "markdown", "latex")}
    argv += [part for name, path in files.items() for part in (f"--{name}", str(path))]
    argv += ["--per-image", str(out / "faces.csv"), "--plot", str(out / "ced.svg"), "--worst", str(out / "worst.png")]
    assert main(argv) == 0
    printed = capsys.readouterr().out
    assert "1 of 3" in printed
    assert "4.000" in printed
    (result,) = read_results(files["json"])
    assert [item.face for item in result.items] == [0, 0, 1]
    assert result.items[0].error == pytest.approx(0.04)
    assert "4.000" in files["markdown"].read_text()
    assert r"\toprule" in files["latex"].read_text()
    rows = list(csv.DictReader((out / "faces.csv").open()))
    assert [row["image"] for row in rows] == ["a.jpg", "b.jpg", "b.jpg"]
    assert rows[2]["error_fraction"] == ""
    assert (out / "ced.svg").read_text().startswith("<?xml")
    with Image.open(out / "worst.png") as sheet:
        assert sheet.width > 500


def test_two_systems_make_two_rows(folder, preds, tmp_path, capsys):
    root, _ = folder
    copy = tmp_path / "copy.npz"
    copy.write_bytes(preds.read_bytes())
    argv = ["nme", "--preds", str(preds), str(copy), "--dataset", "landmarks68", "--root", str(root)]
    assert main(argv) == 0
    assert f"mine ({copy.with_suffix('')})" in capsys.readouterr().out
    assert main([*argv[:3], str(preds), *argv[4:]]) == 1
    assert "must name each file once" in capsys.readouterr().err


def test_faces_reports_recall_and_placement(folder, preds, tmp_path, make_predictions, capsys):
    root, faces = folder
    argv = ["--dataset", "landmarks68", "--root", str(root)]
    assert main(["faces", "--preds", str(preds), *argv, "--plot", str(tmp_path / "c.png")]) == 0
    assert "0.667" in capsys.readouterr().out
    truth = tmp_path / "truth.npz"
    positions = np.array([[0.0, 0, 1], [0, 0, 2], [1, 0, 2]])
    whole = make_predictions(faces, translation_m=positions)
    write_predictions(truth, whole)
    double = tmp_path / "double.npz"
    write_predictions(double, replace(whole, translation_m=2 * positions))
    argv = ["--dataset", "truth", "--root", str(truth), "--placement"]
    assert main(["faces", "--preds", str(double), *argv]) == 0
    assert "100.0" in capsys.readouterr().out


def test_dense_measures_need_vertices_on_both_sides(folder, preds, tmp_path, make_predictions, capsys):
    root, faces = folder
    argv = ["nme", "--preds", str(preds), "--dataset", "landmarks68", "--root", str(root), "--measure", "D2"]
    assert main(argv) == 1
    assert "preds must hold vertices_px for --measure D2" in capsys.readouterr().err
    vertices = np.random.default_rng(0).uniform(0, 1, (3, 40, 3)).astype(np.float32)
    vertices[:, 0], vertices[:, 1] = 0.0, 1.0
    whole = make_predictions(faces, vertices_px=vertices * 40, rotation_head=np.tile(np.eye(3), (3, 1, 1)))
    write_predictions(tmp_path / "truth.npz", whole)
    moved = (vertices * 40 + np.float32([2.0, 0, 7.0])).astype(np.float32)
    write_predictions(tmp_path / "moved.npz", replace(whole, vertices_px=moved))
    argv = ["nme", "--preds", str(tmp_path / "moved.npz"), "--dataset", "truth", "--root", str(tmp_path / "truth.npz")]
    for measure, expected in (("D1", "4.000"), ("D2", "5.000"), ("D3", "4.000"), ("D4", "5.000")):
        assert main([*argv, "--measure", measure, "--dims", "3"]) == 0
        assert expected in capsys.readouterr().out


def test_input_errors_are_one_line_and_status_1(folder, preds, tmp_path, capsys):
    root, _ = folder
    argv = ["nme", "--preds", str(tmp_path / "none.npz"), "--dataset", "landmarks68", "--root", str(root)]
    assert main(argv) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_bad_options_exit_with_2_before_any_work(folder, preds, capsys):
    root, _ = folder
    argv = ["nme", "--preds", str(preds), "--dataset", "landmarks68", "--root", str(root), "--plot", "ced.txt"]
    for bad in (argv, ["nme", "--prds", "x"]):
        with pytest.raises(SystemExit) as exit_info:
            main(bad)
        assert exit_info.value.code == 2
    assert "plot must end in .png, .svg" in capsys.readouterr().err


def test_groups_make_lines_of_their_own(folder, preds, tmp_path, capsys):
    root, _ = folder
    argv = ["nme", "--preds", str(preds), "--dataset", "landmarks68", "--root", str(root), "--groups"]
    path = tmp_path / "groups.csv"
    path.write_text("image,face,group\na.jpg,0,dark\nb.jpg,0,light\nb.jpg,1,light\n")
    assert main([*argv, str(path)]) == 0
    out = capsys.readouterr().out
    assert "mine: dark (n=1)" in out
    light = next(line for line in out.splitlines() if line.startswith("mine: light (n=2)"))
    assert "1 of 2" in light
    path.write_text("image,face,group\na.jpg,0,dark\n")
    assert main([*argv, str(path)]) == 1
    assert "got none for b.jpg face 0" in capsys.readouterr().err
    path.write_text("image,group\na.jpg,dark\n")
    assert main([*argv, str(path)]) == 1
    assert "must have the columns image, face, group" in capsys.readouterr().err
    assert main([*argv, str(tmp_path / "none.csv")]) == 1


def test_one_run_draws_several_plots(folder, preds, tmp_path):
    root, _ = folder
    plots = [str(tmp_path / "c.png"), str(tmp_path / "c.svg")]
    assert main(["nme", "--preds", str(preds), "--dataset", "landmarks68", "--root", str(root), "--plot", *plots]) == 0
    assert (tmp_path / "c.png").is_file()
    assert (tmp_path / "c.svg").is_file()


def test_the_3d_mean_stands_beside_the_plain_one(tmp_path, face_points, make_predictions, capsys):
    points = np.stack([face_points(), face_points((200, 100), seed=1)])
    faces = list(zip(("a.jpg", "b.jpg"), points, strict=True))
    depth = np.random.default_rng(0).uniform(-20, 20, (2, 68))
    yaws = np.deg2rad([10.0, 40.0])
    turned = np.array([[[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]] for y in yaws])
    truth = make_predictions(faces, landmarks68_depth_px=depth, rotation_head=turned)
    write_predictions(tmp_path / "truth.npz", truth)
    moved = depth + np.where(np.arange(68) < 34, 4.0, -4.0)  # 4 px from the labels, 5 px with the 3 px in x
    write_predictions(
        tmp_path / "mine.npz", replace(truth, landmarks68_px=points + [3.0, 0], landmarks68_depth_px=moved)
    )
    argv = ["nme", "--preds", str(tmp_path / "mine.npz"), "--dataset", "truth", "--root", str(tmp_path / "truth.npz")]
    assert main([*argv, "--json", str(tmp_path / "r.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    columns = [cell.strip() for cell in lines[1].split("  ") if cell.strip()]
    row = next(line for line in lines if line.startswith("mine ")).split("  ")
    cells = [cell.strip() for cell in row if cell.strip()]
    shown = dict(zip(columns, cells, strict=True))
    assert shown["plain mean"] == "6.000"  # 3 px of a box of 50
    assert "3D mean" not in shown  # no face beyond 60 degrees: no mean of three bins, in 2D neither
    assert shown["mean of bins"] == "-"
    (result,) = read_results(tmp_path / "r.json")
    assert result.summary["mean_3d"] is None
    write_predictions(tmp_path / "truth.npz", replace(truth, rotation_head=None))
    assert main([*argv, "--json", str(tmp_path / "r.json")]) == 0
    (result,) = read_results(tmp_path / "r.json")
    assert result.summary["mean_3d"] == pytest.approx(0.1)  # without yaws the mean over all faces: 5 px of 50
    assert "10.000" in capsys.readouterr().out
