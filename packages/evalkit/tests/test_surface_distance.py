import numpy as np
import pytest

from morphable_evalkit.scans.surface import TriangleSurface, closest_on_triangles


def _one_triangle() -> TriangleSurface:
    return TriangleSurface(np.array([[0.0, 0, 0], [4, 0, 0], [0, 4, 0]]), np.array([[0, 1, 2]]))


@pytest.mark.parametrize(
    ("query", "expected", "distance"),
    [
        ((1.0, 1.0, 3.0), (1.0, 1.0, 0.0), 3.0),  # above the inside
        ((1.0, -2.0, 0.0), (1.0, 0.0, 0.0), 2.0),  # beside an edge
        ((-3.0, -4.0, 0.0), (0.0, 0.0, 0.0), 5.0),  # beside a corner
        ((4.0, 4.0, 0.0), (2.0, 2.0, 0.0), np.sqrt(8.0)),  # beside the slanted edge
        ((1.0, 2.0, 0.0), (1.0, 2.0, 0.0), 0.0),  # on it
    ],
)
def test_nearest_points_of_one_triangle_by_hand(query, expected, distance):
    closest = _one_triangle().closest(np.array([query]))
    np.testing.assert_allclose(closest.point[0], expected, atol=1e-12)
    assert closest.distance[0] == pytest.approx(distance)


def _brute_force(surface: TriangleSurface, points: np.ndarray) -> np.ndarray:
    count = len(surface.corners)
    corners = np.tile(surface.corners, (len(points), 1, 1))
    queries = np.repeat(points, count, axis=0)
    nearest = closest_on_triangles(queries, corners, np.roll(corners, -1, axis=1) - corners)
    return np.linalg.norm(queries - nearest, axis=1).reshape(len(points), count).min(axis=1)


@pytest.mark.parametrize("seed", range(4))
def test_any_soup_of_triangles_gives_the_exact_distance(seed):
    # sizes over four decades, some triangles degenerate to lines and points, queries near and far
    rng = np.random.default_rng(seed)
    center = rng.normal(size=(150, 1, 3))
    size = 10.0 ** rng.uniform(-3, 1, (150, 1, 1))
    corners = center + size * rng.normal(size=(150, 3, 3))
    corners[:10, 2] = corners[:10, 1]
    corners[10:15] = corners[10:15, :1]
    corners[15:20, 2] = 2 * corners[15:20, 1] - corners[15:20, 0]
    surface = TriangleSurface(corners.reshape(-1, 3), np.arange(450).reshape(150, 3))
    points = rng.normal(size=(300, 3)) * 10.0 ** rng.uniform(-2, 2, (300, 1))
    closest = surface.closest(points)
    np.testing.assert_allclose(closest.distance, _brute_force(surface, points), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(points - closest.point, axis=1), closest.distance, rtol=1e-9, atol=1e-12)


def test_the_named_triangle_holds_the_nearest_point(scan_faces):
    vertices, triangles = scan_faces.face(20)
    surface = TriangleSurface(vertices, triangles)
    points = vertices[::7] + [0.3, 0.2, 4.0]
    closest = surface.closest(points)
    corners = surface.corners[closest.triangle]
    again = closest_on_triangles(points, corners, np.roll(corners, -1, axis=1) - corners)
    np.testing.assert_allclose(again, closest.point, atol=1e-9)


def test_distance_does_not_change_with_rigid_motion_and_grows_with_scale(scan_faces):
    vertices, triangles = scan_faces.face(15)
    points = np.random.default_rng(0).normal(0, 60, (50, 3))
    distance = TriangleSurface(vertices, triangles).closest(points).distance
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    moved = TriangleSurface(3 * vertices @ turn.T + 5, triangles).closest(3 * points @ turn.T + 5).distance
    np.testing.assert_allclose(moved, 3 * distance, rtol=1e-9)


def test_no_queries_give_no_answers_and_vertices_without_triangle_do_not_count():
    surface = TriangleSurface(np.array([[0.0, 0, 0], [4, 0, 0], [0, 4, 0], [9, 9, 9]]), np.array([[0, 1, 2]]))
    assert surface.closest(np.empty((0, 3))).distance.shape == (0,)
    assert surface.closest(np.array([[9.0, 9, 9]])).distance[0] > 9


def test_refusals():
    with pytest.raises(ValueError, match="at least one triangle"):
        TriangleSurface(np.zeros((3, 3)), np.empty((0, 3), np.int64))
    with pytest.raises(ValueError, match="vertices must be finite"):
        TriangleSurface(np.full((3, 3), np.nan), np.array([[0, 1, 2]]))
    with pytest.raises(ValueError, match="points must be finite"):
        _one_triangle().closest(np.full((1, 3), np.nan))
