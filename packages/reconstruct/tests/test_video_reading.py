"""Videos as people have them: turned, mirrored, stretched, HDR, damaged, starting late, with other tracks."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from videos import CORNERS, ONE, SIZE_HW, UNIT, add_sound, corner_colors, moving, quadrants, write_video

from morphable_reconstruct.photographs.sources import Source, find_sources
from morphable_reconstruct.video.reading import Losses, read_frames
from morphable_reconstruct.video.timing import Clock
from morphable_reconstruct.video.writing import video_writer

av = pytest.importorskip("av")
FAITHFUL = {"crf": "1"}
TOLERANCE = 6
"""Compression and chroma at half the size."""


def source(path):
    path = Path(path)
    return Source(kind="video", path=path, name=path.name, stem=path.stem)


def frames_of(path, **options):
    return list(read_frames(source(path), **options))


def rewritten(path, target):
    """Write all frames of a video with its sound; return the notes."""
    with video_writer(target, source(path)) as writer:
        for frame in read_frames(source(path)):
            writer.add(frame.pixels, frame.time_s, zero_s=frame.source_time_s - frame.time_s)
    return writer.notes


MATRICES = {
    "mirrored": ([-ONE, 0, 0, 0, ONE, 0, 0, 0, UNIT], [1, 0, 3, 2]),
    "upside down": ([ONE, 0, 0, 0, -ONE, 0, 0, 0, UNIT], [2, 3, 0, 1]),
    "half a turn": ([-ONE, 0, 0, 0, -ONE, 0, 0, 0, UNIT], [3, 2, 1, 0]),
    "clockwise": ([0, ONE, 0, -ONE, 0, 0, 0, 0, UNIT], [2, 0, 3, 1]),
    "clockwise, off by one unit": ([1, ONE - 1, 0, -ONE, 1, 0, 0, 0, UNIT], [2, 0, 3, 1]),
    "counterclockwise": ([0, -ONE, 0, ONE, 0, 0, 0, 0, UNIT], [1, 3, 0, 2]),
    "transposed": ([0, ONE, 0, ONE, 0, 0, 0, 0, UNIT], [0, 2, 1, 3]),
}


@pytest.mark.parametrize("name", MATRICES)
def test_the_display_matrix_is_applied_as_it_is(tmp_path, name):
    matrix, order = MATRICES[name]
    path = write_video(
        tmp_path / "a.mp4", [quadrants()] * 3, options=FAITHFUL, setup=lambda stream: stream.set_display_matrix(matrix)
    )
    pixels = frames_of(path)[0].pixels
    turned = name not in ("mirrored", "upside down", "half a turn")
    assert pixels.shape[:2] == (SIZE_HW[::-1] if turned else SIZE_HW)
    np.testing.assert_allclose(corner_colors(pixels).astype(int), CORNERS[order], atol=TOLERANCE)


def test_an_odd_angle_shows_the_whole_picture_turned(tmp_path):
    cosine, sine = round(ONE * np.cos(np.pi / 6)), round(ONE * np.sin(np.pi / 6))
    path = write_video(
        tmp_path / "a.mp4",
        [quadrants()] * 3,
        setup=lambda stream: stream.set_display_matrix([cosine, sine, 0, -sine, cosine, 0, 0, 0, UNIT]),
    )
    pixels = frames_of(path)[0].pixels
    # 30 degrees clockwise: 128 cos + 96 sin = 158.9 columns, 96 cos + 128 sin = 147.1 rows
    assert abs(pixels.shape[1] - 159) <= 1
    assert abs(pixels.shape[0] - 147) <= 1
    # the middle of the top left quadrant, (-32, -24), lands at (-32 c + 24 s, -32 s - 24 c) = (-15.7, -36.8)
    color = pixels[round(pixels.shape[0] / 2 - 36.8), round(pixels.shape[1] / 2 - 15.7)]
    np.testing.assert_allclose(color.astype(int), CORNERS[0], atol=TOLERANCE)


@pytest.mark.parametrize(("aspect", "size_hw"), [((2, 1), (96, 256)), ((1, 2), (192, 128)), ((64, 45), (96, 182))])
def test_pixels_become_square(tmp_path, aspect, size_hw):
    def stretch(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(*aspect)

    pixels = frames_of(write_video(tmp_path / "a.mp4", [quadrants()] * 3, options=FAITHFUL, setup=stretch))[0].pixels
    assert pixels.shape[:2] == size_hw
    np.testing.assert_allclose(corner_colors(pixels).astype(int), CORNERS, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("size_hw", "matrix", "value_range", "tagged"),
    [
        ((96, 128), 5, 1, False),
        ((720, 1280), 1, 1, False),
        ((96, 128), 1, 1, True),
        ((720, 1280), 5, 1, True),
        ((96, 128), 1, 2, True),
    ],
)
def test_colors_follow_the_tags_or_the_size(tmp_path, size_hw, matrix, value_range, tagged):
    skin = np.broadcast_to(np.array([224, 172, 140], np.uint8), (*size_hw, 3)).copy()
    frame = av.VideoFrame.from_ndarray(skin, format="rgb24").reformat(
        format="yuv420p", dst_colorspace=matrix, src_color_range=2, dst_color_range=value_range
    )
    frame.colorspace, frame.color_range = (matrix, value_range) if tagged else (2, 0)

    def tag(stream):
        if tagged:
            stream.codec_context.colorspace, stream.codec_context.color_range = matrix, value_range

    pixels = frames_of(write_video(tmp_path / "a.mp4", [frame], options=FAITHFUL, setup=tag))[0].pixels
    np.testing.assert_allclose(pixels[10, 10].astype(int), [224, 172, 140], atol=3)


def pq_signal(nits):
    """SMPTE ST 2084: light to signal."""
    light = (np.asarray(nits) / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * light) / (1 + 2392 / 128 * light)) ** (2523 / 32)


def hlg_signal(nits):
    """ARIB STD-B67 of gray light on a screen of 1000 nits: inverse OOTF (gamma 1.2), then OETF."""
    scene = (np.asarray(nits) / 1000) ** (1 / 1.2)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


def hdr_video(path, signal, transfer):
    """Gray stripes of these signals as 10-bit BT.2020."""
    luma = np.repeat(np.rint(64 + 876 * np.asarray(signal)).astype("<u2"), 32)
    frame = av.VideoFrame(len(luma), 64, "yuv420p10le")
    for plane, row in zip(frame.planes, (luma, np.full(len(luma) // 2, 512, "<u2")) + (None,), strict=True):
        row = np.full(len(luma) // 2, 512, "<u2") if row is None else row
        data = np.zeros((plane.height, plane.line_size // 2), "<u2")
        data[:, : len(row)] = row
        plane.update(data.tobytes())
    frame.colorspace, frame.color_trc, frame.color_primaries, frame.color_range = 9, transfer, 9, 1

    def tag(stream):
        context = stream.codec_context
        context.colorspace, context.color_trc, context.color_primaries, context.color_range = 9, transfer, 9, 1

    return write_video(path, [frame], pix_fmt="yuv420p10le", options={"crf": "0"}, setup=tag)


@pytest.mark.parametrize(("transfer", "encode"), [(16, pq_signal), (18, hlg_signal)])
def test_hdr_light_becomes_srgb(tmp_path, transfer, encode):
    # White is at 203 nits. 0.2159 of it is sRGB 128 (0.5020 decoded), 0.0512 is 64, 1 is 255.
    light = np.array([0.0, 0.05126, 0.21586, 1.0])
    pixels = frames_of(hdr_video(tmp_path / "a.mp4", encode(203 * light), transfer))[0].pixels
    np.testing.assert_allclose(pixels[32, 16::32, 0].astype(int), [0, 64, 128, 255], atol=3)
    # SDR pictures put into HDR at 100 nits are as bright.
    pixels = frames_of(hdr_video(tmp_path / "b.mp4", encode(100 * light), transfer))[0].pixels
    np.testing.assert_allclose(pixels[32, 16::32, 0].astype(int), [0, 64, 128, 255], atol=3)
    # Highlights of 1000 nits are compressed, what is below 70 % of white is kept.
    pixels = frames_of(hdr_video(tmp_path / "c.mp4", encode(np.array([*203 * light, 1000.0])), transfer))[0].pixels
    row = pixels[32, 16::32, 0].astype(int)
    np.testing.assert_allclose(row[:3], [0, 64, 128], atol=3)
    assert 225 < row[3] < row[4]
    assert row[4] >= 250


def test_wide_gamuts_become_srgb():
    from morphable_reconstruct.photographs.gamuts import convert_gamut

    # Gray stays; BT.2020 (128, 128, 0): linear yellow 0.2159 * (1.6605 - 0.5877, -0.1246 + 1.1330, -0.0182 - 0.1006)
    # = (0.2316, 0.2177, -0.0256): sRGB (132, 129, 0).
    pixels = np.array([[[128, 128, 128], [128, 128, 0]]], np.uint8)
    np.testing.assert_allclose(convert_gamut(pixels, 9)[0].astype(int), [[128, 128, 128], [132, 129, 0]], atol=1)


def test_overlays_are_tagged(tmp_path):
    path = write_video(tmp_path / "a.mp4", moving(3))
    rewritten(path, tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as container:
        frame = next(container.decode(video=0))
    assert (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range) == (1, 1, 1, 1)
    with av.open(str(tmp_path / "b.mp4")) as container:
        pixels = next(container.decode(video=0)).to_ndarray(format="rgb24", src_colorspace=1)
    assert np.abs(pixels.astype(int) - moving(1)[0]).mean() < 12


def test_damaged_packets_are_left_out_and_the_rest_is_kept(tmp_path):
    path = write_video(tmp_path / "a.mp4", moving(40), options={"g": "10", "bf": "0"})
    data = bytearray(path.read_bytes())
    start = data.find(b"mdat") + 4
    middle = start + (len(data) - start) // 3
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(data)
    losses = Losses()
    frames = frames_of(path, losses=losses)
    assert 15 <= len(frames) < 40
    assert np.diff([frame.time_s for frame in frames]).min() > 0
    assert frames[-1].time_s == pytest.approx(39 / 25, abs=1e-3)
    assert any("damaged packets left out" in line for line in losses.lines())


def test_noise_in_a_broadcast(tmp_path):
    path = write_video(tmp_path / "a.ts", moving(40), options={"g": "10"}, format="mpegts")
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    rng = np.random.default_rng(0)
    data[rng.integers(len(data) // 4, len(data), 30)] = rng.integers(0, 256, 30)
    path.write_bytes(data.tobytes())
    assert len(frames_of(path)) >= 30


def test_a_file_that_was_cut_says_where_it_ends(tmp_path):
    path = write_video(
        tmp_path / "a.mp4", moving(100), options={"g": "10"}, container_options={"movflags": "faststart"}
    )
    data = path.read_bytes()
    path.write_bytes(data[: data.find(b"mdat") + (len(data) - data.find(b"mdat")) // 2])
    losses = Losses()
    frames = frames_of(path, losses=losses)
    assert 20 < len(frames) < 80
    assert any(line.startswith("the file ends after") and line.endswith("of 4.0 s") for line in losses.lines())


def test_an_unfinished_recording_says_so(tmp_path):
    path = write_video(tmp_path / "a.mp4", moving(10))
    data = path.read_bytes()
    path.write_bytes(data[: data.find(b"moov") - 4])
    with pytest.raises(ValueError, match="the recording was not finished"):
        frames_of(path)
    (tmp_path / "b.mp4").write_text("no video")
    with pytest.raises(ValueError, match="video must be one PyAV can read"):
        frames_of(tmp_path / "b.mp4")


def test_times_start_at_zero(tmp_path):
    path = write_video(tmp_path / "a.mkv", moving(10), times=[3_600_000 + 40 * i for i in range(10)])
    frames = frames_of(path)
    np.testing.assert_allclose([frame.time_s for frame in frames], 0.04 * np.arange(10), atol=1e-6)
    np.testing.assert_allclose([frame.source_time_s for frame in frames], 3600 + 0.04 * np.arange(10), atol=1e-6)
    rewritten(path, tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.duration / 1e6 == pytest.approx(0.4, abs=0.05)
        assert container.streams.video[0].start_time == 0


def test_jumps_of_a_broadcast_are_closed(tmp_path):
    parts = []
    for name, start in (("a", 5_000_000), ("b", 100_000), ("c", 9_000_000)):
        times = [start + 40 * i for i in range(10)]
        parts.append(write_video(tmp_path / f"{name}.ts", moving(10), times=times, format="mpegts").read_bytes())
    (tmp_path / "all.ts").write_bytes(b"".join(parts))
    frames = frames_of(tmp_path / "all.ts")
    assert len(frames) >= 28
    steps = np.diff([frame.time_s for frame in frames])
    assert steps.min() > 0.0
    assert steps.max() < 0.2


def test_the_clock_by_hand():
    clock = Clock(step_s=0.5, jumps=True)
    stamps = [7.0, 8.0, 30.0, 31.0, 2.0, None, 2.4, 4.0]
    # 30 is a jump (22 s): one step after 1.0; 2 steps back: one step on; no stamp: 2.5; 2.4 is in disorder: next moment
    expected = [0.0, 1.0, 1.5, 2.5, 3.0, 3.5, 3.501, 5.0]
    np.testing.assert_allclose([clock(stamp)[0] for stamp in stamps], expected)
    still = Clock(step_s=0.5, jumps=False)
    np.testing.assert_allclose([still(stamp)[0] for stamp in stamps[:3]], [0.0, 1.0, 23.0])


def test_b_frames_in_avi_come_in_presentation_order_with_even_steps(tmp_path):
    shown = moving(20)
    path = write_video(tmp_path / "a.avi", shown, options={"bf": "2", "b-adapt": "0", "crf": "5"})
    frames = frames_of(path)
    assert len(frames) == 20
    np.testing.assert_allclose([frame.time_s for frame in frames], 0.04 * np.arange(20), atol=1e-6)
    assert frames[0].source_time_s == 0.0  # or sound would come early
    for frame, pixels in zip(frames, shown, strict=True):
        differences = [np.abs(frame.pixels.astype(int) - other).mean() for other in shown]
        assert np.argmin(differences) == frame.index, np.abs(frame.pixels.astype(int) - pixels).mean()


def test_the_video_is_taken_not_a_preview_before_it(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        preview = container.add_stream("mjpeg", rate=25)
        preview.height, preview.width, preview.pix_fmt = 720, 1280, "yuvj420p"
        video = container.add_stream("libx264", rate=25)
        video.height, video.width, video.pix_fmt = *SIZE_HW, "yuv420p"
        for packet in preview.encode(av.VideoFrame.from_ndarray(quadrants((720, 1280)), format="rgb24")):
            container.mux(packet)
        for index, pixels in enumerate(moving(20)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    frames = frames_of(path)
    assert len(frames) == 20
    assert frames[0].pixels.shape[:2] == SIZE_HW


def test_animated_gif_and_transparency(tmp_path):
    path = write_video(tmp_path / "a.gif", moving(6), codec="gif", pix_fmt="rgb8", rate=10)
    frames = frames_of(path)
    assert len(frames) == 6
    np.testing.assert_allclose([frame.time_s for frame in frames], 0.1 * np.arange(6), atol=0.011)


@pytest.mark.parametrize("name", ["a.ts", "a.mts", "a.3gp", "a.flv", "a.mkv", "a.mov"])
def test_containers(tmp_path, name):
    container_format = "mpegts" if name in ("a.ts", "a.mts") else None
    path = write_video(tmp_path / name, moving(6), format=container_format)
    assert len(frames_of(path)) == 6


def test_what_stands_before_a_colon_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("10:30").mkdir()
    for name in ("12:30.mp4", "http:a.mkv", "concat:b.mkv", "-c.mkv"):
        add_sound(write_video(tmp_path / "silent.mkv", moving(6)), tmp_path / name, seconds=0.2)
        assert len(frames_of(name)) == 6
        assert rewritten(name, Path("10:30", "out.mp4")) == []
        assert len(sound_of(Path("10:30", "out.mp4").absolute())[0]) > 0


def sound_of(path):
    """(codec, start, end) of a file's sound."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        packets = [packet for packet in container.demux(stream) if packet.pts is not None]
        last = packets[-1]
        return (
            stream.codec_context.name,
            float(packets[0].pts * packets[0].time_base),
            float((last.pts + last.duration) * last.time_base),
        )


def test_sound_of_any_codec_is_kept(tmp_path):
    path = write_video(tmp_path / "a.mkv", moving(25))
    add_sound(path, tmp_path / "b.mkv", codec="flac")
    assert rewritten(tmp_path / "b.mkv", tmp_path / "c.mp4") == []
    codec, start, end = sound_of(tmp_path / "c.mp4")
    assert codec == "aac"
    assert start == pytest.approx(0.0, abs=0.07)
    assert end == pytest.approx(1.0, abs=0.1)


def test_sound_of_an_unknown_codec_is_left_out_with_a_note(tmp_path):
    path = add_sound(write_video(tmp_path / "a.mkv", moving(25)), tmp_path / "b.mkv", codec="flac")
    path.write_bytes(path.read_bytes().replace(b"A_FLAC", b"A_FLOC"))
    (note,) = rewritten(path, tmp_path / "c.mp4")
    assert note == "sound left out: its codec is not known"
    assert sound_of(tmp_path / "c.mp4") is None
    assert len(frames_of(tmp_path / "c.mp4")) == 25


def test_sound_that_cannot_be_decoded_is_left_out_with_a_note(tmp_path):
    path = add_sound(write_video(tmp_path / "a.mkv", moving(25)), tmp_path / "b.mkv", codec="flac")
    data = bytearray(path.read_bytes())
    place = data.find(b"\xff\xf8")  # the sync code of FLAC's frames
    while place >= 0:
        data[place : place + 8] = bytes(8)
        place = data.find(b"\xff\xf8", place + 8)
    path.write_bytes(data)
    (note,) = rewritten(path, tmp_path / "c.mp4")
    assert note.startswith("sound left out")
    assert len(frames_of(tmp_path / "c.mp4")) >= 24


def test_falling_times_of_sound_are_closed(tmp_path):
    parts = []
    for name, start_s in (("a", 1000), ("b", 100)):
        times = [1000 * start_s + 40 * i for i in range(25)]
        path = write_video(tmp_path / f"{name}.mkv", moving(25), times=times)
        target = tmp_path / f"{name}.ts"
        parts.append(add_sound(path, target, start=16000 * start_s, container_format="mpegts").read_bytes())
    (tmp_path / "c.ts").write_bytes(b"".join(parts))
    assert rewritten(tmp_path / "c.ts", tmp_path / "c.mp4") == []
    codec, start, end = sound_of(tmp_path / "c.mp4")
    assert codec == "aac"
    assert start == pytest.approx(0.0, abs=0.1)
    assert end == pytest.approx(2.0, abs=0.25)


def test_frames_of_another_size_are_fitted_in(tmp_path):
    with video_writer(tmp_path / "a.mp4", source(write_video(tmp_path / "s.mp4", moving(2)))) as writer:
        writer.add(quadrants((96, 128)), 0.0)
        writer.add(quadrants((64, 128)), 0.1)
        writer.add(quadrants((97, 129)), 0.2)
    with av.open(str(tmp_path / "a.mp4")) as container:
        first, second, third = (frame.to_ndarray(format="rgb24") for frame in container.decode(video=0))
    # 64x128 in 96x128: whole, with 16 black rows above and below
    assert second[:12].max() < 40
    np.testing.assert_allclose(corner_colors(second[16:80]).astype(int), CORNERS, atol=25)
    for frame in (first, third):
        np.testing.assert_allclose(corner_colors(frame).astype(int), CORNERS, atol=25)


def test_a_video_whose_size_changes_gives_frames_of_both_sizes(tmp_path):
    first = write_video(tmp_path / "a.ts", moving(10), format="mpegts").read_bytes()
    times = [400 + 40 * i for i in range(10)]
    second = write_video(tmp_path / "b.ts", moving(10, (64, 128)), times=times, format="mpegts").read_bytes()
    (tmp_path / "c.ts").write_bytes(first + second)
    sizes = [frame.pixels.shape[:2] for frame in frames_of(tmp_path / "c.ts")]
    assert set(sizes) == {SIZE_HW, (64, 128)}


def test_files_are_videos_by_content_and_suffix(tmp_path):
    names = ["a.mp4", "a.ts", "a.mts", "a.3gp", "a.flv", "a.avi", "a.mkv", "a.webm", "a.mov"]
    for name in names:
        codec = "libvpx" if name == "a.webm" else "libx264"
        write_video(tmp_path / name, moving(3), codec=codec, format="mpegts" if "ts" in name else None)
    write_video(tmp_path / "moves.gif", moving(3), codec="gif", pix_fmt="rgb8")
    Image.fromarray(quadrants()).save(tmp_path / "still.gif")
    Image.fromarray(quadrants()).save(tmp_path / "still.avif")
    (tmp_path / "program.ts").write_text("const face: Face = read();\n" * 100)
    kinds = {found.path.name: found.kind for found in find_sources([str(tmp_path)])}
    assert kinds == dict.fromkeys([*names, "moves.gif"], "video") | {"still.gif": "image", "still.avif": "image"}
    (tmp_path / "a.mkv").rename(tmp_path / "recording.bin")
    assert find_sources([str(tmp_path / "recording.bin")])[0].kind == "video"
