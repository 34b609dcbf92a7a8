"""Videos: tracks keep their numbers, smoothing removes jitter without lag, sound and times are kept."""

import csv
import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from stand_ins import DotDetector, dotted, with_faces
from test_exports import make_scene, parse_glb

from morphable_reconstruct.batch.options import RunConfig
from morphable_reconstruct.commands.reconstruct import run
from morphable_reconstruct.faces.camera import Camera
from morphable_reconstruct.photographs.sources import find_sources
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.video.options import VideoConfig
from morphable_reconstruct.video.smoothing import OneEuro, RotationOneEuro, Smoother
from morphable_reconstruct.video.tracking import Tracker

av = pytest.importorskip("av")
SIZE_HW = (160, 256)
FRAMES = 24


def place(frame):
    """One dot moves right by 4 px a frame, one stands still."""
    return [(40 + 4 * frame, 48), (200, 120)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A second of video at 24 frames per second with a tone, every fifth frame late by 10 ms."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=24, options={"crf": "5"})
        video.width, video.height, video.pix_fmt = SIZE_HW[1], SIZE_HW[0], "yuv444p"
        video.codec_context.time_base = Fraction(1, 1000)
        audio = container.add_stream("aac", rate=16000, layout="mono")
        for index in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(dotted(SIZE_HW, place(index), dot_px=16), format="rgb24")
            frame.pts, frame.time_base = times_ms()[index], Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        tone = (0.2 * np.sin(np.arange(16000) * 0.1)).astype(np.float32)[None]
        for start in range(0, 16000, 1000):
            sound = av.AudioFrame.from_ndarray(tone[:, start : start + 1000], format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 16000, start
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
    return path


def times_ms():
    return [round(1000 * i / 24) + (10 if i % 5 == 4 else 0) for i in range(FRAMES)]


@pytest.fixture(scope="module")
def result(clip, tmp_path_factory):
    from stand_ins import toy_model

    out = tmp_path_factory.mktemp("out")
    settings = ReconstructConfig(min_score=0.4, size_px=256, batch_size=5)
    reconstructor = Reconstructor(DotDetector(), toy_model(), config=settings)
    options = {"save": "overlay,csv,json,glb", "texture": "albedo", "texture_px": 32}
    config = RunConfig(sources=(str(clip),), out=out, json=out / "summary.json", **options)
    assert run(config, reconstructor) == 0
    return out, config, reconstructor


def test_tracks_and_csv(result):
    out, _, _ = result
    with (out / "clip.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * FRAMES
    assert {row["track_id"] for row in rows} == {"0", "1"}
    assert "jawOpen" in rows[0]
    moved = {key: np.ptp([float(row["x_m"]) for row in rows if row["track_id"] == key]) for key in ("0", "1")}
    assert min(moved.values()) < 0.01
    assert 0.2 < max(moved.values()) < 0.3  # 92 px of 256 seen with f = 1015 px at 3.17 m: 0.287 m, the last step lags
    lines = [json.loads(line) for line in (out / "clip.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(FRAMES))
    assert json.loads((out / "summary.json").read_text())["faces"] == 2


def test_heads_are_animated_as_the_video_goes(result):
    """A file for each of the two dots, with a key at the time of each frame; one moves as the table says."""
    out, _, _ = result
    with (out / "clip.csv").open() as file:
        rows = list(csv.DictReader(file))
    for track in (0, 1):
        document, read = parse_glb((out / f"clip.track_{track:02d}.glb").read_bytes())
        (animation,) = document["animations"]
        curves = {c["target"]["path"]: animation["samplers"][c["sampler"]] for c in animation["channels"]}
        np.testing.assert_allclose(read(curves["weights"]["input"]).reshape(-1) * 1000, times_ms(), atol=1)
        place_m = [
            [float(row[axis]) for axis in ("x_m", "y_m", "z_m")] for row in rows if row["track_id"] == str(track)
        ]
        expected = np.array(place_m) * (1.0, -1.0, -1.0)
        np.testing.assert_allclose(read(curves["translation"]["output"]), expected, atol=1e-4)
    files = json.loads((out / "summary.json").read_text())["sources"][0]["files"]
    assert {"clip.track_00.glb", "clip.track_01.glb"} <= set(files)


def test_live_link_tables_need_arkit(clip, tmp_path, model):
    config = RunConfig(sources=(str(clip),), out=tmp_path / "out", save="csv", csv="livelink")
    with pytest.raises(ValueError, match="model must have ARKit's 52 expressions for csv livelink, got 'toy'"):
        run(config, Reconstructor(DotDetector(), model))


def test_overlay_keeps_times_and_sound(result, clip):
    out, _, _ = result
    with av.open(str(out / "clip.overlay.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    np.testing.assert_allclose(times, np.array(times_ms()) / 1000, atol=1e-3)
    packets = []
    for path in (clip, out / "clip.overlay.mp4"):
        with av.open(str(path)) as container:
            packets.append([bytes(p) for p in container.demux(audio=0) if p.size])
    assert packets[0] == packets[1]


def test_a_rerun_skips_the_video(result):
    out, config, reconstructor = result
    run(config, reconstructor)
    assert json.loads((out / "summary.json").read_text())["sources"][0]["skipped"]


def test_a_file_that_is_no_video(tmp_path, model, capsys):
    (tmp_path / "clip.mp4").write_text("no video")
    reconstructor = Reconstructor(DotDetector(), model)
    assert run(RunConfig(sources=(str(tmp_path),), out=tmp_path / "out", save="csv"), reconstructor) == 1
    assert "video must be one PyAV can read" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*.csv"))


def test_a_webcam_that_is_not_there(tmp_path, model, capsys):
    reconstructor = Reconstructor(DotDetector(), model)
    assert run(RunConfig(sources=("webcam:57",), out=tmp_path / "out", save="csv"), reconstructor) == 1
    assert "webcam57" in capsys.readouterr().err
    assert find_sources(["webcam:57"])[0].kind == "webcam"


def plain(scene):
    """The same faces on gray."""
    return replace(scene, photo=replace(scene.photo, pixels=np.full_like(scene.image, 128)))


def faces_at(model, offsets):
    scene = plain(make_scene(model, count=1))
    return [with_faces(scene, translation_m=torch.tensor([[float(x), 0.0, 1.0]])) for x in offsets]


def test_ids_survive_a_short_gap_and_change_after_a_long_one(model):
    tracker = Tracker(max_gap_s=0.5)
    (first,) = tracker.update(faces_at(model, [0.0])[0], 0.0)
    assert len(tracker.update(plain(make_scene(model, count=0)), 0.2)) == 0
    (same,) = tracker.update(faces_at(model, [0.02])[0], 0.4)
    for time_s in (0.8, 1.2):
        tracker.update(plain(make_scene(model, count=0)), time_s)
    (other,) = tracker.update(faces_at(model, [0.02])[0], 1.4)
    assert (first.track_id, same.track_id, other.track_id) == (0, 0, 1)
    assert tracker.count == 2


def test_time_lapses_keep_ids_from_frame_to_frame(model):
    tracker, smoother = Tracker(max_gap_s=0.5), Smoother(VideoConfig(min_cutoff_hz=0.01, beta=0.0))
    ids, places = [], []
    for step in range(6):
        tracked = tracker.update(faces_at(model, [0.02 * (step % 2)])[0], 60.0 * step)
        ids.append(tracked[0].track_id)
        places.append(smoother.update(tracked, 60.0 * step)[0].translation_m[0])
    assert ids == [0] * 6
    # 60 s at 0.01 Hz: alpha = 1 / (1 + 1 / (2 pi 0.6)) = 0.790, so the filter went on: 0, 0.0158, ...
    assert places[1] == pytest.approx(0.790 * 0.02, abs=2e-3)


def shot(model, *, seed, identity, background=None):
    """A scene of one face whose pixels, and background, are drawn from a seed."""
    person = {"identity": torch.full((1, 4), float(identity)), "albedo": torch.full((1, 2), float(identity))}
    scene = with_faces(make_scene(model, count=1), **person)
    rng = np.random.default_rng(seed)
    pixels = np.kron(rng.integers(0, 256, (15, 20, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    if background is not None:
        left, top, right, bottom = scene[0].box_xyxy_px.round().astype(int)
        behind = np.kron(np.random.default_rng(background).integers(0, 256, (15, 20, 3)), np.ones((16, 16, 1)))
        behind = behind.astype(np.uint8)
        behind[top:bottom, left:right] = pixels[top:bottom, left:right]
        pixels = behind
    return replace(scene, photo=replace(scene.photo, pixels=pixels))


@pytest.mark.parametrize(
    ("second", "same"),
    [
        ({"seed": 1, "identity": 0.0}, True),
        ({"seed": 1, "identity": 1.5}, True),  # the network's doubt, not a cut
        ({"seed": 2, "identity": 0.0}, False),  # another shot
        ({"seed": 2, "identity": 1.5, "background": 1}, False),  # another person before the same background
        ({"seed": 2, "identity": 0.0, "background": 1}, True),  # something passes before the face
        ({"seed": 1, "identity": 0.0, "background": 2}, True),  # the camera follows the face
    ],
)
def test_hard_cuts_give_new_ids(model, second, same):
    tracker = Tracker(max_gap_s=0.5)
    (first,) = tracker.update(shot(model, seed=1, identity=0.0), 0.0)
    (after,) = tracker.update(shot(model, **second), 0.04)
    assert (after.track_id == first.track_id) == same


def test_a_flash_is_no_cut(model):
    tracker = Tracker(max_gap_s=0.5)
    scene = shot(model, seed=1, identity=0.0)
    flash = replace(scene, photo=replace(scene.photo, pixels=(255 - (255 - scene.image) // 3).astype(np.uint8)))
    ids = [tracker.update(frame, 0.04 * step)[0].track_id for step, frame in enumerate((scene, flash, scene))]
    assert ids == [0, 0, 0]


def test_ids_and_identity_survive_a_change_of_size_and_motion_starts_anew(model):
    tracker, smoother = Tracker(max_gap_s=0.5), Smoother(VideoConfig())
    large = shot(model, seed=1, identity=1.0)
    half = replace(
        large,
        photo=replace(large.photo, pixels=np.ascontiguousarray(large.image[::2, ::2])),
        camera=Camera(focal_px=300.0, size_hw=(120, 160)),
    )
    smoother.update(tracker.update(large, 0.0), 0.0)
    moved = with_faces(half, translation_m=half.faces.translation_m + torch.tensor([0.01, 0.0, 0.2]))
    after = smoother.update(tracker.update(moved, 0.04), 0.04)
    assert after[0].track_id == 0
    np.testing.assert_allclose(after[0].translation_m, moved[0].translation_m, atol=1e-6)


def test_two_faces_that_pass_each_other_keep_their_ids(model):
    tracker = Tracker(max_gap_s=0.5)
    left, right = np.linspace(-0.3, 0.3, 31), np.linspace(0.3, -0.3, 31)
    ids = []
    for step, (a, b) in enumerate(zip(left, right, strict=True)):
        pair = make_scene(model, count=1).take(np.array([0, 0]))
        places = torch.tensor([[float(a), 0.0, 1.0], [float(b), -0.08, 1.0]])
        ids.append([face.track_id for face in tracker.update(with_faces(pair, translation_m=places), step / 30)])
    assert ids == [[0, 1]] * 31


def test_one_euro_by_hand():
    # step 0.1 s, beta 0: fc = 1 Hz, alpha = 1 / (1 + 1 / (2 pi 0.1)) = 0.385870; 0 -> 1 gives 0.385870
    smooth = OneEuro(min_cutoff_hz=1.0, beta=0.0)
    assert smooth(np.zeros(1), 0.1)[0] == 0.0
    assert smooth(np.ones(1), 0.1)[0] == pytest.approx(0.385870, abs=1e-6)
    # beta 1: speed = 0.385870 * 10 = 3.8587 /s, fc = 4.8587 Hz, alpha = 0.753264
    fast = OneEuro(min_cutoff_hz=1.0, beta=1.0)
    fast(np.zeros(1), 0.1)
    assert fast(np.ones(1), 0.1)[0] == pytest.approx(0.753264, abs=1e-5)


def test_smoothing_removes_jitter_and_follows_motion(model):
    rng = np.random.default_rng(0)
    base = make_scene(model, count=1)
    noise = rng.normal(size=(90, 3)) * (0.0005, 0.0005, 0.02)
    true = np.zeros((90, 3)) + (0.0, 0.0, 1.0)
    true[30:60, 0] = np.linspace(0, 0.3, 30)
    true[60:, 0] = 0.3
    smoother, out = Smoother(VideoConfig()), []
    for index, place_m in enumerate(true + noise):
        identity = base.faces.identity + torch.from_numpy(rng.normal(size=(1, 4)).astype(np.float32))
        noisy = with_faces(base, translation_m=torch.from_numpy(place_m.astype(np.float32))[None], identity=identity)
        out.append(smoother.update(replace(noisy, track_id=np.array([0])), index / 30)[0])
    place_m = np.array([face.translation_m for face in out])
    assert np.diff(place_m[5:30, 2]).std() < 0.35 * np.diff((true + noise)[5:30, 2]).std()
    assert np.abs(place_m[40:60, 0] - true[40:60, 0]).max() < 0.02  # two frames behind at 0.3 m/s
    assert abs(place_m[-1, 0] - 0.3) < 0.002
    assert np.abs(out[-1].identity - base[0].identity).max() < 0.5  # the mean of 90 unit noises


def test_still_faces_rest_and_blinks_keep_their_height(model):
    # Noise as the network has it at a sensor noise of 25 of 255: 1 % of a face's width, 1.5 degrees.
    rng = np.random.default_rng(0)
    base = make_scene(model, count=1)
    smoother, raw, smooth = Smoother(VideoConfig()), [], []
    for index in range(90):
        blink = max(0.0, 1.0 - abs(index - 60) / 3)  # 0.2 s at 30 frames a second
        turn = torch.from_numpy(Rotation.from_rotvec(rng.normal(size=3) * 0.026).as_matrix().astype(np.float32))
        noisy = with_faces(
            base,
            rotation_head=(turn @ base.faces.rotation_head[0])[None],
            translation_m=base.faces.translation_m + torch.from_numpy(rng.normal(size=(1, 3)) * 0.0015).float(),
            expression=torch.tensor([[0.1, blink, 0.0]]) + torch.from_numpy(rng.normal(size=(1, 3)) * 0.02).float(),
        )
        raw.append(noisy)
        smooth.append(smoother.update(replace(noisy, track_id=np.array([0])), index / 30))

    def steps(scenes):
        yaw = np.array([scene[0].angles.degrees["yaw"] for scene in scenes[15:]])
        points = np.array([scene.landmarks68_px[0] for scene in scenes[15:]])
        return np.abs(np.diff(yaw)).mean(), np.linalg.norm(np.diff(points, axis=0), axis=-1).mean()

    for before, after in zip(steps(raw), steps(smooth), strict=True):
        assert after < before / 3
    height = [scene.faces.expression[0, 1].item() for scene in smooth]
    assert max(height) > 0.93
    assert int(np.argmax(height)) == 60


def test_rotations_are_smoothed_along_the_arc():
    smooth = RotationOneEuro(min_cutoff_hz=1.0, beta=0.0)
    turn = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]], np.float32)  # 90 degrees about y
    smooth(np.eye(3, dtype=np.float32), 0.1)
    half = smooth(turn, 0.1)
    angle = np.arccos((np.trace(half) - 1) / 2)
    assert angle == pytest.approx(0.385870 * np.pi / 2, abs=1e-4)
    np.testing.assert_allclose(half @ half.T, np.eye(3), atol=1e-6)


def test_refusals(model):
    with pytest.raises(ValueError, match="tracked before they are smoothed"):
        Smoother(VideoConfig()).update(make_scene(model, count=1), 0.0)
    for options in ({"min_cutoff_hz": 0.0}, {"beta": -1.0}, {"every": 0}, {"max_gap_frames": -1}):
        with pytest.raises(ValueError, match=next(iter(options))):
            VideoConfig(**options)


def test_without_pyav_the_command_is_named(monkeypatch):
    import sys

    from morphable.extras import import_extra

    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(
        ImportError, match=r"av is not installed; run `pip install 'av>=14'` \(extra 'morphable-reconstruct\[video\]'\)"
    ):
        import_extra("av", "morphable-reconstruct", "video")
