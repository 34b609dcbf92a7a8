"""Small videos for tests, made with PyAV, and their parts."""

from fractions import Fraction

import numpy as np

SIZE_HW = (96, 128)
CORNERS = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200], [220, 220, 90]], np.uint8)
"""Colors of the quadrants: top left, top right, bottom left, bottom right."""
ONE, UNIT = 1 << 16, 1 << 30
"""The number 1 in the first two columns and in the last column of a display matrix."""


def quadrants(size_hw=SIZE_HW):
    """A picture of four colors."""
    rows, cols = size_hw
    pixels = np.zeros((rows, cols, 3), np.uint8)
    for index, color in enumerate(CORNERS):
        top, left = index // 2 * (rows // 2), index % 2 * (cols // 2)
        pixels[top : top + rows // 2, left : left + cols // 2] = color
    return pixels


def corner_colors(pixels):
    """The middle of each quadrant."""
    rows, cols = pixels.shape[:2]
    places = [(rows // 4, cols // 4), (rows // 4, 3 * cols // 4), (3 * rows // 4, cols // 4)]
    return np.array([pixels[place] for place in [*places, (3 * rows // 4, 3 * cols // 4)]])


def write_video(
    path, frames, *, codec="libx264", pix_fmt="yuv420p", rate=25, options=None, setup=None, times=None, **open_options
):
    """Write frames (arrays or PyAV frames) as a video; `setup(stream)` may change the stream first."""
    import av

    with av.open(str(path), "w", **open_options) as container:
        first = frames[0]
        rows, cols = (first.height, first.width) if isinstance(first, av.VideoFrame) else first.shape[:2]
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width, stream.pix_fmt = rows, cols, pix_fmt
        stream.codec_context.time_base = Fraction(1, 1000)
        if setup:
            setup(stream)
        for index, item in enumerate(frames):
            frame = item if isinstance(item, av.VideoFrame) else av.VideoFrame.from_ndarray(item, format="rgb24")
            frame.time_base = Fraction(1, 1000)
            frame.pts = round(1000 * index / rate) if times is None else times[index]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def moving(count, size_hw=SIZE_HW, seed=0):
    """Frames of a texture that moves by two pixels each, so that every packet holds something."""
    noise = np.random.default_rng(seed).integers(0, 255, (size_hw[0] // 8, (size_hw[1] + 2 * count) // 8 + 1, 3))
    wide = np.kron(noise, np.ones((8, 8, 1))).astype(np.uint8)
    return [np.ascontiguousarray(wide[:, 2 * i : 2 * i + size_hw[1]]) for i in range(count)]


def add_sound(path, target, *, codec="aac", seconds=1.0, rate=16000, start=0, container_format=None):
    """Copy a video and add a tone that begins at sample `start`."""
    import av

    with av.open(str(path)) as source, av.open(str(target), "w", format=container_format) as container:
        video = container.add_stream_from_template(source.streams.video[0])
        sound = container.add_stream(codec, rate=rate, layout="mono")
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = video
                container.mux(packet)
        tone = 0.2 * np.sin(np.arange(int(seconds * rate)) * 0.1)
        sample_format = sound.codec_context.format.name
        values = tone.astype(np.float32) if sample_format.startswith("flt") else (tone * 32767).astype(np.int16)
        for place in range(0, len(values), 1024):
            piece = np.ascontiguousarray(values[None, place : place + 1024])
            frame = av.AudioFrame.from_ndarray(piece, format=sample_format, layout="mono")
            frame.sample_rate, frame.pts = rate, start + place
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return target
