"""Landmarks that cannot be right are refused or named; those of another face are not."""

from itertools import combinations

import numpy as np
import pytest

from morphable_evalkit.cli import main
from morphable_evalkit.scans.landmarks import check_fit, check_on_mesh
from morphable_evalkit.scans.mesh import Mesh
from morphable_evalkit.scans.mesh_files import write_ply
from morphable_evalkit.scans.registration import align_points


def _fit(source: np.ndarray, target: np.ndarray) -> tuple[str, ...]:
    return check_fit(align_points(source, target).apply(source), target, with_scale=True)


@pytest.mark.parametrize("step", range(1, 7))
def test_rolled_landmarks_are_refused(scan_faces, step):
    marks = scan_faces.landmarks()
    with pytest.raises(ValueError, match="must correspond"):
        _fit(np.roll(marks, step, axis=0), marks)


@pytest.mark.parametrize("pair", combinations(range(7), 2))
def test_two_swapped_landmarks_are_refused(scan_faces, pair):
    marks = scan_faces.landmarks()
    swapped = marks.copy()
    swapped[list(pair)] = marks[list(pair[::-1])]
    with pytest.raises(ValueError, match="must correspond"):
        _fit(swapped, marks)


def test_the_residual_by_hand():
    # the outer eye corners are 100 apart, so a shift of 5 is 5 % for every point
    marks = np.array([[-50.0, 0, 0], [-20, 0, 0], [20, 0, 0], [50, 0, 0], [0, -40, 0], [-25, -70, 0], [25, -70, 0]])
    assert check_fit(marks + np.array([0.0, 0, 5]), marks, with_scale=True) == ()
    (warning,) = check_fit(marks + np.array([0.0, 0, 11]), marks, with_scale=True)
    assert "11 % of the outer eye distance" in warning
    with pytest.raises(ValueError, match=r"16 % of the outer eye distance.*is the unit right"):
        check_fit(marks + np.array([0.0, 0, 16]), marks, with_scale=False)


def test_landmarks_of_another_face_pass(scan_faces):
    marks = scan_faces.landmarks()
    other = marks * [1.05, 0.95, 1.1] + np.random.default_rng(0).normal(0, 1.5, (7, 3))
    assert _fit(other, marks) == ()


@pytest.mark.parametrize("triangles", [True, False])
def test_landmarks_lie_on_their_mesh(scan_faces, triangles):
    vertices, faces = scan_faces.face(60)
    mesh = Mesh(vertices, faces if triangles else np.empty((0, 3), np.int64))
    marks = scan_faces.landmarks()
    assert check_on_mesh(marks, mesh, "scan") == ()
    raised = marks.copy()
    raised[4, 2] += 9.0  # of an outer eye distance of 90: about 10 % along the normal, less along the slope
    (warning,) = check_on_mesh(raised, mesh, "scan")
    assert warning.startswith("landmark of the scan off its mesh: the nose bottom lies")
    raised[4, 2] += 40.0
    with pytest.raises(ValueError, match="landmarks of the prediction must lie on its mesh, got the nose bottom"):
        check_on_mesh(raised, mesh, "prediction")


def test_a_coarse_mesh_is_measured_by_its_surface():
    # one big triangle pair: the landmarks lie on it, but far from its four vertices
    vertices = np.array([[-100.0, -100, 0], [100, -100, 0], [100, 100, 0], [-100, 100, 0]])
    marks = np.array([[-45.0, 35, 0], [-17, 33, 0], [17, 33, 0], [45, 35, 0], [0, -12, 0], [-25, -42, 0], [25, -42, 0]])
    assert check_on_mesh(marks, Mesh(vertices, np.array([[0, 1, 2], [0, 2, 3]])), "scan") == ()


def test_the_command_names_the_scan(tmp_path, scan_faces, capsys):
    vertices, triangles = scan_faces.face(40)
    colors = np.zeros((len(vertices), 3), np.uint8)
    marks = scan_faces.landmarks()
    for folder, name, points in (
        ("scans", "a", marks),
        ("scans", "b", marks),
        ("mine", "a", np.roll(marks, 1, axis=0)),
        ("mine", "b", marks + [0.0, 0.0, 7.0]),
    ):
        write_ply(tmp_path / folder / f"{name}.ply", Mesh(vertices, triangles), colors)
        np.save(tmp_path / folder / f"{name}.npy", points)
    argv = ["rmse", "--preds", str(tmp_path / "mine"), "--scans", str(tmp_path / "scans"), "--unit", "mm"]
    assert main(argv) == 0
    err = capsys.readouterr().err
    assert "evalkit: a: landmarks of scan and prediction must correspond" in err
    assert "evalkit: b: landmark of the prediction off its mesh" in err
    (tmp_path / "mine" / "b.ply").unlink()
    assert main(argv) == 1  # nothing was measured
    assert "failure for every face or scan" in capsys.readouterr().err
