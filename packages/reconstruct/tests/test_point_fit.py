"""Faces fitted to the points that the face head located."""

import subprocess
import sys

import pytest
import torch

import morphable
from morphable.geometry import GLOBAL_FOCAL_PX, rotation_from_vector
from morphable_reconstruct.faces.landmarks import located_points
from morphable_reconstruct.faces.point_fit import SHUT_STDS, PointFit, fit_points, shut_lips


@pytest.fixture(scope="module")
def model():
    return morphable.load_model("open")


@pytest.fixture(scope="module")
def faces(model):
    sampled = model.sample(3, torch.Generator().manual_seed(0))
    return sampled.map(lambda value: value.float())


def observed(model, faces):
    """The head's 87 points (the outline's are not used), exact, from the principal point."""
    place = located_points(model).vertices(faces)
    seen = GLOBAL_FOCAL_PX * place[..., :2] / place[..., 2:]
    return torch.cat([seen[:, :68], torch.full((len(seen), 17, 2), 1e6), seen[:, 68:]], 1)


def mean_error(model, faces, points):
    used = torch.cat([points[:, :68], points[:, 85:]], 1)
    now = observed(model, faces)
    return float((torch.cat([now[:, :68], now[:, 85:]], 1) - used).norm(dim=-1).mean())


def disturbed(faces):
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(3, 6, generator=generator) * torch.tensor([0.03, 0.03, 0.03, 0.005, 0.005, 0.02])
    changed = {
        "identity": faces.identity + 0.3 * torch.randn(faces.identity.shape, generator=generator),
        "expression": (faces.expression + 0.1 * torch.randn(faces.expression.shape, generator=generator)).clamp(0, 1),
        "rotation_head": rotation_from_vector(noise[:, :3]) @ faces.rotation_head,
        "translation_m": faces.translation_m + noise[:, 3:],
    }
    return type(faces)(**(vars(faces) | changed))


def test_sure_points_are_met(model, faces):
    start, points = disturbed(faces), observed(model, faces)
    fitted = fit_points(start, points, torch.full((3, 87), 0.2), model)
    assert mean_error(model, start, points) > 5.0
    assert mean_error(model, fitted, points) < 0.5
    assert fitted.expression.min() >= 0
    assert fitted.expression.max() <= 1
    torch.testing.assert_close(
        fitted.rotation_head @ fitted.rotation_head.mT, torch.eye(3).expand(3, 3, 3), atol=1e-5, rtol=0
    )
    assert torch.equal(fitted.albedo, start.albedo)


def test_points_that_nobody_is_sure_of_move_nothing(model, faces):
    start = disturbed(faces)
    fitted = fit_points(start, observed(model, faces), torch.full((3, 87), 1e6), model)
    for name, value in vars(fitted).items():
        torch.testing.assert_close(value, getattr(start, name), atol=1e-5, rtol=0)


def test_one_face_does_not_depend_on_the_others(model, faces):
    start, points, std = disturbed(faces), observed(model, faces), torch.full((3, 87), 1.0)
    together = fit_points(start, points, std, model)
    alone = fit_points(start[1:2], points[1:2], std[1:2], model)
    torch.testing.assert_close(together.identity[1:2], alone.identity, atol=2e-4, rtol=0)


def test_no_faces_stay_none(model, faces):
    assert len(fit_points(faces[:0], torch.zeros(0, 87, 2), torch.zeros(0, 87), model).identity) == 0


def test_priors_hold_back(model, faces):
    start, points = disturbed(faces), observed(model, faces)
    std = torch.full((3, 87), 1.0)
    free, held = (fit_points(start, points, std, model, PointFit(identity=s)) for s in (1.0, 1e-4))
    torch.testing.assert_close(held.identity, start.identity, atol=1e-3, rtol=0)
    assert (free.identity - start.identity).abs().max() > 0.05


GROUP = """
import torch, morphable
from morphable_reconstruct.faces.point_fit import fit_points
torch.set_num_threads(2)
model = morphable.load_model("open")
faces = model.sample(4, torch.Generator().manual_seed(0)).map(lambda value: value.float())
print(fit_points(faces, torch.zeros(4, 87, 2), torch.full((4, 87), 1e3), model).identity.isfinite().all())
"""


def test_a_group_is_fitted_on_several_threads():
    # in a program of its own: LU factors of several such matrices never ended
    done = subprocess.run([sys.executable, "-c", GROUP], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "tensor(True)\n"


def parted(points, by_px):
    """The same points with inner lips that lie apart by some pixels."""
    upper, lower = [61, 62, 63], [67, 66, 65]
    middle = (points[:, upper] + points[:, lower]) / 2
    changed = points.clone()
    changed[:, upper], changed[:, lower] = middle, middle
    changed[:, lower, 1] += by_px
    return changed


def test_lips_are_shut_if_they_are_no_farther_apart_than_points_that_touch_are_found():
    points, std = torch.zeros(2, 87, 2), torch.ones(2, 87)
    for distance, expected in ((0.9 * SHUT_STDS, True), (1.1 * SHUT_STDS, False)):
        assert shut_lips(parted(points, distance), std).tolist() == [expected, expected]
        assert shut_lips(parted(points, 3 * distance), 3 * std).tolist() == [expected, expected]


def test_shut_lips_are_drawn_shut_and_open_ones_are_not(model, faces):
    points, std = observed(model, faces), torch.full((3, 87), 2.0)

    def opening(by_px):
        fitted = fit_points(faces, parted(points, by_px), std, model)
        lips = observed(model, fitted)
        return (lips[:, [61, 62, 63]] - lips[:, [67, 66, 65]]).norm(dim=-1).mean(1)

    assert (opening(4.0) < 0.6 * opening(5.0)).all()  # on both sides of 2.2 standard deviations
    assert (opening(15.0) > 4.0).all()
