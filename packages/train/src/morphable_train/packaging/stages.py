"""Weights for others: one safetensors file as docs/weights_file.md describes it, and a model card."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from morphable import InferenceDefaults, WeightsInfo, load_model, reference_to, write_weights
from morphable.files import write_text
from morphable_train.configs.stages import TrainConfig
from morphable_train.packaging.provenance import started_from, terms
from morphable_train.runs.checkpoint import Progress, latest_checkpoint, read_checkpoint
from morphable_train.runs.logs import read_results
from morphable_train.runs.settings import read_run_config
from morphable_train.stages.parts import architecture, read_network


@dataclass(frozen=True, kw_only=True)
class PackageOptions:
    """Content of the weights file that the run does not hold."""

    name: str = "custom"
    """Name shown to the user."""
    license: str = ""
    """License of the weights; by default those of the data and of first weights, joined. Needed where one is not
    stated."""
    training_data: str = ""
    """One line on what the network saw; by default what the data and first weights say of themselves. Needed where
    they say nothing."""
    size_px: int = 512
    """Long side of the input the weights are meant for."""
    min_score: float = 0.5
    """Detections below this probability are dropped."""
    averaged_with: tuple[Path, ...] = ()
    """Other runs from the same first weights on: the file holds the mean of all (Wortsman et al., ICML 2022, "Model
    soups"), and no results, for those of the run are not of the mean."""


def package(run: Path, output: Path, options: PackageOptions) -> Path:
    """Write a run's averaged weights in float16, and `NAME.md` beside them; returns the card's path.

    Raises:
        FileNotFoundError: The folder is not a run, or has no checkpoint.
        ValueError: License or training data are not given, and data or first weights do not state them; a run to
            average with is of another network.

    >>> package(run, folder / "w.safetensors", PackageOptions(name="mine")).name
    'w.md'
    >>> morphable.read_weights_info(folder / "w.safetensors").name
    'mine'
    """
    config = read_run_config(run)
    licence, training_data = terms(
        run, config, licence=options.license, training_data=options.training_data, also=options.averaged_with
    )
    groups, progress = read_checkpoint(latest_checkpoint(run), architecture(config.detector))
    model = load_model(config.model)
    info = WeightsInfo(
        name=options.name,
        architecture=architecture(config.detector),
        model=reference_to(model),
        license=licence,
        training_data=training_data,
        inference=InferenceDefaults(size_px=options.size_px, min_score=options.min_score),
        results={} if options.averaged_with else read_results(run),
    )
    state = mean_weights([groups["average"], *(read_network(path, config.detector) for path in options.averaged_with)])
    output.parent.mkdir(parents=True, exist_ok=True)
    write_weights(output, info, state)
    card = output.with_suffix(".md")
    others = len(options.averaged_with)
    write_text(
        card, model_card(info, config, progress, size_bytes=output.stat().st_size, averaged_with=others), parents=True
    )
    return card


def mean_weights(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of networks, tensor by tensor; what is not a real number is the first's.

    Raises:
        ValueError: They do not have the same tensors.
    """
    first = states[0]
    for state in states[1:]:
        different = sorted(first.keys() ^ state.keys())
        if different:
            raise ValueError(
                f"averaged_with must be runs of the same network, got others in {', '.join(different[:3])}"
            )
    return {
        name: torch.stack([state[name].float() for state in states]).mean(0).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in first.items()
    }


def model_card(
    info: WeightsInfo, config: TrainConfig, progress: Progress, *, size_bytes: int, averaged_with: int
) -> str:
    """Return the card in markdown; every number in it comes from the run."""
    model, run = info.model, config.run
    mean = [f"- Mean of {averaged_with + 1} runs of the same line, of which this is the last"] if averaged_with else []
    lines = [
        f"# {info.name}",
        "",
        "Finds every face of a photograph in one pass and describes each by morphable-model coefficients, head pose",
        "and position in one camera, albedo and light.",
        "",
        f"- Network: `{config.detector.backbone}`, width {config.detector.width}, {size_bytes / 1e6:.1f} MB (float16)",
        f"- Face model: `{model.name}`, {model.num_identity} identity, {model.num_expression} expression, "
        f"{model.num_albedo} albedo; sha256 `{model.sha256[:16]}`",
        f"- Input: RGB, long side {info.inference.size_px} px; detections above {info.inference.min_score}",
        f"- License: {info.license}",
        "",
        "## Training",
        "",
        f"- Data: {info.training_data}",
        f"- Stage {run.stage}, {progress.step} steps of {run.batch_size} pictures at {run.input_px} px, "
        f"{progress.seconds / 3600:.2f} h, seed {run.seed}",
        f"- Started from: {started_from(config)}",
        *mean,
        "",
        "## Measured",
        "",
        *_results_table(cast("dict[str, dict[str, float]]", info.results)),
        "",
        "`nme_box`: mean distance of the 68 points over the square root of the area of their true box; photographs",
        "are scored against the visible contour, synthetic faces against static points. The faces are cut out with",
        "their true box: these are numbers of the regression. Rows `detection_...` are of whole pictures: a detection",
        "is right if its box overlaps that of a face by half, and each face counts once.",
        "",
        "## Limits",
        "",
        "Distances assume a face of average size and the stated focal length. Coefficients describe shape and are no",
        "means to identify a person. Errors grow with hidden faces, profiles, and faces below 30 px.",
        "",
    ]
    return "\n".join(lines)


def _results_table(results: dict[str, dict[str, float]]) -> list[str]:
    """One row per validation set."""
    if not results:
        return ["The run itself measured nothing."]
    columns = list(dict.fromkeys(name for values in results.values() for name in values))
    head = ["| set | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    rows = [
        f"| {name} | " + " | ".join(f"{values[c]:.4g}" if c in values else "" for c in columns) + " |"
        for name, values in results.items()
    ]
    return head + rows
