"""Measure the detector: parameters and multiply-adds, latency on the CPU, what int8 costs in accuracy.

    python benchmarks/detector_head.py sizes
    python benchmarks/detector_head.py latency [--presets mobile_v3 resnet50_128] [--num-threads 2]
    python benchmarks/detector_head.py int8 --weights FILE --photographs FOLDER

Latency needs no trained weights. `int8` takes the float network's faces as the truth: it prints how many of them the
quantized networks, and OpenVINO in bfloat16, find, how many they add, and how far the 68 landmarks move in percent of
the face's size.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from torch.utils.flop_counter import FlopCounterMode

import morphable
from morphable.geometry import Pinhole, camera_from_model
from morphable_detector_head import PRESETS, Detections, FaceDetector, build_detector, load_detector
from morphable_detector_head.engines import OnnxDetector, OpenvinoDetector
from morphable_detector_head.export import export_onnx, export_openvino
from morphable_detector_head.quantize import calibration_images, quantize_onnx, quantize_openvino

SIZE_HW = (512, 512)
TOP_K = 32
WARM_UP, MIN_SCORE = 3, 0.5

Detect = Callable[[torch.Tensor], Detections]


@dataclass(frozen=True)
class Options:
    """Measure the detector."""

    what: Annotated[Literal["sizes", "latency", "int8"], tyro.conf.Positional]
    """What to measure."""
    presets: tuple[str, ...] = ("mobile", "mobile_v3", "resnet50_128", "resnet50")
    """Network shapes, for `sizes` and `latency`."""
    weights: Path | None = None
    """Trained detector, for `int8`."""
    photographs: Path | None = None
    """Folder for calibration and, its second half, for `int8`'s comparison; noise calibrates `latency` if None."""
    num_threads: int = 2
    """Threads of each engine."""
    repeats: int = 30
    """Timed runs of each engine; they alternate."""
    limit: int = 64
    """At most this many photographs."""


def multiply_adds(function: Callable[[], object]) -> float:
    """Count giga multiply-adds of matrix products and convolutions."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        function()
    return counter.get_total_flops() / 2 / 1e9


def print_sizes(options: Options) -> None:
    """Print parameters and multiply-adds of presets."""
    print(f"{SIZE_HW[1]}x{SIZE_HW[0]}, top {TOP_K} faces; multiply-adds of convolutions and matrix products")
    print("| preset | parameters, M | of them backbone | backbone + aggregation, GMAC | detect | dense heads |")
    print("|---|---|---|---|---|---|")
    for name in options.presets:
        with torch.device("meta"):
            detector = build_detector(PRESETS[name]).eval()
            image = torch.zeros(1, 3, *SIZE_HW)
            cell = torch.zeros(1, TOP_K, dtype=torch.long)
        millions = [sum(p.numel() for p in m.parameters()) / 1e6 for m in (detector, detector.backbone)]
        trunk = multiply_adds(lambda: detector.features(image))  # noqa: B023  (called at once)
        sparse = multiply_adds(lambda: detector(image, cell))  # noqa: B023
        dense = multiply_adds(lambda: detector.dense(image))  # noqa: B023
        print(f"| {name} | {millions[0]:.2f} | {millions[1]:.2f} | {trunk:.2f} | {sparse:.2f} | {dense:.2f} |")


def engines(detector: FaceDetector, folder: Path, options: Options) -> Iterator[tuple[str, Detect]]:
    """Export and quantize; yield engines by name."""
    onnx = folder / "detector.onnx"
    export_onnx(detector, onnx)
    if options.photographs is None:
        generator = torch.Generator().manual_seed(0)
        pictures = [torch.rand(1, 3, *SIZE_HW, generator=generator).numpy() for _ in range(4)]
    else:
        pictures = list(calibration_images(options.photographs, size_px=SIZE_HW[0], limit=options.limit))
        pictures = pictures[: max(len(pictures) // 2, 1)]
    export_openvino(onnx, folder / "float.xml")
    quantize_onnx(onnx, folder / "int8.onnx", pictures)
    quantize_openvino(onnx, folder / "int8.xml", pictures)
    threads = options.num_threads
    made = {
        "onnxruntime float32": OnnxDetector(onnx, num_threads=threads),
        "onnxruntime int8": OnnxDetector(folder / "int8.onnx", num_threads=threads),
        "openvino float32": OpenvinoDetector(folder / "float.xml", num_threads=threads),
        "openvino bfloat16": OpenvinoDetector(folder / "float.xml", num_threads=threads, precision="bf16"),
        "openvino int8": OpenvinoDetector(folder / "int8.xml", num_threads=threads),
    }
    for name, detector_of_engine in made.items():
        yield name, partial(detector_of_engine.detect, top_k=TOP_K, min_score=MIN_SCORE)


def matrix_product_gflops(size: int = 2048, repeats: int = 8) -> float:
    """Return what the machine's fastest float32 matrix product makes: the floor of any network's time."""
    left, right = torch.randn(2, size, size)
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        left @ right
        seconds.append(time.perf_counter() - begun)
    return 2 * size**3 / min(seconds) / 1e9


def print_latency(options: Options) -> None:
    """Print the median and the least time of each engine, runs alternating between engines."""
    torch.set_num_threads(options.num_threads)
    image = torch.rand(1, 3, *SIZE_HW, generator=torch.Generator().manual_seed(0))
    print(f"float32 matrix product: {matrix_product_gflops():.0f} GFLOP/s on {options.num_threads} threads")
    print(f"{SIZE_HW[1]}x{SIZE_HW[0]}, one picture, {options.num_threads} threads, ms: median (least)")
    for name in options.presets:
        detector = build_detector(PRESETS[name]).eval()
        with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
            runs = dict(engines(detector, Path(folder), options))
            runs["pytorch eager"] = partial(detector.detect, top_k=TOP_K)
            times: dict[str, list[float]] = {engine: [] for engine in runs}
            for repeat in range(WARM_UP + options.repeats):
                for engine, detect in runs.items():
                    start = time.perf_counter()
                    detect(image)
                    if repeat >= WARM_UP:
                        times[engine].append(1e3 * (time.perf_counter() - start))
        rows = (f"{engine} {statistics.median(t):.1f} ({min(t):.1f})" for engine, t in times.items())
        print(f"{name}: " + ", ".join(rows), flush=True)


def landmarks_px(found: Detections, model: morphable.MorphableModel) -> torch.Tensor:
    """Project the 68 points of all entries of one picture."""
    face = found.parameters.map(lambda tensor: tensor[0])
    shape = model.landmarks(model.decode_shape(face.identity, face.expression))
    return Pinhole(SIZE_HW).project(camera_from_model(shape, face.rotation_head, face.translation_m))


def print_int8(options: Options) -> None:
    """Compare quantized networks with the float one on photographs that did not calibrate them."""
    if options.weights is None or options.photographs is None:
        raise ValueError("weights and photographs must be given for int8, got none; pass both")
    detector, model = load_detector(options.weights), morphable.load_model("open")
    pictures = list(calibration_images(options.photographs, size_px=SIZE_HW[0], limit=options.limit))
    held_out = [torch.from_numpy(picture) for picture in pictures[len(pictures) // 2 :]]
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for name, detect in engines(detector, Path(folder), options):
            truth, found, extra, moved = 0, 0, 0, []
            for picture in held_out:
                expected, result = detector.detect(picture, top_k=TOP_K, min_score=MIN_SCORE), detect(picture)
                points, own = landmarks_px(expected, model), landmarks_px(result, model)
                truth += int(expected.valid.sum())
                free = result.valid[0].clone()
                for index in expected.valid[0].nonzero()[:, 0]:
                    box = points[index].amax(0) - points[index].amin(0)
                    size = box.prod().sqrt()
                    error = (own - points[index]).norm(dim=-1).mean(-1) / size
                    error[~free] = torch.inf
                    best = int(error.argmin())
                    if error[best] < 0.5:  # half a face: still the same face
                        found, free[best] = found + 1, False
                        moved.append(100 * float(error[best]))
                extra += int(free.sum())
            middle = f"{statistics.median(moved):.3f} %, mean {statistics.mean(moved):.3f} %" if moved else "-"
            print(f"{name}: found {found} of {truth}, added {extra}, landmarks moved by median {middle}")


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and run."""
    options = tyro.cli(Options, args=argv)
    actions = {"sizes": print_sizes, "latency": print_latency, "int8": print_int8}
    try:
        actions[options.what](options)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
