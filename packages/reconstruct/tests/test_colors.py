from dataclasses import replace

import numpy as np
import pytest
import torch
from stand_ins import stacked

import morphable
from morphable_reconstruct.colors import estimate
from morphable_reconstruct.colors.estimate import LightPrior, estimate_colors
from morphable_reconstruct.colors.faces import with_photo_colors
from morphable_reconstruct.colors.lids import between_lids
from morphable_reconstruct.colors.observe import observe
from morphable_reconstruct.colors.points import color_points
from morphable_reconstruct.colors.prior import light_prior
from morphable_reconstruct.faces.camera import Camera
from morphable_reconstruct.photographs.reading import Photograph
from morphable_reconstruct.scene import Scene
from morphable_render import shade_sh
from morphable_render.lighting import irradiance_sh

POINTS = 200


def surface(faces=3, seed=0):
    """Normals of a half sphere, a mean albedo and three modes, the first of which is the skin's tone."""
    generator = torch.Generator().manual_seed(seed)
    normals = torch.randn(faces, POINTS, 3, generator=generator).double()
    normals[..., 2] = normals[..., 2].abs() + 0.3
    modes = 0.05 * torch.randn(3, POINTS, 3, generator=generator).double()
    modes[0] = -0.12
    mean = torch.tensor([0.65, 0.5, 0.42]).double() + 0.1 * torch.randn(POINTS, 1, generator=generator).double()
    return torch.nn.functional.normalize(normals, dim=-1), mean, modes


def lit(albedo, normals, mean, modes, light):
    return shade_sh(mean + torch.einsum("fk,kpc->fpc", albedo, modes), normals, light)


def soft_light(faces, seed=1):
    generator = torch.Generator().manual_seed(seed)
    prior = light_prior()
    pattern = (prior.level * prior.mean[:27]).unflatten(0, (3, 9)).T.double().repeat(faces, 1, 1)
    pattern[:, 0] -= 0.8  # the model adds the ambient light
    return pattern + 0.02 * torch.randn(faces, 9, 3, generator=generator).double()


def test_light_of_the_mean_face_reproduces_its_colors():
    normals, mean, modes = surface()
    observed = lit(torch.zeros(3, 3).double(), normals, mean, modes, soft_light(3))
    found = estimate_colors(observed, torch.ones(3, POINTS).double(), normals, mean, modes, light_prior())
    again = lit(found.albedo, normals, mean, modes, found.illumination)
    assert float((again - observed).abs().mean()) < 0.02
    # without the sheen that the prior expects, the mean skin passes for somewhat darker
    assert float(found.albedo[:, 0].abs().max()) < 0.7


def test_darker_skin_in_the_same_light_is_estimated_darker():
    normals, mean, modes = surface(faces=1)
    tones = torch.tensor([-1.0, 0.0, 1.0]).double()
    albedo = torch.stack([tones, torch.zeros(3), torch.zeros(3)], dim=1).double()
    normals = normals.expand(3, -1, -1)
    observed = lit(albedo, normals, mean, modes, soft_light(1).expand(3, -1, -1))
    found = estimate_colors(observed, torch.ones(3, POINTS).double(), normals, mean, modes, light_prior())
    fair, medium, dark = found.albedo[:, 0].tolist()
    assert fair < medium - 0.4 < dark - 0.8


def test_detail_is_drawn_as_the_photograph_shows_it():
    """A mode without a tone of its own is found to a fifth, although the skin's tone is drawn to the mean."""
    normals, mean, modes = surface(faces=1)
    modes[1] -= modes[1].mean(0)
    albedo = torch.tensor([[0.0, 2.0, 0.0]]).double()
    observed = lit(albedo, normals, mean, modes, soft_light(1))
    found = estimate_colors(observed, torch.ones(1, POINTS).double(), normals, mean, modes, light_prior())
    assert float(found.albedo[0, 1]) == pytest.approx(2.0, rel=0.2)


def test_a_point_between_the_lids_is_seen_and_one_behind_them_is_not():
    rim = torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 1.0], [3.0, 0.0], [2.0, -1.0], [1.0, -1.0]])
    points = torch.tensor([[1.5, 0.5], [0.2, 0.9], [-0.1, 0.0], [1.5, -0.9]])
    expected = torch.tensor([True, False, False, True])
    assert between_lids(points, rim).equal(expected)
    assert between_lids(points, rim.flip(0)).equal(expected)  # the other sense of rotation
    shut = rim * torch.tensor([1.0, 0.0])
    assert not between_lids(points, shut).any()


def test_covered_points_lose_their_weight():
    normals, mean, modes = surface(faces=1)
    observed = lit(torch.zeros(1, 3).double(), normals, mean, modes, soft_light(1))
    covered = observed.clone()
    covered[:, :40] = torch.tensor([0.0, 0.9, 0.1]).double()  # something green before a fifth of the face
    ones = torch.ones(1, POINTS).double()
    found = estimate_colors(covered, ones, normals, mean, modes, light_prior())
    assert found.weight[0, :40].max() < 0.3
    assert found.weight[0, 40:].min() > 0.7
    clean = estimate_colors(observed, ones, normals, mean, modes, light_prior())
    assert float((found.albedo - clean.albedo).abs().max()) < 0.5


def test_a_batch_gives_what_single_faces_give():
    normals, mean, modes = surface()
    observed = lit(torch.randn(3, 3).double(), normals, mean, modes, soft_light(3))
    seen = (torch.arange(POINTS) % 3 > 0).double().expand(3, -1)
    together = estimate_colors(observed, seen, normals, mean, modes, light_prior())
    for index in range(3):
        part = slice(index, index + 1)
        alone = estimate_colors(observed[part], seen[part], normals[part], mean, modes, light_prior())
        torch.testing.assert_close(together.albedo[part], alone.albedo)
        torch.testing.assert_close(together.illumination[part], alone.illumination)


def test_a_face_of_which_nothing_is_seen_is_the_mean_face_in_the_mean_light():
    normals, mean, modes = surface(faces=1)
    prior = light_prior()
    found = estimate_colors(
        torch.rand(1, POINTS, 3).double(), torch.zeros(1, POINTS).double(), normals, mean, modes, prior
    )
    torch.testing.assert_close(found.albedo, torch.zeros(1, 3).double(), rtol=0, atol=1e-6)
    expected = (prior.level * prior.mean[:27]).unflatten(0, (3, 9)).T.double()[None]
    light = found.illumination + torch.tensor([0.8, *[0.0] * 8])[:, None]
    torch.testing.assert_close(light, expected, rtol=0, atol=1e-5)


def test_gradients(monkeypatch):
    monkeypatch.setattr(estimate, "_trust", lambda error, step: torch.ones_like(error[..., 0]))  # the choice has none
    generator = torch.Generator().manual_seed(2)
    normals = torch.nn.functional.normalize(torch.randn(1, 8, 3, generator=generator).double(), dim=-1)
    mean = torch.rand(8, 3, generator=generator).double()
    modes = 0.1 * torch.randn(2, 8, 3, generator=generator).double()
    observed = torch.rand(1, 8, 3, generator=generator).double().requires_grad_()
    flat = LightPrior(light_prior().mean, 4 * torch.eye(30), 0.8, 0.2)
    visible = torch.ones(1, 8).double()

    def both(colors):
        found = estimate_colors(colors, visible, normals, mean, modes, flat)
        return found.albedo, found.illumination

    torch.autograd.gradcheck(both, (observed,), atol=1e-5)


def painted_scene(model, tone):
    """A face before the camera, painted by its own albedo under soft light."""
    count = model.num_albedo
    albedo = torch.zeros(1, count)
    albedo[0, 0] = tone
    faces = replace(
        stacked([{"translation_m": [0.0, 0.0, 0.8]}]),
        identity=torch.zeros(1, model.num_identity),
        expression=torch.zeros(1, model.num_expression),
        albedo=albedo,
        illumination=soft_light(1).float(),
    )
    photo = Photograph(pixels=np.zeros((256, 256, 3), np.uint8), name="painted")
    camera = Camera(focal_px=700.0, size_hw=(256, 256))
    given = {"score": np.float32([0.9]), "center_px": np.float32([[128, 128]])}
    scene = Scene(photo=photo, camera=camera, model=model, faces=faces, **given)
    pixels = np.uint8(np.rint(scene.render().rgb * 255))
    return replace(scene, photo=Photograph(pixels=pixels, name="painted"))


def test_painted_face_gets_its_colors_back():
    model = morphable.load_model("open")
    scene = painted_scene(model, 1.0)
    again = with_photo_colors(scene)
    points = color_points(model)
    true, found = (
        (points.mean_albedo + torch.einsum("k,kpc->pc", s.faces.albedo[0], points.albedo_modes)).mean()
        for s in (scene, again)
    )
    assert abs(float(true - found)) < 0.08
    inside = scene.rendered.mask & np.isin(scene.rendered.part, [model.part_names.index("skin")])
    assert np.abs(again.rendered.rgb[inside] - scene.rendered.rgb[inside]).mean() < 0.03


def test_observed_points_are_the_photographs_pixels(model):
    ramp = np.linspace(0, 255, 200, dtype=np.uint8)
    image = np.repeat(np.repeat(ramp[None, :, None], 200, 0), 3, 2)
    points = color_points(model)
    seen = observe(
        image,
        points,
        identity=torch.zeros(1, 4),
        expression=torch.zeros(1, 3),
        rotation_head=torch.eye(3)[None],
        translation_m=torch.tensor([[0.0, 0.0, 1.0]]),
        focal_px=500.0,
        principal_px=(100.0, 100.0),
    )
    inside = seen.visible[0] > 0
    assert inside.float().mean() > 0.5
    expected = (seen.px[0, :, 0] - 0.5) / 199
    torch.testing.assert_close(seen.rgb[0, inside, 0], expected[inside], rtol=0, atol=0.01)
    assert (seen.visible[0][seen.normals[0, :, 2] < 0.05] == 0).all()


def test_scenes_without_faces_and_the_networks_colors_stay(model):
    empty = Scene(
        photo=Photograph(pixels=np.zeros((8, 8, 3), np.uint8), name="a"),
        camera=Camera(focal_px=10.0, size_hw=(8, 8)),
        model=model,
        faces=stacked([]),
        score=np.zeros(0, np.float32),
        center_px=np.zeros((0, 2), np.float32),
    )
    assert with_photo_colors(empty) is empty


def test_the_prior_is_a_distribution():
    prior = light_prior()
    assert float(torch.linalg.eigvalsh(prior.precision.double()).min()) > 0
    assert 0 < prior.level_sd < prior.level
    facing = irradiance_sh(torch.tensor([[0.0, 0.0, 1.0]]), soft_light(1)[0].float())
    assert float(facing.mean()) == pytest.approx(prior.level, abs=0.1)
