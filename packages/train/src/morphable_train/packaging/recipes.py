"""Per-face networks as weights files (docs/weights_file.md), and back."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from morphable import InferenceDefaults, WeightsInfo, load_model, read_weights, reference_to, write_weights
from morphable.files import refusing, write_text
from morphable_regressors import SystemSpec, load_system
from morphable_regressors.systems import MultiViewConfig
from morphable_train.configs.recipes import RecipeConfig
from morphable_train.packaging.provenance import read_any_run_config, started_from, terms
from morphable_train.runs.checkpoint import latest_checkpoint, read_checkpoint
from morphable_train.runs.logs import read_results

_SYSTEM_PREFIX = "system."
"""Prefix of the tensors of recipes whose network wraps the system."""


@dataclass(frozen=True, kw_only=True)
class RecipePackage:
    """Content of a weights file that the run does not hold."""

    name: str = ""
    """Name shown to the user; by default the recipe's."""
    license: str = ""
    """License of the weights; by default those of the data and of first weights, joined. Needed where one is not
    stated."""
    training_data: str = ""
    """One line on what the network saw; by default what the data and first weights say of themselves. Needed where
    they say nothing."""


def read_recipe_config(run: Path) -> RecipeConfig | None:
    """Read the configuration of a recipe's run; None for a run of the stages.

    Raises:
        FileNotFoundError: The folder is not a run.
        ValueError: It is of another version, or has unknown keys.
    """
    config = read_any_run_config(run)
    return config if isinstance(config, RecipeConfig) else None


def read_system(source: Path) -> tuple[SystemSpec, dict[str, Tensor]]:
    """Read a per-face network from a run (its averaged weights) or a weights file.

    Raises:
        FileNotFoundError: Nothing is there.
        ValueError: It is not of a per-face network.
    """
    if not source.is_dir():
        info, state = read_weights(source)
        return SystemSpec.from_json(info.architecture), state
    path = latest_checkpoint(source)
    groups, _ = read_checkpoint(path, None)
    config = read_recipe_config(source)
    if config is None:
        raise ValueError(f"run must be of a per-face network, got one of the stages: {source}; pass a recipe's run")
    spec = SystemSpec.from_json(_architecture(path))
    return spec, {name.removeprefix(_SYSTEM_PREFIX): value for name, value in groups["average"].items()}


def _architecture(checkpoint: Path) -> dict[str, Any]:
    """Return a checkpoint's description of its network."""
    from safetensors import safe_open

    with (
        refusing("checkpoint must be a whole safetensors file", checkpoint),
        safe_open(checkpoint, framework="pt") as file,
    ):
        values: dict[str, Any] = dict(json.loads(file.metadata()["architecture"]))
    return values


def package_recipe(run: Path, output: Path, options: RecipePackage) -> Path:
    """Write a run's averaged weights in float16 and a card beside them; returns the card's path.

    Raises:
        FileNotFoundError: The folder is not a run, or has no checkpoint.
        ValueError: The run is none of a recipe, its network needs a parser and has none, or license or training data
            are not given, and data or first weights do not state them.

    >>> package_recipe(folder / "nowhere", folder / "w.safetensors", RecipePackage(name="mine"))
    Traceback (most recent call last):
    FileNotFoundError: weights must be an existing file, got ...
    """
    spec, state = read_system(run)
    config = read_recipe_config(run)
    assert config is not None
    shape = spec.config
    if isinstance(shape, MultiViewConfig) and shape.parsing_channel and not shape.with_parser:
        raise ValueError(
            f"parser must be in the weights of a dfmvr with a parsing channel, got a run on exact labels: {run}; "
            "train with --parser RUN"
        )
    load_system(spec, state)
    licence, training_data = terms(run, config, licence=options.license, training_data=options.training_data)
    info = WeightsInfo(
        name=options.name or spec.network,
        architecture=spec.to_json(),
        model=reference_to(load_model(config.model)),
        license=licence,
        training_data=training_data,
        inference=InferenceDefaults(size_px=spec.crop.side_px),
        results=read_results(run),
    )
    write_weights(output, info, state)
    card = output.with_suffix(".md")
    write_text(card, _card(info, config, output.stat().st_size), parents=True)
    return card


def _card(info: WeightsInfo, config: RecipeConfig, size_bytes: int) -> str:
    """The card in markdown; every number in it comes from the run."""
    numbers = [f"| {name} | {value:.4g} |" for name, value in info.results.items() if isinstance(value, int | float)]
    lines = [
        f"# {info.name}",
        "",
        f"- Network: `{info.architecture['network']}`, options `{json.dumps(info.architecture['options'])}`, "
        f"{size_bytes / 1e6:.1f} MB (float16)",
        f"- Crop: {config.crop.side_px} px, longer side of the 68-point box {config.crop.face_share:.3f} of it",
        f"- Face model: `{info.model.name}`, sha256 `{info.model.sha256[:16]}`",
        f"- Data: {info.training_data}",
        f"- Started from: {started_from(config)}",
        f"- License: {info.license}",
        "",
        "Measured on held-out synthetic faces, cut out by their true boxes:",
        "",
        "| measure | value |",
        "|---|---|",
        *numbers,
        "",
    ]
    return "\n".join(lines)
