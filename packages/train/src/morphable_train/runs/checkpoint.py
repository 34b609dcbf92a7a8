"""Checkpoints: one safetensors file with everything a run needs to go on as if it had not stopped."""

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from morphable.files import atomic_path, refusing
from morphable.records import build_record, parse_object
from morphable_train.runs.optimizer import AveragedWeights

FORMAT = "morphable-checkpoint"
FORMAT_VERSION = 1
_PREFIXES = ("network", "average", "optimizer", "random")
ADDED_PARTS = {
    "refinement_width": "refinement.",
    "fine_refinement_width": "fine_refinement.",
    "color_width": "color_head.",
}
"""Widths of parts that a network may lack, 0 for none, and the prefix of their weights; older files lack the fields."""


@dataclass(frozen=True)
class Progress:
    """Where a run is."""

    step: int = 0
    """Optimizer steps done; the data's position follows from it."""
    seconds: float = 0.0
    """Time spent in training."""
    skipped: int = 0
    """Damaged records met."""


def checkpoint_paths(run: Path) -> list[Path]:
    """Return a run's checkpoints, oldest first."""
    return sorted((run / "checkpoints").glob("step_*.safetensors"))


def latest_checkpoint(run: Path) -> Path:
    """Return a run's newest checkpoint.

    Raises:
        FileNotFoundError: There is none.
    """
    paths = checkpoint_paths(run)
    if not paths:
        raise FileNotFoundError(
            f"run must hold a checkpoint, got none in {run / 'checkpoints'}; start without resuming"
        )
    return paths[-1]


def save_checkpoint(
    run: Path,
    network: nn.Module,
    average: AveragedWeights,
    optimizer: torch.optim.Optimizer,
    *,
    progress: Progress,
    architecture: dict[str, Any],
    keep: int,
) -> Path:
    """Write a checkpoint, whole or not at all, and delete the oldest ones.

    Raises:
        OSError: The disk is full or not writable; earlier checkpoints are untouched.
    """
    names = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    tensors = {f"network/{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"average/{k}": v for k, v in average.state.items()}
    tensors |= _optimizer_tensors(optimizer, dict(network.named_parameters()), names)
    tensors |= _random_tensors()
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "progress": json.dumps(vars(progress)),
        "architecture": json.dumps(architecture, sort_keys=True),
    }
    target = run / "checkpoints" / f"step_{progress.step:08d}.safetensors"
    try:
        with atomic_path(target, parents=True) as temporary:
            save_file(
                {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, temporary, metadata=metadata
            )
    except OSError as error:
        raise OSError(f"checkpoint {target} could not be written ({error}); free some space and resume") from error
    for old in checkpoint_paths(run)[:-keep]:
        old.unlink()
    return target


def read_checkpoint(path: Path, architecture: dict[str, Any] | None) -> tuple[dict[str, dict[str, Tensor]], Progress]:
    """Read a checkpoint's tensors by group, and its progress.

    Args:
        path: The file.
        architecture: What the network of this run is; None accepts any.

    Raises:
        ValueError: Damaged, of another network, or of a newer version.
    """
    groups: dict[str, dict[str, Tensor]] = {prefix: {} for prefix in _PREFIXES}
    with refusing("checkpoint must be a whole safetensors file", path, next_step="use an earlier one"):
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            _check_metadata(path, metadata, architecture)
            for name in file.keys():  # noqa: SIM118  (not a mapping)
                prefix, _, rest = name.partition("/")
                groups[prefix][rest] = file.get_tensor(name)
        return groups, build_record(Progress, parse_object(metadata["progress"], "progress"), "progress")


def restore(
    groups: dict[str, dict[str, Tensor]],
    network: nn.Module,
    average: AveragedWeights,
    optimizer: torch.optim.Optimizer,
    *,
    path: Path,
) -> None:
    """Put the state of a checkpoint back, random states included; `path` is for the error.

    Raises:
        ValueError: The tensors are not those of this run.
    """
    with refusing("checkpoint must hold the state of this run", path, next_step="use an earlier one"):
        _restore(groups, network, average, optimizer)


def _restore(
    groups: dict[str, dict[str, Tensor]], network: nn.Module, average: AveragedWeights, optimizer: torch.optim.Optimizer
) -> None:
    """Put tensors back group by group."""
    network.load_state_dict(groups["network"])
    for name, value in groups["average"].items():
        average.state[name].copy_(value)
    for name, parameter in network.named_parameters():
        saved = {k.rpartition("/")[2]: v for k, v in groups["optimizer"].items() if k.rpartition("/")[0] == name}
        if saved:
            optimizer.state[parameter] = {
                key: value.clone() if key == "step" else value.to(parameter.device, copy=True)
                for key, value in saved.items()
            }
    _restore_random(groups["random"])


def _check_metadata(path: Path, metadata: dict[str, str], architecture: dict[str, Any] | None) -> None:
    """Refuse other files, newer versions and other networks, each with its own message."""
    if metadata.get("format") != FORMAT:
        raise ValueError(f"checkpoint must be a file of format {FORMAT}, got {path}; pass a run's checkpoint")
    version = int(metadata.get("format_version", "0"))
    if version != FORMAT_VERSION:
        raise ValueError(
            f"checkpoint must be of version {FORMAT_VERSION}, got {version} in {path}; "
            "install the version of morphable-train that wrote it"
        )
    different = [] if architecture is None else differences(json.loads(metadata["architecture"]), architecture)
    if different:
        raise ValueError(
            f"checkpoint must be of this run's architecture, got another in {path} "
            f"(different: {', '.join(different)}); use the detector configuration it was trained with"
        )


def differences(saved: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Name the fields in which two descriptions of networks differ."""
    unknown_before = dict.fromkeys(ADDED_PARTS, 0)
    a, b = unknown_before | saved, unknown_before | json.loads(json.dumps(wanted))
    return sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))


def _optimizer_tensors(
    optimizer: torch.optim.Optimizer, parameters: dict[str, nn.Parameter], names: list[str]
) -> dict[str, Tensor]:
    """The optimizer's state per parameter name."""
    state: dict[str, Tensor] = {}
    for name in names:
        for key, value in optimizer.state.get(parameters[name], {}).items():
            state[f"optimizer/{name}/{key}"] = value if isinstance(value, Tensor) else torch.tensor(value)
    return state


def _random_tensors() -> dict[str, Tensor]:
    """States of the global generators."""
    version, internal, gauss = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002  (the global generator is what is saved)
    assert isinstance(numpy_state, tuple)
    state = {
        "random/torch": torch.get_rng_state(),
        "random/python": torch.tensor([version, *internal], dtype=torch.int64),
        "random/python_gauss": torch.tensor([] if gauss is None else [gauss], dtype=torch.float64),
        "random/numpy_keys": torch.from_numpy(np.asarray(numpy_state[1]).astype(np.int64)),
        "random/numpy_rest": torch.tensor([float(v) for v in numpy_state[2:]], dtype=torch.float64),
    }
    if torch.cuda.is_available():
        state["random/cuda"] = torch.cuda.get_rng_state()
    return state


def _restore_random(saved: dict[str, Tensor]) -> None:
    """Undo `_random_tensors`."""
    torch.set_rng_state(saved["torch"])
    version, *internal = saved["python"].tolist()
    gauss = saved["python_gauss"].tolist()
    random.setstate((version, tuple(internal), gauss[0] if gauss else None))
    position, has_gauss, cached = saved["numpy_rest"].tolist()
    keys = saved["numpy_keys"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", keys, int(position), int(has_gauss), cached))  # noqa: NPY002
    if "cuda" in saved and torch.cuda.is_available():
        torch.cuda.set_rng_state(saved["cuda"])
