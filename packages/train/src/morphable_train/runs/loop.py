"""What every training run shares: its processes, the loop over the steps, checkpoints and logs."""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from morphable.files import claimed
from morphable_train.configs.stages import OptimizerConfig, RunConfig
from morphable_train.runs.checkpoint import (
    Progress,
    checkpoint_paths,
    latest_checkpoint,
    read_checkpoint,
    restore,
    save_checkpoint,
)
from morphable_train.runs.logs import RunLog
from morphable_train.runs.optimizer import AveragedWeights, build_optimizer, rate_factor, set_rate
from morphable_train.runs.progress import make_progress

SECONDS_PER_MINUTE = 60.0


class DivergedError(ArithmeticError):
    """A loss or gradient is not finite."""


@runtime_checkable
class LoopConfig(Protocol):
    """What the loop reads of a run's configuration."""

    @property
    def run(self) -> RunConfig:
        """Length, rate and intervals."""
        ...

    @property
    def optimizer(self) -> OptimizerConfig:
        """Rates of the weights."""
        ...


class TrainingLoop(ABC):
    """A run in memory: steps, checkpoints, rows of numbers; what a step is, its subclasses say."""

    def __init__(self, config: LoopConfig, run: Path, fabric: Fabric, log: RunLog, module: nn.Module) -> None:
        self._length, self._rates = config.run, config.optimizer
        self.run, self.fabric, self.log, self.module = run, fabric, log, module
        self.optimizer = build_optimizer(module, config.optimizer)
        self.average = AveragedWeights(module, config.optimizer.ema_decay)
        self.progress = Progress()

    @abstractmethod
    def architecture(self) -> dict[str, object]:
        """Describe the network, so that no checkpoint of another one is read."""

    @abstractmethod
    def load(self, step: int) -> Any:
        """Read what a step needs, on the CPU; depends on nothing but the step."""

    @abstractmethod
    def step(self, loaded: Any) -> tuple[dict[str, Tensor], Any]:
        """Make one step of the optimizer; return the numbers to log, and what `observe` wants to see of it."""

    @abstractmethod
    def observe(self, seen: Any, *, last: bool) -> None:
        """Look at the run after a step: validation and pictures."""

    def resume(self) -> None:
        """Go on from the run's newest checkpoint."""
        path = latest_checkpoint(self.run)
        groups, self.progress = read_checkpoint(path, self.architecture())
        restore(groups, self.module, self.average, self.optimizer, path=path)
        self.log.forget_after(self.progress.step)

    def train(self) -> Progress:
        """Train to the end of the steps or of the time, with a checkpoint at the end.

        Raises:
            DivergedError: A loss is not finite.
            OSError: A checkpoint could not be written.
        """
        run, saved_at, before = self._length, self.progress.seconds, time.monotonic()
        for loaded in self._loads():
            self._set_rate()
            losses, seen = self.step(loaded)
            now = time.monotonic()
            seconds, before = self._agreed(now - before), now  # waiting for data, validation and saving count too
            self.progress = replace(self.progress, step=self.progress.step + 1, seconds=self.progress.seconds + seconds)
            self._write_log(losses, seconds)
            last = self.progress.step >= run.steps or self._out_of_time()
            self.observe(seen, last=last)
            due = self.progress.step % run.checkpoint_every_steps == 0
            late = self.progress.seconds - saved_at > run.checkpoint_every_minutes * SECONDS_PER_MINUTE
            if last or due or late:
                self.save()
                saved_at = self.progress.seconds
            if last:
                break
        return self.progress

    def save(self) -> None:
        """Write a checkpoint (first process only)."""
        if self.fabric.is_global_zero:
            save_checkpoint(
                self.run,
                self.module,
                self.average,
                self.optimizer,
                progress=self.progress,
                architecture=self.architecture(),
                keep=self._length.keep_checkpoints,
            )
        self.fabric.barrier()

    def update(self) -> None:
        """Move the weights along their gradients, and their average after them."""
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update(self.module, self.progress.step)

    def _loads(self) -> Iterator[Any]:
        """Read one step ahead, and count on a bar."""
        total = self._length.steps
        with ThreadPoolExecutor(1) as pool, make_progress() as bar:
            task = bar.add_task("training", total=total, completed=self.progress.step, note="")
            following: Future[Any] = pool.submit(self.load, self.progress.step)
            while self.progress.step < total:
                loaded = following.result()
                if self.progress.step + 1 < total:
                    following = pool.submit(self.load, self.progress.step + 1)
                yield loaded
                bar.update(task, completed=self.progress.step, note=self._rate_note())

    def _rate_note(self) -> str:
        """Pictures per second so far."""
        rate = self.progress.step * self._length.batch_size / max(self.progress.seconds, 1e-9)
        return f"{rate:.1f} images/s"

    def _set_rate(self) -> None:
        """Follow the schedule: of the steps, or of the time where that runs out first."""
        part_of_run = self.progress.step / self._length.steps
        if self._length.anneal_with_time and self._length.minutes:
            part_of_run = max(part_of_run, self.progress.seconds / (self._length.minutes * SECONDS_PER_MINUTE))
        set_rate(self.optimizer, rate_factor(part_of_run, self.progress.step, self._rates), self._rates)

    def _write_log(self, losses: dict[str, Tensor], seconds: float) -> None:
        """One row of numbers at intervals."""
        step = self.progress.step
        if step % self._length.log_every_steps and step != 1:
            return
        values = {name: float(value) for name, value in losses.items()}
        values["learning_rate"] = self.optimizer.param_groups[-1]["lr"]
        values["images_per_second"] = self._length.batch_size / seconds
        values["seconds"] = self.progress.seconds
        self.log.scalars("losses", step, values)

    def _out_of_time(self) -> bool:
        """Whether the time budget is used up."""
        limit = self._length.minutes * SECONDS_PER_MINUTE
        return limit > 0 and self.progress.seconds >= limit

    def _agreed(self, seconds: float) -> float:
        """Return the first process's time of a step, so that rate, checkpoints and end are the same in all of them."""
        return float(self.fabric.broadcast(torch.tensor(seconds, dtype=torch.float64, device=self.fabric.device)))


def not_finite(values: dict[str, Tensor]) -> str:
    """Return the names of the numbers that are not finite, joined; empty if there are none."""
    finite = torch.isfinite(torch.stack([value.float() for value in values.values()])).tolist()
    return ", ".join(name for name, good in zip(values, finite, strict=True) if not good)


def has_checkpoint(run: Path) -> bool:
    """Return whether a run can be resumed."""
    return bool(checkpoint_paths(run))


@contextmanager
def open_run(config: LoopConfig, run: Path, *, resume: bool, devices: int) -> Iterator[Fabric]:
    """Make the folder of a run, keep other programs from training in it, and start its processes.

    Raises:
        FileExistsError: The run has checkpoints and `resume` is false.
        BlockingIOError: Another program trains in the folder.
    """
    if has_checkpoint(run) and not resume:
        raise FileExistsError(f"run must be a new folder, got {run} with checkpoints; pass --resume or another folder")
    if config.run.threads:
        torch.set_num_threads(config.run.threads)
    fabric = make_fabric(config, devices)
    if config.run.batch_size < fabric.world_size:
        raise ValueError(
            f"batch_size must be at least the number of processes, {fabric.world_size}, got {config.run.batch_size}"
        )
    run.mkdir(parents=True, exist_ok=True)
    with claimed(run) if fabric.is_global_zero else nullcontext():
        yield fabric


def make_fabric(config: LoopConfig, devices: int) -> Fabric:
    """Start the processes, or join those that `torchrun` started (its count wins)."""
    fabric = Fabric(
        accelerator="auto",
        devices=int(os.environ.get("LOCAL_WORLD_SIZE", devices)),
        num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", "1")),
        precision=config.run.precision,
    )
    fabric.launch()
    return fabric
