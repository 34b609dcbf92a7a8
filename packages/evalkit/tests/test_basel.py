"""AFLW2000-3D's own folder, and dense truth from its parameters with made-up files of the Basel model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from morphable_evalkit import Predictions, write_predictions
from morphable_evalkit.cli import main
from morphable_evalkit.datasets.aflw2000 import read_aflw2000
from morphable_evalkit.datasets.basel import FaceBasis, FaceFit, project, read_face_basis

NUM_VERTICES, NUM_SHAPE, NUM_EXPRESSION = 90, 199, 29
HEIGHT, WIDTH = 450, 460


@pytest.fixture
def basis() -> FaceBasis:
    rng = np.random.default_rng(0)
    mean = rng.normal(0, 5e4, (NUM_VERTICES, 3)).ravel()  # micrometers, as Basel's
    return FaceBasis(
        mean=mean,
        shape=rng.normal(0, 0.05, (3 * NUM_VERTICES, NUM_SHAPE)) * np.geomspace(1, 0.01, NUM_SHAPE),
        expression=rng.normal(0, 800.0, (3 * NUM_VERTICES, NUM_EXPRESSION)) * np.geomspace(1, 0.01, NUM_EXPRESSION),
        keypoints=rng.permutation(NUM_VERTICES)[:68],
    )


def _write_matlab(folder: Path, basis: FaceBasis) -> None:
    half = basis.mean[:, None] / 2
    savemat(folder / "Model_Shape.mat", {"mu_shape": half, "w": basis.shape, "keypoints": basis.keypoints[None] + 1})
    savemat(folder / "Model_Exp.mat", {"mu_exp": half, "w_exp": basis.expression})


def _write_original(folder: Path, basis: FaceBasis) -> None:
    """Basel's own file: 10 vertices more, of the mouth, in between."""
    kept = np.sort(np.random.default_rng(1).permutation(NUM_VERTICES + 10)[:NUM_VERTICES])
    rows = (3 * kept[:, None] + np.arange(3)).ravel()
    mean, modes = np.full(3 * NUM_VERTICES + 30, 9e9), np.full((3 * NUM_VERTICES + 30, NUM_SHAPE), 9e9)
    mean[rows], modes[rows] = basis.mean, basis.shape
    savemat(folder / "01_MorphableModel.mat", {"shapeMU": mean[:, None], "shapePC": modes}, do_compression=True)
    savemat(folder / "model_info.mat", {"trimIndex": kept[:, None] + 1, "keypoints": basis.keypoints[None] + 1})
    savemat(folder / "Model_Exp.mat", {"mu_exp": np.zeros((3 * NUM_VERTICES, 1)), "w_exp": basis.expression})


def _write_numpy(folder: Path, basis: FaceBasis) -> None:
    np.save(folder / "u_shp.npy", basis.mean[:, None])
    np.save(folder / "u_exp.npy", np.zeros((3 * NUM_VERTICES, 1)))
    np.save(folder / "w_shp_sim.npy", basis.shape[:, :40])
    np.save(folder / "w_exp_sim.npy", basis.expression[:, :10])
    np.save(folder / "keypoints_sim.npy", (3 * basis.keypoints[:, None] + np.arange(3)).ravel())


def _fits(count: int) -> list[FaceFit]:
    rng = np.random.default_rng(2)
    return [
        FaceFit(
            shape=rng.normal(0, 1e4, NUM_SHAPE),
            expression=rng.normal(0, 1, NUM_EXPRESSION),
            pose=np.array([0.2, yaw, -0.1, 220.0, 200.0, -50.0, 1e-3]),
            height_px=HEIGHT,
        )
        for yaw in np.linspace(-1.2, 1.2, count)
    ]


@pytest.fixture
def own_folder(tmp_path, basis):
    """Three pictures with .mat files as the data set's own."""
    root = tmp_path / "AFLW2000"
    root.mkdir()
    for number, fit in enumerate(_fits(3)):
        points = project(basis, fit)[basis.keypoints]
        labelled = np.stack(
            [points[:, 0] + 0.5, points[:, 1] + 0.5, -points[:, 2]]
        )  # counted from 1, toward the viewer
        parameters = {
            "Shape_Para": fit.shape[:, None],
            "Exp_Para": fit.expression[:, None],
            "Pose_Para": fit.pose[None],
        }
        savemat(root / f"image{number:05d}.mat", parameters | {"pt3d_68": labelled})
        Image.new("RGB", (WIDTH, HEIGHT)).save(root / f"image{number:05d}.jpg")
    return root


def test_a_vertex_by_hand():
    # one vertex at (1000, 2000, 3000); a shape mode adds 100 to x, twice: x = 1200; an expression mode takes 500 from z
    basis = FaceBasis(
        mean=np.array([1000.0, 2000, 3000]),
        shape=np.array([[100.0], [0], [0]]),
        expression=np.array([[0.0], [0], [-500]]),
        keypoints=None,
    )
    straight = FaceFit(np.array([2.0]), np.array([1.0]), np.array([0.0, 0, 0, 10, 20, 30, 0.01]), height_px=100)
    # 0.01 * (1200, 2000, 2500) + (10, 20, 30) = (22, 40, 55), y from below and counted from 1: 101 - 40 = 61; ours are
    # 0.5 less; depth points away from the viewer
    np.testing.assert_allclose(project(basis, straight), [[21.5, 60.5, -55.0]])
    # a yaw of a right angle turns z to -x: 0.01 * (-2500, 2000, 1200)
    turned = replace(straight, pose=np.array([0.0, np.pi / 2, 0, 10, 20, 30, 0.01]))
    np.testing.assert_allclose(project(basis, turned), [[10 - 25 - 0.5, 60.5, -(12 + 30)]])


@pytest.mark.parametrize("write", [_write_matlab, _write_original])
def test_both_forms_of_the_whole_model_are_the_same(tmp_path, basis, write):
    write(tmp_path, basis)
    found = read_face_basis(tmp_path)
    np.testing.assert_allclose(found.mean, basis.mean)
    np.testing.assert_allclose(found.shape, basis.shape)
    np.testing.assert_array_equal(found.keypoints, basis.keypoints)
    for fit in _fits(3):
        np.testing.assert_allclose(project(found, fit), project(basis, fit), atol=1e-9)


def test_the_arrays_of_3ddfa_hold_40_and_10_modes(tmp_path, basis):
    _write_numpy(tmp_path, basis)
    found = read_face_basis(tmp_path)
    assert (found.shape.shape[1], found.expression.shape[1]) == (40, 10)
    (fit,) = _fits(1)
    cut = replace(basis, shape=basis.shape[:, :40], expression=basis.expression[:, :10])
    np.testing.assert_allclose(project(found, fit), project(cut, fit))
    np.testing.assert_array_equal(found.keypoints, basis.keypoints)


def test_the_own_folder_gives_points_depth_and_angles(own_folder, basis):
    truth = read_aflw2000(own_folder)
    assert truth.name == "AFLW2000-3D (3 of 2000 images), original labels, yaws of Pose_Para"
    assert truth.images == ("image00000.jpg", "image00001.jpg", "image00002.jpg")
    assert truth.size_hw["image00001.jpg"] == (HEIGHT, WIDTH)
    expected = [project(basis, fit)[basis.keypoints] for fit in _fits(3)]
    np.testing.assert_allclose(truth.points_px, np.array(expected)[..., :2])
    np.testing.assert_allclose(truth.depth_px, np.array(expected)[..., 2])
    np.testing.assert_allclose(truth.angles_deg, np.rad2deg([fit.pose[:3] for fit in _fits(3)]))
    np.testing.assert_allclose(truth.yaw_deg, np.rad2deg([-1.2, 0.0, 1.2]), atol=1e-9)


@pytest.mark.parametrize("write", [_write_matlab, _write_original, _write_numpy])
def test_dense_truth_is_the_models(own_folder, tmp_path, basis, write):
    write(tmp_path, basis)
    truth = read_aflw2000(own_folder, basis=tmp_path)
    assert truth.vertices_px.shape == (3, NUM_VERTICES, 3)
    found = read_face_basis(tmp_path)
    for row, fit in enumerate(_fits(3)):
        np.testing.assert_allclose(truth.vertices_px[row], project(found, fit))
    modes = "40 of 199 shape and 10 of 29" if write is _write_numpy else "199 of 199 shape and 29 of 29"
    assert modes in truth.name


def test_the_dense_measure_end_to_end(own_folder, tmp_path, basis, capsys):
    _write_matlab(tmp_path, basis)
    vertices = np.array([project(basis, fit) for fit in _fits(3)])
    points = vertices[:, basis.keypoints, :2]
    size = np.tile(np.int64([HEIGHT, WIDTH]), (3, 1))
    names = tuple(f"image{i:05d}.jpg" for i in range(3))
    predictions = Predictions(
        processed_image=names,
        processed_size_hw=size,
        image=names,
        image_size_hw=size,
        score=np.ones(3),
        box_xyxy_px=np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1),
        landmarks68_px=points,
        vertices_px=(vertices + [3.0, 4.0, 70.0]).astype(np.float32),  # 5 px off; a shift in depth does not count
    )
    write_predictions(tmp_path / "p.npz", predictions)
    argv = ["nme", "--preds", str(tmp_path / "p.npz"), "--dataset", "aflw2000", "--root", str(own_folder)]
    argv += ["--basis", str(tmp_path), "--measure", "D2"]
    box = vertices[..., :2].max(axis=1) - vertices[..., :2].min(axis=1)
    expected = 5 / np.sqrt(box.prod(axis=1))
    for dims in ("2", "3"):
        assert main([*argv, "--dims", dims]) == 0
        out = capsys.readouterr().out
        line = next(line for line in out.splitlines() if line.startswith("p "))
        assert float(line.split()[1]) == pytest.approx(100 * expected[1], abs=2e-3)  # the bin of the frontal face
        assert float(line.split()[6]) == pytest.approx(100 * expected.mean(), abs=2e-3)
        assert f"all {NUM_VERTICES} vertices" in out
    assert main([*argv[:-4], "--measure", "D2"]) == 1
    assert "must hold vertices_px for --measure D2" in capsys.readouterr().err


def test_files_that_do_not_fit_are_refused(own_folder, tmp_path, basis):
    with pytest.raises(FileNotFoundError, match=r"basis must hold Model_Shape\.mat, Model_Exp\.mat; or 01_Morphable"):
        read_aflw2000(own_folder, basis=tmp_path)
    (tmp_path / "Exp_Pca.bin").write_bytes(b"x")
    with pytest.raises(FileNotFoundError, match="another set of expressions"):
        read_face_basis(tmp_path)
    _write_matlab(tmp_path, replace(basis, keypoints=np.roll(basis.keypoints, 1)))
    with pytest.raises(ValueError, match="of the face's box away from pt3d_68"):
        read_aflw2000(own_folder, basis=tmp_path)
    savemat(tmp_path / "Model_Exp.mat", {"mu_exp": basis.mean[:, None], "w_exp": basis.expression[:-3]})
    with pytest.raises(ValueError, match="must have one length, got 270 of the mean, 270 of the shape modes, 267"):
        read_face_basis(tmp_path)
    savemat(tmp_path / "Model_Exp.mat", {"w_exp": basis.expression})
    with pytest.raises(ValueError, match=r"Model_Exp\.mat must hold the numbers mu_exp, got w_exp"):
        read_face_basis(tmp_path)


def test_an_own_folder_with_gaps_is_refused(own_folder, basis):
    with pytest.raises(ValueError, match="pass the folder of 3DDFA's arrays as --arrays"):
        read_aflw2000(own_folder, labels="reannotated")
    savemat(own_folder / "image00001.mat", {"Pose_Para": np.ones((1, 7))})
    with pytest.raises(ValueError, match=r"image00001\.mat must hold pt3d_68"):
        read_aflw2000(own_folder)
    (own_folder / "image00001.mat").unlink()
    with pytest.raises(FileNotFoundError, match=r"got none for image00001\.jpg"):
        read_aflw2000(own_folder)
