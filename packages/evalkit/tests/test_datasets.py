import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from morphable_evalkit import write_predictions
from morphable_evalkit.datasets.aflw import read_aflw, read_aflw_lfpa
from morphable_evalkit.datasets.aflw2000 import read_aflw2000, read_aflw2000_points21
from morphable_evalkit.datasets.catalog import DatasetConfig, open_dataset, open_label_sets
from morphable_evalkit.datasets.folders import read_empty_folder, read_landmark_folder, read_truth_file
from morphable_evalkit.measures.points import nme
from morphable_evalkit.measures.summaries import summarize


@pytest.fixture
def small_aflw2000(tmp_path) -> Path:
    """3DDFA's array files with made-up faces: re-annotated points are 1, 2, 3 px off in the three yaw bins."""
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 100, (2000, 3, 68)).astype(np.float32)
    points[:, :2, 0], points[:, :2, 1] = 0.0, 100.0
    yaw = np.repeat([10.0, -45.0, 80.0], [1000, 600, 400]).astype(np.float32)
    shift = np.repeat([1.0, 2.0, 3.0], [1000, 600, 400]).astype(np.float32)
    reannotated = points[:, :2].copy()
    reannotated[:, 0] += shift[:, None]
    points21 = points[:, :2, :21].copy()
    points21[:, :, 4] = -1.0
    for name, array in {
        "AFLW2000-3D.pts68": points,
        "AFLW2000-3D-Reannotated.pts68": reannotated,
        "AFLW2000-3D.pose": yaw,
        "AFLW2000-3D-new.pose": yaw[::-1],
        "AFLW2000-3D.pts21": points21,
    }.items():
        np.save(tmp_path / f"{name}.npy", array)
    return tmp_path


def test_label_sets_of_the_synthetic_twin_differ_by_the_known_amount(small_aflw2000):
    original = read_aflw2000(small_aflw2000)
    summary = summarize(
        nme(read_aflw2000(small_aflw2000, labels="reannotated").points_px, original.points_px), original.yaw_deg
    )
    # box 100 x 100; 1, 2, 3 px off
    assert [b.num_faces for b in summary.bins] == [1000, 600, 400]
    np.testing.assert_allclose([b.mean for b in summary.bins], [0.01, 0.02, 0.03], rtol=1e-4)
    assert summary.balanced_mean == pytest.approx(0.02, rel=1e-4)
    assert original.images[7] == "row0007"
    assert original.points_px[0, 1].tolist() == [99.5, 99.5]  # counted from 1 at pixel centers


@pytest.mark.parametrize(
    ("yaw", "counts", "bins", "balanced"),
    [
        ("default", [1312, 383, 305], ["2.812", "3.234", "4.096"], "3.381"),
        ("new", [1306, 462, 232], ["2.814", "3.286", "4.241"], "3.447"),
    ],
)
def test_reannotated_against_original_points_of_aflw2000(shared_data, yaw, counts, bins, balanced):
    root = shared_data / "aflw2000_gt"
    original = read_aflw2000(root, yaw=yaw)
    errors = nme(read_aflw2000(root, labels="reannotated").points_px, original.points_px)
    summary = summarize(errors, original.yaw_deg)
    assert [b.num_faces for b in summary.bins] == counts
    assert [f"{100 * b.mean:.3f}" for b in summary.bins] == bins
    assert f"{100 * summary.balanced_mean:.3f}" == balanced
    assert f"{100 * summary.mean:.3f}" == "3.088"


def test_a_subset_takes_its_rows_from_rows_json(small_aflw2000, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "rows.json").write_text(json.dumps({"b.jpg": {"row": 1500}, "a.jpg": {"row": 3}}))
    Image.new("RGB", (450, 450)).save(folder / "a.jpg")
    truth = read_aflw2000(folder, arrays=small_aflw2000)
    full = read_aflw2000(small_aflw2000)
    assert truth.images == ("a.jpg", "b.jpg")
    np.testing.assert_array_equal(truth.points_px, full.points_px[[3, 1500]])
    assert truth.yaw_deg.tolist() == [10.0, -45.0]
    assert truth.pictures == folder


def test_nose_lies_nearer_than_the_ears_in_aflw2000(shared_data):
    truth = read_aflw2000(shared_data / "aflw2000_gt")
    turned_to_us = np.abs(truth.yaw_deg) <= 60
    nearer = truth.depth_px[:, 30] < truth.depth_px[:, [0, 16]].mean(axis=1)
    # 98.6 % of all; the exceptions are heads turned or bent far away
    assert nearer[turned_to_us].mean() > 0.99


def test_21_points_of_aflw2000_skip_absent_ones(small_aflw2000):
    truth = read_aflw2000_points21(small_aflw2000)
    assert truth.visible.sum(axis=1).tolist() == [20] * 2000
    np.testing.assert_allclose(truth.boxes()[0], [-0.5, -0.5, 99.5, 99.5])


def test_the_real_sets_have_the_counts_their_readme_states(shared_data):
    for name, images, faces in (("helen", 95, 95), ("afw_single", 86, 86), ("afw_multi", 37, 108), ("ytf", 347, 347)):
        root = shared_data / "faces_dev" / name
        truth = open_dataset(DatasetConfig(dataset=name, root=root))
        assert (len(truth.images), len(truth.image)) == (images, faces)
        assert truth.jaw == "contour"
        assert len(truth.size_hw) == images
        assert truth.every_face_annotated == (name != "afw_multi")
    groups = open_dataset(DatasetConfig(dataset="dlib_groups", root=shared_data / "faces_dev" / "dlib_groups"))
    assert (len(groups.images), len(groups.image)) == (4, 18)
    truth = read_aflw2000(shared_data / "faces_dev" / "aflw2000", arrays=shared_data / "aflw2000_gt")
    summary = summarize(np.zeros(36), truth.yaw_deg)
    assert [b.num_faces for b in summary.bins] == [28, 2, 6]


def test_folders_hold_one_face_or_several_per_picture(tmp_path):
    one = np.arange(136.0).reshape(68, 2)
    content = {
        "b.jpg": {"landmarks68_px": one.tolist()},
        "a.jpg": {"landmarks68_px": [one.tolist()] * 2},
        "c.jpg": {"landmarks68_px": []},
    }
    (tmp_path / "landmarks68.json").write_text(json.dumps(content))
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg")
    truth = read_landmark_folder(tmp_path)
    assert truth.images == ("a.jpg", "b.jpg", "c.jpg")
    assert truth.image == ("a.jpg", "a.jpg", "b.jpg")
    assert truth.size_hw == {"a.jpg": (20, 30)}
    assert not truth.one_face_per_image
    (tmp_path / "landmarks68.json").write_text(json.dumps({"a.jpg": {"landmarks68_px": [[1, 2]]}}))
    with pytest.raises(ValueError, match=r"landmarks68_px of a\.jpg must be \(faces, 68, 2\)"):
        read_landmark_folder(tmp_path)


def test_a_prediction_file_serves_as_truth(tmp_path, make_predictions, face_points):
    angles_file = make_predictions([("a.jpg", face_points())], rotation_head=np.eye(3)[None])
    write_predictions(tmp_path / "truth.npz", angles_file)
    truth = read_truth_file(tmp_path / "truth.npz")
    assert truth.yaw_deg.tolist() == [0.0]
    np.testing.assert_array_equal(truth.points_px, angles_file.landmarks68_px)
    with pytest.raises(ValueError, match="must hold landmarks68_contour_px"):
        read_truth_file(tmp_path / "truth.npz", jaw="contour")


def test_pictures_without_faces(tmp_path):
    with pytest.raises(FileNotFoundError, match="must hold pictures"):
        read_empty_folder(tmp_path)
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg")
    assert read_empty_folder(tmp_path).images == ("a.jpg",)


def test_aflw_takes_the_box_of_the_fitted_points(tmp_path):
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 100, (5, 2, 21))
    points[2, :, 7] = -1
    box68 = np.zeros((5, 2, 68))
    box68[:, :, 0] = 50.0
    np.save(tmp_path / "AFLW_GT_pts21.npy", points)
    np.save(tmp_path / "AFLW_GT_pts68.npy", box68)
    with pytest.raises(FileNotFoundError, match=r"must hold AFLW_GT_crop_yaws\.npy"):
        read_aflw(tmp_path)
    np.save(tmp_path / "AFLW_GT_crop_yaws.npy", np.zeros(5))
    truth = read_aflw(tmp_path)
    assert truth.visible.sum(axis=1).tolist() == [21, 21, 20, 21, 21]
    np.testing.assert_allclose(truth.boxes()[0], [-0.5, -0.5, 49.5, 49.5])
    (tmp_path / "AFLW_GT_crop.list").write_text("a.jpg\nb.jpg\n")
    with pytest.raises(ValueError, match="arrays of one length, got 5 points, 5 boxes, 5 yaws, 2 names"):
        read_aflw(tmp_path)


def test_aflw_lfpa_is_read_from_the_users_file(tmp_path):
    points = np.random.default_rng(0).uniform(0, 100, (2, 34, 2))
    points[0, 3] = np.nan
    np.savez(tmp_path / "aflw_lfpa.npz", image=["a.jpg", "b.jpg"], points34_px=points)
    with pytest.raises(ValueError, match="must hold box_xyxy_px"):
        read_aflw_lfpa(tmp_path)
    np.savez(tmp_path / "aflw_lfpa.npz", image=["a.jpg", "b.jpg"], points34_px=points, box_xyxy_px=np.ones((2, 4)))
    assert read_aflw_lfpa(tmp_path).visible.sum() == 67


def test_missing_arrays_and_wrong_lengths_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must hold AFLW2000-3D\.pts68\.npy"):
        read_aflw2000(tmp_path)
    np.save(tmp_path / "AFLW2000-3D.pts68.npy", np.zeros((10, 3, 68)))
    with pytest.raises(ValueError, match=r"must have 2000 rows and 3 axes, got \(10,"):
        read_aflw2000(tmp_path)
    with pytest.raises(FileNotFoundError, match="root must exist"):
        open_dataset(DatasetConfig(dataset="helen", root=tmp_path / "none"))


@pytest.mark.parametrize("shape", [(), (2000,), (2000, 3), (2000, 4, 5, 6)])
@pytest.mark.parametrize("name", ["AFLW2000-3D.pts68", "AFLW2000-3D.pose", "AFLW2000-3D.pts21"])
def test_arrays_of_another_shape_are_named(small_aflw2000, name, shape):
    if name.endswith("pose") and shape == (2000,):
        return  # its own shape
    np.save(small_aflw2000 / f"{name}.npy", np.ones(shape))
    with pytest.raises(ValueError, match=rf"{name}\.npy must "):
        read_aflw2000_points21(small_aflw2000)


@pytest.mark.parametrize("shape", [(), (5,), (5, 3), (5, 2, 20)])
@pytest.mark.parametrize("name", ["AFLW_GT_pts21.npy", "AFLW_GT_pts68.npy"])
def test_arrays_of_aflw_of_another_shape_are_named(tmp_path, name, shape):
    for file, array in {"pts21": np.ones((5, 2, 21)), "pts68": np.ones((5, 2, 68)), "crop_yaws": np.ones(5)}.items():
        np.save(tmp_path / f"AFLW_GT_{file}.npy", array)
    assert read_aflw(tmp_path).points_px.shape == (5, 21, 2)
    np.save(tmp_path / name, np.ones(shape))
    with pytest.raises(ValueError, match=rf"{name} must "):
        read_aflw(tmp_path)


def test_some_pictures_without_rows_json_are_refused(small_aflw2000):
    Image.new("RGB", (450, 450)).save(small_aflw2000 / "a.jpg")
    with pytest.raises(ValueError, match=r"all 2000 pictures of AFLW2000-3D, or a rows\.json"):
        read_aflw2000(small_aflw2000)


def test_angles_come_from_the_data_sets_own_files_where_all_are_there(small_aflw2000, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "rows.json").write_text(json.dumps({"a.jpg": {"row": 3}, "b.jpg": {"row": 4}}))
    pose = np.zeros((1, 7))
    pose[0, :3] = np.deg2rad([10.0, -20.0, 30.0])
    savemat(folder / "a.mat", {"Pose_Para": pose})
    assert read_aflw2000(folder, arrays=small_aflw2000).angles_deg is None
    savemat(folder / "b.mat", {"Pose_Para": pose})
    np.testing.assert_allclose(read_aflw2000(folder, arrays=small_aflw2000).angles_deg, [[10.0, -20.0, 30.0]] * 2)


def test_both_label_sets_are_read_under_their_names(small_aflw2000):
    config = DatasetConfig(dataset="aflw2000", root=small_aflw2000, labels="both")
    assert list(open_label_sets(config)) == ["original labels", "reannotated labels"]
    with pytest.raises(ValueError, match="original or reannotated here"):
        open_dataset(config)
    with pytest.raises(ValueError, match="only aflw2000 has two sets"):
        open_label_sets(DatasetConfig(dataset="helen", root=small_aflw2000, labels="both"))
    assert list(open_label_sets(DatasetConfig(dataset="aflw2000", root=small_aflw2000))) == [""]
