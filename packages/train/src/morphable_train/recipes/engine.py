"""The recipes' trainer: one network call per step."""

import copy
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from morphable_train.configs.recipes import RecipeConfig
from morphable_train.recipes.base.recipe import Recipe
from morphable_train.runs.logs import RunLog
from morphable_train.runs.loop import DivergedError, TrainingLoop, not_finite
from morphable_train.runs.optimizer import clip_gradients


class RecipeTrainer(TrainingLoop):
    """A run of a recipe in memory."""

    def __init__(self, config: RecipeConfig, run: Path, fabric: Fabric, recipe: Recipe, log: RunLog) -> None:
        super().__init__(config, run, fabric, log, recipe.network.train().to(fabric.device))
        self.config, self.recipe = config, recipe
        self._wrapped = fabric.setup_module(self.module)
        self._evaluated: nn.Module | None = None

    def architecture(self) -> dict[str, object]:
        """Describe the network."""
        return {**self.recipe.spec.to_json()}

    def load(self, step: int) -> Any:
        """Read what a step needs."""
        return self.recipe.load(step)

    def step(self, loaded: Any) -> tuple[dict[str, Tensor], None]:
        """Make one step of the optimizer; return its losses."""
        number = self.progress.step
        terms = self.recipe.losses(self._wrapped, loaded, number)
        total = torch.stack(list(terms.values())).sum()
        self.fabric.backward(total)
        norm = clip_gradients(self.module, self.config.optimizer)
        losses = {"loss": total.detach()} | {k: v.detach() for k, v in terms.items()} | {"gradient_norm": norm.detach()}
        bad = not_finite(losses)
        if bad:
            raise DivergedError(
                f"losses must be finite, got a bad {bad} in step {number}; resume with a lower learning rate"
            )
        self.update()
        return losses, None

    def observe(self, seen: None, *, last: bool) -> None:
        """Validate at intervals; the end is validated by who runs the loop."""
        del seen
        if not last and self.progress.step % self.config.validate_every_steps == 0:
            self.validate()

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
