"""The bundled weights of per-face networks: all are there, small, described, and make a synthetic face."""

import numpy as np
import pytest
import torch

from morphable import read_weights_info
from morphable.geometry import fit_similarity
from morphable_reconstruct.reconstructor.per_face.weights import bundled_per_face
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.reconstructor.weights import BUNDLED_FOLDER

LARGEST_MB = {"mobile_frnet": 12, "parsing": 12}
"""Largest sizes of the files, millions of bytes."""


@pytest.mark.parametrize("name", LARGEST_MB)
def test_files_are_small_and_have_a_card_and_a_license(name):
    path = BUNDLED_FOLDER / "per_face" / f"{name}.safetensors"
    assert path.stat().st_size < LARGEST_MB[name] * 1e6
    info = read_weights_info(path)
    card = path.with_suffix(".md").read_text()
    assert info.architecture["network"] == name
    assert f"- License: {info.license}\n" in card
    assert f"- Data: {info.training_data}\n" in card
    measure = "mean_iou" if name == "parsing" else "nme"
    assert f"| {measure} | {info.results[measure]:.4g} |" in card


def test_nothing_else_is_bundled():
    assert {path.stem for path in (BUNDLED_FOLDER / "per_face").glob("*.safetensors")} == set(LARGEST_MB)
    assert {*bundled_per_face(), "parsing"} == set(LARGEST_MB)


@pytest.fixture(scope="module")
def sample():
    """A synthetic person near the front, and what is true of them."""
    synth = pytest.importorskip("morphable_synth")
    return synth.render_scene(synth.sample_scene(5, 0, synth.SceneConfig(layout="single", size_px=256)))


@pytest.mark.parametrize("name", bundled_per_face())
def test_every_name_gives_the_mesh_of_a_synthetic_face(name, sample):
    scene = Reconstructor(per_face=name)(sample.image)
    (face,) = scene
    model, truth = scene.model, sample.landmarks68_px[0]
    error = np.linalg.norm(face.landmarks68_px - truth, axis=-1).mean() / np.sqrt(np.ptp(truth, axis=0).prod())
    assert error < 0.1
    shape = model.decode_shape(torch.from_numpy(sample.identity[0]), torch.from_numpy(sample.expression[0]))
    inside = model.region("face")
    found, known = torch.from_numpy(face.vertices_model_m).float()[inside], shape[inside]
    scale, rotation, translation = fit_similarity(found, known)
    moved = scale * found @ rotation.mT + translation
    assert (moved - known).norm(dim=-1).mean() < 0.006
    assert 0.8 < float(scale) < 1.25
    cosine = (np.trace(face.rotation_head.T @ sample.rotation_head[0]) - 1) / 2
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))) < 15
