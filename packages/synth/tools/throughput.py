"""Print how many scenes and faces per second `morphable-synth generate` makes, after its caches are warm.

    python packages/synth/tools/throughput.py --assets ../shared/data
    python packages/synth/tools/throughput.py --assets ../shared/data --kinds single --profile

Every worker is a process of its own, renders scenes without being timed until the assets are in memory, waits for the
others, and then renders and encodes for the given time: what `generate` does, but for writing the shard.
`--profile` renders in this process instead and lists the functions that take most of its processor time.
"""

import cProfile
import multiprocessing
import os
import pstats
import sys
import time
from dataclasses import dataclass, replace
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Literal

import tyro

from morphable_synth import SceneConfig, render_scene, sample_scene
from morphable_synth.datasets.shards import files_of

Kind = Literal["single", "group"]
_SERIES: dict[Kind, tuple[str, int]] = {
    "single": ("single faces, 224 px", 224),
    "group": ("groups of 1-10 people, 512 px", 512),
}
_PROFILED = 40
"""Scenes that are profiled."""


@dataclass(frozen=True, kw_only=True)
class ThroughputConfig:
    """What is timed."""

    assets: Path | None = None
    """Folder of assets; without it the procedural level is timed."""
    workers: int = 2
    """Processes."""
    seconds: float = 60.0
    """Time per kind of scene."""
    warm_up: int = 80
    """Scenes of each worker that are not timed."""
    kinds: tuple[Kind, ...] = ("single", "group")
    """What is rendered."""
    profile: bool = False
    """List where processor time goes, instead of timing."""


def work(config: ThroughputConfig, scenes: SceneConfig, seed: int, ready: Barrier, out: "Queue[list[float]]") -> None:
    """Render for the time asked for; put scenes, faces, seconds and seconds of processor time."""
    import torch

    torch.set_num_threads(1)
    for index in range(config.warm_up):
        files_of(render_scene(sample_scene(seed, index, scenes)))
    ready.wait()
    started, started_cpu, faces, index = time.perf_counter(), time.process_time(), 0, config.warm_up
    while time.perf_counter() - started < config.seconds:
        sample = render_scene(sample_scene(seed, index, scenes))
        files_of(sample)
        faces, index = faces + len(sample.identity), index + 1
    spent = [time.perf_counter() - started, time.process_time() - started_cpu]
    out.put([float(index - config.warm_up), float(faces), *spent])


def measure(config: ThroughputConfig, scenes: SceneConfig) -> str:
    """Time one kind of scene on all workers; return a line."""
    context = multiprocessing.get_context("spawn")
    ready, out = context.Barrier(config.workers), context.Queue()
    workers = [context.Process(target=work, args=(config, scenes, seed, ready, out)) for seed in range(config.workers)]
    for worker in workers:
        worker.start()
    rows = [out.get() for _ in workers]
    for worker in workers:
        worker.join()
    count, faces = (sum(row[k] / row[2] for row in rows) for k in (0, 1))
    cpu = sum(row[3] for row in rows) / sum(row[0] for row in rows)
    return f"{count:.2f} scenes/s, {faces:.2f} faces/s, {1000 * cpu:.0f} ms of processor time per scene"


def profile(config: ThroughputConfig, scenes: SceneConfig) -> str:
    """Render the same scenes twice in this process; return the second time's profile by own time."""
    import torch

    torch.set_num_threads(1)
    profiler = cProfile.Profile(time.process_time)
    for warm in (False, True):
        if warm:
            profiler.enable()
        for index in range(_PROFILED):
            files_of(render_scene(sample_scene(0, index, scenes)))
    profiler.disable()
    stats = pstats.Stats(profiler)
    own = sorted(((row[2], name) for name, row in stats.stats.items()), reverse=True)[:14]
    lines = [f"{1000 * spent / _PROFILED:8.1f} ms  {Path(file).name} {name}" for spent, (file, _, name) in own]
    return "\n".join([f"{1000 * stats.total_tt / _PROFILED:.1f} ms per scene, of which", *lines])


def main() -> int:
    """Time or profile single faces and groups."""
    config = tyro.cli(ThroughputConfig)
    level = SceneConfig() if config.assets is None else SceneConfig(level="makehuman", assets=config.assets)
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    sys.stdout.write(f"{config.workers} workers on {os.cpu_count()} cores{load}, {level.level} assets\n")
    for kind in config.kinds:
        name, size = _SERIES[kind]
        scenes = replace(level, layout=kind, size_px=size)
        sys.stdout.write(f"{name}: {(profile if config.profile else measure)(config, scenes)}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
