"""The training loop of the recipes: the parts of the stages' loop around one network call per step."""

import copy
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from morphable_train.checkpoint import Progress, latest_checkpoint, read_checkpoint, restore, save_checkpoint
from morphable_train.engine import SECONDS_PER_MINUTE, DivergedError
from morphable_train.logs import RunLog
from morphable_train.optimizer import AveragedWeights, build_optimizer, rate_factor, set_rate
from morphable_train.progress import make_progress
from morphable_train.recipes.config import RecipeConfig
from morphable_train.recipes.recipe import Recipe


@dataclass
class RecipeTrainer:
    """A run in memory."""

    config: RecipeConfig
    run: Path
    fabric: Fabric
    recipe: Recipe
    log: RunLog
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        self.module = self.recipe.network.train().to(self.fabric.device)
        self.optimizer = build_optimizer(self.module, self.config.optimizer)
        self.average = AveragedWeights(self.module, self.config.optimizer.ema_decay)
        self._wrapped = self.fabric.setup_module(self.module)
        self._evaluated: nn.Module | None = None

    def resume(self) -> None:
        """Go on from the run's newest checkpoint."""
        groups, self.progress = read_checkpoint(latest_checkpoint(self.run), self.recipe.spec.to_json())
        restore(groups, self.module, self.average, self.optimizer)
        self.log.forget_after(self.progress.step)

    def train(self) -> None:
        """Train to the end of the steps or of the time, with a checkpoint at the end.

        Raises:
            DivergedError: A loss is not finite.
            OSError: A checkpoint could not be written.
        """
        run, saved_at = self.config.run, time.monotonic()
        for loaded in self._loads():
            begun = time.monotonic()
            losses = self._step(loaded)
            seconds = time.monotonic() - begun
            self.progress = Progress(self.progress.step + 1, self.progress.seconds + seconds)
            self._write_log(losses, seconds)
            step = self.progress.step
            last = step >= run.steps or self._out_of_time()
            if not last and step % self.config.validate_every_steps == 0:
                self.validate()
            late = time.monotonic() - saved_at > run.checkpoint_every_minutes * SECONDS_PER_MINUTE
            if last or late or step % run.checkpoint_every_steps == 0:
                self.save()
                saved_at = time.monotonic()
            if last:
                break

    def validate(self) -> dict[str, float]:
        """Measure and draw the averaged weights (first process only)."""
        if not self.fabric.is_global_zero:
            return {}
        if self._evaluated is None:
            self._evaluated = copy.deepcopy(self.module).eval()
        self._evaluated.load_state_dict(self.average.state)
        values = self.recipe.validate(self._evaluated)
        if values:
            self.log.scalars("validation", self.progress.step, values)
        sheet = self.recipe.sheet(self._evaluated)
        if sheet is not None:
            self.log.picture("held_out", self.progress.step, sheet)
        return values

    def save(self) -> None:
        """Write a checkpoint (first process only)."""
        if self.fabric.is_global_zero:
            save_checkpoint(
                self.run,
                self.module,
                self.average,
                self.optimizer,
                progress=self.progress,
                architecture=self.recipe.spec.to_json(),
                keep=self.config.run.keep_checkpoints,
            )
        self.fabric.barrier()

    def _loads(self) -> Iterator[Any]:
        """Read one step ahead, and count on a bar."""
        total = self.config.run.steps
        with ThreadPoolExecutor(1) as pool, make_progress() as bar:
            task = bar.add_task("training", total=total, completed=self.progress.step, note="")
            following: Future[Any] = pool.submit(self.recipe.load, self.progress.step)
            while self.progress.step < total:
                loaded = following.result()
                if self.progress.step + 1 < total:
                    following = pool.submit(self.recipe.load, self.progress.step + 1)
                yield loaded
                bar.update(task, completed=self.progress.step)

    def _step(self, loaded: Any) -> dict[str, Tensor]:
        """One optimizer step."""
        config, number = self.config, self.progress.step
        part_of_run = number / config.run.steps
        if config.run.anneal_with_time and config.run.minutes:
            part_of_run = max(part_of_run, self.progress.seconds / (config.run.minutes * SECONDS_PER_MINUTE))
        set_rate(self.optimizer, rate_factor(part_of_run, number, config.optimizer), config.optimizer)
        terms = self.recipe.losses(self._wrapped, loaded, number)
        total = torch.stack(list(terms.values())).sum()
        self.fabric.backward(total)
        trained = [p for p in self.module.parameters() if p.requires_grad]
        norm = nn.utils.clip_grad_norm_(trained, config.optimizer.clip_norm)
        losses = {"loss": total.detach()} | {k: v.detach() for k, v in terms.items()} | {"gradient_norm": norm.detach()}
        bad = [name for name, value in losses.items() if not bool(torch.isfinite(value))]
        if bad:
            raise DivergedError(
                f"losses must be finite, got a bad {', '.join(bad)} in step {number}; resume with a lower learning rate"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update(self.module, number)
        return losses

    def _write_log(self, losses: dict[str, Tensor], seconds: float) -> None:
        """One row of numbers at intervals."""
        step = self.progress.step
        if step % self.config.run.log_every_steps and step != 1:
            return
        values = {name: float(value) for name, value in losses.items()}
        values["learning_rate"] = self.optimizer.param_groups[-1]["lr"]
        values["images_per_second"] = self.config.run.batch_size / seconds
        values["seconds"] = self.progress.seconds
        self.log.scalars("losses", step, values)

    def _out_of_time(self) -> bool:
        """Whether the time budget is used up; the same answer in every process."""
        limit = self.config.run.minutes * SECONDS_PER_MINUTE
        over = torch.tensor(float(limit > 0 and self.progress.seconds >= limit), device=self.fabric.device)
        return bool(self.fabric.broadcast(over) > 0)
