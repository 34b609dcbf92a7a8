"""Readers of videos and of the service's bodies, and graphs in their engines."""

import io
import sys
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from reader import Reader, written

_VIDEOS = {
    "mp4": ("libx264", "aac"),
    "mkv": ("libx264", "flac"),
    "avi": ("mpeg4", "mp3"),
    "ts": ("mpeg2video", "mp2"),
    "webm": ("libvpx", "libopus"),
    "gif": ("gif", ""),
}
"""Codecs of pictures and sound by container."""
_FRAMES, _SIDE_PX = 5, 32
_SOUND_SAMPLES = 9_600
_REFUSALS = (200, 400, 404, 413, 415, 422)
_PATIENCE_S = 600.0
"""A busy machine may take longer for a request than the service allows by default."""


def _videos() -> dict[str, Reader]:
    """Pictures and sound, as a run with an overlay reads them."""
    from morphable_reconstruct.photographs.sources import find_sources
    from morphable_reconstruct.video.reading import read_frames
    from morphable_reconstruct.video.sound import open_sound

    def read(path: Path) -> object:
        (source,) = find_sources([str(path)])
        frames = sum(1 for _ in read_frames(source))
        with open_sound(source, 0.0, []) as sound:
            return frames, sum(1 for _ in sound.until(np.inf)) if sound is not None else 0

    found = {
        f"video_{name}": Reader(f".{name}", written(_write_video(*codecs), f".{name}"), read)
        for name, codecs in _VIDEOS.items()
    }
    return found | {"training_video": Reader(".avi", found["video_avi"].make, _read_frame)}


def _read_frame(path: Path) -> object:
    """Read one frame as training does."""
    from morphable_train.readers.video import read_frame

    return read_frame(path, 2)


def _write_video(codec: str, sound_codec: str) -> Callable[[Path], None]:
    """A few frames of noise with a tone: small files, so that much of the damage hits what holds them together."""

    def write(path: Path) -> None:
        import av

        noise = np.random.default_rng(0).integers(0, 255, (_FRAMES, _SIDE_PX, _SIDE_PX, 3), dtype=np.uint8)
        with av.open(str(path), "w") as container:
            video: Any = container.add_stream(codec, rate=10)
            video.width, video.height, video.pix_fmt = _SIDE_PX, _SIDE_PX, "rgb8" if codec == "gif" else "yuv420p"
            sound: Any = container.add_stream(sound_codec, rate=48_000, layout="mono") if sound_codec else None
            for index, pixels in enumerate(noise):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 10)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
            if sound is not None:
                container.mux(_tone(sound))

    return write


def _tone(sound: Any) -> list[Any]:
    """Packets of a fifth of a second."""
    import av

    size = sound.codec_context.frame_size or 1024
    resampler = av.AudioResampler(format=sound.codec_context.format, layout="mono", rate=48_000, frame_size=size)
    samples = (3000 * np.sin(np.arange(_SOUND_SAMPLES) * 0.05)).astype(np.int16)[None]
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
    pieces = [*resampler.resample(frame), *resampler.resample(None)]
    return [packet for piece in pieces for packet in sound.encode(piece)] + list(sound.encode(None))


def _bodies() -> dict[str, Reader]:
    """Bodies of requests; any status that is not an answer or a refusal is an error."""

    def jpeg() -> bytes:
        stream, exif = io.BytesIO(), Image.Exif()
        exif[0x0112] = 6
        pixels = np.full((64, 96, 3), 128, np.uint8)
        pixels[20:30, 40:50] = (0, 255, 0)
        Image.fromarray(pixels).save(stream, "JPEG", exif=exif, quality=95)
        return stream.getvalue()

    def form() -> bytes:
        head = b'--limit\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
        return head + jpeg() + b"\r\n--limit--\r\n"

    def post(kind: str, answer: str) -> Callable[[Path], object]:
        def read(path: Path) -> object:
            headers = {"content-type": kind}
            status = (
                _client().post(f"/reconstruct?format={answer}", content=path.read_bytes(), headers=headers).status_code
            )
            if status not in _REFUSALS:
                raise RuntimeError(f"status {status}")
            if status != 200:
                raise ValueError(f"status {status}")
            return status

        return read

    return {
        "service": Reader(".jpg", jpeg, post("image/jpeg", "json")),
        "service_form": Reader(".form", form, post("multipart/form-data; boundary=limit", "json")),
    }


@cache
def _client() -> Any:
    """A service whose network finds green dots."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "packages" / "reconstruct" / "tests"))
    from fastapi.testclient import TestClient
    from stand_ins import DotDetector, toy_model

    from morphable_reconstruct.reconstructor.config import ReconstructConfig
    from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
    from morphable_reconstruct.service._app import create_app
    from morphable_reconstruct.service.options import ServeConfig

    settings = ReconstructConfig(min_score=0.4, size_px=256, max_pixels=100_000, batch_size=1)
    reconstructor = Reconstructor(DotDetector(), toy_model(), config=settings)
    client = TestClient(
        create_app(reconstructor, ServeConfig(reconstruct=settings, batch_wait_s=0.0, timeout_s=_PATIENCE_S))
    )
    client.__enter__()  # the service runs until the process ends
    return client


def _graphs() -> dict[str, Reader]:
    """An exported graph in each engine."""
    import onnx

    from morphable_detector_head.engines import OnnxDetector, OpenvinoDetector
    from morphable_detector_head.export import INPUT_NAMES, OUTPUT_NAMES

    value = onnx.helper.make_tensor_value_info
    nodes = [onnx.helper.make_node("ReduceMax", ["image"], [name], keepdims=0) for name in OUTPUT_NAMES]
    graph = onnx.helper.make_graph(
        nodes,
        "tiny",
        [
            value(name, kind, shape)
            for name, kind, shape in zip(
                INPUT_NAMES,
                (onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.FLOAT),
                (["batch", 3, "rows", "cols"], [], []),
                strict=True,
            )
        ],
        [value(name, onnx.TensorProto.FLOAT, []) for name in OUTPUT_NAMES],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    make = model.SerializeToString
    return {
        "onnx": Reader(".onnx", make, lambda path: OnnxDetector(path, num_threads=1)),
        "openvino": Reader(".onnx", make, lambda path: OpenvinoDetector(path, num_threads=1)),
    }


GROUPS_OF_MEDIA = (_videos, _graphs, _bodies)
"""Functions that return these readers by name."""
