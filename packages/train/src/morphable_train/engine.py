"""The training loop, on Lightning Fabric."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import torch
from lightning.fabric import Fabric
from safetensors.torch import save_file
from torch import Tensor, nn

from morphable import MorphableModel
from morphable_detector_head import FaceDetector
from morphable_train.atomic import atomic_path
from morphable_train.batch import Batch
from morphable_train.cells import CellTargets, encode_cells
from morphable_train.checkpoint import (
    Progress,
    checkpoint_paths,
    latest_checkpoint,
    read_checkpoint,
    restore,
    save_checkpoint,
)
from morphable_train.config import TrainConfig
from morphable_train.logs import RunLog
from morphable_train.objective import Counts, Objective, count_cells
from morphable_train.optimizer import AveragedWeights, build_optimizer, rate_factor, set_rate
from morphable_train.parts import architecture
from morphable_train.progress import make_progress
from morphable_train.streams import Loaded, Stream, finish_batch
from morphable_train.warm_start import start_from_mean

SECONDS_PER_MINUTE = 60.0


class DivergedError(ArithmeticError):
    """A loss or gradient is not finite; the batch that did it was saved."""


@runtime_checkable
class Observer(Protocol):
    """What happens at intervals: validation and pictures."""

    def __call__(self, step: int, average: AveragedWeights, last: Batch | None) -> None:
        """Look at the averaged weights after a step; `last` is the latest batch of the step."""
        ...


@dataclass
class Trainer:
    """A run in memory."""

    config: TrainConfig
    run: Path
    fabric: Fabric
    network: FaceDetector
    objective: Objective
    model: MorphableModel
    stream: Stream
    log: RunLog
    predictor: Callable[[Any], nn.Module]
    """Makes what is called with pictures and cells out of the network."""
    observer: Observer | None = None

    def __post_init__(self) -> None:
        self.network.train()
        module = self.network.to(self.fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = build_optimizer(module, self.config.optimizer)
        self.average = AveragedWeights(module, self.config.optimizer.ema_decay)
        self.module = module
        self._wrapped = self.fabric.setup_module(self.predictor(module))
        self.progress = Progress()

    def resume(self) -> None:
        """Go on from the run's newest checkpoint."""
        groups, self.progress = read_checkpoint(latest_checkpoint(self.run), self._architecture())
        restore(groups, self.module, self.average, self.optimizer)
        self.log.forget_after(self.progress.step)

    def start_from_mean(self) -> None:
        """Give a fresh network the mean of its first batch as first guess, the same in every process."""
        with torch.no_grad():
            batch, spread = finish_batch(self.stream.load(0), self.config, self.model, self.objective.surface)
        cells = self._encode(batch, spread)
        start_from_mean(self.module, batch.faces, cells, self.config.detector.layout, batch.size_hw)
        bias = self.module.parameter_head.output.bias
        assert bias is not None
        bias.data.copy_(cast("Tensor", self.fabric.broadcast(bias.data)))
        self.average = AveragedWeights(self.module, self.config.optimizer.ema_decay)

    def _encode(self, batch: Batch, spread: Tensor) -> CellTargets:
        """Choose the supervised cells of some pictures."""
        return encode_cells(
            batch.faces,
            spread,
            num_images=len(batch.image),
            size_hw=batch.size_hw,
            neighbourhood=self.config.loss.neighbourhood,
            kind="gaussian" if self.config.loss.center_kind == "gaussian" else "binary",
        )

    def train(self) -> Progress:
        """Train to the end of the steps or of the time, with a checkpoint at the end.

        Raises:
            DivergedError: A loss is not finite.
            OSError: A checkpoint could not be written.
        """
        run, saved_at = self.config.run, self.progress.seconds
        for loaded in self._loads():
            begun = time.monotonic()
            losses, batch = self._step(loaded)
            seconds = self._agreed(time.monotonic() - begun)
            self.progress = Progress(
                self.progress.step + 1, self.progress.seconds + seconds, self.progress.skipped + loaded.skipped
            )
            self._write_log(losses, seconds)
            step = self.progress.step
            last = step >= run.steps or self._out_of_time()
            if self.observer is not None and self.fabric.is_global_zero:
                self.observer(step, self.average, batch)
            due = step % run.checkpoint_every_steps == 0
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
                architecture=self._architecture(),
                keep=self.config.run.keep_checkpoints,
            )
        self.fabric.barrier()

    def _architecture(self) -> dict[str, object]:
        return architecture(self.config.detector)

    def _loads(self) -> Iterator[Loaded]:
        """Read one step ahead, and count on a bar."""
        total = self.config.run.steps
        with ThreadPoolExecutor(1) as pool, make_progress() as bar:
            task = bar.add_task("training", total=total, completed=self.progress.step, note="")
            following: Future[Loaded] = pool.submit(self.stream.load, self.progress.step)
            while self.progress.step < total:
                loaded = following.result()
                if self.progress.step + 1 < total:
                    following = pool.submit(self.stream.load, self.progress.step + 1)
                yield loaded
                bar.update(task, completed=self.progress.step, note=self._rate_note())

    def _rate_note(self) -> str:
        """Pictures per second so far."""
        rate = self.progress.step * self.config.run.batch_size / max(self.progress.seconds, 1e-9)
        return f"{rate:.1f} images/s"

    def _step(self, loaded: Loaded) -> tuple[dict[str, Tensor], Batch]:
        """One optimizer step."""
        config, number = self.config, self.progress.step
        part_of_run = number / config.run.steps
        if config.run.anneal_with_time and config.run.minutes:
            part_of_run = max(part_of_run, self.progress.seconds / (config.run.minutes * SECONDS_PER_MINUTE))
        set_rate(self.optimizer, rate_factor(part_of_run, number, config.optimizer), config.optimizer)
        with torch.no_grad():
            batch, spread = finish_batch(loaded, config, self.model, self.objective.surface)
        losses = self.backward(batch, spread, number)
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), config.optimizer.clip_norm)
        losses |= {"gradient_norm": norm.detach()}
        self._stop_if_diverged(losses, batch)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update(self.module, number)
        return losses, batch

    def backward(self, batch: Batch, spread: Tensor, step: int) -> dict[str, Tensor]:
        """Accumulate the gradient of a whole step, part by part; sums are divided by the step's own counts.

        The result does not depend on the number of parts or of processes (up to rounding, and but for batch
        statistics of the network).
        """
        config, world = self.config, self.fabric.world_size
        parts, first = [], 0
        for part in batch.split(config.run.accumulate):
            rows = spread[first : first + len(part.faces)]
            first += len(part.faces)
            cells = self._encode(part, rows)
            parts.append((part, cells))
        local = torch.stack([count_cells(cells).stacked() for _, cells in parts]).sum(0)
        total = cast("Tensor", self.fabric.all_reduce(local, reduce_op="sum")) / world
        photometric = step % config.loss.photometric_every == 0
        sums: dict[str, Tensor] = {}
        for index, (part, cells) in enumerate(parts):
            image = part.image.contiguous(memory_format=torch.channels_last)
            with self.fabric.no_backward_sync(self._wrapped, enabled=index + 1 < len(parts)):
                channels, logits = self._wrapped(image, cells.cell)
                terms = self.objective(channels, logits, part, cells, Counts(total[0], total[1]), photometric)
                self.fabric.backward(torch.stack(list(terms.values())).sum())
            for name, value in terms.items():
                sums[name] = sums.get(name, torch.zeros_like(value)) + value.detach()
        return {"loss": torch.stack(list(sums.values())).sum()} | sums

    def _stop_if_diverged(self, losses: dict[str, Tensor], batch: Batch) -> None:
        """Save the batch and stop when a number is not finite; the checkpoint before stays the newest."""
        values = torch.stack([value.float() for value in losses.values()])
        if bool(torch.isfinite(values).all()):
            return
        name = ", ".join(n for n, v in zip(losses, torch.isfinite(values).tolist(), strict=True) if not v)
        path = self.run / f"diverged_step_{self.progress.step:08d}_rank_{self.fabric.global_rank}.safetensors"
        with atomic_path(path) as temporary:
            save_file({k: v.detach().cpu().contiguous() for k, v in batch.tensors().items()}, temporary)
        raise DivergedError(
            f"losses must be finite, got a bad {name} in step {self.progress.step}; the batch is in {path}: "
            "look at it, then resume with a lower learning rate"
        )

    def _write_log(self, losses: dict[str, Tensor], seconds: float) -> None:
        """One row of numbers at intervals."""
        step = self.progress.step
        if step % self.config.run.log_every_steps and step != 1:
            return
        values = {name: float(value) for name, value in losses.items()}
        values["learning_rate"] = self.optimizer.param_groups[-1]["lr"]
        values["images_per_second"] = self.config.run.batch_size / seconds
        values["seconds"] = self.progress.seconds
        values["skipped"] = float(self.progress.skipped)
        self.log.scalars("losses", step, values)

    def _out_of_time(self) -> bool:
        """Whether the time budget is used up."""
        limit = self.config.run.minutes * SECONDS_PER_MINUTE
        return limit > 0 and self.progress.seconds >= limit

    def _agreed(self, seconds: float) -> float:
        """Return the first process's time of a step, so that rate, checkpoints and end are the same in all of them."""
        return float(self.fabric.broadcast(torch.tensor(seconds, dtype=torch.float64, device=self.fabric.device)))


def has_checkpoint(run: Path) -> bool:
    """Return whether a run can be resumed."""
    return bool(checkpoint_paths(run))
