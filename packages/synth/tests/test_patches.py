"""Parts of meshes: their vertices, in order, and triangles in terms of these."""

import numpy as np

from morphable_synth.assets.patches import compacted, patch_of


def test_compacted_triangles_name_the_same_vertices():
    used, triangles = compacted(np.array([[7, 2, 4], [4, 2, 9]], np.int32))
    assert used.tolist() == [2, 4, 7, 9]
    assert triangles.tolist() == [[2, 0, 1], [1, 0, 3]]


def test_no_triangles_use_no_vertices():
    used, triangles = compacted(np.zeros((0, 3), np.int32))
    assert used.shape == (0,)
    assert triangles.shape == (0, 3)


def test_patch_holds_the_chosen_triangles_and_their_texture_coordinates():
    triangles = np.array([[0, 1, 2], [1, 5, 2], [2, 5, 6]], np.int32)
    uv = np.arange(18, dtype=np.float32).reshape(3, 3, 2)
    patch = patch_of(triangles, uv, np.array([False, True, True]))
    assert patch.vertices[patch.triangles].tolist() == [[1, 5, 2], [2, 5, 6]]
    np.testing.assert_array_equal(patch.corner_uv, uv[1:])
