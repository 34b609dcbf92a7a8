"""The sound of a video as packets for an MP4 file."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import IO, Any

import numpy as np

from morphable.extras import import_extra
from morphable_reconstruct.photographs.sources import Source
from morphable_reconstruct.video.reading import Losses, clock_jumps, open_file, tolerant_packets
from morphable_reconstruct.video.timing import Clock

_COPIED_CODECS = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
"""Sound an MP4 file carries as it is; other codecs become AAC."""
_AAC_RATES_HZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_PIECE_S = 0.02
"""Usual length of a packet."""
_LONGEST_GAP_S = 0.1
"""Gaps up to this long are closed, longer ones become silence."""


class Sound:
    """Sound that was checked to go into an MP4 file, read packet by packet."""

    def __init__(self, container: Any) -> None:
        self.template = container.streams.audio[0]
        self._packets = (packet for packet in container.demux(self.template) if packet.dts is not None)
        self._next = next(self._packets, None)

    def until(self, time_s: float) -> Iterator[Any]:
        """Return the packets that start before a time."""
        while self._next is not None and float(self._next.pts * self._next.time_base) <= time_s:
            yield self._next
            self._next = next(self._packets, None)


@contextmanager
def open_sound(source: Source, zero_s: float, notes: list[str]) -> Iterator[Sound | None]:
    """Give the sound of a video, or None where there is none or it cannot be decoded or copied.

    The whole sound is first written to a temporary file, so that sound that fails half-way leaves the video whole.

    Args:
        source: A video file; webcams have no sound.
        zero_s: Time stamp of the file that becomes 0.
        notes: Gets a line if there is sound that had to be left out.
    """
    av = import_extra("av", "morphable-reconstruct", "video")
    with tempfile.TemporaryFile() as file:
        try:
            packets = 0 if source.kind == "webcam" else _extract(av, source, zero_s, file)
        except Exception as error:  # decoders and muxers raise many kinds; the video needs no sound
            notes.append(f"sound left out: {error}")
            packets = 0
        if packets == 0:
            yield None
            return
        file.seek(0)
        with av.open(file, format="mp4") as container:
            yield Sound(container)


def _extract(av: Any, source: Source, zero_s: float, file: IO[bytes]) -> int:
    """Write a video's sound as MP4, copied or encoded anew; return the number of packets."""
    with open_file(source.path) as container:
        if not container.streams.audio:
            return 0
        stream = container.streams.best("audio") or container.streams.audio[0]
        if stream.codec_context is None:
            raise ValueError("its codec is not known")
        with av.open(file, "w", format="mp4") as output:
            if stream.codec_context.name in _COPIED_CODECS:
                packets = _copied(container, stream, output, zero_s)
            else:
                packets = _encoded(av, container, stream, output, zero_s)
            count = 0
            for packet in packets:
                output.mux(packet)
                count += 1
            if count == 0:
                raise ValueError("nothing of it could be read")
            return count


def _copied(container: Any, stream: Any, output: Any, zero_s: float) -> Iterator[Any]:
    """Packets as they are, moved to the video's zero; steps back and jumps of their clock are closed."""
    target = output.add_stream_from_template(stream)
    clock, shift, length_s = _clock(container, zero_s), 0, None
    for packet in tolerant_packets(container, stream, Losses()):
        if packet.pts is None or packet.size == 0:
            continue
        time_s, stamp_s = clock(float(packet.pts * packet.time_base), step_s=length_s)
        wanted = round((time_s - stamp_s) / packet.time_base)
        shift = wanted if abs(wanted - shift) > 1 else shift  # rounding must not make even steps uneven
        length_s = float(packet.duration * packet.time_base) if packet.duration else None
        packet.pts += shift
        packet.dts = packet.pts
        packet.stream = target
        yield packet


def _encoded(av: Any, container: Any, stream: Any, output: Any, zero_s: float) -> Iterator[Any]:
    """Packets of the same sound as AAC; silence stands for what cannot be decoded."""
    context = stream.codec_context
    rate_hz = min(_AAC_RATES_HZ, key=lambda rate: abs(rate - context.sample_rate))
    layout = "mono" if context.layout.nb_channels == 1 else "stereo"
    target = output.add_stream("aac", rate=rate_hz, layout=layout)
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate_hz)
    clock = _clock(container, zero_s)
    place: int | None = None
    for frame in _decoded_sound(av, container, stream):
        time_s, _ = clock(None if frame.pts is None else float(frame.pts * frame.time_base))
        wanted, frame.pts = round(time_s * rate_hz), None
        place = wanted if place is None else place
        missing = wanted - place if wanted - place > _LONGEST_GAP_S * rate_hz else 0
        for piece in (*_silence(av, missing, layout, rate_hz), *resampler.resample(frame)):
            piece.pts, piece.time_base = place, Fraction(1, rate_hz)
            place += piece.samples
            yield from target.encode(piece)
    if place is not None:
        yield from target.encode(None)


def _clock(container: Any, zero_s: float) -> Clock:
    """A clock on which pieces of sound never overlap."""
    return Clock(step_s=_PIECE_S, jumps=clock_jumps(container), zero_s=zero_s, disorder_s=0.0)


def _silence(av: Any, samples: int, layout: str, rate_hz: int) -> Iterator[Any]:
    """Silent frames of at most a second."""
    channels = 1 if layout == "mono" else 2
    while samples > 0:
        count = min(samples, rate_hz)
        frame = av.AudioFrame.from_ndarray(np.zeros((channels, count), np.float32), format="fltp", layout=layout)
        frame.sample_rate = rate_hz
        samples -= count
        yield frame


def _decoded_sound(av: Any, container: Any, stream: Any) -> Iterator[Any]:
    """Frames of sound, without those that cannot be decoded."""
    for packet in tolerant_packets(container, stream, Losses()):
        try:
            yield from packet.decode()
        except av.FFmpegError:
            continue
