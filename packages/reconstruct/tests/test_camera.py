"""Moving faces between cameras keeps their pixels."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from morphable.geometry import resolve_pose, rotation_from_angles
from morphable_reconstruct.faces.camera import MODEL_TO_CAMERA, Camera
from morphable_reconstruct.faces.landmarks import landmark_points


def posed(model, count=40, seed=0):
    rng = np.random.default_rng(seed)
    coefficients = (torch.from_numpy(rng.normal(size=(count, 4))), torch.from_numpy(rng.uniform(size=(count, 3))))
    points = landmark_points(model).decode_shape(*(c.float() for c in coefficients)).double().numpy()
    angles = rng.uniform(-0.9, 0.9, (count, 3)) * (0.6, 1.4, 0.6)
    rotation = rotation_from_angles(torch.from_numpy(angles)).numpy()
    depth = rng.uniform(0.6, 5.0, count)
    ray = rng.uniform(-0.22, 0.22, (count, 2))  # up to 14 degrees off the axis
    return points, rotation, np.concatenate([ray * depth[:, None], depth[:, None]], 1)


def change_camera(points, rotation, translation, *, source, target):
    pose = resolve_pose(
        *(torch.from_numpy(np.asarray(x, np.float64)) for x in (points, rotation, translation)),
        source=source.pinhole,
        target=target.pinhole,
    )
    return SimpleNamespace(
        **{name: getattr(pose, name).numpy() for name in ("rotation_head", "translation_m", "residual_px")}
    )


def pixels(points, rotation, translation, camera):
    turned = np.einsum("ij,fjk,fpk->fpi", MODEL_TO_CAMERA, rotation, points)
    return camera.project(turned + translation[:, None])


def test_projection_by_hand():
    # u = 500 * 0.2 / 2 + 320 = 370, v = 500 * -0.1 / 2 + 240 = 215
    camera = Camera(focal_px=500.0, size_hw=(480, 640))
    np.testing.assert_allclose(camera.project(np.array([[0.2, -0.1, 2.0]])), [[370.0, 215.0]])
    np.testing.assert_allclose(camera.matrix, [[500, 0, 320], [0, 500, 240], [0, 0, 1]])
    assert camera.vertical_fov_rad == pytest.approx(2 * np.arctan(240 / 500))


def test_the_same_camera_changes_nothing(model):
    points, rotation, translation = posed(model)
    camera = Camera(focal_px=1015.0, size_hw=(512, 512))
    pose = change_camera(points, rotation, translation, source=camera, target=camera)
    np.testing.assert_allclose(pose.rotation_head, rotation, atol=1e-6)
    np.testing.assert_allclose(pose.translation_m, translation, atol=1e-6)
    assert pose.residual_px.max() < 1e-3


@pytest.mark.parametrize("focal", [500.0, 2000.0])
def test_another_focal_length_keeps_the_pixels(model, focal):
    points, rotation, translation = posed(model)
    source, target = Camera(focal_px=1015.0, size_hw=(512, 512)), Camera(focal_px=focal, size_hw=(512, 512))
    before = pixels(points, rotation, translation, source)
    pose = change_camera(points, rotation, translation, source=source, target=target)
    after = pixels(points, pose.rotation_head, pose.translation_m, target)
    distance = np.linalg.norm(after - before, axis=-1)
    np.testing.assert_allclose(np.sqrt((distance**2).mean(1)), pose.residual_px, atol=1e-3)
    face_px = np.ptp(before, axis=1).max(1)
    assert (distance.mean(1) / face_px).max() < 0.02  # perspective itself differs; measured 0.011
    np.testing.assert_allclose(pose.translation_m[:, 2] / translation[:, 2], focal / 1015.0, rtol=0.15)
    naive = pixels(points, rotation, translation * (1, 1, focal / 1015.0), target)
    naive_distance = np.linalg.norm(naive - before, axis=-1)
    assert (naive_distance.mean(1) > 2 * distance.mean(1)).mean() > 0.9


def test_far_faces_are_kept_almost_exactly(model):
    """Far away the camera is nearly orthographic, where scale and shift alone would do."""
    points, rotation, translation = posed(model)
    translation = translation * (20.0 / translation[:, 2:])
    source, target = Camera(focal_px=1015.0, size_hw=(512, 512)), Camera(focal_px=1500.0, size_hw=(512, 512))
    assert change_camera(points, rotation, translation, source=source, target=target).residual_px.max() < 0.02


def test_there_and_back(model):
    points, rotation, translation = posed(model, seed=1)
    tile = Camera(focal_px=2030.0, size_hw=(2000, 3000), center_px=(500.0, 400.0))
    whole = Camera(focal_px=400.0, size_hw=(2000, 3000))
    there = change_camera(points, rotation, translation, source=tile, target=whole)
    exact = pixels(points, there.rotation_head.astype(float), there.translation_m.astype(float), whole)
    back = change_camera(points, there.rotation_head, there.translation_m, source=whole, target=whole)
    np.testing.assert_allclose(
        pixels(points, back.rotation_head.astype(float), back.translation_m.astype(float), whole), exact, atol=0.01
    )


def test_a_focal_length_that_is_none_is_refused():
    for focal in (0.0, -3.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="focal_px must be a positive number of pixels"):
            Camera(focal_px=focal, size_hw=(10, 10))
