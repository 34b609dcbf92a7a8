"""Shards, labels, readers, preparation: round trips and refusals."""

import json
import os

import numpy as np
import pytest
import torch
from PIL import Image
from stand_in import draw_truth, render_record
from tiny_run import SIZE, tiny_config, write_shards

from morphable_train.crop_cache import open_crops
from morphable_train.labels import labels_from_bytes, labels_to_bytes, weak_labels
from morphable_train.order import ShuffledOrder, seeded
from morphable_train.preparation import PrepareConfig, prepare
from morphable_train.readers import open_source
from morphable_train.readers.points import parse_pts
from morphable_train.shards import ShardReader, ShardWriter, read_info
from morphable_train.skin import skin_mask


def pts_text(points) -> str:
    body = "\n".join(f"{x} {y}" for x, y in points)
    return f"version: 1\nn_points: 68\n{{\n{body}\n}}\n"


def photographs(model, folder, count=3):
    """Rendered faces as a folder of photographs with `.pts` files, counted from one as iBUG's are."""
    folder.mkdir()
    for index in range(count):
        truth = draw_truth(model, 1, index, size_px=SIZE, face_px=(55, 70))
        record = render_record(model, truth, f"p{index}", size_px=SIZE, weak=True, contour=True)
        Image.fromarray(record.image).save(folder / f"p{index}.png")
        (folder / f"p{index}.pts").write_text(pts_text(record.labels.landmarks68_px[0] + 0.5))
    return folder


def test_records_come_back_from_a_shard(model, tmp_path):
    record = render_record(model, draw_truth(model, 2, 1, size_px=SIZE, face_px=(40, 50)), "one", size_px=SIZE)
    with ShardWriter(tmp_path) as writer:
        writer.write(record)
    back = ShardReader(tmp_path).read(0)
    assert back.key == "one"
    np.testing.assert_array_equal(back.skin, record.skin)
    np.testing.assert_array_equal(back.labels.identity, record.labels.identity)
    # JPEG at quality 92 without colour subsampling; 1.0 of 255 measured
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


def test_a_damaged_picture_is_counted_and_skipped(model, model_file, tmp_path):
    folder = write_shards(tmp_path / "shards", 3)
    data = (folder / "000000.tar").read_bytes()
    start = data.index(b"\xff\xd8\xff")
    (folder / "000000.tar").write_bytes(data[:start] + b"\x00" * 400 + data[start + 400 :])
    crops = open_crops((folder,), tmp_path / "cache", tiny_config(model_file, (folder,)).data, model)
    assert len(crops) == 2
    assert len(crops.skipped) == 1
    assert "face0000" in crops.skipped[0]


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


def test_labels_of_another_version_are_refused():
    data = labels_to_bytes(weak_labels(np.zeros((1, 68, 2), np.float32)))
    assert len(labels_from_bytes(data)) == 1
    with pytest.raises(ValueError, match="whole npz archive"):
        labels_from_bytes(data[:100])


def test_pts_points_move_to_the_pixel_corner():
    # MATLAB's (1, 1) is the centre of the first pixel: (0.5, 0.5) for us
    assert parse_pts(pts_text([(1, 1)] * 68))[0].tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="68 points, got 2"):
        parse_pts(pts_text([(1, 1)] * 2))


@pytest.mark.parametrize("kind", ["celeba", "300w_lp", "aflw2000", "300vw", "pts", "json", "folder"])
def test_a_wrong_layout_is_one_clear_error(tmp_path, kind):
    with pytest.raises(FileNotFoundError, match=r"source must be .* with .*; check the path"):
        list(open_source(tmp_path, kind))


def test_mat_files_give_static_points(tmp_path):
    from scipy.io import savemat

    Image.new("RGB", (100, 100)).save(tmp_path / "a.jpg")
    savemat(tmp_path / "a.mat", {"pt3d_68": np.full((3, 68), 10.0)})
    Image.new("RGB", (100, 100)).save(tmp_path / "b.jpg")
    good, bad = list(open_source(tmp_path, "300w_lp"))
    assert good.landmarks68_px[0, 0].tolist() == [9.5, 9.5]
    assert not good.contour
    assert "missing landmark file" in bad.problem


def test_preparing_counts_what_it_refuses_and_resumes(model, tmp_path):
    source = photographs(model, tmp_path / "photos")
    (source / "broken.png").write_bytes(b"not a picture")
    (source / "broken.pts").write_text(pts_text([(9, 9)] * 68))
    (source / "alone.pts").write_text(pts_text([(9, 9)] * 68))
    Image.new("RGB", (50, 50)).save(source / "unlabelled.png")
    config = PrepareConfig(min_face_px=20.0, license="CC0-1.0")
    result = prepare(source, tmp_path / "out", config)
    assert result.records == 3
    assert result.rejected == {
        "picture is damaged or of an unknown kind": 1,
        "missing picture": 1,
        "missing landmark file": 1,
    }
    assert (tmp_path / "out" / "contact_sheet.png").is_file()
    assert "`broken`" in (tmp_path / "out" / "rejects.md").read_text()
    assert read_info(tmp_path / "out").license == "CC0-1.0"
    stamp = (tmp_path / "out" / "000000.tar").stat().st_mtime_ns
    assert prepare(source, tmp_path / "out", config) == result
    assert (tmp_path / "out" / "000000.tar").stat().st_mtime_ns == stamp


def test_prepared_landmarks_stay_on_their_pixels(model, tmp_path):
    source = photographs(model, tmp_path / "photos", 1)
    prepare(source, tmp_path / "out", PrepareConfig(min_face_px=20.0, size_px=128))
    record = ShardReader(tmp_path / "out").read(0)
    truth = draw_truth(model, 1, 0, size_px=SIZE, face_px=(55, 70))
    original = render_record(model, truth, "p0", size_px=SIZE, weak=True, contour=True)
    for point in (30, 36, 45, 48):
        x, y = record.labels.landmarks68_px[0, point]
        u, v = original.labels.landmarks68_px[0, point]
        there = original.image[int(v) - 1 : int(v) + 2, int(u) - 1 : int(u) + 2].mean((0, 1))
        here = record.image[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].mean((0, 1))
        assert np.abs(here - there).max() < 12


def test_a_source_without_landmarks_asks_for_networks(model, tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"landmarks\.path and landmarks\.detector must be given"):
        prepare(tmp_path, tmp_path / "out", PrepareConfig())


def test_an_injected_finder_is_used(model, tmp_path):
    Image.new("RGB", (200, 200), (200, 150, 120)).save(tmp_path / "a.png")
    points = np.random.default_rng(0).uniform(50, 150, (1, 68, 2)).astype(np.float32)
    assert prepare(tmp_path, tmp_path / "out", PrepareConfig(), finder=lambda image: points).faces == 1
    with pytest.raises(ValueError, match="no face found"):
        prepare(tmp_path, tmp_path / "none", PrepareConfig(), finder=lambda image: points[:0])


def test_skin_leaves_out_eyes_and_other_colours(model):
    truth = draw_truth(model, 1, 4, size_px=SIZE, face_px=(80, 81))
    record = render_record(model, truth, "skin", size_px=SIZE, contour=True)
    points = record.labels.landmarks68_px[0]
    mask = skin_mask(record.image, points[None])
    cheek = (points[2] + points[31]) / 2
    assert mask[int(cheek[1]), int(cheek[0])] == 255
    eye = points[36:42].mean(0)
    assert mask[int(eye[1]), int(eye[0])] == 0
    assert (mask[record.skin == 0] > 0).mean() < 0.02


def test_the_order_is_a_function_of_seed_and_position():
    order = ShuffledOrder(5, seed=1, stream=2)
    everything = order(0, 17)
    again = ShuffledOrder(5, seed=1, stream=2)
    assert torch.equal(torch.cat([again(0, 3), again(3, 11), again(11, 17)]), everything)
    assert sorted(everything[5:10].tolist()) == [0, 1, 2, 3, 4]
    assert not torch.equal(everything, ShuffledOrder(5, seed=2, stream=2)(0, 17))
    assert torch.equal(torch.rand(2, generator=seeded(1, 2, 3)), torch.rand(2, generator=seeded(1, 2, 3)))


def test_json_landmarks_of_several_faces(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    faces = np.zeros((2, 68, 2)).tolist()
    (tmp_path / "landmarks68.json").write_text(json.dumps({"a.png": {"landmarks68_px": faces}}))
    (item,) = open_source(tmp_path)
    assert item.landmarks68_px.shape == (2, 68, 2)


def test_a_description_by_synth_is_read(tmp_path):
    """The file that `morphable-synth generate` leaves, and that of shards prepared before it had sources."""
    sources = [{"name": "skins", "license": "CC0-1.0"}, {"name": "backgrounds", "license": "CC-BY-SA-4.0"}]
    values = {"format_version": 1, "name": "synth", "license": "CC-BY-SA-4.0", "sources": sources, "settings": {"n": 1}}
    (tmp_path / "dataset.json").write_text(json.dumps(values))
    assert str(read_info(tmp_path)) == "synth (CC-BY-SA-4.0; skins: CC0-1.0, backgrounds: CC-BY-SA-4.0)"
    old = {"format_version": 1, "name": "a", "license": "MIT", "records": 2, "faces": 3, "sources": ["a"], "model": ""}
    (tmp_path / "dataset.json").write_text(json.dumps(old))
    assert str(read_info(tmp_path)) == "a (3 faces, MIT)"
    (tmp_path / "dataset.json").write_text(json.dumps(old | {"colour": 1}))
    with pytest.raises(ValueError, match=r"fields of DatasetInfo: .*colour"):
        read_info(tmp_path)
