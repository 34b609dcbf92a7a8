"""300-VW: videos with a `.pts` file per frame."""

from collections.abc import Iterator
from pathlib import Path

from morphable_train.readers.item import SourceItem, layout_error, record_key
from morphable_train.readers.points import parse_pts

VIDEO_FILE = "vid.avi"
EVERY_FRAMES = 15
"""Neighboring frames are nearly equal: one in this many is used."""


def read_300vw(folder: Path) -> Iterator[SourceItem]:
    """Yield frames of the videos `*/vid.avi` with their points `*/annot/000001.pts`, counted from one.

    Raises:
        FileNotFoundError: There is no such video.
    """
    videos = sorted(folder.glob(f"*/{VIDEO_FILE}"))
    if not videos:
        raise layout_error(folder, "300-VW", f"folders that hold {VIDEO_FILE} and annot/*.pts")
    for video in videos:
        points = sorted((video.parent / "annot").glob("*.pts"))
        if not points:
            problem = "missing landmark file: no annot/*.pts beside the video"
            yield SourceItem(record_key(video.relative_to(folder)), video, problem=problem)
        for path in points[::EVERY_FRAMES]:
            name = record_key(Path(video.parent.name, path.name))
            try:
                landmarks, known = parse_pts(path.read_text(errors="replace"))
                yield SourceItem(name, video, landmarks[None], known[None], frame=int(path.stem) - 1)
            except ValueError as error:
                yield SourceItem(name, video, problem=str(error))
