"""Single frames of videos."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from morphable.extras import import_extra


def read_frame(path: Path, frame: int) -> UInt8[np.ndarray, "rows cols 3"]:
    """Decode one frame, counted from zero, as RGB.

    Raises:
        ModuleNotFoundError: The extra `video` is not installed.
        ValueError: The video is damaged or shorter.
    """
    av = import_extra("av", "morphable-train", "video")
    try:
        with av.open(str(path.absolute()), metadata_errors="replace") as container:
            stream = container.streams.video[0]
            rate, base = float(stream.average_rate or stream.base_rate or 0), float(stream.time_base or 0)
            if rate <= 0 or base <= 0:
                raise ValueError("video must have a frame rate, got none")
            container.seek(int(max(frame - 1, 0) / rate / base), stream=stream)
            for picture in container.decode(stream):
                if picture.pts is not None and round(picture.pts * base * rate) >= frame:
                    return picture.to_ndarray(format="rgb24")
    except Exception as error:  # FFmpeg's errors, and what PyAV raises for streams without codec or rate
        raise ValueError(f"video is damaged: {error}") from error
    raise ValueError(f"video must hold frame {frame}, got fewer")
