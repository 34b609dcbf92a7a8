import csv

import numpy as np
import pytest

from morphable_evalkit.cli import main
from morphable_evalkit.datasets.aflw2000 import read_aflw2000, true_crops


def test_crop_by_hand():
    # box from 99.5 to 199.5 (100 to 200 counted from 1), center 150, side 100 * sqrt(2) = 141.4 -> 141,
    # corner 150 - 70.7 = 79.3 -> 79
    points = np.full((1, 68, 2), 149.5)
    points[0, 0], points[0, 1] = (99.5, 149.5), (199.5, 149.5)
    assert true_crops(points).tolist() == [[79.0, 79.0, 220.0, 220.0]]


def test_shipped_boxes_of_aflw2000_are_these_but_for_a_few(shared_data):
    root = shared_data / "aflw2000_gt"
    shipped = np.load(root / "AFLW2000-3D_crop.roi_box.npy")
    equal = (true_crops(read_aflw2000(root).points_px) == shipped).all(axis=1)
    assert equal.mean() == pytest.approx(0.9725)


def test_crops_command(tmp_path, make_predictions, face_points, capsys):
    from morphable_evalkit import write_predictions

    write_predictions(tmp_path / "truth.npz", make_predictions([("a.jpg", face_points())]))
    argv = ["crops", "--dataset", "truth", "--root", str(tmp_path / "truth.npz"), "--to", str(tmp_path / "c.csv")]
    assert main(argv) == 0
    assert "1 crops of truth" in capsys.readouterr().out
    (row,) = csv.DictReader((tmp_path / "c.csv").open())
    assert (row["image"], float(row["x1"]) - float(row["x0"])) == ("a.jpg", 71.0)
