"""Shards, labels, crops and their order: round trips and refusals."""

import errno
import io
import json
import os
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image
from stand_in import draw_truth, render_record
from tiny_run import SIZE, tiny_config, write_shards

from morphable_train.data.crop_cache import open_crops
from morphable_train.data.labels import labels_from_bytes, labels_to_bytes, weak_labels
from morphable_train.data.order import ShuffledOrder, seeded
from morphable_train.data.shards import Record, ShardReader, ShardWriter, read_info
from morphable_train.validation.faces import open_landmark_folder


def test_records_come_back_from_a_shard(model, tmp_path):
    record = render_record(model, draw_truth(model, 2, 1, size_px=SIZE, face_px=(40, 50)), "one", size_px=SIZE)
    with ShardWriter(tmp_path) as writer:
        writer.write(record)
    back = ShardReader(tmp_path).read(0)
    assert back.key == "one"
    np.testing.assert_array_equal(back.skin, record.skin)
    np.testing.assert_array_equal(back.labels.identity, record.labels.identity)
    # JPEG at quality 92 without color subsampling; 1.0 of 255 measured
    assert np.abs(back.image.astype(int) - record.image).mean() < 3


def test_shards_are_webdataset_files(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    folder = write_shards(tmp_path, 3)
    samples = list(webdataset.WebDataset(str(folder / "000000.tar"), shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == ["face0000", "face0001", "face0002"]
    assert {"jpg", "npz", "mask.png"} <= set(samples[0])


def test_an_interrupted_writer_leaves_whole_shards_only(model, tmp_path):
    record = render_record(model, draw_truth(model, 1, 1, size_px=SIZE, face_px=(40, 50)), "a", size_px=SIZE)

    def fill() -> None:
        with ShardWriter(tmp_path, records_per_shard=1) as writer:
            writer.write(record)
            writer.records_per_shard = 5
            writer.write(record)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill()
    assert [path.name for path in tmp_path.iterdir()] == ["000000.tar"]
    assert len(ShardReader(tmp_path)) == 1


@pytest.mark.parametrize(
    ("content", "message"), [(None, r"at least one \.tar"), (b"", "whole tar|no"), (b"rubbish" * 99, "whole tar file")]
)
def test_empty_and_broken_shards_are_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "000000.tar").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        ShardReader(tmp_path)


def test_a_missing_folder_names_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="morphable-train prepare"):
        ShardReader(tmp_path / "absent")


def test_a_damaged_picture_is_counted_and_skipped(model, model_file, tmp_path, capsys):
    folder = write_shards(tmp_path / "shards", 3)
    data = (folder / "000000.tar").read_bytes()
    start = data.index(b"\xff\xd8\xff")
    (folder / "000000.tar").write_bytes(data[:start] + b"\x00" * 400 + data[start + 400 :])
    crops = open_crops((folder,), tmp_path / "cache", tiny_config(model_file, (folder,)).data, model)
    assert len(crops) == 2
    assert len(crops.skipped) == 1
    assert "face0000" in crops.skipped[0]
    assert "1 damaged records are left out; the first: picture of record face0000" in capsys.readouterr().err


def test_crops_are_made_once(model, model_file, tmp_path):
    folder = write_shards(tmp_path / "shards", 2)
    config = tiny_config(model_file, (folder,)).data
    first = open_crops((folder,), tmp_path / "cache", config, model)
    stamp = next((tmp_path / "cache").glob("*/images.u8")).stat().st_mtime_ns
    second = open_crops((folder,), tmp_path / "cache", config, model)
    assert next((tmp_path / "cache").glob("*/images.u8")).stat().st_mtime_ns == stamp
    index = torch.tensor([1, 0])
    assert torch.equal(first.pictures(index), second.pictures(index))


def test_crops_are_made_anew_for_shards_written_again(model, model_file, tmp_path):
    folder, cache = write_shards(tmp_path / "shards", 1), tmp_path / "cache"
    config = tiny_config(model_file, (folder,)).data
    open_crops((folder,), cache, config, model)
    os.utime(folder / "000000.tar", (1, 1))
    assert len(open_crops((folder,), cache, config, model)) == 1
    assert len(list(cache.glob("skin_*"))) == 2


def test_a_record_without_picture_or_labels_is_counted_and_skipped(model, model_file, tmp_path):
    folder = write_shards(tmp_path / "shards", 3)
    with tarfile.open(folder / "000000.tar") as tar:
        members = [(entry, tar.extractfile(entry).read()) for entry in tar]
    with tarfile.open(folder / "000000.tar", "w") as tar:
        for entry, data in members:
            if entry.name not in ("face0000.npz", "face0001.jpg"):
                tar.addfile(entry, io.BytesIO(data))
    crops = open_crops((folder,), tmp_path / "cache", tiny_config(model_file, (folder,)).data, model)
    assert crops.keys == ("face0002",)
    assert "face0000 must have a member .npz" in crops.skipped[0]
    assert "face0001 must have a member .jpg" in crops.skipped[1]


def test_a_full_disk_is_named_and_leaves_nothing_half_written(model, model_file, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = write_shards(tmp_path / "shards", 1)
    config = tiny_config(model_file, (folder,)).data
    with monkeypatch.context() as patch:
        patch.setattr("morphable_train.data.crop_cache.save_file", full)
        with pytest.raises(
            OSError, match=r"disk must have room for .*faces\.safetensors, got No space left .*free some"
        ):
            open_crops((folder,), tmp_path / "cache", config, model)
    assert len(open_crops((folder,), tmp_path / "cache", config, model)) == 1
    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    with pytest.raises(OSError, match=r"disk must have room for .*000000\.tar, got No space left"):
        write_shards(tmp_path / "more", 1)
    assert list((tmp_path / "more").iterdir()) == []


def test_damaged_and_newer_labels_are_refused(monkeypatch):
    data = labels_to_bytes(weak_labels(np.zeros((1, 68, 2), np.float32)))
    assert len(labels_from_bytes(data)) == 1
    with pytest.raises(ValueError, match="whole npz archive"):
        labels_from_bytes(data[:100])
    monkeypatch.setattr("morphable_train.data.labels.LABELS_VERSION", 0)
    with pytest.raises(ValueError, match="labels must be of version 0, got 1; prepare the shards again"):
        labels_from_bytes(data)


def test_the_records_of_a_picture_stay_in_one_shard(tmp_path):
    labels = weak_labels(np.full((1, 68, 2), 4, np.float32))
    faces = [Record(f"p__{index}", np.zeros((8, 8, 3), np.uint8), labels) for index in range(3)]
    with ShardWriter(tmp_path, records_per_shard=2) as writer:
        writer.write(*faces)
        assert writer.pending == 0
    assert [path.name for path in tmp_path.iterdir()] == ["000000.tar"]


def test_the_order_is_a_function_of_seed_and_position():
    order = ShuffledOrder(5, seed=1, stream=2)
    everything = order(0, 17)
    again = ShuffledOrder(5, seed=1, stream=2)
    assert torch.equal(torch.cat([again(0, 3), again(3, 11), again(11, 17)]), everything)
    assert sorted(everything[5:10].tolist()) == [0, 1, 2, 3, 4]
    assert not torch.equal(everything, ShuffledOrder(5, seed=2, stream=2)(0, 17))
    assert torch.equal(torch.rand(2, generator=seeded(1, 2, 3)), torch.rand(2, generator=seeded(1, 2, 3)))


def test_a_description_by_synth_is_read(tmp_path):
    """The file that `morphable-synth generate` leaves, and that of shards prepared before it had sources."""
    sources = [{"name": "skins", "license": "CC0-1.0"}, {"name": "backgrounds", "license": "CC-BY-SA-4.0"}]
    values = {"format_version": 1, "name": "synth", "license": "CC-BY-SA-4.0", "sources": sources, "settings": {"n": 1}}
    (tmp_path / "dataset.json").write_text(json.dumps(values))
    assert str(read_info(tmp_path)) == "synth (CC-BY-SA-4.0; skins: CC0-1.0, backgrounds: CC-BY-SA-4.0)"
    old = {"format_version": 1, "name": "a", "license": "MIT", "records": 2, "faces": 3, "sources": ["a"], "model": ""}
    (tmp_path / "dataset.json").write_text(json.dumps(old))
    assert str(read_info(tmp_path)) == "a (3 faces, MIT)"
    (tmp_path / "dataset.json").write_text(json.dumps(old | {"color": 1}))
    with pytest.raises(ValueError, match=r"dataset\.json must have no unknown keys, got color"):
        read_info(tmp_path)
    (tmp_path / "dataset.json").write_text(json.dumps(old | {"format_version": 2}))
    with pytest.raises(ValueError, match="shards must be of format version 1, got 2"):
        read_info(tmp_path)
    (tmp_path / "dataset.json").write_text('{"name": ')
    with pytest.raises(ValueError, match=r"dataset\.json must be JSON, got"):
        read_info(tmp_path)


def test_a_key_is_written_once(model, tmp_path):
    truth = draw_truth(model, 1, 0, size_px=SIZE, face_px=(40, 50))
    record = render_record(model, truth, "a__0", size_px=SIZE, weak=True)
    with pytest.raises(ValueError, match="must be unique in a shard, got a__0 twice"), ShardWriter(tmp_path) as writer:
        writer.write(record, record)


def test_validation_counts_the_faces_it_leaves_out(model, surface, tmp_path):
    """A face of 60 px, one of 20 px, and one centered outside a picture of 200 px."""
    shape = np.random.default_rng(0).uniform(-0.5, 0.5, (68, 2))
    shape[0], shape[1] = -0.5, 0.5
    points = np.stack([shape * 60 + 100, shape * 20 + 50, shape * 60 + [100, 210]])
    Image.new("RGB", (200, 200)).save(tmp_path / "a.png")
    labelled = {"landmarks68_px": points.tolist()}
    (tmp_path / "landmarks68.json").write_text(json.dumps({"a.png": labelled, "b.png": labelled}))
    data = open_landmark_folder(tmp_path, input_px=64, max_faces=8, model=model, surface=surface)
    assert (len(data.faces), data.skipped) == (1, 3)
