"""The parts of a run, built from its configuration."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from morphable import MorphableModel, load_model, read_weights
from morphable.files import refusing
from morphable.records import plain
from morphable_detector_head import DetectorConfig, FaceDetector, build_detector
from morphable_losses.perception import facenet_embedder
from morphable_train.configs.stages import TrainConfig
from morphable_train.data.surface import SurfaceSample
from morphable_train.objective.base import CellObjective
from morphable_train.objective.paper import PaperObjective
from morphable_train.objective.total import Objective
from morphable_train.runs.checkpoint import ADDED_PARTS, FORMAT, differences, latest_checkpoint, read_checkpoint


@dataclass(frozen=True)
class Parts:
    """What a run is made of."""

    model: MorphableModel
    surface: SurfaceSample
    network: FaceDetector
    objective: CellObjective


def architecture(config: DetectorConfig) -> dict[str, Any]:
    """Describe a network for checkpoints and weights files."""
    return plain(asdict(config))


def build_parts(config: TrainConfig) -> Parts:
    """Build model, network and losses on the CPU; first weights are a function of the seed.

    Raises:
        ValueError: The network's layout is not the model's, or its first weights are of another network.
    """
    model = load_model(config.model).requires_grad_(False)
    layout = config.detector.layout
    sizes = (model.num_identity, model.num_expression, model.num_albedo)
    expected = (layout.num_identity, layout.num_expression, layout.num_albedo)
    if sizes != expected:
        raise ValueError(
            f"detector.layout must match the model's {sizes} coefficients, got {expected}; "
            "set num_identity, num_expression and num_albedo"
        )
    torch.manual_seed(config.run.seed)
    network = build_detector(config.detector, backbone_weights=config.backbone_weights)
    if config.initial is not None:
        _start_from(network, config.initial)
    surface = SurfaceSample(model)
    loss = config.loss
    embedder = facenet_embedder(loss.perception_weights) if loss.compares_perception else None
    kind = PaperObjective if loss.objective == "paper" else Objective
    return Parts(model, surface, network, kind(model, surface, layout, loss, embedder))


def read_network(path: Path, config: DetectorConfig) -> dict[str, Tensor]:
    """Read a network's averaged weights from a run, a checkpoint or a packaged weights file.

    A file without refinements or color head is accepted for a network with them, whose weights are then missing.

    Raises:
        FileNotFoundError: Nothing is there.
        ValueError: It is of another network.
    """
    if path.is_dir():
        path = latest_checkpoint(path)
    if not path.is_file():
        raise FileNotFoundError(f"initial must be a run, a checkpoint or a weights file, got {path}; check the path")
    with refusing("initial must be a whole safetensors file", path, next_step="use another"):
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        found = dict(json.loads(metadata.get("architecture", "{}")))
    if metadata.get("format") == FORMAT:
        return read_checkpoint(path, _accepted(found, config))[0]["average"]
    info, state = read_weights(path)
    different = differences(info.architecture, _accepted(info.architecture, config))
    if different:
        raise ValueError(
            f"initial must be of this run's architecture, got another in {path} "
            f"(different: {', '.join(different)}); use the detector configuration it was trained with"
        )
    return state


def _accepted(found: dict[str, Any], config: DetectorConfig) -> dict[str, Any]:
    """Return what a file must hold to start a network."""
    return architecture(config) | {name: 0 for name in ADDED_PARTS if not found.get(name)}


def _start_from(network: FaceDetector, path: Path) -> None:
    """Load first weights; refinements and a color head that they lack stay as they are built, and change nothing."""
    added = tuple(ADDED_PARTS.values())
    own = {name: value for name, value in network.state_dict().items() if name.startswith(added)}
    network.load_state_dict(own | read_network(path, network.config))
