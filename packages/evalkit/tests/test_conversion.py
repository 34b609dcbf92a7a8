import json

import numpy as np
import pytest

from morphable_evalkit.datasets.conversion import from_3ddfa, from_json


def test_3ddfa_arrays_are_shifted_named_and_keep_their_depth(tmp_path):
    array = np.random.default_rng(0).uniform(1, 450, (2000, 3, 68))
    predictions = from_3ddfa(array, tmp_path, system="3DDFA")
    assert predictions.processed_image[:2] == ("row0000", "row0001")
    np.testing.assert_allclose(predictions.landmarks68_px[3, 5], array[3, :2, 5] - 0.5)
    np.testing.assert_allclose(predictions.landmarks68_depth_px, -array[:, 2])
    flat = from_3ddfa(array[:, :2], tmp_path, origin="corner")
    assert flat.landmarks68_depth_px is None
    np.testing.assert_allclose(flat.landmarks68_px[3, 5], array[3, :2, 5])


def test_3ddfa_arrays_of_another_shape_are_refused(tmp_path):
    for shape in ((1999, 3, 68), (2000, 68, 3), (2000, 3, 67)):
        with pytest.raises(ValueError, match=r"input must be \(2000, 2 or 3, 68\)"):
            from_3ddfa(np.zeros(shape), tmp_path)


def _json(tmp_path, *faces, **changes):
    images = [
        {"image": "a.jpg", "size_hw": [200, 300], "faces": list(faces)},
        {"image": "b.jpg", "size_hw": [100, 100], "faces": []},
    ]
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"system": "mine", "images": images} | changes))
    return path


def test_json_keeps_empty_pictures_and_fills_score_and_box(tmp_path, face_points):
    points = face_points()
    first = {"landmarks68_px": points.tolist()}
    second = {"landmarks68_px": (points + 9).tolist(), "score": 0.5, "box_xyxy_px": [1, 2, 3, 4]}
    predictions = from_json(_json(tmp_path, first, second), origin="center-0")
    assert predictions.system == "mine"
    assert predictions.faces_by_image() == {"a.jpg": [0, 1], "b.jpg": []}
    np.testing.assert_allclose(predictions.landmarks68_px[0], points + 0.5)
    np.testing.assert_allclose(predictions.box_xyxy_px[0], [75.5, 75.5, 125.5, 125.5])
    assert predictions.box_xyxy_px[1].tolist() == [1.5, 2.5, 3.5, 4.5]
    assert predictions.score.tolist() == [1.0, 0.5]


def test_json_carries_any_array_and_null_as_nan(tmp_path, face_points):
    points = face_points().tolist()
    points[3][0] = None
    face = {"landmarks68_contour_px": points, "translation_m": [0, 0, 1.5], "rotation_head": np.eye(3).tolist()}
    predictions = from_json(_json(tmp_path, face))
    assert predictions.landmarks68_px is None
    assert np.isnan(predictions.landmarks68_contour_px[0, 3, 0])
    assert predictions.translation_m.tolist() == [[0, 0, 1.5]]


def test_json_without_any_face(tmp_path):
    assert from_json(_json(tmp_path)).landmarks68_px.shape == (0, 68, 2)


def test_json_of_another_form_is_refused(tmp_path, face_points):
    points = face_points().tolist()
    with pytest.raises(FileNotFoundError, match="input must be a JSON file"):
        from_json(tmp_path / "none.json")
    with pytest.raises(ValueError, match="got landmark68_px"):
        from_json(_json(tmp_path, {"landmarks68_px": points, "landmark68_px": points}))
    with pytest.raises(ValueError, match="must follow the JSON form, got KeyError: 'translation_m'"):
        from_json(_json(tmp_path, {"landmarks68_px": points, "translation_m": [0, 0, 1]}, {"landmarks68_px": points}))
    with pytest.raises(ValueError, match="must follow the JSON form"):
        from_json(_json(tmp_path, images=3))
