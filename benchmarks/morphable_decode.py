"""Time of loading the open face model and of decoding 64 faces, next to the matrix product at the bottom of it.

`python benchmarks/morphable_decode.py [--threads 2]` prints medians; loading is measured in fresh processes, after
`import morphable`. Other work on the machine lengthens every line: the load average is printed with them.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

import morphable
from morphable.geometry import AXES_FLIP

FACES = 64
REPEATS = 15
LOADS = 5
LOAD_CODE = (
    "import time, torch, morphable; torch.set_num_threads({threads}); start = time.perf_counter(); "
    "morphable.load_model('open'); print(time.perf_counter() - start)"
)


def median_ms(call: Callable[[], object]) -> float:
    """Median time of a call after one to warm up, in milliseconds."""
    call()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def load_ms(threads: int) -> float:
    """Median time of `morphable.load_model("open")` in fresh processes, in milliseconds."""
    command = [sys.executable, "-c", LOAD_CODE.format(threads=threads)]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(LOADS)]
    return 1e3 * statistics.median(float(run) for run in runs)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    threads = parser.parse_args().threads
    torch.set_num_threads(threads)
    model = morphable.load_model("open")
    generator = torch.Generator().manual_seed(0)
    identity = torch.randn(FACES, model.num_identity, generator=generator)
    expression = torch.rand(FACES, model.num_expression, generator=generator)
    albedo = torch.randn(FACES, model.num_albedo, generator=generator)
    both = torch.cat([identity, expression], dim=1)
    basis = torch.cat([model.identity_basis, model.expression_basis]).flatten(1)
    full_basis = torch.randn(both.shape[1], 3 * model.num_vertices, generator=generator)
    with torch.no_grad():
        vertices = model.decode_shape(identity, expression)
        in_camera = vertices * torch.tensor(AXES_FLIP) + torch.tensor([0.0, 0.0, 1.0])
        lines = {
            "load('open') in a fresh process": load_ms(threads),
            f"decode_shape, {FACES} faces": median_ms(lambda: model.decode_shape(identity, expression)),
            "  floor: one matrix product at base resolution": median_ms(lambda: both @ basis),
            "  the same at full resolution, without subdivision": median_ms(lambda: both @ full_basis),
            f"decode_albedo, {FACES} faces": median_ms(lambda: model.decode_albedo(albedo)),
            f"normals, {FACES} faces": median_ms(lambda: model.normals(vertices)),
            f"contour_landmarks, {FACES} faces": median_ms(lambda: model.contour_landmarks(in_camera)),
        }
    size = Path(morphable.__file__).parent / "data/open.safetensors"
    print(f"open model: {size.stat().st_size / 1e6:.2f} MB, {model.num_vertices} vertices, {threads} threads")
    print(f"load average of the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for name, milliseconds in lines.items():
        print(f"{name:52} {milliseconds:8.1f} ms")


if __name__ == "__main__":
    main()
