"""Videos as H.264 in MP4 files: times from zero, tagged colors, the sound of the source."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from morphable.extras import import_extra
from morphable_reconstruct.photographs.sources import Source
from morphable_reconstruct.video.sound import Sound, open_sound

_TIME_BASE = Fraction(1, 90_000)
_CRF = "20"
_BT709, _LIMITED, _FULL = 1, 1, 2


class VideoWriter:
    """A video that takes frames at any times, and the sound of its source."""

    def __init__(self, container: Any, source: Source, stack: ExitStack) -> None:
        self._container, self._source, self._stack = container, source, stack
        self._stream: Any = None
        self._sound: Sound | None = None
        self._sound_stream: Any = None
        self._size_hw = (0, 0)
        self._last_pts = -1
        self.notes: list[str] = []
        """What of the source is not in the video."""

    def add(self, pixels: UInt8[np.ndarray, "rows cols 3"], time_s: float, *, zero_s: float = 0.0) -> None:
        """Append a frame.

        Args:
            pixels: Pictures of another size than the first are fitted into it, on black.
            time_s: Time from the first frame.
            zero_s: Time stamp in the source that stands at 0; read with the first frame.
        """
        av = import_extra("av", "morphable-reconstruct", "video")
        if self._stream is None:
            self._start(pixels.shape[0] // 2 * 2, pixels.shape[1] // 2 * 2, zero_s)
        frame = av.VideoFrame.from_ndarray(_fitted(pixels, self._size_hw), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=_BT709, src_color_range=_FULL, dst_color_range=_LIMITED)
        frame.color_range, frame.colorspace = _LIMITED, _BT709
        frame.time_base = _TIME_BASE
        frame.pts = self._last_pts = max(round(time_s / _TIME_BASE), self._last_pts + 1)
        self._container.mux(self._stream.encode(frame))
        self._add_sound(time_s)

    def finish(self) -> None:
        """Write what the encoder still holds and the rest of the sound."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._add_sound(float("inf"))

    def _start(self, rows: int, cols: int, zero_s: float) -> None:
        """Add the streams."""
        self._size_hw = max(rows, 2), max(cols, 2)
        self._stream = self._container.add_stream("libx264", rate=30, options={"crf": _CRF, "preset": "veryfast"})
        self._stream.height, self._stream.width = self._size_hw
        context = self._stream.codec_context
        context.pix_fmt, context.time_base = "yuv420p", _TIME_BASE
        context.color_range, context.colorspace = _LIMITED, _BT709
        context.color_primaries = context.color_trc = _BT709
        self._sound = self._stack.enter_context(open_sound(self._source, zero_s, self.notes))
        if self._sound is not None:
            self._sound_stream = self._container.add_stream_from_template(self._sound.template)

    def _add_sound(self, time_s: float) -> None:
        """Write the sound before a time."""
        if self._sound is not None:
            for packet in self._sound.until(time_s):
                packet.stream = self._sound_stream
                self._container.mux(packet)


@contextmanager
def video_writer(path: Path, source: Source) -> Iterator[VideoWriter]:
    """Open an MP4 file for writing, with the sound of a source that is a file."""
    av = import_extra("av", "morphable-reconstruct", "video")
    with ExitStack() as stack, av.open(str(path.absolute()), "w", format="mp4") as container:
        writer = VideoWriter(container, source, stack)
        yield writer
        writer.finish()


def _fitted(
    pixels: UInt8[np.ndarray, "rows cols 3"], size_hw: tuple[int, int]
) -> UInt8[np.ndarray, "out_rows out_cols 3"]:
    """Cut an odd row or column off; fit pictures of another size in, on black."""
    rows, cols = size_hw
    if 0 <= pixels.shape[0] - rows <= 1 and 0 <= pixels.shape[1] - cols <= 1:
        return np.ascontiguousarray(pixels[:rows, :cols])
    scale = min(rows / pixels.shape[0], cols / pixels.shape[1])
    small = Image.fromarray(pixels).resize(
        (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))), Image.Resampling.BICUBIC
    )
    sheet = Image.new("RGB", (cols, rows))
    sheet.paste(small, ((cols - small.width) // 2, (rows - small.height) // 2))
    return np.asarray(sheet)
