"""A run of the face head's training."""

import copy
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import UInt8
from lightning_fabric import Fabric
from safetensors.torch import load_file
from torch import Tensor, nn

from morphable import load_model
from morphable.files import refusing, write_text
from morphable_detector_head.face_head.network import FaceHead, build_face_head
from morphable_train.data.order import ShuffledOrder
from morphable_train.data.surface import SurfaceSample
from morphable_train.face_head.config import EstimateErrors, FaceHeadTraining
from morphable_train.face_head.crops import CropMaker, CropTruth, KnownPoints, PhotographCropMaker, as_images
from morphable_train.face_head.faces import PhotographedFaces, SyntheticFaces
from morphable_train.face_head.measures import measure
from morphable_train.face_head.negatives import NegativeCrops
from morphable_train.face_head.objective import (
    channel_weights,
    face_head_losses,
    negative_loss,
    photograph_losses,
)
from morphable_train.runs.checkpoint import latest_checkpoint, read_checkpoint
from morphable_train.runs.depthwise import speed_up_depthwise
from morphable_train.runs.logs import RESULTS_FILE, RunLog, write_run_file
from morphable_train.runs.loop import SECONDS_PER_MINUTE, DivergedError, TrainingLoop, not_finite, open_run

_ORDER_STREAM, _PHOTOGRAPH_ORDER_STREAM = 31, 32


@dataclass(frozen=True)
class StepCrops:
    """The crops of a step: synthetic faces, photographed faces, what is no face."""

    pixels: UInt8[Tensor, "crops crop crop 3"]
    """All crops in this order."""
    faces: CropTruth
    photographs: KnownPoints | None
    """None where a training has no photographs."""
    negatives: int
    """Crops without a face."""


class FaceHeadTrainer(TrainingLoop):
    """A run in memory."""

    def __init__(self, config: FaceHeadTraining, run: Path, fabric: Fabric, log: RunLog) -> None:
        torch.manual_seed(config.run.seed)
        self.model = load_model(config.model).requires_grad_(False)
        self.surface = SurfaceSample(self.model)
        data = SyntheticFaces(config.data, min_visible=config.min_visible)
        self.maker = CropMaker(data, self.model, self.surface, config.errors, config.changes)
        self.held_out: CropMaker | None = None
        if config.held_out:
            others = SyntheticFaces(config.held_out, min_visible=config.min_visible, most=config.max_held_out)
            self.held_out = CropMaker(others, self.model, self.surface, EstimateErrors(), None)
        self.photographs: PhotographCropMaker | None = None
        if config.photographs:
            photographed = PhotographedFaces(config.photographs, self.model)
            self.photographs = PhotographCropMaker(
                photographed, self.model, self.surface, config.errors, config.changes
            )
            self.photograph_order = ShuffledOrder(
                len(photographed), seed=config.run.seed, stream=_PHOTOGRAPH_ORDER_STREAM
            )
        self.negatives = NegativeCrops(config.negatives) if config.negatives else None
        sizes = {"num_identity": self.model.num_identity, "num_expression": self.model.num_expression}
        head = build_face_head(config.head, **sizes)
        head.mean_points.copy_(self.maker(torch.arange(min(500, len(data))), 0).truth.points.mean(0))
        if config.initial is not None:
            start_from(head, config.initial)
        speed_up_depthwise(head)
        head = head.to(memory_format=torch.channels_last)
        super().__init__(config, run, fabric, log, head.train().to(fabric.device))
        self.config = config
        self.weights = channel_weights(self.model.expression_names, config.loss)
        self.order = ShuffledOrder(len(data), seed=config.run.seed, stream=_ORDER_STREAM)
        self._head, self._wrapped = head, fabric.setup_module(head)
        self._validated_at = 0.0

    def architecture(self) -> dict[str, object]:
        """Describe the network."""
        return {"network": "face_head", **asdict(self.config.head)}

    def load(self, step: int) -> StepCrops:
        """Cut the crops of a step."""
        config = self.config
        size, seed = config.run.batch_size, config.run.seed * 7919 + step
        crops = self.maker(self.order(step * size, (step + 1) * size), seed)
        pixels, known = [crops.pixels], None
        if self.photographs is not None:
            start = step * config.photographs_per_step
            index = self.photograph_order(start, start + config.photographs_per_step)
            photographs, known = self.photographs(index, seed)
            pixels.append(photographs)
        count = config.negatives_per_step if self.negatives is not None else 0
        if self.negatives is not None:
            pixels.append(self.negatives.draw(count, config.changes, seed))
        return StepCrops(torch.cat(pixels), crops.truth, known, count)

    def step(self, loaded: StepCrops) -> tuple[dict[str, Tensor], None]:
        """Make one step of the optimizer."""
        channels, loss = self._wrapped(as_images(loaded.pixels)), self.config.loss
        faces = len(loaded.faces.identity)
        parts = channels.split([faces, len(channels) - faces - loaded.negatives, loaded.negatives])
        terms = face_head_losses(self._head.reading(parts[0]), loaded.faces, self.surface, self.weights, loss)
        if loaded.photographs is not None:
            found = photograph_losses(self._head.reading(parts[1]), loaded.photographs, self.surface, loss)
            share = len(parts[1]) / faces
            terms |= {f"photograph_{name}": share * value for name, value in found.items()}
        if loaded.negatives:
            terms["negatives"] = negative_loss(self._head.reading(parts[2]).face_logit, loss)
        total = torch.stack(list(terms.values())).sum()
        self.fabric.backward(total)
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), self.config.optimizer.clip_norm)
        losses = {"loss": total.detach()} | {k: v.detach() for k, v in terms.items()} | {"gradient_norm": norm.detach()}
        bad = not_finite(losses)
        if bad:
            raise DivergedError(
                f"losses must be finite, got a bad {bad} in step {self.progress.step}; resume with a lower rate"
            )
        self.update()
        return losses, None

    def observe(self, seen: None, *, last: bool) -> None:
        """Validate at intervals."""
        del seen
        if last or self.progress.seconds - self._validated_at > self.config.validate_every_minutes * SECONDS_PER_MINUTE:
            self._validated_at = self.progress.seconds
            self.validate()

    def validate(self) -> dict[str, float]:
        """Measure the averaged weights on the held-out faces."""
        if self.held_out is None or not self.fabric.is_global_zero:
            return {}
        head = copy.deepcopy(self.module)
        assert isinstance(head, FaceHead)
        head.load_state_dict(self.average.state)
        values = measure(head.eval(), self.held_out, self.model, self.surface)
        self.log.scalars("validation", self.progress.step, values | {"minutes": self.progress.seconds / 60})
        return values


def start_from(head: FaceHead, source: Path) -> None:
    """Copy first weights: those of a run, or of a weights file with a face head."""
    if source.is_dir():
        groups, _ = read_checkpoint(latest_checkpoint(source), None)
        head.load_state_dict(groups["average"])
        return
    with refusing("initial must be a whole safetensors file", source):
        state = load_file(source)
    inside = {k.removeprefix("face_head."): v.float() for k, v in state.items() if k.startswith("face_head.")}
    if not inside:
        raise ValueError(f"initial must hold a face head, got {source} without one")
    head.load_state_dict(head.state_dict() | inside)


def train_face_head(config: FaceHeadTraining, run: Path, *, resume: bool = False) -> dict[str, float]:
    """Train a face head and return its measures on the held-out faces.

    Raises:
        FileExistsError: The run has checkpoints and `resume` is false.
        ValueError: Data or configuration are unusable.
        DivergedError: A loss is not finite.
    """
    with open_run(config, run, resume=resume, devices=1) as fabric:
        log = RunLog(run, enabled=fabric.is_global_zero)
        trainer = FaceHeadTrainer(config, run, fabric, log)
        if resume:
            trainer.resume()
        write_run_file(run, config, processes=fabric.world_size)
        trainer.train()
        values = trainer.validate()
        write_text(
            run / RESULTS_FILE, json.dumps({"step": trainer.progress.step} | values, indent=2) + "\n", parents=True
        )
        log.close()
        return values
