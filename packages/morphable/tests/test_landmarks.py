"""Landmark schemes and points on surfaces."""

import pytest
import torch

from morphable import IBUG68_FLIP, SurfacePoints, derive_landmarks


def test_flip_is_its_own_inverse_and_pairs_what_it_should():
    assert torch.equal(IBUG68_FLIP[IBUG68_FLIP], torch.arange(68))
    # chin, nose ridge, mid lips stay; ear, outer eye corner, mouth corner, upper lid and lower lid change sides
    assert IBUG68_FLIP[[8, 30, 33, 51, 57, 62, 66]].tolist() == [8, 30, 33, 51, 57, 62, 66]
    assert IBUG68_FLIP[[0, 17, 36, 37, 41, 31, 48, 60, 67]].tolist() == [16, 26, 45, 44, 46, 35, 54, 64, 65]


def test_mirrored_model_has_mirrored_landmarks(model):
    vertices = model.decode_shape(torch.ones(4), torch.full((3,), 0.5))
    expected = model.landmarks(vertices)[IBUG68_FLIP] * torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(model.landmarks(model.mirror(vertices)), expected)


def test_five_points_are_eye_centres_nose_and_mouth_corners():
    points = torch.arange(68.0)[:, None].expand(68, 2)
    # mean of 36..41 is 38.5, of 42..47 is 44.5
    assert derive_landmarks(points, "five")[:, 0].tolist() == [38.5, 44.5, 30.0, 48.0, 54.0]


def test_aflw21_points_follow_the_benchmark():
    points = torch.arange(68.0)[:, None].expand(68, 3)
    # 1-based there: 18 20 22 23 25 27 37 (37..42) 40 43 (43..48) 46 3 32 31 36 15 49 (61..68) 55 9
    expected = [17, 19, 21, 22, 24, 26, 36, 38.5, 39, 42, 44.5, 45, 2, 31, 30, 35, 14, 48, 63.5, 54, 8]
    assert derive_landmarks(points, "aflw21")[:, 0].tolist() == expected
    assert derive_landmarks(points.expand(2, 4, 68, 3), "aflw21").shape == (2, 4, 21, 3)


def test_unknown_derived_scheme_is_refused():
    with pytest.raises(ValueError, match="aflw21, five, got 'seven'"):
        derive_landmarks(torch.zeros(68, 2), "seven")


def test_surface_points_move_with_the_mesh():
    points = SurfacePoints(torch.tensor([[0], [1]]), torch.tensor([[[1.0, 0, 0]], [[0, 0.5, 0.5]]]))
    triangles = torch.tensor([[0, 1, 2], [2, 1, 3]])
    vertices = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 2, 0], [2, 2, 4]])
    # corner 0 of triangle 0; the middle of vertices 1 and 3
    torch.testing.assert_close(points.on(vertices, triangles), torch.tensor([[[0.0, 0, 0]], [[2.0, 1, 2]]]))
    torch.testing.assert_close(points.on(vertices + 1, triangles), points.on(vertices, triangles) + 1)
