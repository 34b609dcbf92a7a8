"""`evalkit nme`: sparse or dense alignment error of one or several prediction files."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from morphable_evalkit.alignment import Form, Scores, check_coverage, score_alignment
from morphable_evalkit.datasets import DatasetConfig, open_dataset
from morphable_evalkit.dense import DENSE_DEFINITIONS, dense_errors
from morphable_evalkit.ground_truth import GroundTruth
from morphable_evalkit.metrics import Normalizer
from morphable_evalkit.output import OutputConfig, emit
from morphable_evalkit.plots import plot_cumulative_errors
from morphable_evalkit.point_sets import Points, predicted_points, read_vertex_map
from morphable_evalkit.predictions import Predictions
from morphable_evalkit.results import ItemResult, Result, face_numbers
from morphable_evalkit.sheets import draw_worst_sheet
from morphable_evalkit.summaries import BIN_NAMES, Summary, YawRule, summarize, yaw_bins
from morphable_evalkit.systems import read_systems
from morphable_evalkit.tables import Table, percent


@dataclass(frozen=True, kw_only=True)
class NmeConfig:
    """Measure face alignment: NME per yaw bin, their mean, misses, cumulative curve."""

    preds: tuple[Path, ...]
    """Prediction files, one row of the table each."""
    data: DatasetConfig
    measure: Literal["sparse", "D1", "D2", "D3", "D4"] = "sparse"
    """68 (or 21, 34) points, or all vertices by one of the four public definitions (docs/evaluation.md)."""
    dims: Literal[2, 3] = 2
    """2: x, y. 3: with depth."""
    points: Points = "dataset"
    """Which predicted 68 points: what the labels mean, static, contour, or the 51 without the jaw."""
    normalizer: Normalizer = "bbox"
    """sqrt(w*h) of the ground-truth points' box, or the distance of the outer eye corners."""
    form: Form = "whole-image"
    """Whether the system found the faces itself or saw crops around the true ones."""
    point_map: Path | None = None
    """AFLW-LFPA: JSON list with the vertex of each point."""
    partial: bool = False
    """Allow pictures that were not processed; the table says how many."""
    threshold: float = 0.1
    """End of the cumulative curve, for AUC and failure rate."""
    worst: Path | None = None
    """Picture sheet of the worst faces, with points drawn (one prediction file)."""
    worst_count: int = 12
    """Faces on it."""
    output: OutputConfig = field(default_factory=OutputConfig)

    def __post_init__(self) -> None:
        if self.worst is not None and len(self.preds) > 1:
            raise ValueError(f"worst must be asked for one prediction file, got {len(self.preds)}")


def run_nme(config: NmeConfig) -> None:
    """Measure, print the table, write the files."""
    truth = open_dataset(config.data)
    rule: YawRule = "3ddfa" if config.measure == "sparse" else DENSE_DEFINITIONS[config.measure].yaw_rule
    rows, results, curves = [], [], {}
    for name, predictions in read_systems(config.preds).items():
        part = check_coverage(predictions, truth, partial=config.partial)
        scores = _score(predictions, part, config)
        summary = summarize(scores.error, scores.yaw_deg, rule=rule, threshold=config.threshold)
        rows.append(_row(name, summary))
        results.append(make_result("nme", name, scores, asdict(summary), rule))
        curves[name] = scores.error
        if config.worst is not None:
            points = matched_points(predictions, part, scores, config.points)
            draw_worst_sheet(config.worst, part, scores.error, points, count=config.worst_count)
    table = Table(_title(config, results[0].protocol), _columns(truth, summary), tuple(rows), protocol_notes(results))
    emit(table, results, config.output)
    if config.output.plot is not None:
        plot_cumulative_errors(
            config.output.plot, curves, threshold=config.threshold, title=results[0].protocol["data set"]
        )


def make_result(
    command: str, system: str, scores: Scores, summary: dict[str, object], rule: YawRule = "3ddfa"
) -> Result:
    """Build the record of one system."""
    groups = [""] * len(scores.error)
    if scores.yaw_deg is not None:
        names = (*BIN_NAMES, "outside")
        groups = [names[index] for index in yaw_bins(scores.yaw_deg, rule)]
    items = tuple(
        ItemResult(image=image, face=face, error=float(error), group=group)
        for image, face, error, group in zip(
            scores.image, face_numbers(scores.image), scores.error, groups, strict=True
        )
    )
    return Result(
        command=command, system=system, protocol=scores.protocol, unit="fraction", summary=summary, items=items
    )


def protocol_notes(results: list[Result]) -> tuple[str, ...]:
    """Put the protocol under the table, once if all systems share it."""
    texts = ["; ".join(f"{key}: {value}" for key, value in result.protocol.items()) for result in results]
    if len(set(texts)) == 1:
        return (texts[0],)
    return tuple(f"{result.system}: {text}" for result, text in zip(results, texts, strict=True))


def matched_points(
    predictions: Predictions, truth: GroundTruth, scores: Scores, points: Points
) -> Float[np.ndarray, "faces 68 2"]:
    """Return the 68 predicted points of every annotated face, NaN where missed."""
    out = np.full((len(scores.found), 68, 2), np.nan)
    out[scores.found] = predicted_points(predictions, truth, points)[scores.prediction[scores.found]]
    return out


def _score(predictions: Predictions, truth: GroundTruth, config: NmeConfig) -> Scores:
    """Score sparse points, or all vertices of the faces that those match."""
    sparse = config.measure == "sparse"
    point_map = None
    if config.point_map is not None:
        point_map = read_vertex_map(config.point_map, truth.points_px.shape[1])
    scores = score_alignment(
        predictions,
        truth,
        points=config.points,
        normalizer=config.normalizer,
        dims=config.dims if sparse else 2,
        form=config.form,
        point_map=point_map,
    )
    return scores if sparse else _score_dense(predictions, truth, scores, config)


def _score_dense(predictions: Predictions, truth: GroundTruth, scores: Scores, config: NmeConfig) -> Scores:
    """Replace the sparse errors by dense ones."""
    from dataclasses import replace

    definition = DENSE_DEFINITIONS[config.measure]
    for side, rows in (("preds", predictions.vertices_px), (truth.name, truth.vertices_px)):
        if rows is None:
            raise ValueError(f"{side} must hold vertices_px for --measure {config.measure}, got none")
    assert predictions.vertices_px is not None
    assert truth.vertices_px is not None
    errors = dense_errors(
        predictions.vertices_px,
        truth.vertices_px,
        truth.points_px,
        np.where(scores.found, scores.prediction, -1),
        dims=config.dims,
        z_align=definition.z_align,
        box=definition.box,
    )
    count = truth.vertices_px.shape[1]
    protocol = scores.protocol | {
        "points": f"all {count} vertices",
        "coordinates": "x, y" if config.dims == 2 else f"x, y and depth (depth origin: {definition.z_align})",
        "normaliser": f"sqrt(w*h) of the {'68 points' if definition.box == 'kpt68' else 'dense points'}' box",
        "definition": f"{config.measure}, {definition.source}",
    }
    return replace(scores, error=errors, protocol=protocol)


def _columns(truth: GroundTruth, summary: Summary) -> tuple[str, ...]:
    """Header: bins with their counts where the data set has yaw."""
    bins = tuple(f"{b.name} (n={b.num_faces})" for b in summary.bins)
    balanced = ("mean of bins", "std") if summary.bins else ()
    limit = f"{100 * summary.threshold:g}"
    tail = ("plain mean", "95 % interval", "median", "missed", "<5 %", "<10 %", f"AUC@{limit}", f"failed@{limit}")
    return ("system", *bins, *balanced, *tail)


def _row(name: str, summary: Summary) -> tuple[str, ...]:
    """One system's line; errors in percent."""
    bins = tuple(percent(b.mean, 3) for b in summary.bins)
    balanced = (percent(summary.balanced_mean, 3), percent(summary.balanced_std, 3)) if summary.bins else ()
    low, high = summary.mean_interval
    return (
        name,
        *bins,
        *balanced,
        percent(summary.mean, 3),
        f"{percent(low)}-{percent(high)}",
        percent(summary.median, 3),
        f"{summary.num_failed} of {summary.num_faces}",
        percent(summary.share_below_5, 1),
        percent(summary.share_below_10, 1),
        f"{summary.auc:.3f}",
        percent(summary.failure_rate, 1),
    )


def _title(config: NmeConfig, protocol: dict[str, str]) -> str:
    """Name measure and data set."""
    kind = "sparse" if config.measure == "sparse" else f"dense {config.measure}"
    return f"NME (%), {kind} {config.dims}D, {protocol['data set']}"
