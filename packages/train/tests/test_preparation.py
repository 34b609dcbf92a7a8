"""From photographs to shards: preparation, landmarks, skin masks from color."""

import json

import numpy as np
import pytest
from PIL import Image
from stand_in import draw_truth, render_record
from tiny_run import SIZE

from morphable_train.data.shards import ShardReader, read_info
from morphable_train.preparation.landmarkers import LandmarkModelConfig, cut_window
from morphable_train.preparation.photographs import prepare
from morphable_train.preparation.records import PrepareConfig
from morphable_train.preparation.skin import skin_mask
from morphable_train.readers import open_source
from morphable_train.validation.faces import annotated_photographs


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


def test_preparing_counts_what_it_refuses_and_resumes(model, tmp_path):
    source = photographs(model, tmp_path / "photos")
    (source / "broken.png").write_bytes(b"not a picture")
    (source / "broken.pts").write_text(pts_text([(9, 9)] * 68))
    (source / "alone.pts").write_text(pts_text([(9, 9)] * 68))
    Image.new("RGB", (50, 50)).save(source / "unlabeled.png")
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


def test_a_stopped_preparation_loses_no_face_and_no_refusal(tmp_path):
    """Killed while the good face of the first picture waits for its shard, and a line of the report is cut short."""
    for name in ("a", "b"):
        Image.new("RGB", (200, 200), (200, 150, 120)).save(tmp_path / f"{name}.png")
    faces = np.random.default_rng(0).uniform(50, 150, (2, 68, 2)).astype(np.float32)
    faces[1] = faces[1] / 100 + 90  # a face of a pixel
    config, out, seen = PrepareConfig(), tmp_path / "out", []

    def stopping(image):
        seen.append(image)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return faces

    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path, out, config, finder=stopping)
    (out / "rejects.jsonl").write_text('\n{"name": "b", "rea')
    result = prepare(tmp_path, out, config, finder=lambda image: faces)
    assert (result.records, result.faces) == (2, 2)
    assert result.rejected == {"face smaller than 48 px": 2}


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


def face_in(low=50.0, high=150.0):
    return np.random.default_rng(0).uniform(low, high, (1, 68, 2)).astype(np.float32)


def blank(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (200, 200), (200, 150, 120)).save(path)


def test_a_folder_keeps_its_source_and_options(tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    blank(photos / "a.png", tmp_path / "others" / "b.png")
    options = {"license": "CC0-1.0", "skin": "none"}
    stopped = PrepareConfig(**options, records_per_shard=7)

    def stop(image):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(photos, out, stopped, finder=stop)
    same = PrepareConfig(**options)
    for source, config, changed in [
        (photos, PrepareConfig(**options, min_face_px=32.0), "min_face_px 32.0 instead of 48.0"),
        (photos, PrepareConfig(skin="none"), "license unknown instead of CC0-1.0"),
        (tmp_path / "others", same, "source .*others instead of .*photos"),
        (photos, PrepareConfig(**options, landmarks=LandmarkModelConfig(min_score=0.9)), "landmarks.min_score 0.9"),
    ]:
        with pytest.raises(ValueError, match=f"was begun with, got {changed}.*use another folder"):
            prepare(source, out, config, finder=lambda image: face_in())
    assert prepare(photos, out, same, finder=lambda image: face_in()).faces == 1
    (out / "prepare.json").unlink()
    with pytest.raises(ValueError, match=r"must be new or have its prepare\.json"):
        prepare(photos, out, same, finder=lambda image: face_in())


def test_options_that_could_not_be_used_are_not_kept(tmp_path):
    blank(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"landmarks\.path"):
        prepare(tmp_path, tmp_path / "out", PrepareConfig())
    assert not (tmp_path / "out" / "prepare.json").exists()


def test_pictures_of_one_key_are_refused_by_their_paths(tmp_path):
    photos = tmp_path / "photos"
    names = ["a.jpg", "a.png", "b/c.png", "b__c.png", "d.e.png", "d_e.png"]
    blank(*(photos / name for name in names))
    config = PrepareConfig(skin="none")
    result = prepare(photos, tmp_path / "out", config, finder=lambda image: face_in())
    assert sorted(ShardReader(tmp_path / "out").keys()) == ["a__0", "b__c__0", "d_e__0"]
    assert result.rejected == {"name is taken": 3}
    assert "`a.png`: name is taken: a.jpg is a in the shards" in (tmp_path / "out" / "rejects.md").read_text()
    assert prepare(photos, tmp_path / "out", config, finder=lambda image: face_in()) == result


@pytest.mark.parametrize("layout", ["crop", "scene"])
def test_a_picture_is_not_done_because_one_below_its_name_is(tmp_path, layout):
    photos, config = tmp_path / "photos", PrepareConfig(skin="none", layout=layout)
    blank(photos / "a__b.png", photos / "c__0.png")
    assert prepare(photos, tmp_path / "out", config, finder=lambda image: face_in()).records == 2
    blank(photos / "a.png", photos / "c.png")
    assert prepare(photos, tmp_path / "out", config, finder=lambda image: face_in()).records == 4


def test_a_huge_and_a_damaged_photograph_are_counted(tmp_path, monkeypatch):
    """Pillow refuses more than twice its limit; damaged tags do not matter, damaged pixels do."""
    photos = tmp_path / "photos"
    blank(photos / "a.png")
    Image.new("RGB", (400, 400)).save(photos / "huge.png")
    tags = Image.Exif()
    tags[0x0112], tags[0x0100] = 6, 8
    Image.new("RGB", (64, 64)).save(photos / "tags.jpg", exif=tags)
    data = bytearray((photos / "tags.jpg").read_bytes())
    data[data.index(b"Exif") + 19] = 2  # the type of the first tag: text, not a number
    (photos / "tags.jpg").write_bytes(data)
    (photos / "torn.jpg").write_bytes(data[: len(data) // 2])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60_000)
    result = prepare(photos, tmp_path / "out", PrepareConfig(skin="none"), finder=lambda image: face_in(5.0, 60.0))
    assert result.records == 2
    assert result.rejected == {"picture is too large": 1, "picture is damaged or of an unknown kind": 1}
    with pytest.raises(ValueError, match="face is too large"):
        cut_window(np.zeros((9, 9, 3), np.uint8), (0.0, 0.0, 400.0, 400.0), 64)


@pytest.mark.parametrize(
    "entry",
    [
        {"landmarks68_px": [[1, 2], [3]]},
        {"landmarks68_px": "none"},
        {"landmarks68_px": None},
        {"faces": [{"points": []}]},
        {"faces": 3},
        {"faces": []},
        {},
        [],
        None,
        {"landmarks68_px": np.zeros((67, 2)).tolist()},
    ],
)
def test_a_malformed_json_entry_is_its_pictures_problem(tmp_path, entry):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    Image.new("RGB", (64, 64)).save(tmp_path / "b.png")
    good = {"faces": [{"landmarks68_px": np.zeros((68, 2)).tolist()}]}
    (tmp_path / "landmarks68.json").write_text(json.dumps({"a.png": entry, "b.png": good}))
    items = {item.name: item for item in open_source(tmp_path)}
    assert items["a"].problem.startswith("landmarks must be")
    assert items["a"].landmarks68_px is None
    assert not items["b"].problem
    records, skipped = annotated_photographs(tmp_path, 5)
    assert ([record.key for record in records], skipped) == (["b"], 1)


def test_whole_pictures_keep_all_their_faces_on_their_pixels(tmp_path):
    points = np.stack([np.linspace(40, 120, 68), np.linspace(60, 130, 68)], 1)
    faces = np.stack([points, points + [240.0, 20.0]])
    picture = np.zeros((200, 400, 3), np.uint8)
    for x, y in faces[:, 0].astype(int):
        picture[y - 4 : y + 5, x - 4 : x + 5] = 255
    (tmp_path / "photos").mkdir()
    Image.fromarray(picture).save(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "landmarks68.json").write_text(json.dumps({"a.png": {"landmarks68_px": faces.tolist()}}))
    prepare(tmp_path / "photos", tmp_path / "out", PrepareConfig(layout="scene", size_px=200))
    record = ShardReader(tmp_path / "out").read(0)
    assert record.image.shape == (100, 200, 3)
    np.testing.assert_allclose(record.labels.landmarks68_px, faces / 2, atol=1e-4)
    for x, y in record.labels.landmarks68_px[:, 0].astype(int):
        assert record.image[y, x].min() > 200


def test_faces_with_hidden_points_are_trained_on_without_them(tmp_path):
    """The marks of hidden points neither widen the box nor become landmarks; a face of few points is refused."""
    points = np.random.default_rng(0).uniform(60, 140, (68, 2)).astype(np.float32)
    points[17:27, 1], points[8] = 60, (100, 140)
    hidden = np.zeros(68, bool)
    hidden[9:17] = True
    listed = np.where(hidden[:, None], -1.0, points).tolist()
    few = np.where((np.arange(68) > 30)[:, None], -1.0, points).tolist()
    for name in ("a", "b"):
        Image.new("RGB", (200, 200), (200, 150, 120)).save(tmp_path / f"{name}.png")
    labelled = {"a.png": {"landmarks68_px": listed}, "b.png": {"landmarks68_px": few}}
    (tmp_path / "landmarks68.json").write_text(json.dumps(labelled))
    result = prepare(tmp_path, tmp_path / "out", PrepareConfig())
    assert (result.faces, result.rejected) == (1, {"fewer than 34 of the 68 points are annotated": 1})
    labels = ShardReader(tmp_path / "out").labels(0)
    assert labels.landmark_valid[0].tolist() == (~hidden).tolist()
    box = labels.boxes_px()[0]
    side = float((points[~hidden].max(0) - points[~hidden].min(0)).max()) * 2.4
    assert (box[2:] - box[:2]).max() == pytest.approx(side / 2.4 * np.ceil(side) / side, rel=1e-3)
    (record,), skipped = annotated_photographs(tmp_path, 1)
    assert (record.labels.landmark_valid.sum(), skipped) == (60, 0)


def test_the_skin_of_a_face_with_hidden_points_has_no_corner_at_the_mark(model):
    truth = draw_truth(model, 1, 4, size_px=SIZE, face_px=(80, 81))
    record = render_record(model, truth, "skin", size_px=SIZE, contour=True)
    points, known = record.labels.landmarks68_px[0].copy(), np.ones(68, bool)
    known[[12, 14, 40]] = False
    whole = skin_mask(record.image, points[None])
    points[~known] = 0.0
    mask = skin_mask(record.image, points[None], known[None])
    assert mask[:10, :10].max() == 0
    assert ((mask > 0) & (whole > 0)).sum() > 0.9 * (whole > 0).sum()
    known[8] = False
    assert skin_mask(record.image, points[None], known[None]).max() == 0
