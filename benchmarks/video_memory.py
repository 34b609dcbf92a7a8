"""Memory and speed of a long video: peak memory over time, and frames per second with overlay.

`python benchmarks/video_memory.py --minutes 60` makes a video of a moving, noisy picture with sound, runs the command's
own code on it with overlay, CSV and JSON, and prints the process's memory after every minute of video.
"""

import os
import tempfile
import threading
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

from morphable_reconstruct.batch.options import RunConfig
from morphable_reconstruct.batch.records import Records
from morphable_reconstruct.batch.videos import run_video
from morphable_reconstruct.photographs.reading import load_photograph
from morphable_reconstruct.photographs.sources import find_sources
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor

_SOUND_HZ = 16_000
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, kw_only=True)
class MemoryConfig:
    """Run a long video."""

    minutes: float = 60.0
    rate: int = 25
    """Frames per second of the video."""
    width: int = 640
    height: int = 480
    picture: Path | None = None
    """A photograph that moves; by default scikit-image's astronaut."""
    every: int = 1
    """Use every n-th frame."""
    save: str = "overlay,csv,json"
    engine: str = "torch"
    """What runs the network."""
    report_s: float = 10.0
    """Seconds between two lines."""


def write_long(config: MemoryConfig, path: Path) -> None:
    """Write the video."""
    import av

    if config.picture is None:
        from skimage.data import astronaut

        photo = Image.fromarray(astronaut())
    else:
        photo = Image.fromarray(load_photograph(config.picture).pixels)
    scale = 1.2 * max(config.width / photo.width, config.height / photo.height)
    large = np.asarray(photo.resize((round(photo.width * scale), round(photo.height * scale))))
    room = np.array([large.shape[1] - config.width, 0.2 * config.height])
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=config.rate, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = config.width, config.height, "yuv420p"
        sound = container.add_stream("aac", rate=_SOUND_HZ, layout="mono")
        for index in range(round(config.minutes * 60 * config.rate)):
            left, top = (room * (0.5 + 0.4 * np.array([np.sin(index / 40), np.cos(index / 56)]))).astype(int)
            crop = np.ascontiguousarray(large[top : top + config.height, left : left + config.width])
            frame = av.VideoFrame.from_ndarray(crop, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, config.rate)
            container.mux(video.encode(frame))
            if index % config.rate == 0:
                tone = (0.1 * np.sin(np.arange(_SOUND_HZ) * 0.1)).astype(np.float32)[None]
                piece = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
                piece.sample_rate, piece.pts = _SOUND_HZ, index // config.rate * _SOUND_HZ
                container.mux(sound.encode(piece))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))


def resident_mb() -> float:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 1e6


def main() -> int:
    """Print memory over time, then the speed."""
    config = tyro.cli(MemoryConfig)
    reconstructor = Reconstructor(config=ReconstructConfig(engine=config.engine))  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.mp4"
        write_long(config, path)
        run = RunConfig(sources=(str(path),), out=Path(folder) / "out", save=config.save)
        run = RunConfig(**{**vars(run), "video": type(run.video)(every=config.every)})
        run.out.mkdir()
        done, peak, start = threading.Event(), [resident_mb()], time.perf_counter()

        def watch() -> None:
            while not done.wait(config.report_s):
                peak.append(resident_mb())
                print(f"after {time.perf_counter() - start:6.0f} s: {peak[-1]:6.0f} MB", flush=True)

        watcher = threading.Thread(target=watch)
        watcher.start()
        used = time.process_time()
        outcome = run_video(find_sources([str(path)])[0], reconstructor, run, Records(run, "given"))
        used = time.process_time() - used
        done.set()
        watcher.join()
        seconds = time.perf_counter() - start
        frames = -(-round(config.minutes * 60 * config.rate) // config.every)
        print(
            f"{outcome.error or 'done'}: {frames} frames, {frames / seconds:.1f} per second, "
            f"{1000 * used / frames:.0f} ms of processor time each; {outcome.faces} tracks"
        )
        half = len(peak) // 2
        print(f"peak of the first half {max(peak[: half + 1]):.0f} MB, of the second {max(peak[half:]):.0f} MB")
    return 1 if outcome.error else 0


if __name__ == "__main__":
    raise SystemExit(main())
