"""Measure how fast pictures, folders and videos are reconstructed; write the tables of docs/performance.md.

    python benchmarks/performance.py [--only engines faces ...] [--repeats 9] [--write docs/performance.md]

Needs no data: its pictures are put together from the faces of docs/synth_faces.png. What one table compares runs in
turn, so that other programs disturb all of it alike; each table says what rate a matrix product reached just before it,
so that tables of two machines can be compared as ratios. With everything it takes about 7 minutes on two idle cores.
On a busy machine `--clock processor` counts the time that this process had a processor, with one thread.
"""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import tyro
from PIL import Image
from timing import Timing, timings

import morphable_reconstruct as mr
from morphable_detector_head import build_detector
from morphable_detector_head.letterbox import letterbox, network_input
from morphable_detector_head.presets import RESNET50
from morphable_reconstruct.batch.output import save_results
from morphable_reconstruct.colors.faces import with_photo_colors

ROOT = Path(__file__).parents[1]
FACES = ROOT / "docs" / "synth_faces.png"
TILE_PX = 128
TILES = ((0, 3), (0, 4), (1, 0), (1, 3), (1, 5), (2, 3), (3, 0), (3, 5), (3, 7), (5, 3), (6, 0), (6, 2), (6, 3), (7, 2))
"""Rows and columns of the faces that are used: seen from the front, without a mask."""
START, END = "<!-- tables of benchmarks/performance.py -->", "<!-- end of the tables -->"
PICTURE_HW, SMALL_HW, VIDEO_HW = (960, 1280), (768, 1024), (480, 640)
NUM_FACES = (1, 2, 5, 10, 20, 50)
CLOCKS = {"wall": "times that passed", "processor": "times of the processor, one thread"}
Table = list[str]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure speed."""

    only: Annotated[tuple[str, ...], tyro.conf.arg(aliases=("-o",))] = ()
    """Tables to make; all by default: engines, faces, parts, outputs, start, folder, video, crops, sizes."""
    repeats: int = 9
    """Timed runs of everything that is compared."""
    clock: Literal["wall", "processor"] = "wall"
    """Time that passes, or, with one thread, time of the processor: the first is for idle machines."""
    write: Path | None = None
    """Markdown file whose tables are replaced."""

    def __post_init__(self) -> None:
        for name in self.only:
            if name not in SECTIONS:
                raise ValueError(f"only must be of {', '.join(SECTIONS)}, got {name!r}")

    def timings(self, *tasks: Callable[[], object], repeats: int | None = None) -> list[Timing]:
        """Time tasks by the chosen clock."""
        clock = time.perf_counter if self.clock == "wall" else time.process_time
        return timings(*tasks, repeats=repeats or self.repeats, clock=clock)

    def passed(self, value: float, digits: int) -> str:
        """Show what follows from time that passed, unless the machine is said to be busy."""
        return f"{value:.{digits}f}" if self.clock == "wall" else "not measured"


def crowd(faces: int, size_hw: tuple[int, int]) -> np.ndarray:
    """Return a picture with so many faces, side by side on gray."""
    sheet = Image.open(FACES).convert("RGB")
    cols = int(np.ceil(np.sqrt(faces * size_hw[1] / size_hw[0])))
    rows = int(np.ceil(faces / cols))
    side = min(size_hw[0] // rows, size_hw[1] // cols, size_hw[0] // 2)
    picture = Image.new("RGB", (size_hw[1], size_hw[0]), (110, 115, 120))
    for index in range(faces):
        row, col = TILES[index % len(TILES)]
        box = (col * TILE_PX, row * TILE_PX, (col + 1) * TILE_PX, (row + 1) * TILE_PX)
        tile = sheet.resize((side, side), Image.Resampling.BICUBIC, box=box)
        left, top = (index % cols) * (size_hw[1] // cols), (index // cols) * (size_hw[0] // rows)
        picture.paste(tile, (left + (size_hw[1] // cols - side) // 2, top))
    return np.array(picture)


def reconstructor(engine: str = "auto", **options: Any) -> mr.Reconstructor:
    """Load the bundled weights."""
    return mr.Reconstructor("mobile", config=mr.ReconstructConfig(engine=engine, device="cpu", **options))


def engine_names() -> list[str]:
    """Return the engines that are installed."""
    return ["torch", *(name for name in ("onnxruntime", "openvino") if find_spec(name))]


def matrix_product() -> str:
    """Return the rate of a float32 matrix product, best of 8."""
    left, right = torch.randn(2, 1536, 1536)
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    seconds = []
    for _ in range(8):
        begun = clock()
        left @ right
        seconds.append(clock() - begun)
    rate = 2 * 1536**3 / min(seconds) / 1e9
    return f"Matrix product: {rate:.0f} GFLOP/s on {torch.get_num_threads()} threads."


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Return a heading, the machine's rate at this moment, and a table."""
    lines = [f"### {title}", "", matrix_product(), ""]
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def ms(timing: Timing) -> str:
    """Median, and the least in parentheses."""
    return f"{timing.median:.1f} ({timing.best:.1f})"


def engines(options: Options) -> Table:
    """Time the network alone and the whole call, by engine, size and face head."""
    pictures = {f"{w}x{h}": crowd(3, (h, w)) for h, w in (VIDEO_HW, PICTURE_HW, (3024, 4032))}
    tasks: dict[tuple[str, str], Callable[[], object]] = {}
    for engine in engine_names():
        for face_head in (True, False):
            name = engine + ("" if face_head else ", no face head")
            for size in (512, None):
                system = reconstructor(engine, face_head=face_head, size_px=size)
                for shown, pixels in pictures.items():
                    if size == 512 and shown != "1280x960":
                        continue
                    photo = system.load(pixels)
                    column = f"{shown}, {system.input_side(photo)} px"
                    tasks[name, column] = lambda s=system, p=photo: s.reconstruct([p])
    found = dict(zip(tasks, options.timings(*tasks.values()), strict=True))
    columns = list(dict.fromkeys(column for _, column in tasks))
    rows = [[name, *(ms(found[name, column]) for column in columns)] for name in dict.fromkeys(n for n, _ in tasks)]
    title = "Whole call with 3 faces by engine, picture and long side of the input, ms: median (least)"
    return table(title, ["engine", *columns], rows)


def faces(options: Options) -> Table:
    """Time the whole call against the number of faces."""
    systems = {
        "default": reconstructor(size_px=512),
        "default, no face head": reconstructor(size_px=512, face_head=False),
        "torch": reconstructor("torch", size_px=512),
    }
    tasks, found = {}, {}
    for count in NUM_FACES:
        for name, system in systems.items():
            photo = system.load(crowd(count, SMALL_HW))
            found[name, count] = len(system(photo))
            tasks[name, count] = lambda s=system, p=photo: s.reconstruct([p])
    timed = dict(zip(tasks, options.timings(*tasks.values()), strict=True))
    rows = [
        [name, *(f"{ms(timed[name, count])}; {found[name, count]} found" for count in NUM_FACES)] for name in systems
    ]
    title = "Whole call at 512 px by number of faces, ms: median (least)"
    return table(title, ["system", *map(str, NUM_FACES)], rows)


def parts(options: Options) -> Table:
    """Time the steps from the file to the scene."""
    system, single = reconstructor(), reconstructor(face_head=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jpg"
        Image.fromarray(crowd(3, PICTURE_HW)).save(path, quality=92)
        photo = system.load(path)
        side = system.input_side(photo)
        images = network_input(letterbox(photo.pixels, side)[0][None])
        limits = {"top_k": 128, "min_score": system.min_score}
        bare = replace(system.config, colors="network")
        uncolored = mr.Reconstructor(system.detector, system.model, config=bare, defaults=system.defaults)
        scene = uncolored(photo)
        tasks: dict[str, Callable[[], object]] = {
            "read the JPEG": lambda: system.load(path),
            "letterbox": lambda: letterbox(photo.pixels, side),
            "network, face head included": lambda: system.detector.detect(images, **limits),
            "network without face head": lambda: single.detector.detect(images, **limits),
            "albedo and light from the photograph": lambda: with_photo_colors(scene),
            "whole call, from the file": lambda: system(path),
        }
        found = options.timings(*tasks.values(), repeats=2 * options.repeats)
    whole = found[-1].median
    rows = [[name, ms(time), f"{100 * time.median / whole:.0f} %"] for name, time in zip(tasks, found, strict=True)]
    title = f"Parts of a call, 1280x960, {len(scene)} faces, ms: median (least)"
    return table(title, ["part", "ms", "of the whole"], rows)


def outputs(options: Options) -> Table:
    """Time each kind of result, file included."""
    scene = reconstructor()(crowd(3, PICTURE_HW))
    with tempfile.TemporaryDirectory() as folder:
        kinds = ("json", "overlay", "views", "render", "glb", "obj", "frontal", "depth")
        tasks = [
            lambda kind=kind: save_results(replace(scene), Path(folder), "a", kinds=(kind,))  # a copy without caches
            for kind in kinds
        ]
        found = options.timings(*tasks)
    rows = [[kind, ms(time), f"{time.median / len(scene):.1f}"] for kind, time in zip(kinds, found, strict=True)]
    return table(f"Results of 1280x960, {len(scene)} faces, ms: median (least)", ["result", "ms", "per face"], rows)


def start(options: Options) -> Table:
    """Time the command from its start to its end for one picture, in processes of their own."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jpg"
        Image.fromarray(crowd(3, PICTURE_HW)).save(path, quality=92)
        for save in ("json", "overlay,json"):
            command = [sys.executable, "-m", "morphable_reconstruct", str(path), "--out", folder, "--save", save]
            runs = [child(command + ["--overwrite"]) for _ in range(1 + max(3, options.repeats // 2))][1:]
            wall, cpu, peak = (statistics.median(run[k] for run in runs) for k in range(3))
            rows.append([f"`reconstruct a.jpg --save {save}`", options.passed(wall, 2), f"{cpu:.2f}", f"{peak:.0f}"])
    return table("A command from start to end", ["command", "s", "s of processor", "peak MB"], rows)


def child(command: Sequence[str]) -> tuple[float, float, float]:
    """Run a process; return its seconds, its seconds of processor, and its peak memory in MB.

    Python keeps compiled modules, as it does for every installed package, whatever the environment says.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    begun = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} must end with 0, got {process.returncode}")
    return time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def folder(options: Options) -> Table:
    """Reconstruct a folder of pictures, whatever is asked for written."""
    system, rows, count = reconstructor(), [], 24
    with tempfile.TemporaryDirectory() as place:
        for index in range(count):
            pixels = crowd(1 + index % 4, PICTURE_HW)
            Image.fromarray(pixels).save(Path(place) / f"{index:02d}.jpg", quality=92)
        for save in ("json", "overlay,json", "overlay,views,glb,json"):
            config = mr.RunConfig(sources=(place,), out=Path(place) / "out", save=save, overwrite=True)
            with quiet():
                mr.run(config, system)
                begun, used = time.perf_counter(), time.process_time()
                mr.run(config, system)
            seconds, used = time.perf_counter() - begun, time.process_time() - used
            rows.append([save, options.passed(count / seconds, 1), f"{1e3 * used / count:.0f}"])
    title = f"A folder of {count} pictures of 1280x960 with 1 to 4 faces"
    return table(title, ["results", "pictures per second", "ms of processor each"], rows)


def video(options: Options) -> Table:
    """Reconstruct a video of 640x480 with one moving face."""
    import av

    system, rows, count = reconstructor(), [], 100
    wide = crowd(1, (VIDEO_HW[0], 2 * VIDEO_HW[1]))
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "clip.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = VIDEO_HW[1], VIDEO_HW[0], "yuv420p"
            for index in range(count):
                left = 320 + round(100 * np.sin(index / 10))
                pixels = np.ascontiguousarray(wide[:, left : left + VIDEO_HW[1]])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode(None))
        for save in ("json", "overlay,json"):
            config = mr.RunConfig(sources=(str(path),), out=Path(place) / "out", save=save, overwrite=True)
            with quiet():
                mr.run(config, system)
                begun, used = time.perf_counter(), time.process_time()
                mr.run(config, system)
            seconds, used = time.perf_counter() - begun, time.process_time() - used
            rows.append([save, options.passed(count / seconds, 1), f"{1e3 * used / count:.1f}"])
    title = f"A video of {count} frames of 640x480 with one face"
    return table(title, ["results", "frames per second", "ms of processor each"], rows)


def crops(options: Options) -> Table:
    """Compare one pass over the picture with one pass for each face, both of ResNet-50: the paper's comparison."""
    from torchvision.models import resnet50

    torch.manual_seed(0)
    single = build_detector(RESNET50).eval()
    each = resnet50(num_classes=RESNET50.layout.num_channels).eval()
    image = torch.rand(1, 3, 512, 512)
    tasks: list[Callable[[], object]] = []
    for count in NUM_FACES:
        cells = torch.randint(0, 64 * 64, (1, count))
        many = torch.rand(count, 3, 224, 224)
        tasks += [lambda c=cells: single(image, c), lambda m=many: each(m)]
    with torch.inference_mode():
        found = options.timings(*tasks, repeats=max(2, options.repeats // 4))
    rows = [["one pass for all faces, 512x512", *(ms(time) for time in found[::2])]]
    rows.append(["one pass for each face, 224x224", *(ms(time) for time in found[1::2])])
    ratios = [f"{b.median / a.median:.2f}" for a, b in zip(found[::2], found[1::2], strict=True)]
    rows.append(["crops over one pass", *ratios])
    title = "ResNet-50, PyTorch, random weights, by number of faces, ms: median (least)"
    return table(title, ["network", *map(str, NUM_FACES)], rows)


def sizes(options: Options) -> Table:
    """Time and peak memory against the size of the picture and of the input, in processes of their own."""
    rows = []
    for megapixels, size in ((0.3, 256), (0.3, 512), (1.2, 704), (12, 704), (12, 1024), (12, 2048), (48, 704)):
        height = round(np.sqrt(megapixels * 0.75e6))
        command = [
            sys.executable,
            __file__,
            "--child",
            json.dumps({"hw": [height, height * 4 // 3], "size": size, "clock": options.clock}),
        ]
        shown = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        rows.append([f"{height * 4 // 3}x{height}", size, shown["ms"], shown["peak_mb"]])
    return table("Growth with the size", ["picture", "long side of the input", "ms", "peak MB"], rows)


def measure_child(hw: tuple[int, int], size: int, clock: Literal["wall", "processor"]) -> None:
    """Print the time of a call and the peak memory of this process."""
    torch.set_num_threads(threads() if clock == "wall" else 1)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "a.jpg"
        Image.fromarray(crowd(3, hw)).save(path, quality=92)
        system = reconstructor(size_px=size)
        (timing,) = Options(clock=clock).timings(lambda: system(path), repeats=3)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"ms": ms(timing), "peak_mb": peak_mb}))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what a command prints from the tables."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        yield


def threads() -> int:
    """Return the number of processors this process may use."""
    return len(os.sched_getaffinity(0))


SECTIONS: dict[str, Callable[[Options], Table]] = {
    "engines": engines,
    "faces": faces,
    "parts": parts,
    "outputs": outputs,
    "start": start,
    "folder": folder,
    "video": video,
    "crops": crops,
    "sizes": sizes,
}


def machine(options: Options) -> str:
    """Describe the machine in a line."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    versions = f"Python {platform.python_version()}, PyTorch {torch.__version__}"
    load = os.getloadavg()[0]
    shown = names[0] if names else platform.machine()
    return f"{shown}, {threads()} processors, load {load:.1f} at the start; {versions}; {CLOCKS[options.clock]}."


def main() -> int:
    """Measure and print; replace the tables of a file."""
    if sys.argv[1:2] == ["--child"]:
        measure_child(**json.loads(sys.argv[2]))
        return 0
    options = tyro.cli(Options, description=__doc__)
    torch.set_num_threads(threads() if options.clock == "wall" else 1)
    lines = [machine(options), ""]
    print("\n".join(lines), flush=True)
    for name, section in SECTIONS.items():
        if not options.only or name in options.only:
            made = section(options)
            print("\n".join(made), flush=True)
            lines += made
    if options.write is not None:
        before, _, rest = options.write.read_text().partition(START)
        options.write.write_text(f"{before}{START}\n\n" + "\n".join(lines) + f"\n{END}{rest.partition(END)[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
