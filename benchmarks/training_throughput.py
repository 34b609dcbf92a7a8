"""Print the cost per picture of the parts of a training step.

`python benchmarks/training_throughput.py SHARDS --preset-name mobile --stage 1`, or `--synthesize procedural`
instead of SHARDS for scenes rendered while training. On the CPU both wall-clock and processor time
are shown: on a busy machine only the latter means something.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
import tyro
from torch import Tensor

from morphable_train import preset
from morphable_train.configs.stages import TrainConfig
from morphable_train.data.batch import Batch
from morphable_train.data.streams import finish_batch
from morphable_train.objective.cells import count_cells
from morphable_train.objective.total import Objective
from morphable_train.runs.depthwise import speed_up_depthwise
from morphable_train.runs.logs import RunLog
from morphable_train.runs.loop import make_fabric
from morphable_train.stages.engine import Trainer
from morphable_train.stages.parts import build_parts
from morphable_train.stages.training import make_trainer

STEPS = 5


def main(
    shards: tyro.conf.Positional[Path | None] = None,
    preset_name: str = "mobile",
    stage: int = 1,
    batch_size: int = 0,
    threads: int = 0,
    synthesize: Literal["none", "procedural"] = "none",
    workers: int = 0,
) -> None:
    """Measure a preset on some shards with exact labels, or on scenes rendered by `workers` processes."""
    config = preset(preset_name, stage, exact=() if shards is None else (shards,))
    size = batch_size or config.run.batch_size
    data = replace(config.data, synthesize=synthesize, workers=workers)
    config = replace(config, run=replace(config.run, batch_size=size), data=data)
    if threads:
        torch.set_num_threads(threads)
    run = Path(tempfile.mkdtemp())
    parts = build_parts(config)
    if not torch.cuda.is_available():
        speed_up_depthwise(parts.network)
    trainer = make_trainer(config, run, make_fabric(config, 1), parts, RunLog(run, enabled=False), None)
    trainer.model.to(trainer.fabric.device)
    trainer.objective.to(trainer.fabric.device)
    for name, task in step_parts(trainer, config).items():
        wall, cpu = measure(task)
        print(f"| {name} | {wall / size * 1000:.2f} | {cpu / size * 1000:.2f} | {size / wall:.1f} |")


def step_parts(trainer: Trainer, config: TrainConfig) -> dict[str, Callable[[], object]]:
    """The parts of a step on one batch, each to be run alone, by name, and the whole step."""
    loaded = trainer.stream.load(0)
    surface = trainer.objective.surface

    @torch.no_grad()
    def finish() -> tuple[Batch, Tensor]:
        return finish_batch(loaded, config, trainer.model, surface)

    batch, spread = finish()
    cells = trainer._encode(batch, spread)
    image = batch.image.contiguous(memory_format=torch.channels_last)

    def network() -> None:
        estimates, logits = trainer._wrapped(image, cells.cell)
        outputs = estimates if logits is None else (*estimates, logits)
        trainer.fabric.backward(torch.stack([output.float().mean() for output in outputs]).sum())

    with torch.no_grad():
        estimates, logits = trainer._wrapped(image, cells.cell)
    for estimate in estimates:
        estimate.requires_grad_()

    def losses(kind: Literal["points", "rendered"]) -> None:
        loss = replace(config.loss, photometric_kind=kind)
        objective = Objective(trainer.model, surface, config.detector.layout, loss).to(trainer.fabric.device)
        terms = objective(estimates, logits, batch, cells, count_cells(cells, batch.skin), True)
        torch.stack(list(terms.values())).sum().backward()

    return {
        "data (read, decode)": lambda: trainer.stream.load(1),
        "augmentation, labels": finish,
        "network, forward and backward": network,
        "losses, colors at points": lambda: losses("points"),
        "losses, colors rendered": lambda: losses("rendered"),
        "whole step": lambda: trainer.step(loaded),
    }


def measure(function: Callable[[], object]) -> tuple[float, float]:
    """Median wall-clock and processor seconds of a few calls after a first one."""
    times = []
    for _ in range(STEPS + 1):
        start, start_cpu = time.perf_counter(), time.process_time()
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append((time.perf_counter() - start, time.process_time() - start_cpu))
    return statistics.median(t[0] for t in times[1:]), statistics.median(t[1] for t in times[1:])


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
