"""How still a still face is: jitter of landmarks and head angles in a video of one picture with sensor noise.

`python benchmarks/video_jitter.py [PICTURE]` writes a lossless clip of the picture with fresh noise in every frame and
measures, without and with smoothing, how far landmarks and yaw move from frame to frame; and, on measured noise with
blinks added, how much of their height smoothing keeps.
"""

import tempfile
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import tyro
from PIL import Image

from morphable_reconstruct.photographs.reading import load_photograph
from morphable_reconstruct.photographs.sources import find_sources
from morphable_reconstruct.reconstructor.config import ReconstructConfig
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.scene import Scene
from morphable_reconstruct.video.options import VideoConfig
from morphable_reconstruct.video.smoothing import Smoother
from morphable_reconstruct.video.tracks import TrackedFrame, track

_BLINK = "eyeBlinkLeft"


@dataclass(frozen=True, kw_only=True)
class JitterConfig:
    """Measure the jitter of a still face."""

    picture: tyro.conf.Positional[Path | None] = None
    """A photograph of a face; by default scikit-image's astronaut."""
    noise: float = 25.0
    """Standard deviation of the noise of every pixel, of 255."""
    frames: int = 60
    rate: int = 30
    """Frames per second."""
    height_px: int = 480
    """Height of the frames."""
    blink_s: float = 0.2
    """Length of a blink."""
    weights: str = "mobile"
    """Bundled weights by name, or a weights file."""
    engine: str = "torch"
    """What runs the network."""


def write_still(config: JitterConfig, path: Path) -> None:
    """Write the clip."""
    import av

    if config.picture is None:
        from skimage.data import astronaut

        picture = Image.fromarray(astronaut())
    else:
        picture = Image.fromarray(load_photograph(config.picture).pixels)
    size = round(picture.width * config.height_px / picture.height) // 2 * 2, config.height_px
    pixels = np.asarray(picture.resize(size, Image.Resampling.LANCZOS), dtype=np.float32)
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=config.rate)
        stream.width, stream.height, stream.pix_fmt = *size, "bgr0"
        for index in range(config.frames):
            noisy = np.clip(pixels + rng.normal(size=pixels.shape) * config.noise, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(noisy, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, config.rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def first_track(frames: list[TrackedFrame]) -> list[tuple[float, Scene]]:
    """The face that is seen most, alone in its scenes."""
    ids = np.concatenate([frame.scene.track_id for frame in frames])
    chosen = np.bincount(ids).argmax()
    rows = [(frame, np.flatnonzero(frame.scene.track_id == chosen)) for frame in frames]
    return [(frame.time_s, frame.scene.take(row)) for frame, row in rows if len(row)]


def jitter(scenes: list[tuple[float, Scene]]) -> tuple[float, float, float]:
    """Mean step from frame to frame: landmarks in percent of the face's box, yaw in degrees; and landmarks' spread."""
    points = np.array([scene.landmarks68_px[0] for _, scene in scenes])
    box = np.array([scene.box_xyxy_px[0] for _, scene in scenes])
    side = float((box[:, 2:] - box[:, :2]).mean())
    yaw = np.array([scene[0].angles.degrees["yaw"] for _, scene in scenes])
    step = float(np.linalg.norm(np.diff(points, axis=0), axis=-1).mean())
    spread = float(np.sqrt(((points - points.mean(0)) ** 2).sum(-1).mean()))
    return 100 * step / side, float(np.abs(np.diff(yaw)).mean()), 100 * spread / side


def blink_height(scenes: list[tuple[float, Scene]], config: JitterConfig) -> tuple[float, int]:
    """Part of the height of an added blink that smoothing keeps, and how many frames late its top is."""
    index = scenes[0][1].model.expression_names.index(_BLINK)
    smoother, given, kept = Smoother(VideoConfig()), [], []
    middle = round(0.6 * len(scenes))
    for number, (time_s, scene) in enumerate(scenes):
        pulse = max(0.0, 1.0 - abs(number - middle) / config.rate / (config.blink_s / 2))
        expression = scene.faces.expression.clone()
        expression[0, index] += 0.8 * pulse
        given.append(float(expression[0, index]))
        blinking = replace(scene, faces=replace(scene.faces, expression=expression), track_id=np.array([0]))
        kept.append(float(smoother.update(blinking, time_s).faces.expression[0, index]))
    rest = float(np.median(given[: middle - config.rate // 3]))
    return (max(kept) - rest) / (max(given) - rest), int(np.argmax(kept) - np.argmax(given))


def main() -> int:
    """Print the table."""
    config = tyro.cli(JitterConfig)
    torch.set_num_threads(1)
    options = ReconstructConfig(engine=config.engine)  # type: ignore[arg-type]
    reconstructor = Reconstructor(config.weights, config=options)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "still.mkv"
        write_still(config, path)
        raw = first_track(list(track(find_sources([str(path)])[0], reconstructor, VideoConfig(smooth=False))))
    smoother = Smoother(VideoConfig())
    smooth = [(time_s, smoother.update(scene, time_s)) for time_s, scene in raw]
    print(f"{len(raw)} frames, noise {config.noise:g} of 255, mean step from frame to frame")
    for name, scenes in (("network alone", raw), ("smoothed", smooth)):
        step, yaw, spread = jitter(scenes)
        print(f"{name:14} landmarks {step:.2f} % of the face, yaw {yaw:.2f} degrees (spread {spread:.2f} %)")
    height, late = blink_height(raw, config)
    print(f"a blink of {config.blink_s:g} s keeps {100 * height:.0f} % of its height, {late} frames late")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
