"""Scenes rendered while training: a function of seed and position, in both stages."""

from dataclasses import replace

import pytest
import torch
from tiny_run import tiny_config

import morphable
from morphable_train.configs.stages import DataConfig
from morphable_train.data.rendered_scenes import RenderedScenes, scene_config
from morphable_train.data.scenes import SceneStream
from morphable_train.data.streams import CropStream, Shard
from morphable_train.packaging.provenance import describe_data


@pytest.fixture(scope="module")
def open_model():
    return morphable.load_model("open")


def config_of(stage, **data):
    options = {"synthesize": "procedural", "crop_px": 64, "crop_face_px": 32.0, "min_face_px": 8.0, "max_faces": 2}
    config = tiny_config("open", (), stage=stage, batch_size=2)
    return replace(config, data=DataConfig(**options | data))


def test_crops_of_single_faces_are_repeatable_and_new(open_model):
    config = config_of(1)
    stream = CropStream(RenderedScenes(config, open_model), None, config, Shard())
    first, again, second = stream.load(0), stream.load(0), stream.load(1)
    assert torch.equal(first.pictures, again.pictures)
    assert not torch.equal(first.pictures, second.pictures)
    assert first.pictures.shape == (2, 4, 64, 64)
    assert bool(first.faces.exact.all())
    # each process renders its own part of the batch
    part = CropStream(RenderedScenes(config, open_model), None, config, Shard(1, 2)).load(0)
    assert torch.equal(part.pictures, first.pictures[1:])


def test_scenes_of_groups(open_model):
    config = config_of(2)
    rendered = RenderedScenes(config, open_model)
    loaded = SceneStream(rendered, [], None, config, open_model, Shard()).load(3)
    assert loaded.pictures.shape == (2, 4, 64, 64)
    assert torch.equal(SceneStream(rendered, [], None, config, open_model, Shard()).load(3).pictures, loaded.pictures)
    assert loaded.faces.identity.shape[1] == open_model.num_identity
    assert loaded.skipped == 0


def test_faces_that_are_never_large_enough_are_refused(open_model, monkeypatch):
    monkeypatch.setattr("morphable_train.data.rendered_scenes._TRIES", 1)
    config = config_of(1, min_face_px=500.0)
    with pytest.raises(ValueError, match=r"min_face_px must let faces of rendered pictures of 64 px pass, got 500"):
        RenderedScenes(config, open_model).take(torch.tensor([0]))


def test_refusals_and_card(tmp_path):
    with pytest.raises(ValueError, match="exact must be empty with synthesize procedural, got 1 folders"):
        DataConfig(synthesize="procedural", exact=(tmp_path,))
    with pytest.raises(ValueError, match="assets must be given for level makehuman"):
        scene_config(config_of(1, synthesize="makehuman"))
    (info,) = describe_data(tmp_path, config_of(1))
    assert info.license == "CC0-1.0"
    assert "rendered while training" in str(info)
