"""Video files and webcams through PyAV: upright frames with times, and videos with the sound of another."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from morphable_reconstruct.extras import require
from morphable_reconstruct.photographs.sources import Source

_COPIED_AUDIO = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
"""Sound an MP4 file carries as it is; other codecs become AAC."""
_TIME_BASE = Fraction(1, 90_000)
_CRF = "20"
_WEBCAM_FORMATS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("dshow", "video={}")}


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One picture of a video."""

    index: int
    time_s: float
    pixels: UInt8[np.ndarray, "rows cols 3"]


def read_frames(source: Source, *, every: int = 1) -> Iterator[Frame]:
    """Decode a video or webcam frame by frame, turned upright.

    Raises:
        ImportError: PyAV is not installed.
        ValueError: The file holds no video PyAV can read.
    """
    av = require("av", extra="video")
    try:
        with _open(av, source) as container:
            if not container.streams.video:
                raise ValueError(f"video must have a picture stream, got {source.path} without")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for index, frame in enumerate(container.decode(stream)):
                if index % every == 0:
                    time_s = frame.time if frame.time is not None else index / float(stream.average_rate or 25)
                    pixels = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
                    yield Frame(index=index, time_s=time_s, pixels=np.ascontiguousarray(pixels))
    except av.FFmpegError as error:
        raise ValueError(f"video must be one PyAV can read, got {source.path}: {error}") from error


def _open(av: Any, source: Source) -> Any:
    """Open a file or a webcam."""
    if source.kind != "webcam":
        return av.open(str(source.path))
    if sys.platform not in _WEBCAM_FORMATS:
        raise ValueError(f"webcam must be on Linux, macOS or Windows, got {sys.platform}")
    name, device = _WEBCAM_FORMATS[sys.platform]
    return av.open(device.format(source.stem.removeprefix("webcam")), format=name)


class VideoWriter:
    """An H.264 video with the times of its frames, and the sound of another file."""

    def __init__(self, container: Any, sound: Any) -> None:
        self._container, self._sound = container, sound
        self._stream: Any = None
        self._audio = _Audio(container, sound) if sound is not None and sound.streams.audio else None
        self._last_pts = -1

    def add(self, pixels: UInt8[np.ndarray, "rows cols 3"], time_s: float) -> None:
        """Append a frame; all frames have the size of the first, cut to even sides."""
        av = require("av", extra="video")
        rows, cols = pixels.shape[0] // 2 * 2, pixels.shape[1] // 2 * 2
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=30, options={"crf": _CRF, "preset": "veryfast"})
            self._stream.width, self._stream.height, self._stream.pix_fmt = cols, rows, "yuv420p"
            self._stream.codec_context.time_base = _TIME_BASE
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[:rows, :cols]), format="rgb24")
        frame.time_base = _TIME_BASE
        frame.pts = self._last_pts = max(round(time_s / _TIME_BASE), self._last_pts + 1)
        self._container.mux(self._stream.encode(frame))
        if self._audio is not None:
            self._audio.copy_until(time_s)

    def finish(self) -> None:
        """Write what the encoder still holds and the rest of the sound."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        if self._audio is not None:
            self._audio.copy_until(float("inf"))


class _Audio:
    """Sound copied packet by packet, or encoded anew where MP4 cannot carry its codec."""

    def __init__(self, container: Any, sound: Any) -> None:
        self._container = container
        source = sound.streams.audio[0]
        self._copies = source.codec_context.name in _COPIED_AUDIO
        if self._copies:
            self._stream = container.add_stream_from_template(source)
            self._items = (packet for packet in sound.demux(source) if packet.dts is not None)
        else:
            self._stream = container.add_stream("aac", rate=source.codec_context.sample_rate)
            self._items = sound.decode(source)
        self._next = next(self._items, None)

    def copy_until(self, time_s: float) -> None:
        """Write the sound before a time."""
        while self._next is not None and self._time() <= time_s:
            if self._copies:
                self._next.stream = self._stream
                self._container.mux(self._next)
            else:
                self._container.mux(self._stream.encode(self._next))
            self._next = next(self._items, None)
        if self._next is None and not self._copies:
            self._container.mux(self._stream.encode(None))
            self._copies = True

    def _time(self) -> float:
        """Time of the waiting packet or frame."""
        if self._next is None or self._next.pts is None or self._next.time_base is None:
            return 0.0
        return float(self._next.pts * self._next.time_base)


@contextmanager
def video_writer(path: Path, source: Source) -> Iterator[VideoWriter]:
    """Open an MP4 file for writing, with the sound of a source that is a file."""
    av = require("av", extra="video")
    with av.open(str(path), "w", format="mp4") as container:
        if source.kind == "webcam":
            writer = VideoWriter(container, None)
            yield writer
            writer.finish()
            return
        with av.open(str(source.path)) as sound:
            writer = VideoWriter(container, sound)
            yield writer
            writer.finish()
