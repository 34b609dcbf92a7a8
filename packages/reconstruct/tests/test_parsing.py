import numpy as np
import torch
from test_exports import make_scene

from morphable_reconstruct.drawing import parsing
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


def test_segmentation_shows_the_photograph_and_the_nearer_face(model, monkeypatch):
    from morphable_reconstruct.drawing import parsing

    scene = make_scene(model, count=2)
    near = int(scene.faces.translation_m[:, 2].argmin())

    def crop(name, left):
        probability = torch.zeros(4, 4, 10)
        probability[..., name] = 1.0
        probability[0] = torch.eye(10)[0]  # the uppermost row shows no face
        return ShownFace(probability, torch.tensor([[0.1, 0.0, -0.1 * left], [0.0, 0.1, -1.0], [0.0, 0.0, 1.0]]))

    crops = [crop(1, 30), crop(6, 50)] if near == 1 else [crop(6, 50), crop(1, 30)]
    monkeypatch.setattr(parsing, "parse_faces", lambda rows: crops)
    found = scene.segmentation
    assert found.shape == scene.camera.size_hw
    # crops of 40 px from (30, 10) and (50, 10); the nearer one is in front where they overlap
    assert found[15, 30:90].max() == 0
    assert (found[25:50, 30:50] == 1).all()
    assert (found[25:50, 50:90] == 6).all()
    assert not found[50:].any()
    assert not found[:, 90:].any()


def test_without_the_network_nothing_is_parsed(model, no_parsing):
    assert parse_faces(make_scene(model)) == [None, None]


def test_the_graph_says_what_the_network_says(model, monkeypatch):
    """The parts of a photograph that are read differ in nothing from all of it."""
    scene = make_scene(model)
    by_graph = parse_face(scene[0])
    monkeypatch.setattr(parsing, "find_spec", lambda name: None)
    parsing._network.cache_clear()
    by_torch = parse_face(scene.take(np.array([0])).take(np.array([0]))[0])
    parsing._network.cache_clear()
    torch.testing.assert_close(by_graph.probability, by_torch.probability, atol=1e-4, rtol=0)
