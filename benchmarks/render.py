"""How fast faces are drawn: the rasterizer alone, one and two cores, the training form, memory, and CUDA.

`python benchmarks/render.py` prints a Markdown table. Times are medians, with the best beside them for busy machines;
what is compared is measured in one run, in turn; `--parts costs` counts processor time, which other programs disturb
less. Numbers of other systems are quoted, not measured, and say so.
"""

import argparse
import json
import math
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numba
import torch
from first_picture import first_picture, later_start
from timing import ratio, timings
from torch import Tensor

import morphable
import morphable_render as mr
from morphable import geometry
from morphable_render.pixels import RenderedPixels

ROWS: list[tuple[str, str, str]] = []


def bulged_grid(side: int = 189) -> tuple[Tensor, Tensor]:
    """Return the 70,688 triangles that cover 77 % of 224 x 224 pixels."""
    x = torch.linspace(-1, 1, side)
    y, x = torch.meshgrid(x, x, indexing="ij")
    depth = 1 - 0.1 * torch.exp(-2 * (x * x + y * y))
    half = 0.77**0.5 * 112 / geometry.GLOBAL_FOCAL_PX
    vertices = torch.stack([x * half * depth, y * half * depth, depth], dim=-1).reshape(-1, 3)
    i = torch.arange(side * side).reshape(side, side)
    a, b, c, d = i[:-1, :-1], i[:-1, 1:], i[1:, :-1], i[1:, 1:]
    triangles = torch.stack([torch.stack([a, c, b], -1), torch.stack([b, c, d], -1)], dim=2).reshape(-1, 3)
    return vertices, triangles


def open_head(size: int) -> tuple[Tensor, Tensor]:
    """Return the mean head of `open`, a little turned, 0.3 m of it as large as the image."""
    model = morphable.load_model("open")
    with torch.no_grad():
        shape = model.decode_shape(torch.zeros(1, model.num_identity), torch.zeros(1, model.num_expression))
    place = torch.tensor([[0.0, 0.02, geometry.GLOBAL_FOCAL_PX * 0.3 / size]])
    turn = geometry.rotation_from_angles(torch.tensor([[0.0, 0.3, 0.0]]))
    return geometry.camera_from_model(shape, turn, place)[0], model.triangles


def with_threads(count: int, task: Callable[[], object]) -> Callable[[], object]:
    """Run a task with that many threads."""

    def run() -> None:
        torch.set_num_threads(count)
        task()

    return run


def rasterizer(repeats: int) -> None:
    """Time the rasterizer alone, and how much two cores of this machine can give at all."""
    grid, (head, mesh) = bulged_grid(), open_head(224)
    cases = [
        ("grid", *grid, geometry.GLOBAL_FOCAL_PX, 224, repeats, "<= 2.0 ms", ">= 1.6 x"),
        ("grid", *grid, geometry.GLOBAL_FOCAL_PX * 4, 896, max(repeats // 4, 3), "", ""),
        ("open head", head, mesh, geometry.GLOBAL_FOCAL_PX, 224, repeats, "", ""),
        ("open head", open_head(512)[0], mesh, geometry.GLOBAL_FOCAL_PX, 512, max(repeats // 2, 3), "", ""),
    ]
    for name, vertices, triangles, focal_px, size, times, aim, gain in cases:
        draw = partial(mr.rasterize, vertices, triangles, focal_px=focal_px, size_hw=(size, size))
        covered = float(draw().mask.float().mean())
        one, two = timings(with_threads(1, draw), with_threads(2, draw), repeats=times)
        what = f"rasterize {name}, {len(triangles)} triangles on {covered:.0%} of {size}x{size}"
        ROWS.append((f"{what}, 1 core", f"{one}", aim))
        ROWS.append(("the same, 2 cores", f"{two}, {ratio(one, two)}", gain))
    with ThreadPoolExecutor(1) as pool:

        def both() -> None:
            other = pool.submit(arithmetic, 500_000)
            arithmetic(500_000)
            other.result()

        one, two = timings(lambda: arithmetic(1_000_000), both, repeats=repeats)
    ROWS.append(("arithmetic without memory, 2 cores: the most this machine gives", ratio(one, two), ""))


@numba.njit(nogil=True)
def arithmetic(steps: int) -> float:
    """Compute something that no cache, memory or lock slows down."""
    value = 0.5
    for _ in range(steps):
        value = 3.9 * value * (1.0 - value)
    return value


class Training:
    """Open faces in a batch of images, and a step forward and backward to coefficients and pose."""

    def __init__(self, faces: int, size: int, device: str, *, per_image: int = 1, fill: float = 1.0) -> None:
        self.model = morphable.load_model("open").to(device)
        self.size, self.num_images = size, -(-faces // per_image)
        generator = torch.Generator().manual_seed(0)
        counts = (self.model.num_identity, self.model.num_expression, self.model.num_albedo)
        identity, expression, albedo = (torch.randn(faces, n, generator=generator) * 0.3 for n in counts)
        turn = torch.randn(faces, 3, generator=generator) * 0.2
        # The faces of an image stand on a grid; a head of 0.3 m fills that part of its cell: f / z = px / 0.3
        side = math.ceil(math.sqrt(per_image))
        depth_m = geometry.GLOBAL_FOCAL_PX * 0.3 / (size * fill / side)
        slot = torch.arange(faces) % per_image
        offset_px = (torch.stack([slot % side, slot // side], dim=1) + 0.5) * size / side - size / 2
        place = torch.cat([offset_px * depth_m / geometry.GLOBAL_FOCAL_PX, torch.full((faces, 1), depth_m)], dim=1)
        light = torch.zeros(faces, 9, 3)
        self.leaves = [x.to(device).requires_grad_() for x in (identity, expression, albedo, turn, place, light)]
        self.images = torch.rand(self.num_images, size, size, 3, generator=generator).to(device)
        self.index = (torch.arange(faces) // per_image).to(device)

    def forward(self) -> RenderedPixels:
        """Decode and render."""
        identity, expression, albedo, turn, place, light = self.leaves
        shape = self.model.decode_shape(identity, expression)
        cam = geometry.camera_from_model(shape, geometry.rotation_from_vector(turn), place)
        return mr.render_pixels(
            cam,
            self.model.triangles,
            self.model.decode_albedo(albedo),
            illumination=light,
            image_index=self.index,
            num_images=self.num_images,
            focal_px=geometry.GLOBAL_FOCAL_PX,
            size_hw=(self.size, self.size),
        )

    def step(self) -> None:
        """Forward, photometric loss, backward."""
        rendered = self.forward()
        loss = (rendered.rgb - rendered.sample(self.images)).square().sum(-1).add(1e-8).sqrt().mean()
        torch.autograd.grad(loss, self.leaves)

    def decode(self) -> None:
        """Decode shape and albedo and go back, without rendering."""
        identity, expression, albedo, *_ = self.leaves
        both = self.model.decode_shape(identity, expression).sum() + self.model.decode_albedo(albedo).sum()
        torch.autograd.grad(both, [identity, expression, albedo])


def training(repeats: int) -> None:
    """Time the training form on two cores and say where the time goes."""
    torch.set_num_threads(2)
    state = Training(16, 224, "cpu")
    with torch.no_grad():
        shape = state.model.decode_shape(*state.leaves[:2])
        cam = geometry.camera_from_model(shape, geometry.rotation_from_vector(state.leaves[3]), state.leaves[4])
    mesh, place = state.model.triangles, {"focal_px": geometry.GLOBAL_FOCAL_PX, "size_hw": (224, 224), "num_images": 16}
    covered = float(state.forward().mask.float().mean())
    names = (
        "step",
        "of it decoding, forward + backward",
        "of it forward",
        "of it rasterizing",
        "of it normals, forward",
    )
    results = timings(
        state.step,
        state.decode,
        state.forward,
        lambda: mr.rasterize_faces(cam, mesh, state.index, **place),
        lambda: mr.vertex_normals(cam, mesh),
        repeats=repeats,
    )
    for name, took in zip(names, results, strict=True):
        aim = "<= 25 ms" if name == "step" else ""
        ROWS.append((f"training form, 16 at 224x224 ({covered:.0%} covered): {name}", took.per_face(16), aim))


CASES = (
    (1, 512, 1, 1.0),
    (4, 512, 1, 1.0),
    (16, 512, 1, 1.0),
    (16, 256, 1, 1.0),
    (16, 128, 1, 1.0),
    (16, 512, 1, 0.25),
    (16, 512, 4, 1.0),
)
"""Faces, image size, faces per image, and which part of its room a head fills."""


def costs(repeats: int) -> None:
    """Measure processor time and memory of the training form against image size and faces."""
    for case in CASES:
        command = [sys.executable, __file__, "--case", *map(str, case), "--repeats", str(repeats)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True
        )  # a fresh process: peaks are for good
        cpu_ms, grown_mib, peak_mib, pixels = json.loads(done.stdout)
        faces, size, per_image, fill = case
        name = f"one step, {faces} faces in {-(-faces // per_image)} of {size}x{size}"
        name += f", {fill:g} of the room" if fill != 1 else ""
        result = f"{pixels / 1000:.0f}k pixels covered: {cpu_ms / faces:.0f} ms of processor per face, "
        result += f"{grown_mib:.0f} MiB more, {peak_mib:.0f} in all"
        ROWS.append((name, result, "< 1500 MiB" if case == (16, 512, 1, 1.0) else ""))


def one_case(faces: int, size: int, per_image: int, fill: float, repeats: int) -> None:
    """Print as JSON: ms of processor per step, MiB grown and in all, pixels."""
    torch.set_num_threads(1)
    Training(1, 64, "cpu").step()  # loads the kernels' machine code from disk, or compiles it
    state = Training(faces, size, "cpu", per_image=per_image, fill=fill)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    state.step()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        state.step()
        times.append((time.process_time() - begin) * 1e3)
    with torch.no_grad():
        covered = int(state.forward().mask.sum())
    print(json.dumps([min(times), peak - before, peak, covered]))


def cuda(repeats: int) -> None:
    """Time the training form on a GPU, or say that there is none."""
    if not torch.cuda.is_available():
        ROWS.append(("training step on CUDA, 128 at 224x224", "not run: no CUDA device", "<= 12 ms"))
        return
    state = Training(128, 224, "cuda")

    def step() -> None:
        state.step()
        torch.cuda.synchronize()

    (took,) = timings(step, repeats=repeats)
    ROWS.append((f"training step, 128 at 224x224, {torch.cuda.get_device_name()}", f"{took}", "<= 12 ms"))


def main(argv: list[str] | None = None) -> int:
    """Run the parts asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", default=["start", "costs", "rasterizer", "training", "cuda"])
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--case", nargs=4, type=float, metavar=("FACES", "SIZE", "PER_IMAGE", "FILL"))
    parser.add_argument("--first-picture", action="store_true", help="what a fresh process runs for `start`")
    options = parser.parse_args(argv)
    if options.first_picture:
        first_picture()
        return 0
    if options.case:
        faces, size, per_image, fill = options.case
        one_case(int(faces), int(size), int(per_image), fill, options.repeats)
        return 0
    parts = {
        "start": lambda n: ROWS.append(later_start([sys.executable, __file__, "--first-picture"], max(n // 10, 2))),
        "costs": lambda n: costs(max(n // 20, 2)),
        "rasterizer": rasterizer,
        "cuda": cuda,
    }
    parts["training"] = lambda n: training(max(n // 4, 3))
    for name in options.parts:
        parts[name](options.repeats)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}\n")
    print("| what | result | aim |\n|---|---|---|")
    print("\n".join(f"| {' | '.join(row)} |" for row in ROWS))
    print("\nQuoted, not measured here: the grid takes Sim3DR (C++) 1.94 ms, PyTorch3D's CPU rasterizer 16.6 s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
