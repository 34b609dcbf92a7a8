"""Weights for others: one safetensors file as docs/weights_file.md describes it, and a model card."""

from dataclasses import dataclass
from pathlib import Path

from morphable import InferenceDefaults, WeightsInfo, load, reference_to, write_weights
from morphable_train.atomic import write_text
from morphable_train.checkpoint import Progress, latest_checkpoint, read_checkpoint
from morphable_train.config import TrainConfig
from morphable_train.logs import read_results, read_run_file
from morphable_train.parts import architecture
from morphable_train.rendered_scenes import describe_rendered
from morphable_train.settings import config_from_json
from morphable_train.shards import DatasetInfo, read_info


@dataclass(frozen=True, kw_only=True)
class PackageOptions:
    """What the weights file says beside what the run knows."""

    name: str = "custom"
    """Name shown to the user."""
    license: str = ""
    """Licence of the weights; by default the data's licences, joined."""
    training_data: str = ""
    """One line on what the network saw; by default from the shards' descriptions."""
    size_px: int = 512
    """Long side of the input the weights are meant for."""
    min_score: float = 0.5
    """Detections below this probability are dropped."""


def package(run: Path, output: Path, options: PackageOptions) -> Path:
    """Write a run's averaged weights in float16, and `NAME.md` beside them; returns the card's path.

    Raises:
        FileNotFoundError: The folder is not a run, or has no checkpoint.
        ValueError: The licence of the training data is not known and not given.
    """
    config = config_from_json(read_run_file(run)["config"])
    groups, progress = read_checkpoint(latest_checkpoint(run), architecture(config.detector))
    described = [] if options.license and options.training_data else describe_data(run, config)
    license_text = options.license or "; ".join(dict.fromkeys(info.license for info in described))
    if not options.license and not (described and all(info.license for info in described)):
        raise ValueError("license must be given where the shards do not say theirs, got none; pass --license")
    training_data = options.training_data or "; ".join(str(info) for info in described)
    model = load(config.model)
    info = WeightsInfo(
        name=options.name,
        architecture=architecture(config.detector),
        model=reference_to(model),
        license=license_text,
        training_data=training_data or "not described",
        inference=InferenceDefaults(size_px=options.size_px, min_score=options.min_score),
        results=read_results(run),
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    write_weights(output, info, groups["average"])
    card = output.with_suffix(".md")
    write_text(card, model_card(info, config, progress, size_bytes=output.stat().st_size))
    return card


def model_card(info: WeightsInfo, config: TrainConfig, progress: Progress, *, size_bytes: int) -> str:
    """Return the card in markdown; every number in it comes from the run."""
    model, run = info.model, config.run
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
        f"- Licence: {info.license}",
        "",
        "## Training",
        "",
        f"- Data: {info.training_data}",
        f"- Stage {run.stage}, {progress.step} steps of {run.batch_size} pictures at {run.input_px} px, "
        f"{progress.seconds / 3600:.2f} h, seed {run.seed}",
        f"- Started from: {'another run of this project' if config.initial else 'the backbone alone'}",
        "",
        "## Measured",
        "",
        *_results_table(info.results),
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
        return ["Nothing was validated in this run."]
    columns = list(dict.fromkeys(name for values in results.values() for name in values))
    head = ["| set | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    rows = [
        f"| {name} | " + " | ".join(f"{values[c]:.4g}" if c in values else "" for c in columns) + " |"
        for name, values in results.items()
    ]
    return head + rows


def describe_data(run: Path, config: TrainConfig) -> list[DatasetInfo]:
    """What this run and the run it started from were trained on."""
    own = [read_info(folder) for folder in (*config.data.exact, *config.data.weak)]
    described = [info for info in own if info is not None]
    if config.data.synthesize != "none":
        described.append(describe_rendered(config))
    if config.initial is not None and (config.initial / "run.json").is_file() and config.initial != run:
        before = config_from_json(read_run_file(config.initial)["config"])
        described += [info for info in describe_data(config.initial, before) if info not in described]
    return described
