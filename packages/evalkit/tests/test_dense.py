import numpy as np
import pytest

from morphable_evalkit.measures.dense import DENSE_DEFINITIONS, align_depth, dense_error, dense_errors


def _face() -> tuple[np.ndarray, np.ndarray]:
    """Vertices in a box of 80 x 20 x 30 px, landmarks in one of 40 x 10."""
    rng = np.random.default_rng(0)
    vertices = rng.uniform(0, 1, (100, 3))
    vertices[0], vertices[1] = 0.0, 1.0
    landmarks = rng.uniform(0, 1, (68, 2))
    landmarks[0], landmarks[1] = 0.0, 1.0
    return vertices * [80, 20, 30], landmarks * [40, 10]


def _error(name: str, predicted, target, landmarks, dims=3) -> float:
    definition = DENSE_DEFINITIONS[name]
    return dense_error(predicted, target, landmarks, dims=dims, z_align=definition.z_align, box=definition.box)


def test_definitions_differ_by_their_normaliser():
    target, landmarks = _face()
    predicted = target + [2.0, 0.0, 0.0]
    # landmarks: sqrt(40 * 10) = 20; dense: sqrt(80 * 20) = 40
    for name, expected in (("D1", 0.1), ("D2", 0.05), ("D3", 0.1), ("D4", 0.05)):
        assert _error(name, predicted, target, landmarks) == pytest.approx(expected)
        assert _error(name, predicted, target, landmarks, dims=2) == pytest.approx(expected)
    diagonal = dense_error(predicted, target, landmarks, dims=3, z_align="mean", box="dense-diagonal")
    assert diagonal == pytest.approx(2.0 / np.sqrt(80**2 + 20**2 + 30**2))


def test_a_shift_in_depth_is_forgiven_by_every_definition_but_not_without_alignment():
    target, landmarks = _face()
    predicted = target + [0.0, 0.0, 500.0]
    for name in DENSE_DEFINITIONS:
        assert _error(name, predicted, target, landmarks) == pytest.approx(0.0, abs=1e-12)
    raw = dense_error(predicted, target, landmarks, dims=3, z_align="none", box="kpt68")
    assert raw == pytest.approx(500 / 20)


def test_min_alignment_uses_the_farthest_point():
    # one point 10 px deeper than it should be: that point becomes the origin, so all others are off by 10
    target, landmarks = _face()
    predicted = target.copy()
    farthest = target[:, 2].argmax()
    predicted[farthest, 2] += 10.0
    assert _error("D3", predicted, target, landmarks) == pytest.approx(10 * 99 / 100 / 20)
    # mean: every point off by 10 / 100, that one by 10 - 10 / 100
    assert _error("D1", predicted, target, landmarks) == pytest.approx((99 * 0.1 + 9.9) / 100 / 20)


def test_alignment_leaves_its_input_alone():
    points = np.ones((4, 3))
    assert align_depth(points, "mean")[:, 2].tolist() == [0.0] * 4
    assert points[:, 2].tolist() == [1.0] * 4


def test_missed_faces_give_nan_and_rows_may_be_in_any_order():
    target, landmarks = _face()
    truths = np.stack([target, target + 1.0, target])
    predictions = np.stack([target + 1.0, target])
    errors = dense_errors(
        predictions, truths, np.stack([landmarks] * 3), [1, 0, -1], dims=3, z_align="none", box="dense"
    )
    np.testing.assert_allclose(errors, [0.0, 0.0, np.nan])


def test_refusals():
    target, landmarks = _face()
    with pytest.raises(ValueError, match="must have 100 points as the labels have, got 99"):
        _error("D2", target[:-1], target, landmarks)
    with pytest.raises(ValueError, match="must hold depth for dims 3"):
        _error("D2", target[:, :2], target, landmarks)
    with pytest.raises(ValueError, match="face of size 0"):
        _error("D2", target, target * 0, landmarks)


def test_part_of_a_data_set_keeps_its_vertices(make_predictions, face_points, tmp_path):
    from morphable_evalkit import read_predictions, write_predictions
    from morphable_evalkit.alignment.scores import restrict
    from morphable_evalkit.datasets.folders import read_truth_file

    vertices = np.arange(3 * 5 * 3, dtype=np.float32).reshape(3, 5, 3)
    faces = [(name, face_points(seed=i)) for i, name in enumerate(("a.jpg", "b.jpg", "c.jpg"))]
    write_predictions(tmp_path / "t.npz", make_predictions(faces, vertices_px=vertices))
    part = restrict(read_truth_file(tmp_path / "t.npz"), {"c.jpg", "b.jpg"})
    np.testing.assert_array_equal(part.vertices_px[1], vertices[2])
    assert part.vertices_px.shape == (2, 5, 3)
    assert read_predictions(tmp_path / "t.npz").vertices_px.shape == (3, 5, 3)
