import json

import numpy as np
import pytest
from PIL import Image

from morphable_evalkit.cli import main
from morphable_evalkit.reports.results import read_results
from morphable_evalkit.scans.layouts import find_scans, read_landmarks
from morphable_evalkit.scans.mesh import Mesh
from morphable_evalkit.scans.mesh_files import read_mesh, write_ply


def _save(path, vertices, triangles, marks=None) -> None:
    write_ply(path, Mesh(vertices, triangles), np.zeros((len(vertices), 3), np.uint8))
    if marks is not None:
        np.save(path.with_suffix(".npy"), marks)


@pytest.fixture
def folders(tmp_path, scan_faces):
    """Two scans; the first predicted exactly (in meters), the second not at all."""
    vertices, triangles = scan_faces.face(40)
    for name in ("s1/neutral", "s2/smile"):
        _save(tmp_path / "scans" / f"{name}.ply", vertices, triangles, scan_faces.landmarks())
    _save(tmp_path / "mine" / "s1" / "neutral.ply", vertices / 1000, triangles, scan_faces.landmarks() / 1000)
    return tmp_path


def test_a_missing_mesh_is_a_counted_failure(folders, capsys):
    argv = ["rmse", "--preds", str(folders / "mine"), "--scans", str(folders / "scans")]
    argv += ["--json", str(folders / "r.json"), "--error-maps", str(folders / "maps")]
    assert main(argv) == 0
    captured = capsys.readouterr()
    line = next(line for line in captured.out.splitlines() if line.startswith("mine"))
    assert line.split()[:5] == ["mine", "all", "2", "1", "0.000"]
    assert "s2/smile: no predicted mesh" in captured.err
    (result,) = read_results(folders / "r.json")
    assert [np.isnan(item.error) for item in result.items] == [False, True]
    with Image.open(folders / "maps" / "s1_neutral_neutral.png") as picture:
        assert picture.width > 300
    assert len(read_mesh(folders / "maps" / "s1_neutral_neutral.ply").vertices) == 1600


def test_a_broken_mesh_is_a_failure_with_its_reason(folders, capsys, scan_faces):
    vertices, triangles = scan_faces.face(10)
    _save(folders / "mine" / "s2" / "smile.ply", vertices * np.nan, triangles, scan_faces.landmarks())
    assert main(["rmse", "--preds", str(folders / "mine"), "--scans", str(folders / "scans")]) == 0
    assert "s2/smile: prediction of s2/smile must be finite" in capsys.readouterr().err


def test_meshes_of_unknown_scans_are_refused(folders, capsys, scan_faces):
    _save(folders / "mine" / "s3" / "neutral.ply", *scan_faces.face(10))
    assert main(["rmse", "--preds", str(folders / "mine"), "--scans", str(folders / "scans")]) == 1
    assert "got 1 that do not (s3/neutral.ply)" in capsys.readouterr().err


def test_landmarks_may_stand_in_one_file(folders, scan_faces):
    scans = folders / "scans"
    (scans / "s1" / "neutral.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"landmarks of s1/neutral\.ply must be beside it"):
        read_landmarks(scans / "s1" / "neutral.ply", scans)
    (scans / "landmarks7.json").write_text(json.dumps({"s1/neutral.ply": scan_faces.landmarks().tolist()}))
    marks = read_landmarks(scans / "s1" / "neutral.ply", scans)
    np.testing.assert_allclose(marks, scan_faces.landmarks())
    (scans / "s1" / "neutral.txt").write_text("1 2 3\n")
    with pytest.raises(ValueError, match="must hold 7 points"):
        read_landmarks(scans / "s1" / "neutral.ply", scans)


def test_now_layout_with_picked_points(tmp_path, scan_faces, capsys):
    vertices, triangles = scan_faces.face(40)
    root, preds = tmp_path / "now", tmp_path / "preds"
    images = ["A/multiview_neutral/IMG_1.jpg", "A/selfie/IMG_2.jpg"]
    _save(root / "scans" / "A" / "scan.ply", vertices, triangles)
    points = "".join(
        f'<point x="{x}" y="{y}" z="{z}" active="1" name="{i}"/>' for i, (x, y, z) in enumerate(scan_faces.landmarks())
    )
    marks = root / "scans_lmks_onlypp" / "A" / "scan_picked_points.pp"
    marks.parent.mkdir(parents=True)
    marks.write_text(f"<!DOCTYPE PickedPoints>\n<PickedPoints>{points}</PickedPoints>")
    preds.mkdir()
    with pytest.raises(FileNotFoundError, match="imagepathsvalidation"):
        find_scans("now", root, preds)
    (root / "imagepathsvalidation.txt").write_text("\n".join(images))
    for image in images:
        _save((preds / image).with_suffix(".ply"), vertices, triangles, scan_faces.landmarks())
    assert main(["rmse", "--preds", str(preds), "--scans", str(root), "--layout", "now", "--unit", "mm"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[1] for line in out.splitlines() if line.startswith("preds")] == [
        "all",
        "multiview_neutral",
        "selfie",
    ]


def test_micc_layout_takes_the_better_of_two_scans(tmp_path, scan_faces, capsys):
    vertices, triangles = scan_faces.face(50)
    noisy = vertices + np.random.default_rng(0).normal(0, 0.5, (len(vertices), 1)) * scan_faces.normals(vertices)
    root, preds = tmp_path / "micc", tmp_path / "preds"
    marks = {}
    for name, points in (("frontal1", vertices), ("frontal2", noisy), ("sidel", vertices)):
        _save(root / "subject_01" / "Model" / name / "obj" / "a.ply", points, triangles)
        marks[f"subject_01/Model/{name}/obj/a.ply"] = scan_faces.landmarks().tolist()
    (root / "landmarks7.json").write_text(json.dumps(marks))
    _save(preds / "subject_01" / "Cooperative" / "p.ply", vertices, triangles, scan_faces.landmarks())
    argv = ["rmse", "--preds", str(preds), "--scans", str(root), "--layout", "micc", "--unit", "mm"]
    assert main([*argv, "--protocol", "micc-ganfit"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.split()[:2] == ["preds", "all"])
    assert line.split()[2:] == ["2", "0", "0.000", "0.000", "0.000", "1", "subjects,", "best", "scan"]
    assert main([*argv, "--protocol", "micc-deng"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.split()[:2] == ["preds", "all"])
    # means over the exact scan and the noisy one: near (0 + 0.5) / 2
    assert float(line.split()[5]) == pytest.approx(0.25, abs=0.04)


def test_bosphorus_layout_and_empty_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="scans must be a folder"):
        find_scans("bosphorus", tmp_path / "none", tmp_path)
    (tmp_path / "scans").mkdir()
    (tmp_path / "preds").mkdir()
    with pytest.raises(FileNotFoundError, match="layout of 'bosphorus', got none"):
        find_scans("bosphorus", tmp_path / "scans", tmp_path / "preds")
    (tmp_path / "scans" / "bs000").mkdir()
    (tmp_path / "scans" / "bs000" / "bs000_N_N_0.bnt").write_bytes(b"")
    (paths,) = find_scans("bosphorus", tmp_path / "scans", tmp_path / "preds")
    assert (paths.subject, paths.name, paths.prediction) == ("bs000", "bs000/bs000_N_N_0", None)
    names = ["Outer right eye corner", "Inner right eye corner", "Inner left eye corner", "Outer left eye corner"]
    names += ["Nose tip", "Right mouth corner", "Left mouth corner"]
    body = "\n".join(f"{name}\n{i} 0 0" for i, name in enumerate(names))
    (tmp_path / "scans" / "bs000" / "bs000_N_N_0.lm3").write_text(f"7 landmarks:\n{body}\n")
    assert read_landmarks(paths.scan, paths.scan_root)[:, 0].tolist() == list(range(7))
    (tmp_path / "scans" / "bs000" / "bs000_N_N_0.lm3").write_text("1 landmarks:\nNose tip\n0 0 0\n")
    with pytest.raises(ValueError, match="got none for Outer right eye corner"):
        read_landmarks(paths.scan, paths.scan_root)
