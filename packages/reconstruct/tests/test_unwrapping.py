import numpy as np
import pytest
import torch

import morphable
from morphable_reconstruct.drawing.membrane import membrane
from morphable_reconstruct.drawing.unwrapping import LARGEST_SQUARE, face_triangles, texture_mesh


@pytest.fixture(scope="module")
def open_model():
    return morphable.load_model("open")


def areas(uv, triangles):
    first, second = (uv[triangles[:, k]] - uv[triangles[:, 0]] for k in (1, 2))
    return (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) / 2


def test_the_face_has_half_of_the_used_texels_and_nothing_is_turned(open_model):
    mesh = texture_mesh(open_model)
    before, after = areas(open_model.uv, open_model.uv_triangles), areas(mesh.uv, mesh.uv_triangles)
    face = face_triangles(open_model)
    share = float(after[face].abs().sum() / after.abs().sum())
    assert share >= 0.5
    assert share > 1.7 * float(before[face].abs().sum() / before.abs().sum())
    turned = after.sign() != before.sign()  # slivers along seams, a hundredth of a texel thin
    assert float(after[turned].abs().sum()) < 1e-5
    assert float(mesh.uv.min()) >= 0.0
    assert float(mesh.uv.max()) <= 1.0


def test_eyeballs_and_teeth_have_squares_of_their_own_above_the_head(open_model):
    mesh = texture_mesh(open_model)
    part = np.array(open_model.part_names)[open_model.part_labels.numpy()]
    center = mesh.uv[mesh.uv_triangles].mean(1).numpy()
    strip = center[:, 1] < LARGEST_SQUARE
    assert set(part[strip]) == {"left_eye", "right_eye", "inner_mouth"}
    assert not np.isin(part[~strip], ("left_eye", "right_eye", "inner_mouth")).any()
    for name in ("left_eye", "right_eye"):  # eyeball and socket: two squares of (1 / 8)^2
        area = float(areas(mesh.uv, mesh.uv_triangles)[torch.from_numpy(part == name)].abs().sum())
        assert 0.5 * 2 / 64 < area < 2 / 64


def test_a_model_of_one_face_keeps_its_layout(model):
    assert torch.equal(texture_mesh(model).uv, model.uv)


def test_membrane_between_two_known_values_is_harmonic(model):
    known = np.zeros(model.num_vertices)
    left, right = model.mean[:, 0].numpy() < -0.06, model.mean[:, 0].numpy() > 0.06
    known[left | right] = 1e6
    values = np.where(right, 1.0, 0.0)[:, None]
    field = membrane(model).solve(values, known, stiffness=1.0)[:, 0]
    np.testing.assert_allclose(field[left], 0.0, atol=1e-3)
    np.testing.assert_allclose(field[right], 1.0, atol=1e-3)
    free = ~(left | right)
    assert ((field[free] > 0) & (field[free] < 1)).all()
    # the mean of its neighbors, but for the weak pull toward zero
    order = membrane(model).order
    assert np.abs((membrane(model).laplacian @ field[order])[free[order]]).max() < 1e-3


def test_membrane_keeps_values_it_trusts_and_smooths_what_it_does_not(model):
    values = np.random.default_rng(0).normal(size=(model.num_vertices, 2))
    trusted = membrane(model).solve(values, np.full(model.num_vertices, 1e4), stiffness=1.0)
    np.testing.assert_allclose(trusted, values, atol=0.01)
    smooth = membrane(model).solve(values, np.full(model.num_vertices, 1e-2), stiffness=1.0)
    assert smooth.std() < 0.3 * values.std()
