"""The scenes of a video, one face's with the next frame's, in constant memory."""

from collections.abc import Iterator
from itertools import islice

from morphable_reconstruct.photographs.reading import Photograph
from morphable_reconstruct.photographs.sources import Source
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.scene import Scene
from morphable_reconstruct.video.files import Frame, read_frames
from morphable_reconstruct.video.options import VideoConfig
from morphable_reconstruct.video.smoothing import Smoother
from morphable_reconstruct.video.tracking import Tracker


def track_video(
    source: Source, reconstructor: Reconstructor, config: VideoConfig, tracker: Tracker | None = None
) -> Iterator[tuple[Frame, Scene]]:
    """Reconstruct a video frame by frame; faces carry track ids and are smoothed along their tracks.

    Args:
        source: A video file or webcam (see `find_sources`).
        reconstructor: The network.
        config: Tracking and smoothing.
        tracker: Counts the tracks; a new one by default.
    """
    tracker = tracker or Tracker(max_gap_s=config.max_gap_s)
    smoother = Smoother(config)
    frames = read_frames(source, every=config.every)
    size = 1 if source.kind == "webcam" else reconstructor.config.batch_size
    while batch := list(islice(frames, size)):
        photos = [Photograph(pixels=frame.pixels, name=f"{source.name}:{frame.index}") for frame in batch]
        for frame, scene in zip(batch, reconstructor.reconstruct(photos), strict=True):
            tracked = tracker.update(scene, frame.time_s)
            yield frame, smoother.update(tracked, frame.time_s) if config.smooth else tracked
