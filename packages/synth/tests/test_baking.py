"""Complexions, colors baked to the mesh, and the albedo labels made from them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

import morphable
from morphable_synth import SceneConfig, sample_scene
from morphable_synth.assets.library import load_library
from morphable_synth.people.baking import albedo_label, albedo_weights, baked_colors
from morphable_synth.people.complexion import complexion_factor, complexion_map
from morphable_synth.people.wardrobe import sphere_through
from morphable_synth.scene.description import Complexion, Person


def _config(assets: Path) -> SceneConfig:
    return SceneConfig(level="makehuman", assets=assets, layout="single", size_px=128, photographic_skin=1.0)


def _person(assets: Path, index: int) -> Person:
    return sample_scene(31, index, _config(assets)).people[0]


def test_plain_complexion_changes_nothing():
    places = complexion_map(morphable.load_model("open"))
    np.testing.assert_array_equal(complexion_factor(places, Complexion()), 1.0)


def test_lipstick_colors_the_lips_alone():
    model = morphable.load_model("open")
    factor = complexion_factor(complexion_map(model), Complexion(lips=(0.5, 0.25, 0.125)))
    lips = [model.part_names.index(name) for name in ("upper_lip", "lower_lip")]
    triangles = model.triangles.numpy()
    among = np.isin(model.part_labels.numpy(), lips)
    beside = np.setdiff1d(np.arange(model.num_vertices), triangles[among])
    np.testing.assert_array_equal(factor[beside], 1.0)
    # inside the lips every neighboring triangle is of the lips: the whole factor
    inside = np.setdiff1d(triangles[among], triangles[~among])
    np.testing.assert_allclose(factor[inside], np.tile([0.5, 0.25, 0.125], (len(inside), 1)), rtol=1e-6)


def test_stubble_darkens_chin_but_not_forehead():
    model = morphable.load_model("open")
    factor = complexion_factor(complexion_map(model), Complexion(stubble=1.0))
    points = model.landmarks(model.decode_shape(torch.zeros(80), torch.zeros(64))).numpy()
    mean = model.decode_shape(torch.zeros(80), torch.zeros(64)).numpy()
    nearest = [np.linalg.norm(mean - points[k], axis=1).argmin() for k in (8, 27)]
    np.testing.assert_allclose(factor[nearest], [[0.38, 0.40, 0.45], [1.0, 1.0, 1.0]], atol=0.02)


def test_label_without_assets_is_the_drawn_albedo():
    person = sample_scene(1, 0, SceneConfig(size_px=64, layout="single")).people[0]
    np.testing.assert_array_equal(albedo_label(load_library(None), person), person.albedo)


def test_baking_without_assets_is_refused():
    person = sample_scene(1, 0, SceneConfig(size_px=64, layout="single")).people[0]
    with pytest.raises(ValueError, match="must have assets"):
        baked_colors(load_library(None), person)


def test_eyeballs_are_spheres_of_the_open_model():
    library = load_library(None)
    zero = np.zeros((1, 80), np.float32)
    decoded = library.decode(zero, np.zeros((1, 64), np.float32))[0]
    for vertices in library.eyeball_surface:
        center, radius = sphere_through(decoded[vertices])
        # 12.5 mm (`open_model/eyeballs.py`) times the alignment's mean scale; float16 modes
        assert abs(radius - 0.01254) < 5e-5
        np.testing.assert_allclose(np.linalg.norm(decoded[vertices] - center, axis=1), radius, atol=5e-5)


def test_label_renders_nearest_to_the_baked_colors(assets: Path):
    library = load_library(assets)
    model, person = library.model, _person(assets, 0)
    weight = albedo_weights(model)[:, None]
    target, label = baked_colors(library, person), torch.from_numpy(albedo_label(library, person))
    error = (weight * (model.decode_albedo(label).numpy() - target) ** 2).sum()
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        moved = label + 0.1 * torch.randn(len(label), generator=generator)
        assert (weight * (model.decode_albedo(moved).numpy() - target) ** 2).sum() > error


def test_labels_come_near_the_people_as_drawn(assets: Path):
    library = load_library(assets)
    skin = library.model.region("skin").numpy()
    for index in range(4):
        person = _person(assets, index)
        label = torch.from_numpy(albedo_label(library, person))
        left = np.abs(library.model.decode_albedo(label).numpy() - baked_colors(library, person))
        assert left[skin].mean() < 0.03


def test_brows_darken_the_brows_alone(assets: Path):
    library, person = load_library(assets), _person(assets, 1)
    wearing = dataclasses.replace(person.wearing, eyebrows=library.catalog.eyebrows[0].name, eyelashes="")  # type: ignore[union-attr]
    bare = dataclasses.replace(person, wearing=dataclasses.replace(wearing, eyebrows=""))
    change = baked_colors(library, dataclasses.replace(person, wearing=wearing)) - baked_colors(library, bare)
    brows = library.model.region("brows").numpy()
    changed = np.abs(change).max(1) > 0.05
    assert changed.any()
    assert (changed & brows).sum() > 0.6 * changed.sum()
