"""The axes of heads."""

import numpy as np
import pytest
import torch
from stand_ins import DotDetector, dotted, with_faces

from morphable.geometry import rotation_from_angles
from morphable_reconstruct.drawing.axes import AXIS_COLORS, draw_axes, head_axes
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor


@pytest.fixture(scope="module")
def turned(model):
    config = ReconstructConfig(colors="network")
    scene = Reconstructor(DotDetector(96.0), model, config=config)(dotted((256, 384), [(100, 124), (276, 124)]))
    assert len(scene) == 2

    def turn(pitch, yaw, roll):
        rotation = rotation_from_angles(torch.tensor([[pitch, yaw, roll]]))
        return with_faces(scene, rotation_head=rotation.expand(len(scene), 3, 3).contiguous())

    return turn


def test_a_head_that_looks_into_the_camera(turned):
    start, left, up, out = head_axes(turned(0.0, 0.0, 0.0)[0])
    length = np.linalg.norm(left - start)
    np.testing.assert_allclose((left - start) / length, [1, 0, 0], atol=1e-6)  # its left is the picture's right
    np.testing.assert_allclose((up - start) / length, [0, -1, 0], atol=1e-6)
    np.testing.assert_allclose((out - start) / length, [0, 0, -1], atol=1e-6)  # toward the camera


def test_a_turned_head_points_where_its_angles_say(turned):
    face = turned(0.0, 0.6, 0.0)[0]
    start, _, _, out = head_axes(face)
    direction = (out - start) / np.linalg.norm(out - start)
    np.testing.assert_allclose(direction, face.cam_from_model[:3, 2], atol=1e-5)
    np.testing.assert_allclose(abs(direction[0]), np.sin(0.6), atol=1e-5)


def test_lines_of_three_colors_start_between_the_brows(turned):
    scene = turned(0.2, 0.5, 0.1)
    drawn = draw_axes(scene)
    for face in scene:
        ends = scene.camera.project(head_axes(face))
        for axis, color in enumerate(AXIS_COLORS):
            x, y = (0.3 * ends[0] + 0.7 * ends[axis + 1]).astype(int)
            assert (np.abs(drawn[y - 1 : y + 2, x - 1 : x + 2].astype(int) - color).sum(-1) == 0).any()


def test_nothing_is_drawn_without_faces(turned):
    scene = turned(0.0, 0.0, 0.0).take(np.array([], np.int64))
    np.testing.assert_array_equal(draw_axes(scene), scene.image)
