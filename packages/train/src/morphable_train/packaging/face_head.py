"""A detector together with a trained face head, as one weights file."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

from morphable import WeightsInfo, check_model, load_model, read_weights, write_weights
from morphable.files import write_text
from morphable.records import build_record
from morphable_train.data.shards import DESCRIPTION_FILE, DatasetInfo, read_info
from morphable_train.face_head.config import FaceHeadTraining
from morphable_train.packaging.provenance import joined_licenses
from morphable_train.runs.checkpoint import Progress, latest_checkpoint, read_checkpoint
from morphable_train.runs.logs import read_results, read_run_file

_PREFIX = "face_head."
_REFINEMENTS = ("refinement.", "fine_refinement.")
"""Layers that a face head makes useless: with and without them photographs gave the same errors (docs/training.md)."""
_NO_REFINEMENTS = {"refinement_width": 0, "fine_refinement_width": 0}
_COUNTER = "num_batches_tracked"
"""Batch normalization's training counters, which inference does not need."""


def is_face_head_run(run: Path) -> bool:
    """Return whether a folder is a run of the face head.

    Raises:
        FileNotFoundError: The folder is not a run.
    """
    return "head" in read_run_file(run)["config"]


@dataclass(frozen=True, kw_only=True)
class FaceHeadPackage:
    """Content of the weights file that neither the run nor the detector holds."""

    name: str = ""
    """Name shown to the user; by default the detector's."""
    license: str = ""
    """License of the weights; by default those of the detector and of the data, joined."""
    training_data: str = ""
    """One line on what the face head saw; by default what its data say of themselves."""


def package_face_head(run: Path, detector: Path, output: Path, options: FaceHeadPackage) -> Path:
    """Write a detector's weights with the averaged weights of a face head's run, and `NAME.md` beside them.

    Args:
        run: Folder of the face head's run.
        detector: Weights file of the network that finds the faces. A face head in it is replaced; its refinements are
            left out, since the face head does their work.
        output: Weights file to write, in float16.
        options: Name and terms.

    Returns:
        Path of the model card.

    Raises:
        FileNotFoundError: The run or the weights file does not exist.
        ValueError: The two are of different face models, or the data do not say what they are.
    """
    config = build_record(FaceHeadTraining, read_run_file(run)["config"], "config")
    groups, progress = read_checkpoint(latest_checkpoint(run), None)
    info, state = read_weights(detector)
    check_model(info, load_model(config.model))
    kept = {name: value for name, value in state.items() if not name.startswith((_PREFIX, *_REFINEMENTS))}
    added = {_PREFIX + name: value for name, value in groups["average"].items() if not name.endswith(_COUNTER)}
    data = [_described(folder) for folder in (*config.data, *config.photographs)]
    seen = options.training_data or "; ".join(dict.fromkeys(map(str, data)))
    licenses = options.license or joined_licenses([info.license, *(part.license for part in data)])
    info = replace(
        info,
        name=options.name or info.name,
        architecture=info.architecture | _NO_REFINEMENTS | {"face_head": asdict(config.head)},
        license=licenses,
        training_data=f"{info.training_data.split('; face head: ')[0]}; face head: {seen}",
        results=info.results | {"face_head": read_results(run)},
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    write_weights(output, info, kept | added)
    card = output.with_suffix(".md")
    write_text(card, _card(info, config, progress, output.stat().st_size))
    return card


def _described(folder: Path) -> DatasetInfo:
    info = read_info(folder)
    if info is None:
        raise ValueError(f"data must be described by {DESCRIPTION_FILE}, got none in {folder}; pass training_data")
    return info


def _crops(config: FaceHeadTraining) -> str:
    """What a step of a training shows."""
    photographs = f" and {config.photographs_per_step} of photographs" if config.photographs else ""
    return f"{config.run.batch_size} crops of synthetic people{photographs}"


def _card(info: WeightsInfo, config: FaceHeadTraining, progress: Progress, size_bytes: int) -> str:
    """Return the card in markdown; every number in it comes from the run."""
    run, model = config.run, info.model
    measured = info.results["face_head"]
    lines = [
        f"# {info.name}",
        "",
        "Finds every face of a photograph in one pass. A face head then looks at an upright crop of pixels of each",
        "found face and reads its pose, identity and expression; albedo and light are the first pass's.",
        "",
        f"- Encoder: `{info.architecture['backbone']}`; face head: a residual network on 112 px, and 2 smaller ones on "
        f"the bands of eyes and mouth; {size_bytes / 1e6:.1f} MB (float16)",
        f"- Face model: `{model.name}`, {model.num_identity} identity, {model.num_expression} expression, "
        f"{model.num_albedo} albedo; sha256 `{model.sha256[:16]}`",
        f"- Input: RGB, long side {info.inference.size_px} px; detections above {info.inference.min_score}",
        f"- License: {info.license}",
        "",
        "## Training",
        "",
        f"- Data: {info.training_data}",
        f"- Face head: {progress.step} steps of {_crops(config)} in {progress.seconds / 3600:.2f} h, seed {run.seed}",
        "",
        "## Measured",
        "",
        "On synthetic people that are in no training, each crop cut by an erring estimate:",
        "",
        "| measure | value |",
        "|---|---|",
        *(f"| {name} | {value:.4g} |" for name, value in cast("dict[str, float]", measured).items()),
        "",
        "`shape_ratio`: error of the neutral shape after a similarity, over that of the mean face. `r_...`:",
        "correlation of an activation with the truth. `..._nme`: mean distance of the 68 points over the square root",
        "of the area of their true box. Photographs: see docs/results.md.",
        "",
        "## Limits",
        "",
        "Distances assume a face of average size and the stated focal length. Coefficients describe shape and are no",
        "means to identify a person. Errors grow with hidden faces, profiles, and faces below 30 px.",
        "",
    ]
    return "\n".join(lines)
