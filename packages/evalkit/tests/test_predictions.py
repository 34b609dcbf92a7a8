import zipfile
from pathlib import Path

import numpy as np
import pytest

from morphable_evalkit import Predictions, check_predictions, read_predictions, write_predictions
from morphable_evalkit.predictions.file import read_systems
from morphable_evalkit.predictions.rows import NpzRows, open_rows


def _arrays(**changes) -> dict[str, object]:
    """The file of docs/prediction_file.md, with a second picture in which nothing was found."""
    rng = np.random.default_rng(0)
    arrays: dict[str, object] = {
        "format_version": 1,
        "processed_image": ["a.jpg", "b.jpg"],
        "processed_size_hw": [[480, 640], [300, 200]],
        "image": ["a.jpg", "a.jpg"],
        "image_size_hw": [[480, 640], [480, 640]],
        "score": np.float32([0.9, 0.8]),
        "box_xyxy_px": np.float32([[100, 80, 220, 240], [300, 80, 420, 240]]),
        "landmarks68_px": rng.uniform(100, 200, (2, 68, 2)).astype(np.float32),
    }
    return {name: value for name, value in (arrays | changes).items() if value is not None}


def _write(path: Path, **changes) -> Path:
    np.savez(path, **_arrays(**changes))
    return path


def test_the_documented_file_is_read_and_pictures_without_faces_are_kept(tmp_path):
    predictions = read_predictions(_write(tmp_path / "p.npz"))
    assert predictions.faces_by_image() == {"a.jpg": [0, 1], "b.jpg": []}
    assert predictions.sizes_by_image()["b.jpg"] == (300, 200)


def test_documentation_example_passes_the_check(tmp_path, monkeypatch):
    text = (Path(__file__).parents[3] / "docs" / "prediction_file.md").read_text()
    monkeypatch.chdir(tmp_path)
    exec(text.split("```python")[1].split("```")[0], {})
    assert check_predictions(tmp_path / "preds.npz") == []


def test_writing_then_reading_returns_the_same_values(tmp_path, make_predictions, face_points):
    vertices = np.random.default_rng(0).normal(size=(2, 9, 3)).astype(np.float32)
    predictions = make_predictions(
        [("a.jpg", face_points()), ("b.jpg", face_points(seed=1))],
        images=["a.jpg", "b.jpg", "c.jpg"],
        vertices_px=vertices,
        translation_m=np.float32([[0, 0, 1], [0, 0, 2]]),
        model_name="open",
    )
    path = tmp_path / "new" / "p.npz"
    write_predictions(path, predictions)
    again = read_predictions(path)
    assert again.processed_image == predictions.processed_image
    assert again.model_name == "open"
    np.testing.assert_array_equal(again.landmarks68_px, predictions.landmarks68_px)
    np.testing.assert_array_equal(again.translation_m, predictions.translation_m)
    assert isinstance(again.vertices_px, NpzRows)
    np.testing.assert_array_equal(again.vertices_px[1], vertices[1])
    write_predictions(tmp_path / "copy.npz", again)  # rows copied from file to file
    np.testing.assert_array_equal(read_predictions(tmp_path / "copy.npz").vertices_px[0], vertices[0])
    assert [p.name for p in path.parent.iterdir()] == ["p.npz"]


def test_a_file_without_any_face_is_valid(tmp_path, make_predictions):
    write_predictions(tmp_path / "p.npz", make_predictions([], images=["a.jpg"]))
    assert read_predictions(tmp_path / "p.npz").faces_by_image() == {"a.jpg": []}


def test_compressed_vertices_are_read_with_a_warning(tmp_path):
    vertices = np.random.default_rng(0).normal(size=(2, 9, 2)).astype(np.float32)
    np.savez_compressed(tmp_path / "p.npz", **_arrays(vertices_px=vertices))
    (problem,) = check_predictions(tmp_path / "p.npz")
    assert (problem.severity, problem.where) == ("warning", "vertices_px")
    np.testing.assert_array_equal(read_predictions(tmp_path / "p.npz").vertices_px[1], vertices[1])


def test_rows_outside_the_array_are_refused(tmp_path):
    np.savez(tmp_path / "p.npz", x=np.zeros((2, 3)))
    with pytest.raises(IndexError, match=r"index must be in \[0, 2\), got 2"):
        open_rows(tmp_path / "p.npz", "x")[2]


@pytest.mark.parametrize(
    ("changes", "where", "words"),
    [
        ({"score": None}, "score", "is missing"),
        ({"landmarks68_px": None}, "landmarks68_px", "give landmarks68_px or landmarks68_contour_px"),
        ({"landmark68_px": np.zeros((2, 68, 2))}, "landmark68_px", "is unknown"),
        (
            {"landmarks68_px": np.zeros((2, 68, 3))},
            "landmarks68_px",
            r"must be (faces, 68, 2), got (2, 68, 3)",
        ),
        ({"score": np.float32([0.9])}, "score", "must have 2 faces as image has, got 1"),
        ({"score": np.int64([1, 2])}, "score", "must be of kind 'f', got int64"),
        ({"score": np.float32([np.nan, 0.1])}, "score[0]", "must be finite"),
        ({"format_version": 2}, "format_version", "must be 1, got 2"),
        ({"processed_image": ["a.jpg", "a.jpg"]}, "processed_image", "several times"),
        ({"processed_image": ["a.jpg", "/b.jpg"]}, "processed_image", "relative names"),
        ({"image": ["a.jpg", "c.jpg"]}, "image[1]", "must be listed in processed_image, got 'c.jpg'"),
        ({"image_size_hw": [[480, 640], [640, 480]]}, "image_size_hw[1]", "must equal processed_size_hw"),
        (
            {"box_xyxy_px": np.float32([[0, 0, 1, 1], [5, 5, 4, 6]])},
            "box_xyxy_px[1]",
            "must be x0, y0, x1, y1",
        ),
        ({"landmarks68_px": np.full((2, 68, 2), 150.0)}, "landmarks68_px[1]", "repeats another face"),
        (
            {"rotation_head": np.tile(np.eye(3) * 2, (2, 1, 1))},
            "rotation_head[0, 1]",
            "must be a rotation matrix",
        ),
        ({"focal_px": np.float32([0, 1])}, "focal_px[0]", "must be positive"),
        ({"landmarks68_std_px": np.ones((2, 67))}, "landmarks68_std_px", "must be (faces, 68), got (2, 67)"),
        ({"landmarks68_std_px": np.ones((2, 68)) * [[0], [1]]}, "landmarks68_std_px[0]", "must be positive"),
    ],
)
def test_errors_name_array_row_and_rule(tmp_path, changes, where, words):
    path = _write(tmp_path / "p.npz", **changes)
    problems = check_predictions(path)
    assert any(p.severity == "error" and p.where == where and words in p.message for p in problems), problems
    with pytest.raises(ValueError, match="must follow the prediction format"):
        read_predictions(path)


@pytest.mark.parametrize(
    ("changes", "where", "words"),
    [
        (
            {"landmarks68_px": np.stack([np.full((68, 2), np.nan), np.eye(68, 2) + 99])},
            "landmarks68_px[0]",
            "failure",
        ),
        ({"landmarks68_px": np.stack([np.eye(68, 2), -np.eye(68, 2)])}, "landmarks68_px", "in pixels"),
        (
            {"landmarks68_px": np.stack([np.eye(68, 2) + 5000, np.eye(68, 2)])},
            "landmarks68_px[0]",
            "far outside",
        ),
        ({"translation_m": np.float32([[0, 0, 1], [0, 0, -1]])}, "translation_m[1]", "behind the camera"),
        (
            {"landmarks68_cam_m": np.ones((2, 68, 3)), "focal_px": np.float32([1000, 1000])},
            "landmarks68_cam_m[0, 1]",
            "does not project",
        ),
    ],
)
def test_warnings_are_given_and_the_file_is_still_read(tmp_path, changes, where, words):
    path = _write(tmp_path / "p.npz", **changes)
    (problem,) = check_predictions(path)
    assert problem.severity == "warning"
    assert problem.where == where
    assert words in problem.message
    read_predictions(path)


def test_points_that_project_correctly_give_no_warning(tmp_path):
    cam = np.random.default_rng(0).uniform(0.01, 0.05, (2, 68, 3)) + [0, 0, 1]
    pixels = 1000 * cam[..., :2] / cam[..., 2:] + [320, 240]
    focal_px = np.float32([1000, 1000])
    path = _write(tmp_path / "p.npz", landmarks68_cam_m=cam, landmarks68_px=pixels, focal_px=focal_px)
    assert check_predictions(path) == []


def test_missing_text_and_pickled_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        check_predictions(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    assert "must be an .npz file" in check_predictions(tmp_path / "text.npz")[0].message
    np.savez(tmp_path / "pickled.npz", **_arrays(system=np.array({"a": 1}, dtype=object)))
    assert "without pickled objects" in check_predictions(tmp_path / "pickled.npz")[0].message


def test_a_failed_write_leaves_nothing_behind(tmp_path, make_predictions, face_points):
    bad = make_predictions([("a.jpg", face_points())], focal_px=np.array([-1.0]))
    with pytest.raises(ValueError, match=r"focal_px\[0\]: must be positive"):
        write_predictions(tmp_path / "p.npz", bad)
    assert list(tmp_path.iterdir()) == []


def test_the_file_on_disk_holds_plain_uncompressed_arrays(tmp_path, make_predictions, face_points):
    write_predictions(tmp_path / "p.npz", make_predictions([("a.jpg", face_points())]))
    with zipfile.ZipFile(tmp_path / "p.npz") as archive:
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}


def test_a_folder_of_results_stands_for_the_prediction_file_in_it(tmp_path):
    points = np.random.default_rng(0).uniform(100, 200, (1, 68, 2))
    np.savez(tmp_path / "scene.npz", landmarks68_px=points)  # other results of the same run
    (tmp_path / "broken.npz").write_bytes(b"x")
    with pytest.raises(FileNotFoundError, match="a folder that holds one, got none in"):
        read_systems([tmp_path])
    write_predictions(tmp_path / "preds.npz", Predictions.from_points({"a.jpg": points}, (480, 640)))
    assert list(read_systems([tmp_path])) == ["preds"]
    write_predictions(tmp_path / "more.npz", Predictions.from_points({"a.jpg": points}, (480, 640)))
    with pytest.raises(ValueError, match=r"must name one of more\.npz, preds\.npz"):
        read_systems([tmp_path])


def test_points_alone_make_a_prediction_file(tmp_path):
    points = np.random.default_rng(0).uniform(100, 200, (3, 68, 2))
    found = Predictions.from_points(
        {"a.jpg": points[:2], "b.jpg": points[:0], "c.jpg": points[2:]},
        {"a.jpg": (480, 640), "b.jpg": (100, 90), "c.jpg": (300, 200)},
    )
    assert found.faces_by_image() == {"a.jpg": [0, 1], "b.jpg": [], "c.jpg": [2]}
    assert found.sizes_by_image()["b.jpg"] == (100, 90)
    np.testing.assert_array_equal(found.box_xyxy_px[2], [*points[2].min(axis=0), *points[2].max(axis=0)])
    write_predictions(tmp_path / "p.npz", found)
    np.testing.assert_array_equal(read_predictions(tmp_path / "p.npz").landmarks68_px, points)
