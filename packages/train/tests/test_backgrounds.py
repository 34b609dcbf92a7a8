"""Backgrounds of stage 2: real pictures without faces, which are also negatives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_run import tiny_config, write_shards

from morphable_train.configs.stages import DataConfig
from morphable_train.data.backgrounds import NUM_DRAWN, Backgrounds
from morphable_train.data.crop_cache import open_crops
from morphable_train.data.scenes import SceneStream
from morphable_train.data.streams import Shard
from morphable_train.stages.training import train


@pytest.fixture
def folder(tmp_path):
    """Three pictures of one color each, wide, high and small."""
    (tmp_path / "backgrounds").mkdir()
    for index, size in enumerate(((200, 90), (70, 300), (40, 40))):
        Image.new("RGB", size, (10, 80 * (index + 1), 200)).save(tmp_path / "backgrounds" / f"{index}.png")
    return tmp_path / "backgrounds"


def test_a_background_covers_the_whole_input(folder):
    backgrounds = Backgrounds((folder,), 64)
    for index in range(3):
        for draw in range(4):
            u = torch.rand(NUM_DRAWN, generator=torch.Generator().manual_seed(draw))
            u[0] = (index + 0.5) / 3
            picture = backgrounds.draw(u)
            expected = torch.tensor([10.0, 80.0 * (index + 1), 200.0]) / 255
            torch.testing.assert_close(picture, expected[:, None, None].expand(3, 64, 64), atol=1e-5, rtol=0)


def test_a_background_is_a_function_of_the_numbers(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    backgrounds = Backgrounds((tmp_path,), 64)
    u = torch.tensor([0.0, 0.0, 0.5, 0.5, 0.9])
    torch.testing.assert_close(backgrounds.draw(u), backgrounds.draw(u), rtol=0, atol=0)
    mirrored = backgrounds.draw(torch.tensor([0.0, 0.0, 0.5, 0.5, 0.1]))
    torch.testing.assert_close(mirrored.flip(2), backgrounds.draw(u), atol=1e-4, rtol=0)  # float32 places of the pixels


def test_what_is_no_background_is_refused_or_passed_over(folder, tmp_path, capsys):
    with pytest.raises(FileNotFoundError, match=r"data\.backgrounds must be folders of pictures without faces"):
        Backgrounds((folder, tmp_path / "none"), 64)
    (folder / "0.png").write_bytes(b"no picture")
    backgrounds = Backgrounds((folder,), 64)
    assert backgrounds.draw(torch.zeros(NUM_DRAWN))[1, 0, 0] == pytest.approx(160 / 255)
    assert "damaged backgrounds are passed over; the first:" in capsys.readouterr().err
    for name in ("1.png", "2.png"):
        (folder / name).write_bytes(b"no picture")
    with pytest.raises(ValueError, match="must hold a whole picture, got 3 damaged ones"):
        backgrounds.draw(torch.zeros(NUM_DRAWN))


def stream(model, model_file, shards, backgrounds, tmp_path, **data):
    config = tiny_config(model_file, (), stage=2, batch_size=32)
    config = replace(config, data=replace(config.data, weak=(shards,), weak_fraction=0.0, **data))
    crops = open_crops((shards,), tmp_path / "cache", config.data, model)
    return SceneStream([], [], crops, config, model, Shard(), backgrounds)


def test_faces_are_pasted_onto_backgrounds_and_some_stay_empty(model, model_file, folder, tmp_path):
    shards = write_shards(tmp_path / "shards", 6, weak=True)
    backgrounds = Backgrounds((folder,), 64)
    loaded = stream(model, model_file, shards, backgrounds, tmp_path, empty_fraction=0.3).load(0)
    counts = torch.bincount(loaded.image_index, minlength=32)
    assert 3 <= int((counts == 0).sum()) <= 18  # 0.3 of 32, by chance
    assert bool(loaded.complete.all())  # so that everything beside the faces is a negative
    background = (loaded.pictures[:, 0] == 10) & (loaded.pictures[:, 2] == 200)
    share = background.float().mean((1, 2))
    assert bool((share[counts == 0] == 1).all())
    assert bool((share[counts > 0] > 0.3).all())
    assert not bool(loaded.pictures[:, 3][background].any())
    without = stream(model, model_file, shards, None, tmp_path, empty_fraction=0.3).load(0)
    assert bool((torch.bincount(without.image_index, minlength=32) > 0).all())


def test_training_takes_backgrounds(model_file, folder, tmp_path):
    shards = write_shards(tmp_path / "shards", 4, weak=True)
    config = tiny_config(model_file, (), stage=2, steps=2)
    data = replace(config.data, weak=(shards,), weak_fraction=0.0, backgrounds=(folder,))
    train(replace(config, data=data), tmp_path / "run")
    with pytest.raises(ValueError, match=r"empty_fraction must be in \[0, 1\], got 2.0"):
        DataConfig(empty_fraction=2.0)
