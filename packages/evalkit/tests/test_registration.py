import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from morphable_evalkit.scans.registration import Similarity, align_points, refine_on_surface
from morphable_evalkit.scans.surface import TriangleSurface

POSE = Similarity(0.01, Rotation.from_rotvec([0.3, 0.2, -0.4]).as_matrix(), np.array([1.0, 2.0, 3.0]))


def test_landmarks_give_back_the_similarity():
    points = np.random.default_rng(0).normal(size=(7, 3))
    fitted = align_points(points, POSE.apply(points))
    assert fitted.scale == pytest.approx(POSE.scale)
    np.testing.assert_allclose(fitted.rotation, POSE.rotation, atol=1e-12)
    np.testing.assert_allclose(fitted.apply(points), POSE.apply(points), atol=1e-12)
    np.testing.assert_allclose(fitted.apply_inverse(fitted.apply(points)), points, atol=1e-12)


def test_without_scale_the_size_stays():
    points = np.random.default_rng(0).normal(size=(7, 3))
    fitted = align_points(points, 2 * points, with_scale=False)
    assert fitted.scale == 1.0
    np.testing.assert_allclose(fitted.rotation, np.eye(3), atol=1e-12)


def test_swapped_sides_are_refused(scan_faces):
    points = scan_faces.landmarks()
    swapped = points[[3, 2, 1, 0, 4, 6, 5]]
    with pytest.raises(ValueError, match="left and right swapped"):
        align_points(swapped, points)
    with pytest.raises(ValueError, match="left and right swapped"):
        align_points(points * [1, 1, -1], points)


def test_noise_on_the_landmarks_is_not_taken_for_a_mirror(scan_faces):
    points = scan_faces.landmarks()
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(0, 4.0, points.shape)
        assert np.linalg.det(align_points(points + noise, points).rotation) > 0


def test_refusals():
    good = np.eye(3)
    for source, target, words in (
        (good[:2], good[:2], "3 or more"),
        (good, good * np.nan, "must be finite"),
        (good * 0, good, "must have an extent"),
    ):
        with pytest.raises(ValueError, match=words):
            align_points(source, target)


def test_refinement_finds_the_pose_from_bad_landmarks(scan_faces):
    vertices, triangles = scan_faces.face(60)
    mesh = TriangleSurface(POSE.apply(vertices), triangles)
    scan, _ = scan_faces.face(50, offset=0.7)
    scan = scan[np.linalg.norm(scan[:, :2], axis=1) < 80]
    marks = scan_faces.landmarks()
    noise = np.random.default_rng(0).normal(0, 4.0, marks.shape)
    start = align_points(POSE.apply(marks), marks + noise)
    fitted = refine_on_surface(mesh, scan, start)
    # the grids differ, so facets leave about 0.05 mm
    assert mesh.closest(fitted.apply_inverse(scan)).distance.mean() * fitted.scale < 0.06
    # facets of a bump lie inside it, so the fit enlarges them: 0.23 % here
    assert fitted.scale == pytest.approx(100.0, rel=5e-3)
    np.testing.assert_allclose(fitted.rotation, POSE.rotation.T, atol=2e-3)


def test_refinement_without_scale_keeps_the_size(scan_faces):
    vertices, triangles = scan_faces.face(40)
    scan, _ = scan_faces.face(30)
    start = Similarity(1.0, np.eye(3), np.array([2.0, -1.0, 3.0]))
    fitted = refine_on_surface(TriangleSurface(vertices * 1.05, triangles), scan, start, with_scale=False)
    assert fitted.scale == 1.0


def test_a_surface_already_in_place_stays(scan_faces):
    vertices, triangles = scan_faces.face(20)
    start = Similarity(1.0, np.eye(3), np.zeros(3))
    fitted = refine_on_surface(TriangleSurface(vertices, triangles), vertices[::3], start)
    np.testing.assert_allclose(fitted.apply(vertices), vertices, atol=1e-6)


@pytest.mark.parametrize("vector", [[0.0, 0, 0], [1e-9, 0, 0], [0.3, -0.2, 0.5], [0, 3.1, 0]])
def test_small_and_large_turns_are_rotations(vector):
    from morphable_evalkit.scans.registration import _rotation

    expected = Rotation.from_rotvec(vector).as_matrix()
    np.testing.assert_allclose(_rotation(np.array(vector, dtype=np.float64)), expected, atol=1e-12)
