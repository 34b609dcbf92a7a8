"""Random coefficients and small pictures."""

from dataclasses import replace

import numpy as np
import torch

from morphable import MorphableModel
from morphable.painting import contact_sheet, paint, turn
from morphable.sampling import MAX_SIGMA


def test_samples_follow_the_prior(data):
    wide = replace(data, identity_basis=data.identity_basis[:1].expand(200, -1, -1), identity_flip=None)
    model = MorphableModel(wide)
    drawn = model.sample(100, torch.Generator().manual_seed(0))
    assert float(drawn.identity.abs().max()) <= MAX_SIGMA
    # 20,000 normal numbers cut at 2.5: standard deviation sqrt(1 - 5 phi(2.5) / (2 Phi(2.5) - 1)) = 0.955
    torch.testing.assert_close(drawn.identity.std(), torch.tensor(0.955), atol=0.02, rtol=0)
    assert bool(((drawn.expression >= 0) & (drawn.expression <= 1)).all())
    assert 0 < float((drawn.expression > 0).float().mean()) < 0.2


def test_samples_repeat_with_the_seed_and_know_normal_expressions(data):
    model = MorphableModel(replace(data, expression_prior="normal"))
    one, same = (model.sample(5, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(one.expression, same.expression)
    assert bool((one.expression < 0).any())


def test_painted_triangle_covers_its_half_of_the_square():
    # the lower left half of a square, seen from the front; the other triangle faces away and is not drawn
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    image = paint(
        vertices,
        np.array([[0, 1, 2], [1, 2, 3]]),
        np.ones((4, 3)),
        rotation_head=np.eye(3),
        size_px=100,
        height_m=1.0,
    )
    covered = (np.asarray(image) != 245).any(-1)
    assert covered[90, 10]
    assert not covered[10, 90]
    np.testing.assert_allclose(covered.mean(), 0.5, atol=0.02)


def test_nearer_triangle_hides_the_farther():
    near = np.array([[0.0, 0, 1], [1, 0, 1], [0, 1, 1]])
    vertices = np.concatenate([near - [0, 0, 1], near])
    colours = np.repeat([[1.0, 0, 0], [0, 0, 1.0]], 3, axis=0)
    for order in ([0, 1, 2, 3, 4, 5], [3, 4, 5, 0, 1, 2]):
        image = paint(
            vertices, np.array(order).reshape(2, 3), colours, rotation_head=np.eye(3), size_px=50, height_m=1.0
        )
        red, _, blue = np.asarray(image)[40, 10]
        assert red == 0
        assert blue > 0


def test_positive_turn_moves_the_nose_to_the_viewers_right():
    np.testing.assert_allclose(turn(np.pi / 2) @ [0, 0, 1.0], [1, 0, 0], atol=1e-12)


def test_sheet_places_row_after_row(model):
    blank = [paint(model.mean.numpy(), np.zeros((0, 3), int), model.mean.numpy(), rotation_head=np.eye(3), size_px=s)
             for s in (10, 10, 10)]  # fmt: skip
    assert contact_sheet(blank, 2).size == (20, 20)
