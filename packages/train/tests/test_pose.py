"""Moving a picture and moving the face must give the same picture."""

import pytest
import torch
from stand_in import draw_truth

from morphable.geometry import (
    GLOBAL_FOCAL_PX,
    Pinhole,
    camera_from_model,
    mirror_pose,
    resolve_pose,
    rotation_from_angles,
)
from morphable.geometry.warping import flip_matrix, similarity_matrix, transform_points

SIZE = 256


def faces(model, count=6):
    truth = draw_truth(model, count, 3, size_px=SIZE, face_px=(40, 120))
    return model.decode_shape(truth["identity"], truth["expression"]), truth


def moved_pose(points, truth, matrix, target_px):
    found = resolve_pose(
        points,
        truth["rotation_head"],
        truth["translation_m"],
        source=Pinhole((SIZE, SIZE)),
        target=Pinhole((target_px, target_px)),
        target_from_source=matrix,
    )
    return found.rotation_head, found.translation_m, found.residual_px


def test_identity_changes_nothing(model):
    points, truth = faces(model)
    rotation, translation, residual = moved_pose(points, truth, torch.eye(3).repeat(6, 1, 1), SIZE)
    torch.testing.assert_close(rotation, truth["rotation_head"], atol=1e-4, rtol=0)
    torch.testing.assert_close(translation, truth["translation_m"], atol=2e-4, rtol=0)
    assert float(residual.max()) < 1e-2


def test_a_turn_about_the_principal_point_is_exact(model):
    # the camera turns about its axis: a rigid motion, so no residual
    points, truth = faces(model)
    middle = torch.full((6, 2), SIZE / 2)
    matrix = similarity_matrix(torch.ones(6), torch.full((6,), 0.4), middle, middle)
    _, translation, residual = moved_pose(points, truth, matrix, SIZE)
    assert float(residual.max()) < 1e-2
    torch.testing.assert_close(translation[:, 2], truth["translation_m"][:, 2], atol=1e-3, rtol=0)


@pytest.mark.parametrize("scale", [0.6, 1.7])
def test_zoom_and_shift_keep_the_pixels(model, scale):
    points, truth = faces(model)
    generator = torch.Generator().manual_seed(2)
    target = torch.rand(6, 2, generator=generator) * 100 + 80
    origin = Pinhole((SIZE, SIZE)).project(truth["translation_m"][:, None])[:, 0]
    matrix = similarity_matrix(torch.full((6,), scale), torch.rand(6, generator=generator) - 0.5, origin, target)
    rotation, translation, residual = moved_pose(points, truth, matrix, SIZE)
    size = 120 * scale
    # foreshortening that no rigid pose reproduces; measured at most 0.5 % of the face
    assert float(residual.max()) < 0.01 * size
    torch.testing.assert_close(translation[:, 2], truth["translation_m"][:, 2] / scale, rtol=0.1, atol=0)
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).repeat(6, 1, 1), atol=1e-5, rtol=0)


def test_a_shift_turns_the_head_with_the_viewing_ray(model):
    # a face that looks straight at the camera from the axis, moved right in the picture, still shows its front:
    # it must turn toward the camera, which for a place on the right is its own right (the picture's left)
    points = model.decode_shape(torch.zeros(1, 6), torch.zeros(1, 4))
    truth = {"rotation_head": torch.eye(3)[None], "translation_m": torch.tensor([[0.0, 0.0, 1.0]])}
    shift_px = 100.0
    matrix = similarity_matrix(torch.ones(1), torch.zeros(1), torch.zeros(1, 2), torch.tensor([[shift_px, 0.0]]))
    rotation, _, _ = moved_pose(points, truth, matrix, SIZE)
    forward = torch.tensor([1.0, -1.0, -1.0]) * rotation[0, :, 2]
    expected = -torch.nn.functional.normalize(torch.tensor([shift_px / GLOBAL_FOCAL_PX, 0.0, 1.0]), dim=0)
    # the solve trades a little rotation for foreshortening: 0.4 degrees measured
    assert float((forward * expected).sum().clamp(-1, 1).acos().rad2deg()) < 1.0


def test_mirrored_pose_and_coefficients_give_the_mirrored_pixels(model):
    _, truth = faces(model)
    original = camera_from_model(
        model.decode_shape(truth["identity"], truth["expression"]), truth["rotation_head"], truth["translation_m"]
    )
    rotation, translation = mirror_pose(truth["rotation_head"], truth["translation_m"])
    shape = model.decode_shape(model.flip_identity(truth["identity"]), model.flip_expression(truth["expression"]))
    mirrored = camera_from_model(shape, rotation, translation)
    expected = transform_points(Pinhole((SIZE, SIZE)).project(original), flip_matrix(torch.full((6,), float(SIZE))))
    found = Pinhole((SIZE, SIZE)).project(mirrored)[:, model.mirror_vertices]
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


def test_gradients_stay_finite_for_the_mirror():
    rotation = rotation_from_angles(torch.zeros(1, 3, dtype=torch.float64)).requires_grad_()
    translation = torch.ones(1, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(mirror_pose, (rotation, translation))
