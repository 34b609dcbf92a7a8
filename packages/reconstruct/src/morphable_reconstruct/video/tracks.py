"""The scenes of a video, one after the other, in constant memory."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from morphable_reconstruct.photographs.reading import Photograph
from morphable_reconstruct.photographs.sources import Source, find_sources
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.reconstructor.stream import read_ahead
from morphable_reconstruct.scene import Scene
from morphable_reconstruct.video.options import VideoConfig
from morphable_reconstruct.video.reading import Losses, read_frames
from morphable_reconstruct.video.smoothing import Smoother
from morphable_reconstruct.video.tracking import Tracker

_DECODED_AHEAD = 4
"""Frames that are decoded while the network is at work."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackedFrame:
    """One frame of a video and its scene; `scene[i].track_id` is the same for the same person throughout.

    >>> import tempfile, morphable_reconstruct as mr
    >>> from PIL import Image
    >>> reconstructor = mr.Reconstructor("mobile", config=mr.ReconstructConfig(size_px=256))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     frames = [Image.new("RGB", (64, 64), color) for color in ("red", "blue")]
    ...     frames[0].save(f"{folder}/clip.gif", save_all=True, append_images=frames[1:], duration=40)
    ...     [round(frame.time_s, 2) for frame in mr.track(f"{folder}/clip.gif", reconstructor)]
    [0.0, 0.04]
    """

    index: int
    time_s: float
    """Time from the first frame."""
    source_time_s: float
    """Time by the file's own clock."""
    scene: Scene


def track(
    video: str | os.PathLike[str] | Source,
    reconstructor: Reconstructor,
    config: VideoConfig | None = None,
    *,
    tracker: Tracker | None = None,
    losses: Losses | None = None,
) -> Iterator[TrackedFrame]:
    """Reconstruct a video frame by frame; faces carry track ids and are smoothed along their tracks.

    Args:
        video: A video file, or `webcam[:NUMBER]`.
        reconstructor: The network.
        config: Tracking and smoothing.
        tracker: Counts the tracks; a new one by default.
        losses: Filled with what of the video could not be read.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: PyAV is not installed.
        ValueError: The file holds no video that PyAV can read, or is a recording that was not finished.

    >>> import tempfile, morphable_reconstruct as mr
    >>> from PIL import Image
    >>> reconstructor = mr.Reconstructor("mobile", config=mr.ReconstructConfig(size_px=256))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     frames = [Image.new("RGB", (64, 64), color) for color in ("red", "blue")]
    ...     frames[0].save(f"{folder}/clip.gif", save_all=True, append_images=frames[1:], duration=40)
    ...     [(frame.index, len(frame.scene)) for frame in mr.track(f"{folder}/clip.gif", reconstructor)]
    [(0, 0), (1, 0)]
    """
    source = video if isinstance(video, Source) else find_sources([os.fspath(video)])[0]
    settings = config or VideoConfig()
    tracker = tracker or Tracker(max_gap_s=settings.max_gap_s, max_gap_frames=settings.max_gap_frames)
    smoother = Smoother(settings)
    size = 1 if source.kind == "webcam" else reconstructor.batch_size
    frames = read_ahead(read_frames(source, every=settings.every, losses=losses), ahead=_DECODED_AHEAD)
    while batch := list(islice(frames, size)):
        photos = [Photograph(pixels=frame.pixels, name=f"{source.name}:{frame.index}") for frame in batch]
        for frame, scene in zip(batch, reconstructor.reconstruct(photos), strict=True):
            tracked = tracker.update(scene, frame.time_s)
            smooth = smoother.update(tracked, frame.time_s) if settings.smooth else tracked
            yield TrackedFrame(index=frame.index, time_s=frame.time_s, source_time_s=frame.source_time_s, scene=smooth)
