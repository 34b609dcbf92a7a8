"""The stages' trainer: one network call and one objective per part of a step."""

from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import torch
from lightning_fabric import Fabric
from safetensors.torch import save_file
from torch import Tensor

from morphable.files import atomic_path
from morphable_train.configs.stages import TrainConfig
from morphable_train.data.batch import Batch
from morphable_train.data.streams import Loaded, Stream, finish_batch
from morphable_train.objective.cells import CellTargets, Counts, count_cells, encode_cells
from morphable_train.runs.logs import RunLog
from morphable_train.runs.loop import DivergedError, TrainingLoop, not_finite
from morphable_train.runs.optimizer import AveragedWeights, clip_gradients
from morphable_train.stages.network import CellPredictor, freeze_all_but_colors, freeze_start
from morphable_train.stages.parts import Parts, architecture
from morphable_train.stages.warm_start import start_from_mean


@runtime_checkable
class Observer(Protocol):
    """What happens at intervals: validation and pictures."""

    def __call__(self, step: int, average: AveragedWeights, seen: Batch, *, last: bool) -> None:
        """Look at the averaged weights after a step, and at its batch; `last` is true for the final step."""
        ...


class Trainer(TrainingLoop):
    """A run of a stage in memory.

    Args:
        config: What to do.
        run: Folder of the run.
        fabric: The processes.
        parts: The network, its losses and the face model.
        stream: Its data.
        log: Where numbers and pictures go.
        observer: What happens at intervals.
    """

    def __init__(
        self,
        *,
        config: TrainConfig,
        run: Path,
        fabric: Fabric,
        parts: Parts,
        stream: Stream,
        log: RunLog,
        observer: Observer | None = None,
    ) -> None:
        network = parts.network.train()
        if config.optimizer.freeze_start:
            freeze_start(network)
        if config.optimizer.only_colors:
            freeze_all_but_colors(network)
        module = network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        super().__init__(config, run, fabric, log, module)
        self.config, self.network, self.objective, self.model = config, network, parts.objective, parts.model
        self.stream, self.observer = stream, observer
        self._wrapped = fabric.setup_module(
            CellPredictor(module, with_center=config.run.stage == 2 and config.loss.trains_center)
        )

    def start_from_mean(self) -> None:
        """Give a fresh network the mean of its first batch as first guess, the same in every process."""
        with torch.no_grad():
            batch, spread = finish_batch(self.stream.load(0), self.config, self.model, self.objective.surface)
        cells = self._encode(batch, spread)
        start_from_mean(self.network, batch.faces, cells, self.config.detector.layout, batch.size_hw)
        bias = self.network.parameter_head.output.bias
        assert bias is not None
        bias.data.copy_(self.fabric.broadcast(bias.data))
        self.average = AveragedWeights(self.module, self.config.optimizer.ema_decay)

    def _encode(self, batch: Batch, spread: Tensor) -> CellTargets:
        """Choose the supervised cells of some pictures."""
        return encode_cells(
            batch.faces,
            spread,
            complete=batch.complete,
            size_hw=batch.size_hw,
            neighbourhood=self.config.loss.neighbourhood,
            kind=self.config.loss.heatmap,
        )

    def architecture(self) -> dict[str, object]:
        """Describe the network."""
        return architecture(self.config.detector)

    def load(self, step: int) -> Loaded:
        """Read this process's pictures of a step."""
        return self.stream.load(step)

    def observe(self, seen: Batch, *, last: bool) -> None:
        """Show the observer the averaged weights and the batch."""
        if self.observer is not None and self.fabric.is_global_zero:
            self.observer(self.progress.step, self.average, seen, last=last)

    def step(self, loaded: Loaded) -> tuple[dict[str, Tensor], Batch]:
        """Make one step of the optimizer; return its losses and its batch."""
        with torch.no_grad():
            batch, spread = finish_batch(loaded, self.config, self.model, self.objective.surface)
        losses = self.backward(batch, spread, self.progress.step)
        norm = clip_gradients(self.module, self.config.optimizer)
        losses |= {"gradient_norm": norm.detach()}
        self._stop_if_diverged(losses, batch)
        self.update()
        skipped = self.fabric.all_reduce(torch.tensor(loaded.skipped, device=self.fabric.device), reduce_op="sum")
        self.progress = replace(self.progress, skipped=self.progress.skipped + int(cast("Tensor", skipped)))
        return losses | {"skipped": torch.tensor(self.progress.skipped)}, batch

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
        local = torch.stack([count_cells(cells, part.skin).stacked() for part, cells in parts]).sum(0)
        total = cast("Tensor", self.fabric.all_reduce(local, reduce_op="sum")) / world
        photometric = step % config.loss.photometric_every == 0
        sums: dict[str, Tensor] = {}
        for index, (part, cells) in enumerate(parts):
            image = part.image.contiguous(memory_format=torch.channels_last)
            with self.fabric.no_backward_sync(self._wrapped, enabled=index + 1 < len(parts)):
                channels, logits = self._wrapped(image, cells.cell)
                terms = self.objective(channels, logits, part, cells, Counts(*total), photometric)
                self.fabric.backward(torch.stack(list(terms.values())).sum())
            for name, value in terms.items():
                sums[name] = sums.get(name, torch.zeros_like(value)) + value.detach()
        return {"loss": torch.stack(list(sums.values())).sum()} | sums

    def _stop_if_diverged(self, losses: dict[str, Tensor], batch: Batch) -> None:
        """Save the batch and stop when a number is not finite; the checkpoint before stays the newest."""
        name = not_finite(losses)
        if not name:
            return
        path = self.run / f"diverged_step_{self.progress.step:08d}_rank_{self.fabric.global_rank}.safetensors"
        with atomic_path(path, parents=True) as temporary:
            save_file({k: v.detach().cpu().contiguous() for k, v in batch.tensors().items()}, temporary)
        raise DivergedError(
            f"losses must be finite, got a bad {name} in step {self.progress.step}; the batch is in {path}: "
            "look at it, then resume with a lower learning rate"
        )
