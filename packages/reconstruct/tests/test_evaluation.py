"""`evalkit` scores what `reconstruct` writes: dense, by other points of the surface, and against scans."""

import json

import numpy as np
import pytest
from PIL import Image
from stand_ins import DotDetector, dotted

from morphable_reconstruct.batch.options import RunConfig
from morphable_reconstruct.commands.reconstruct import run
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor

evalkit = pytest.importorskip("morphable_evalkit")
from morphable_evalkit.cli import main  # noqa: E402
from morphable_evalkit.scans.mesh import Mesh  # noqa: E402
from morphable_evalkit.scans.mesh_files import write_ply  # noqa: E402


@pytest.fixture
def results(model, tmp_path):
    """An output folder: meshes, numbers and the prediction file of one picture with two faces."""
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(dotted((240, 320), [(100, 120), (250, 90)], dot_px=16)).save(photos / "a.png")
    settings = ReconstructConfig(min_score=0.4, size_px=320)
    out = tmp_path / "out"
    config = RunConfig(
        sources=(str(photos),), out=out, save="obj,ply,npz,json,overlay", preds=out / "preds.npz", preds_vertices=True
    )
    assert run(config, Reconstructor(DotDetector(), model, config=settings)) == 0
    return out


def test_vertices_stand_in_the_prediction_file(results, model):
    found = evalkit.read_predictions(results / "preds.npz")
    assert found.vertices_px.shape == (2, model.num_vertices, 3)
    with np.load(results / "a.npz") as scene:
        camera, focal = scene["vertices_cam_m"], scene["focal_px"]
    for row in range(2):
        x, y, z = camera[row].T.astype(np.float64)
        expected = np.stack([focal * x / z + 160, focal * y / z + 120, (z - z.mean()) / z.mean() * focal], axis=1)
        np.testing.assert_allclose(found.vertices_px[row], expected, atol=1e-3)


def test_dense_measures_take_the_file_as_it_is(results, capsys):
    argv = ["nme", "--preds", str(results / "preds.npz"), "--dataset", "truth", "--root", str(results / "preds.npz")]
    for measure in ("D1", "D2", "D3", "D4"):
        assert main([*argv, "--measure", measure, "--dims", "3"]) == 0
        assert "0 of 2" in capsys.readouterr().out


def test_aflw_lfpa_takes_its_points_from_the_vertices(results, tmp_path, capsys):
    found = evalkit.read_predictions(results / "preds.npz")
    chosen = np.arange(34) % found.vertices_px.shape[1]
    points = np.array([found.vertices_px[row][chosen, :2] for row in range(2)]) + [3.0, 4.0]
    (tmp_path / "lfpa").mkdir()
    box = np.tile([0.0, 0, 100, 100], (2, 1)) + np.tile(points.mean(axis=1) - 50, (1, 2))
    np.savez(tmp_path / "lfpa" / "aflw_lfpa.npz", image=np.array(["a.png"] * 2), points34_px=points, box_xyxy_px=box)
    (tmp_path / "map.json").write_text(json.dumps(chosen.tolist()))
    argv = ["nme", "--preds", str(results / "preds.npz"), "--dataset", "aflw-lfpa", "--root", str(tmp_path / "lfpa")]
    assert main([*argv, "--point-map", str(tmp_path / "map.json")]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("morphable-reconstruct"))
    assert " 5.000 " in line  # 5 px of a box of 100


def test_scans_take_the_output_folder_as_it_is(results, tmp_path, capsys):
    mesh = evalkit.read_mesh(results / "a.ply")
    marks = np.loadtxt(results / "a.landmarks7.txt")
    assert marks.shape == (7, 3)
    scans = tmp_path / "scans"
    write_ply(scans / "a.ply", Mesh(mesh.vertices * 1000, mesh.triangles), np.zeros((len(mesh.vertices), 3), np.uint8))
    np.save(scans / "a.npy", marks * 1000)
    argv = ["rmse", "--preds", str(results), "--scans", str(scans), "--protocol", "now"]
    assert main(argv) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("out "))
    assert line.split()[1:4] == ["all", "1", "0"]
    assert float(line.split()[5]) < 0.01  # millimeters: six decimals of a meter in the OBJ


def test_vertices_need_a_file(tmp_path):
    with pytest.raises(ValueError, match="preds must name a file for preds_vertices"):
        RunConfig(sources=("a.png",), preds_vertices=True)
