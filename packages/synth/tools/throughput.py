"""Print how many scenes and faces per second `morphable-synth generate` makes, after its caches are warm.

    python packages/synth/tools/throughput.py --assets ../shared/data

Every worker is a process of its own, renders scenes without being timed until the assets are in memory, waits for the
others, and then renders and encodes for the given time: what `generate` does, but for writing the shard.
"""

import multiprocessing
import os
import sys
import time
from dataclasses import dataclass, replace
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import tyro

from morphable_synth import SceneConfig, render_scene, sample_scene
from morphable_synth.shards import files_of

_SERIES = {"single faces, 224 px": ("single", 224), "groups of 1-10 people, 512 px": ("group", 512)}


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


def main() -> int:
    """Time single faces and groups."""
    config = tyro.cli(ThroughputConfig)
    level = SceneConfig() if config.assets is None else SceneConfig(level="makehuman", assets=config.assets)
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    sys.stdout.write(f"{config.workers} workers on {os.cpu_count()} cores{load}, {level.level} assets\n")
    for name, (layout, size) in _SERIES.items():
        scenes = replace(level, layout=layout, size_px=size)
        sys.stdout.write(f"{name}: {measure(config, scenes)}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
