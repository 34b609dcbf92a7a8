"""The losses pull toward the truth, and vanish there."""

from dataclasses import replace

import pytest
import torch
from stand_in import draw_truth

from morphable import FaceParameters, MorphableModel
from morphable.geometry import Pinhole, camera_from_model
from morphable.landmarks import OPPOSITE_POINTS
from morphable_detector_head.cells import cells_from_parameters
from morphable_detector_head.layout import ParameterLayout
from morphable_losses.face_errors import opening_errors, prior_errors
from morphable_train.configs.stages import LossConfig
from morphable_train.data.batch import Batch
from morphable_train.objective.cells import count_cells, encode_cells
from morphable_train.objective.total import Objective

SIZE = 128
LAYOUT = ParameterLayout(num_identity=6, num_expression=4, num_albedo=3)


def cells_of(batch, neighbours=4):
    spread = torch.randn(len(batch.faces), neighbours, 2, generator=torch.Generator().manual_seed(0))
    return encode_cells(batch.faces, spread, complete=batch.complete, size_hw=batch.size_hw, neighbourhood=0.1)


def perfect_channels(truth, cells):
    face = cells.face.clamp(max=1)
    parameters = FaceParameters(
        **{name: truth[name][face] for name in ("identity", "expression", "albedo", "rotation_head", "translation_m")},
        illumination=truth["illumination"][face],
    )
    return cells_from_parameters(parameters, cells.cell_px(), (SIZE, SIZE), LAYOUT)


def terms(model, surface, truth, batch, **changes):
    cells = cells_of(batch)
    objective = Objective(model, surface, LAYOUT, replace(LossConfig(), **changes))
    return objective((perfect_channels(truth, cells),), None, batch, cells, count_cells(cells, batch.skin), True)


def test_exact_terms_vanish_at_the_truth_in_every_cell(model, surface, two_faces):
    truth, batch = two_faces
    values = terms(model, surface, truth, batch)
    for name in ("landmarks", "points", "shape", "rotation", "depth", "identity", "expression"):
        assert float(values[name]) < 2e-3, name  # float32 pixels over face sizes, times weights up to 30


@pytest.mark.parametrize("kind", ["points", "rendered"])
def test_true_colours_have_the_least_photometric_error(model, surface, two_faces, kind):
    truth, batch = two_faces
    right = terms(model, surface, truth, batch, photometric_kind=kind)["photometric"]
    dark = truth | {"illumination": truth["illumination"] - 0.3}
    wrong = terms(model, surface, dark, batch, photometric_kind=kind)["photometric"]
    # what remains is the picture's 8 bits and its interpolation (at outlines for `points`)
    assert float(right) < 0.05
    assert float(wrong) > 3 * float(right)


@pytest.mark.parametrize("kind", ["points", "rendered"])
def test_weak_terms_reach_shape_pose_albedo_and_light(model, surface, two_faces, kind):
    _, batch = two_faces
    weak = replace(batch.faces, exact=torch.zeros(2, dtype=torch.bool), contour=torch.ones(2, dtype=torch.bool))
    batch, cells = Batch(batch.image, batch.skin, weak, batch.complete), cells_of(batch)
    channels = torch.zeros(1, cells.cell.shape[1], LAYOUT.num_channels, requires_grad=True)
    objective = Objective(model, surface, LAYOUT, replace(LossConfig(), photometric_kind=kind))
    values = objective((channels,), None, batch, cells, count_cells(cells, batch.skin), True)
    torch.stack(list(values.values())).sum().backward()
    assert bool(torch.isfinite(channels.grad).all())
    parts = channels.grad[cells.is_center].abs().sum(0).split(list(LAYOUT.sizes))
    assert all(float(part.sum()) > 0 for part in parts)
    assert float(values["landmarks"].detach()) == 0.0


def test_an_estimate_before_the_refinement_counts_with_its_weight(model, surface, two_faces):
    truth, batch = two_faces
    cells = cells_of(batch)
    right = perfect_channels(truth, cells)
    wrong = right + 0.1
    objective = Objective(model, surface, LAYOUT, replace(LossConfig(), first_estimate=0.25, photometric=0.0))
    counts = count_cells(cells, batch.skin)
    alone = objective((wrong,), None, batch, cells, counts, True)
    refined = objective((wrong, right), None, batch, cells, counts, True)
    geometry = [value for name, value in alone.items() if name not in ("prior_albedo", "prior_light")]
    torch.testing.assert_close(refined["first_estimate"], 0.25 * torch.stack(geometry).sum())
    assert float(refined["shape"]) < 1e-3 < float(alone["shape"])


def test_neighbouring_cells_belong_to_the_nearest_face(two_faces):
    _, batch = two_faces
    cells = cells_of(batch, neighbours=64)
    centers, sizes = batch.faces.centers_px(), batch.faces.sizes_px()
    distance = (cells.cell_px()[0, :, None] - centers[None]).norm(dim=-1) / sizes
    valid = cells.valid[0]
    centre_cells = cells.is_center[0]
    assert bool((distance.argmin(1)[valid] == cells.face[0][valid]).all())
    assert int(centre_cells.sum()) == 2
    assert float(cells.heatmap.flatten()[cells.cell[0][centre_cells]].min()) == 1.0


def test_a_picture_without_faces_has_no_loss_but_the_centre(model, surface, two_faces):
    _, batch = two_faces
    empty = Batch(batch.image, batch.skin, batch.faces.select(torch.zeros(0, dtype=torch.long)), batch.complete)
    cells = cells_of(empty)
    channels = torch.zeros(1, cells.cell.shape[1], LAYOUT.num_channels, requires_grad=True)
    objective = Objective(model, surface, LAYOUT, LossConfig())
    values = objective((channels,), torch.full((1, 16, 16), -2.0), empty, cells, count_cells(cells, batch.skin), True)
    assert float(values.pop("center").detach()) > 0
    assert float(torch.stack(list(values.values())).sum().detach()) == 0.0


def test_surface_points_are_the_models(model, surface):
    truth = draw_truth(model, 3, 1, size_px=SIZE, face_px=(40, 50))
    vertices = camera_from_model(
        model.decode_shape(truth["identity"], truth["expression"]), truth["rotation_head"], truth["translation_m"]
    )
    points = camera_from_model(
        surface.decode_shape(truth["identity"], truth["expression"]), truth["rotation_head"], truth["translation_m"]
    )
    torch.testing.assert_close(surface.groups(points).landmarks, model.landmarks(vertices), atol=1e-6, rtol=0)
    torch.testing.assert_close(surface.contour_landmarks(points), model.contour_landmarks(vertices), atol=1e-6, rtol=0)
    few = surface.few.decode_shape(truth["identity"], truth["expression"])
    assert few.shape == (3, 68 + 64, 3)
    assert Pinhole((SIZE, SIZE)).project(points).isfinite().all()


def test_cells_outside_labelled_boxes_of_incomplete_pictures_teach_nothing(two_faces):
    _, batch = two_faces
    assert bool((cells_of(batch).center_weight == 1).all())
    partly = replace(batch, complete=torch.zeros(1, dtype=torch.bool))
    weight = cells_of(partly).center_weight[0]
    rows, cols = weight.nonzero(as_tuple=True)
    px = torch.stack([cols, rows], 1) * 8.0 + 4.0
    boxes = batch.faces.boxes_px()
    inside = ((px[:, None] > boxes[:, :2]) & (px[:, None] < boxes[:, 2:])).all(2).any(1)
    assert 0 < len(px) < weight.numel()
    assert bool(inside.all())


def openings(points, faces):
    size = faces.sizes_px()
    return opening_errors(points, faces.landmarks68_px, weight=faces.landmark_weight, unit_px=size)


def test_opening_errors_ignore_where_the_face_is(two_faces):
    _, batch = two_faces
    points = batch.faces.landmarks68_px
    assert float(openings(points + 7.0, batch.faces).max()) < 1e-5
    closed = points.clone()
    closed[:, 41] = closed[:, 37]
    expected = (points[:, 41] - points[:, 37]).norm(dim=1) / batch.faces.sizes_px() / len(OPPOSITE_POINTS)
    torch.testing.assert_close(openings(closed, batch.faces), expected, atol=1e-5, rtol=0)


def test_negative_expressions_count_twice_where_they_are_activations_alone():
    parameters = FaceParameters(
        identity=torch.tensor([[3.0, 1.0]]),
        expression=torch.tensor([[-1.0, 2.0]]),
        albedo=torch.zeros(1, 0),
        rotation_head=torch.eye(3)[None],
        translation_m=torch.zeros(1, 3),
        illumination=torch.zeros(1, 9, 3),
    )
    # (1 + 4) / 2 = 2.5; the negative one again: (1 + 4 + 1) / 2 = 3
    assert float(prior_errors(parameters, "normal").expression) == 2.5
    assert float(prior_errors(parameters, "activation").expression) == 3.0
    assert float(prior_errors(parameters, "normal").identity) == 5.0
    assert float(prior_errors(parameters, "normal").albedo) == 0.0  # no modes: nothing is unlikely


def test_the_prior_is_that_of_the_model(model, surface, two_faces):
    truth, batch = two_faces
    weak = replace(batch, faces=replace(batch.faces, exact=torch.zeros(2, dtype=torch.bool)))
    opposite = truth | {"expression": -truth["expression"]}
    normal = MorphableModel(replace(model.data(), expression_prior="normal"))
    values = [terms(m, surface, opposite, weak)["prior_expression"] for m in (model, normal)]
    torch.testing.assert_close(values[0], 2 * values[1])
