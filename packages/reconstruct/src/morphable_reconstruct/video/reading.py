"""Videos and webcams through PyAV: the one place that opens them and decodes their frames."""

import heapq
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from morphable.extras import import_extra
from morphable_reconstruct.photographs.sources import Source
from morphable_reconstruct.video.pixels import FrameConverter
from morphable_reconstruct.video.timing import MAX_JUMP_S, Clock

_WEBCAM_FORMATS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("dshow", "video={}")}
_DEFAULT_RATE = 25
_JUMPING_CLOCK = 0x200
"""FFmpeg's flag of formats whose time stamps may jump."""
_WITHOUT_PRESENTATION_TIMES = frozenset({"avi"})
"""Formats that store decoding times alone; their order is the frames' all the same."""
_MAX_FAILURES = 200
"""So many damaged parts in a row are the end of a file."""
_COUNTED_PACKETS = 4_000
"""Packets looked at to tell which of several picture streams is the video."""
_REORDERED = 8
"""Frames of a damaged file that are held back to be sorted."""
_END_TOLERANCE_S = 1.0
_BOX_HEADER = 8
_MAX_BOXES = 10_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One picture of a video."""

    index: int
    """Number of the frame in the file, in presentation order."""
    time_s: float
    """Time from the first frame; steps back and jumps of the file's clock are closed."""
    source_time_s: float
    """Time by the file's own clock."""
    pixels: UInt8[np.ndarray, "rows cols 3"]
    """Upright sRGB with square pixels."""


@dataclass(kw_only=True)
class Losses:
    """What of a video could not be read, filled while its frames are read."""

    packets: int = 0
    """Packets that could not be decoded."""
    damaged_frames: int = 0
    """Frames the decoder had to repair."""
    notes: list[str] = field(default_factory=list)
    """Further losses in words."""

    def lines(self) -> tuple[str, ...]:
        """Return one line per kind of loss."""
        lines = []
        if self.packets:
            lines.append(f"{self.packets} damaged packets left out")
        if self.damaged_frames:
            lines.append(f"{self.damaged_frames} damaged frames repaired by the decoder")
        return (*lines, *self.notes)


def read_frames(source: Source, *, every: int = 1, losses: Losses | None = None) -> Iterator[Frame]:
    """Decode a video or webcam frame by frame, in presentation order.

    The display matrix (turned and mirrored pictures), the shape of pixels and the color tags are applied; untagged
    colors are BT.709 from HD size on and BT.601 below. HLG and PQ are tone-mapped. Damaged packets are left out.

    Args:
        source: A video file or webcam.
        every: Only each n-th frame is converted and returned.
        losses: Filled with what could not be read.

    Raises:
        ImportError: PyAV is not installed.
        ValueError: The file holds no video PyAV can read, or is a recording that was not finished.
    """
    losses = losses if losses is not None else Losses()
    with open_video(source) as (container, stream):
        stream.thread_type = "SLICE"  # frame threads would lose good frames beside damaged ones
        clock = stream_clock(container, stream)
        convert = FrameConverter(stream.sample_aspect_ratio)
        time_s = 0.0
        decoded = _decoded(container, stream, losses, tolerant=source.kind != "webcam")
        for index, (stamp_s, frame) in enumerate(_in_order(_stamped(stream, decoded), losses)):
            time_s, source_time_s = clock(stamp_s)
            if index % every == 0:
                yield Frame(index=index, time_s=time_s, source_time_s=source_time_s, pixels=convert(frame))
        _note_missing_end(container, stream, time_s, losses)


@contextmanager
def open_video(source: Source) -> Iterator[tuple[Any, Any]]:
    """Open a file or a webcam; give PyAV's container and its best video stream.

    Raises:
        ValueError: See `read_frames`.
    """
    av = import_extra("av", "morphable-reconstruct", "video")
    try:
        with _open(av, source) as container:
            yield container, _best_stream(container, source)
    except av.FFmpegError as error:
        if source.kind != "webcam" and _is_unfinished(source.path):
            raise ValueError(
                f"video must be finished, got {source.path} without an index: the recording was not finished "
                "(power or memory ran out, or it is still running); repair it with a tool such as untrunc"
            ) from error
        raise ValueError(f"video must be one PyAV can read, got {source.path}: {error}") from error


def stream_clock(container: Any, stream: Any) -> Clock:
    """Make the clock of a video stream."""
    rate = stream.guessed_rate or stream.average_rate or _DEFAULT_RATE
    return Clock(step_s=1.0 / float(rate), jumps=clock_jumps(container))


def clock_jumps(container: Any) -> bool:
    """Return whether the format's time stamps may jump, as those of broadcasts do."""
    return bool(container.format.flags & _JUMPING_CLOCK)


def tolerant_packets(container: Any, stream: Any, losses: Losses) -> Iterator[Any]:
    """Read a stream's packets, going on after damaged parts of the file; the last one is empty."""
    av = import_extra("av", "morphable-reconstruct", "video")
    failures = 0
    packets = container.demux(stream)
    while failures < _MAX_FAILURES:
        try:
            packet = next(packets)
            failures = 0
            if packet.size or packet.pts is None:  # an empty packet with a time repeats the frame before it
                yield packet
        except StopIteration:
            return
        except av.FFmpegError:
            failures += 1
            losses.packets += 1
            packets = container.demux(stream)


def _decoded(container: Any, stream: Any, losses: Losses, *, tolerant: bool) -> Iterator[Any]:
    """Frames in presentation order."""
    if not tolerant:
        yield from container.decode(stream)
        return
    av = import_extra("av", "morphable-reconstruct", "video")
    frames, first_error = 0, None
    # Where only decoding times are stored, they are the presentation times as well, in the order of the frames.
    stamps: deque[int | None] | None = deque() if container.format.name in _WITHOUT_PRESENTATION_TIMES else None
    for packet in tolerant_packets(container, stream, losses):
        if stamps is not None and packet.size:
            stamps.append(packet.dts)
        try:
            decoded = packet.decode()
        except av.FFmpegError as error:
            losses.packets += 1
            first_error = first_error or error
            if stamps:
                stamps.pop()
            continue
        for frame in decoded:
            frames += 1
            if stamps:
                frame.pts = stamps.popleft()
            losses.damaged_frames += bool(frame.is_corrupt)
            yield frame
    if frames == 0 and first_error is not None:
        raise first_error


def _stamped(stream: Any, frames: Iterator[Any]) -> Iterator[tuple[float | None, Any]]:
    """Frames with their time stamps in seconds."""
    for frame in frames:
        yield None if frame.pts is None else float(frame.pts * (frame.time_base or stream.time_base)), frame


def _in_order(frames: Iterator[tuple[float | None, Any]], losses: Losses) -> Iterator[tuple[float | None, Any]]:
    """Sort the frames of a damaged file by time: its decoder may show some late."""
    waiting: list[tuple[float, int, Any]] = []
    for number, (stamp_s, frame) in enumerate(frames):
        if stamp_s is None or (waiting and abs(stamp_s - waiting[0][0]) > MAX_JUMP_S):
            yield from ((stamp, held) for stamp, _, held in sorted(waiting))
            waiting = []
        if stamp_s is None or losses.packets == 0:
            yield stamp_s, frame
            continue
        heapq.heappush(waiting, (stamp_s, number, frame))
        if len(waiting) > _REORDERED:
            stamp, _, held = heapq.heappop(waiting)
            yield stamp, held
    yield from ((stamp, held) for stamp, _, held in sorted(waiting))


def open_file(path: Path) -> Any:
    """Open a file in PyAV; its whole path, because FFmpeg takes what stands before a colon for a protocol."""
    av = import_extra("av", "morphable-reconstruct", "video")
    return av.open(str(path.absolute()), metadata_errors="replace")


def _open(av: Any, source: Source) -> Any:
    """Open a file or a webcam."""
    if source.kind != "webcam":
        return open_file(source.path)
    if sys.platform not in _WEBCAM_FORMATS:
        raise ValueError(f"webcam must be on Linux, macOS or Windows, got {sys.platform}")
    name, device = _WEBCAM_FORMATS[sys.platform]
    return av.open(device.format(source.stem.removeprefix("webcam")), format=name)


def _best_stream(container: Any, source: Source) -> Any:
    """Choose the moving pictures: neither cover art nor a preview."""
    av = import_extra("av", "morphable-reconstruct", "video")
    streams = [stream for stream in container.streams.video if stream.codec_context is not None]
    if not container.streams.video:
        raise ValueError(f"video must have a picture stream, got {source.path} without")
    if not streams:
        raise ValueError(f"video must have a known codec, got another in {source.path}")
    stills = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    moving = [stream for stream in streams if not stream.disposition & stills] or streams
    if len(moving) == 1:
        return moving[0]
    frames = _frame_counts(source, moving)
    longest = max(frames.values())
    return max(
        (stream for stream in moving if 2 * frames[stream.index] >= longest),
        key=lambda stream: stream.codec_context.width * stream.codec_context.height,
    )


def _frame_counts(source: Source, streams: list[Any]) -> dict[int, int]:
    """Number of frames of each stream, by the file's header, else among its first packets."""
    if all(stream.frames for stream in streams):
        return {stream.index: stream.frames for stream in streams}
    av = import_extra("av", "morphable-reconstruct", "video")
    counts = {stream.index: 0 for stream in streams}
    with open_file(source.path) as container:
        chosen = [container.streams[stream.index] for stream in streams]
        packets = container.demux(chosen)
        for _ in range(_COUNTED_PACKETS):
            try:
                packet = next(packets)
            except (StopIteration, av.FFmpegError):
                break
            counts[packet.stream.index] += packet.size > 0
    return counts


def _note_missing_end(container: Any, stream: Any, last_s: float, losses: Losses) -> None:
    """Note that a file ends before the length in its header."""
    if stream.duration is None or stream.time_base is None:
        return
    length_s = float(stream.duration * stream.time_base)
    if last_s + _END_TOLERANCE_S + 0.02 * length_s < length_s and not clock_jumps(container):
        losses.notes.append(f"the file ends after {last_s:.1f} s of {length_s:.1f} s")


def _is_unfinished(path: Path) -> bool:
    """Whether a file is an MP4 or MOV whose index, which is written last, is absent."""
    names: set[bytes] = set()
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            place = 0
            while place + _BOX_HEADER <= size and len(names) < _MAX_BOXES:
                file.seek(place)
                header = file.read(2 * _BOX_HEADER)
                length, name = int.from_bytes(header[:4], "big"), header[4:8]
                if length == 1:
                    length = int.from_bytes(header[8:16], "big")
                names.add(name)
                if length < _BOX_HEADER:  # 0: to the end of the file, as recorders write it until they finish
                    break
                place += length
    except OSError:
        return False
    return b"ftyp" in names and b"mdat" in names and b"moov" not in names
