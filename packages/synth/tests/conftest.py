"""Shared fixtures: the assets folder, if it is there, and one small rendered scene."""

from pathlib import Path

import pytest

from morphable_synth import SceneConfig, render_scene, sample_scene
from morphable_synth.rendering.labels import Sample
from morphable_synth.scene.description import Scene

ASSETS = Path(__file__).parents[3].parent / "shared/data"


@pytest.fixture(scope="session")
def assets() -> Path:
    if not (ASSETS / "makehuman").is_dir():
        pytest.skip("the MakeHuman assets (../shared/data) are not here")
    return ASSETS


@pytest.fixture(scope="session")
def single_scene() -> Scene:
    return sample_scene(5, 1, SceneConfig(layout="single", size_px=160, camera_effects=False, occluders=False))


@pytest.fixture(scope="session")
def single(single_scene: Scene) -> Sample:
    return render_scene(single_scene)


@pytest.fixture(scope="session")
def group() -> Sample:
    return render_scene(sample_scene(5, 1, SceneConfig(size_px=256, max_faces=4, max_face_px=90.0)))
