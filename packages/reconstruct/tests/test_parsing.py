import numpy as np
import torch
from test_exports import make_scene

from morphable_reconstruct.drawing.parsing import ShownFace, parse_face, parse_faces


def test_probabilities_are_read_at_pixels_of_the_photograph():
    probability = torch.zeros(4, 4, 10)
    probability[:, :2, 0] = 1.0  # background on the left half of the crop
    probability[:, 2:, 1] = 1.0
    matrix = torch.tensor([[0.5, 0.0, -5.0], [0.0, 0.5, -5.0], [0.0, 0.0, 1.0]])  # the crop starts at pixel (10, 10)
    shown = ShownFace(probability, matrix)
    at = torch.tensor([[11.0, 14.0], [17.0, 14.0], [14.0, 14.0], [9.0, 14.0], [20.0, 14.0]])
    torch.testing.assert_close(shown.face_at(at), torch.tensor([0.0, 1.0, 0.5, 0.0, 0.0]))


def test_a_margin_widens_what_hides_the_face():
    probability = torch.zeros(8, 8, 10)
    probability[..., 1] = 1.0
    probability[:, :2] = torch.eye(10)[0]  # background in the two columns on the left
    shown = ShownFace(probability, torch.eye(3))
    at = torch.tensor([[1.5, 4.5], [2.5, 4.5], [3.5, 4.5], [4.5, 4.5], [5.5, 4.5]])
    torch.testing.assert_close(shown.face_at(at), torch.tensor([0.0, 1.0, 1.0, 1.0, 1.0]))
    torch.testing.assert_close(shown.face_at(at, margin_px=2), torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0]))


def test_small_faces_are_not_parsed_and_large_ones_are(model):
    scene = make_scene(model)
    small = [index for index, shown in enumerate(parse_faces(scene)) if shown is None]
    assert small == []
    assert parse_faces(scene.take(np.array([], np.int64))) == []
    shown = parse_face(scene[0])
    assert shown is not None
    torch.testing.assert_close(shown.probability.sum(-1), torch.ones(shown.probability.shape[:2]))


def test_without_the_network_nothing_is_parsed(model, no_parsing):
    assert parse_faces(make_scene(model)) == [None, None]
