"""`evalkit pose`: head pose error."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from morphable_evalkit.alignment.pose import PoseScores, PoseSummary, score_pose, summarize_pose
from morphable_evalkit.alignment.scores import Form, check_coverage
from morphable_evalkit.datasets.catalog import DatasetConfig, open_dataset
from morphable_evalkit.datasets.ground_truth import GroundTruth
from morphable_evalkit.predictions.file import read_systems
from morphable_evalkit.reports.output import OutputConfig, emit, refuse_nothing_measured
from morphable_evalkit.reports.records import protocol_notes
from morphable_evalkit.reports.results import ItemResult, Result, face_numbers
from morphable_evalkit.reports.tables import Table

_COLUMNS = ("system", "pitch", "yaw", "roll", "MAE", "faces", "left out", "missed")


@dataclass(frozen=True, kw_only=True)
class PoseConfig:
    """Measure head pose: mean absolute error of pitch, yaw, roll."""

    preds: tuple[Path, ...]
    """Prediction files, or output folders of `reconstruct` that hold one; a row of the table each."""
    data: DatasetConfig
    wrap: bool = False
    """Take differences around the circle (VGGHeads, opentrack) instead of plainly (SynergyNet, img2pose)."""
    look_at: bool = True
    """Correct perspective poses by the direction of the viewing ray, as labels from crops mean it."""
    form: Form = "whole-image"
    """Whether the system found the faces itself or saw crops around the true ones."""
    partial: bool = False
    """Allow pictures that were not processed; the table gives their number."""
    output: OutputConfig = field(default_factory=OutputConfig)


def run_pose(config: PoseConfig) -> None:
    """Measure, print the table, write the files."""
    truth = open_dataset(config.data)
    rows, results = [], []
    for name, predictions in read_systems(config.preds).items():
        part = check_coverage(predictions, truth, partial=config.partial)
        scores = score_pose(predictions, part, wrap=config.wrap, look_at=config.look_at, form=config.form)
        summary = summarize_pose(scores)
        rows.append(_row(name, summary))
        results.append(_result(name, part, scores, summary))
    title = f"Head pose, mean absolute error (degrees), {results[0].protocol['data set']}"
    emit(Table(title, _COLUMNS, tuple(rows), protocol_notes(results)), results, config.output)
    refuse_nothing_measured(results)


def _row(name: str, summary: PoseSummary) -> tuple[str, ...]:
    """One system's line."""
    angles = (summary.pitch, summary.yaw, summary.roll, summary.mae)
    counts = (summary.num_scored, summary.num_left_out, summary.num_failed)
    return (name, *("-" if a != a else f"{a:.2f}" for a in angles), *map(str, counts))


def _result(name: str, truth: GroundTruth, scores: PoseScores, summary: PoseSummary) -> Result:
    """Build the record: per face the mean of its angles (the yaw, where the labels are yaws only)."""
    values = scores.errors_deg[:, 1] if scores.yaw_only else scores.errors_deg.mean(axis=1)
    items = tuple(
        ItemResult(image=image, face=face, error=float(value), group="scored" if scored else "left out")
        for image, face, value, scored in zip(
            truth.image, face_numbers(truth.image), values, scores.scored, strict=True
        )
    )
    return Result(
        command="pose", system=name, protocol=scores.protocol, unit="deg", summary=asdict(summary), items=items
    )
