"""Photographs turned by quarters."""

import numpy as np
import pytest
import torch
from stand_ins import DotDetector, dotted, stacked

from morphable.geometry import rotation_from_vector
from morphable_reconstruct import Camera, ReconstructConfig, Reconstructor, Scene, load_photograph
from morphable_reconstruct.reconstructor.turning import turned, turned_back

HW = (240, 320)


@pytest.fixture(scope="module")
def scene(model):
    """Two faces off the middle, turned and lit from a side."""
    generator = torch.Generator().manual_seed(0)
    rows = [
        {
            "rotation_head": rotation_from_vector(torch.tensor(turn)).numpy(),
            "translation_m": place,
            "illumination": 0.3 * torch.randn(9, 3, generator=generator).numpy(),
        }
        for turn, place in [((0.3, -0.4, 0.2), (-0.12, 0.05, 1.0)), ((-0.2, 0.5, 2.5), (0.15, -0.02, 1.1))]
    ]
    pixels = np.random.default_rng(0).integers(0, 256, (*HW, 3), np.uint8)
    return Scene(
        photo=load_photograph(pixels, name="a.png"),
        camera=Camera(focal_px=400.0, size_hw=HW),
        model=model,
        faces=stacked(rows),
        score=np.float32([0.9, 0.8]),
        center_px=np.float32([[80.0, 150.0], [230.0, 100.0]]),
    )


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_faces_are_drawn_where_the_turned_photograph_shows_them(scene, quarters):
    photo = scene.photo
    restored = turned_back(scene, turned(photo, -quarters), quarters)  # the scene is the turned one here
    assert restored.camera.size_hw == (HW if quarters == 2 else HW[::-1])
    drawn, expected = restored.rendered, scene.rendered
    back = np.rot90(drawn.rgb, quarters)
    covered = expected.mask & np.rot90(drawn.mask, quarters)
    assert covered.sum() > 0.98 * expected.mask.sum()
    np.testing.assert_allclose(back[covered], expected.rgb[covered], atol=0.02)  # edges of triangles: 0.01 measured


def test_four_quarters_are_none(scene):
    again = scene
    photo = scene.photo
    for left in (3, 2, 1, 0):
        again = turned_back(again, turned(photo, left), 1)
    for name, value in vars(scene.faces).items():
        torch.testing.assert_close(getattr(again.faces, name), value, atol=1e-5, rtol=0)
    np.testing.assert_allclose(again.center_px, scene.center_px, atol=1e-3)


class UprightDots(DotDetector):
    """Finds dots with certainty in pictures whose left half is brighter: the right way up."""

    def detect(self, images, **options):
        found = super().detect(images, **options)
        half = images.shape[3] // 2
        upright = images[..., :half].mean((1, 2, 3)) > images[..., half:].mean((1, 2, 3)) + 0.1
        score = torch.where(upright[:, None], found.score, 0.5 * found.score)
        return type(found)(**(vars(found) | {"score": score, "valid": found.valid & (score >= options["min_score"])}))


def half_bright(dots):
    pixels = dotted((400, 600), dots, dot_px=48)
    green = (pixels == (0, 255, 0)).all(-1)
    pixels[:, :300][~green[:, :300]] = 200
    pixels[:, 300:][~green[:, 300:]] = 60
    return pixels


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_faces_of_turned_photographs_are_found(model, quarters):
    dots = [(100, 300), (450, 120)]
    detector = UprightDots(width_px=96.0)
    reconstructor = Reconstructor(detector, model, config=ReconstructConfig(min_score=0.6, colors="network"))
    upright = reconstructor(half_bright(dots))
    assert len(upright) == 2
    assert detector.calls == 1
    found = reconstructor(np.rot90(half_bright(dots), quarters))
    assert len(found) == 2
    back = turned_back(found, upright.photo, quarters)
    order = np.argsort(back.center_px[:, 0])
    np.testing.assert_allclose(back.center_px[order], dots, atol=30)  # a cell of the dots, which are 48 px wide
    for face in found:
        roll_off = (np.degrees(face.angles.roll) + 90 * quarters + 180) % 360 - 180
        assert abs(roll_off) < 1
    assert found.photo.size_hw == ((400, 600) if quarters % 2 == 0 else (600, 400))


def test_faces_of_a_smaller_turned_photograph_have_the_pixels_of_the_photograph(scene):
    pixels = np.zeros((HW[0] * 3, HW[1] * 3, 3), np.uint8)
    photo = load_photograph(pixels, name="large.png")
    small = turned(photo, 1, longest_px=HW[1])
    assert small.size_hw == (HW[1], HW[0])
    found = turned_back(scene, turned(scene.photo, 1), 3)  # faces of the small turned photograph
    found = type(found)(**{**vars(found), "photo": small, "camera": Camera(focal_px=400.0, size_hw=small.size_hw)})
    back = turned_back(found, photo, 1)
    assert back.camera.size_hw == photo.size_hw
    assert back.camera.focal_px == 1200.0
    np.testing.assert_allclose(back.landmarks68_px, 3 * scene.landmarks68_px, atol=0.01)
    np.testing.assert_allclose(back.center_px, 3 * scene.center_px, atol=0.01)
