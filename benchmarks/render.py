"""How fast faces are drawn: the rasteriser alone, one and two cores, the training form, memory, and CUDA.

`python benchmarks/render.py` prints a Markdown table. Times are medians, with the
best beside them for busy machines; what is compared is measured in one run, in turn. Numbers of other systems are
quoted, not measured, and say so.
"""

import argparse
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

import morphable
import morphable_render as mr

ROWS: list[tuple[str, str, str]] = []


@dataclass(frozen=True)
class Timing:
    """Milliseconds of a task over its repetitions."""

    median: float
    best: float
    """What a quiet machine would show: other programs can only add to it."""

    def __str__(self) -> str:
        return f"{self.median:.2f} ms (best {self.best:.2f})"

    def per_face(self, faces: int) -> str:
        """Give both numbers per face."""
        return f"{self.median / faces:.1f} ms/face (best {self.best / faces:.1f})"


def timings(*tasks: Callable[[], object], repeats: int) -> list[Timing]:
    """Run the tasks in turn, so that they meet the same conditions."""
    times: list[list[float]] = [[] for _ in tasks]
    for task in tasks:
        task()
    for _ in range(repeats):
        for task, kept in zip(tasks, times, strict=True):
            start = time.perf_counter()
            task()
            kept.append((time.perf_counter() - start) * 1e3)
    return [Timing(statistics.median(kept), min(kept)) for kept in times]


def bulged_grid(side: int = 189) -> tuple[Tensor, Tensor]:
    """Return the 70,688 triangles that cover 77 % of 224 x 224 pixels."""
    x = torch.linspace(-1, 1, side)
    y, x = torch.meshgrid(x, x, indexing="ij")
    depth = 1 - 0.1 * torch.exp(-2 * (x * x + y * y))
    half = 0.77**0.5 * 112 / mr.GLOBAL_FOCAL_PX
    vertices = torch.stack([x * half * depth, y * half * depth, depth], dim=-1).reshape(-1, 3)
    i = torch.arange(side * side).reshape(side, side)
    a, b, c, d = i[:-1, :-1], i[:-1, 1:], i[1:, :-1], i[1:, 1:]
    triangles = torch.stack([torch.stack([a, c, b], -1), torch.stack([b, c, d], -1)], dim=2).reshape(-1, 3)
    return vertices, triangles


def with_threads(count: int, task: Callable[[], object]) -> Callable[[], object]:
    """Run a task with that many threads."""

    def run() -> None:
        torch.set_num_threads(count)
        task()

    return run


def rasterizer(repeats: int) -> None:
    """Time the rasteriser alone."""
    vertices, triangles = bulged_grid()

    def draw() -> mr.Fragments:
        return mr.rasterize(vertices, triangles, focal_px=mr.GLOBAL_FOCAL_PX, size_hw=(224, 224))

    covered = float(draw().mask.float().mean())
    one, two = timings(with_threads(1, draw), with_threads(2, draw), repeats=repeats)
    name = f"rasterise {len(triangles)} triangles on {covered:.0%} of 224x224"
    ROWS.append((f"{name}, 1 core", f"{one}", "<= 2.0 ms"))
    ROWS.append(("the same, 2 cores", f"{two}, {ratio(one, two)}", ">= 1.6 x"))

    def draw_big() -> mr.Fragments:
        return mr.rasterize(vertices, triangles, focal_px=mr.GLOBAL_FOCAL_PX * 4, size_hw=(896, 896))

    one, two = timings(with_threads(1, draw_big), with_threads(2, draw_big), repeats=max(repeats // 4, 3))
    ROWS.append(("the same mesh on 896x896, 1 core", f"{one}", ""))
    ROWS.append(("the same, 2 cores", f"{two}, {ratio(one, two)}", ""))


def ratio(slow: Timing, fast: Timing) -> str:
    """Say how many times faster the second is."""
    return f"{slow.median / fast.median:.2f} x (best {slow.best / fast.best:.2f} x)"


class Training:
    """A batch of open faces, one per image, and a step forward and backward to coefficients and pose."""

    def __init__(self, batch: int, size: int, device: str) -> None:
        self.model = morphable.load("open").to(device)
        self.size, self.batch = size, batch
        generator = torch.Generator().manual_seed(0)
        counts = (self.model.num_identity, self.model.num_expression, self.model.num_albedo)
        identity, expression, albedo = (torch.randn(batch, n, generator=generator) * 0.3 for n in counts)
        turn = torch.randn(batch, 3, generator=generator) * 0.2
        # A head of 0.3 m fills the picture's height: f / z = size / 0.3
        place = torch.tensor([0.0, 0.0, mr.GLOBAL_FOCAL_PX * 0.3 / size]).repeat(batch, 1)
        light = torch.zeros(batch, 9, 3)
        self.leaves = [x.to(device).requires_grad_() for x in (identity, expression, albedo, turn, place, light)]
        self.images = torch.rand(batch, size, size, 3, generator=generator).to(device)
        self.index = torch.arange(batch, device=device)

    def forward(self) -> mr.RenderedPixels:
        """Decode and render."""
        identity, expression, albedo, turn, place, light = self.leaves
        shape = self.model.decode_shape(identity, expression)
        cam = mr.camera_from_model(shape, mr.rotation_from_vector(turn), place)
        return mr.render_pixels(
            cam,
            self.model.triangles,
            self.model.decode_albedo(albedo),
            illumination=light,
            image_index=self.index,
            num_images=self.batch,
            focal_px=mr.GLOBAL_FOCAL_PX,
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
        cam = mr.camera_from_model(shape, mr.rotation_from_vector(state.leaves[3]), state.leaves[4])
    mesh, place = state.model.triangles, {"focal_px": mr.GLOBAL_FOCAL_PX, "size_hw": (224, 224), "num_images": 16}
    covered = float(state.forward().mask.float().mean())
    names = (
        "step",
        "of it decoding, forward + backward",
        "of it forward",
        "of it rasterising",
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
        aim = "<= 25 ms" if name == "whole step" else ""
        ROWS.append((f"training form, 16 at 224x224 ({covered:.0%} covered): {name}", took.per_face(16), aim))


def memory(size: int) -> None:
    """Measure the growth of peak memory in one training step; run in a fresh process."""
    torch.set_num_threads(2)
    Training(1, 64, "cpu").step()  # libraries, kernels, model
    state = Training(16, size, "cpu")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    state.step()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    covered = float(state.forward().mask.float().mean())
    name = f"peak memory of the step, 16 at {size}x{size} ({covered:.0%} covered)"
    ROWS.append((name, f"{(peak - before) / 1024:.0f} MiB more, {peak / 1024:.0f} in all", "< 1500"))


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
    parser.add_argument("--parts", nargs="+", default=["memory", "rasterizer", "training", "cuda"])
    parser.add_argument("--repeats", type=int, default=40)
    options = parser.parse_args(argv)
    parts = {"rasterizer": rasterizer, "training": lambda n: training(max(n // 4, 3)), "cuda": cuda}
    for name in options.parts:
        if name == "memory":
            memory(512)
        else:
            parts[name](options.repeats)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}\n")
    print("| what | result | aim |\n|---|---|---|")
    print("\n".join(f"| {' | '.join(row)} |" for row in ROWS))
    print("\nQuoted, not measured here: the grid takes Sim3DR (C++) 1.94 ms, PyTorch3D's CPU rasteriser 16.6 s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
