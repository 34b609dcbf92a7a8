"""`evalkit nme`: sparse or dense alignment error of one or several prediction files."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from morphable_evalkit.alignment.point_sets import Points, read_vertex_map
from morphable_evalkit.alignment.scores import Form, Scores, check_coverage, score_alignment
from morphable_evalkit.datasets.catalog import DatasetConfig, open_label_sets
from morphable_evalkit.datasets.ground_truth import GroundTruth
from morphable_evalkit.measures.dense import DENSE_DEFINITIONS, dense_errors
from morphable_evalkit.measures.points import Normalizer
from morphable_evalkit.measures.summaries import Summary, YawRule, summarize
from morphable_evalkit.predictions.file import Predictions, read_systems
from morphable_evalkit.reports.output import OutputConfig, emit, refuse_nothing_measured
from morphable_evalkit.reports.plots import check_plot_path, plot_cumulative_errors
from morphable_evalkit.reports.records import group_of_faces, make_result, matched_points, protocol_notes, read_groups
from morphable_evalkit.reports.sheets import draw_worst_sheet
from morphable_evalkit.reports.tables import Table, percent


@dataclass(frozen=True, kw_only=True)
class NmeConfig:
    """Measure face alignment: NME per yaw bin, their mean, misses, cumulative curve."""

    preds: tuple[Path, ...]
    """Prediction files, or output folders of `reconstruct` that hold one; a row of the table each."""
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
    groups: Path | None = None
    """CSV with image, face, group: one more line per group (skin tone, expression, ...)."""
    partial: bool = False
    """Allow pictures that were not processed; the table gives their number."""
    threshold: float = 0.1
    """End of the cumulative curve, for AUC and failure rate."""
    worst: Path | None = None
    """Picture sheet of the worst faces, with points drawn (one prediction file)."""
    worst_count: int = 12
    """Faces on it."""
    output: OutputConfig = field(default_factory=OutputConfig)

    def __post_init__(self) -> None:
        if self.worst is not None:
            check_plot_path(self.worst)
        if self.worst is not None and (len(self.preds) > 1 or self.data.labels == "both"):
            raise ValueError(f"worst must be asked for one prediction file and label set, got {len(self.preds)}")


def run_nme(config: NmeConfig) -> None:
    """Measure, print the table, write the files."""
    rule: YawRule = "3ddfa" if config.measure == "sparse" else DENSE_DEFINITIONS[config.measure].yaw_rule
    systems = read_systems(config.preds)
    groups = read_groups(config.groups) if config.groups is not None else {}
    rows, results, summaries, curves = [], [], [], {}
    for labels, truth in open_label_sets(config.data).items():
        for system, predictions in systems.items():
            name = f"{system}, {labels}" if labels else system
            part = check_coverage(predictions, truth, partial=config.partial)
            scores = _score(predictions, part, config)
            summaries.append(summarize(scores.error, scores.yaw_deg, rule=rule, threshold=config.threshold))
            spatial = _mean_3d(predictions, part, config)
            numbers = asdict(summaries[-1]) | ({} if spatial is None else {"mean_3d": spatial})
            results.append(make_result("nme", name, scores, numbers, rule))
            curves[name] = scores.error
            rows += [_row(name, summaries[-1], spatial), *_group_rows(name, scores, groups, rule, config.threshold)]
            if config.worst is not None:
                points = matched_points(predictions, part, scores, config.points)
                draw_worst_sheet(config.worst, part, scores.error, points, count=config.worst_count)
    data = results[0].protocol["data set"] if config.data.labels != "both" else "AFLW2000-3D, both label sets"
    columns, cells = _used(_columns(summaries), rows)
    table = Table(_title(config, data), columns, cells, protocol_notes(results))
    emit(table, results, config.output)
    for path in config.output.plot:
        plot_cumulative_errors(path, curves, threshold=config.threshold, title=data)
    refuse_nothing_measured(results)


def _group_rows(
    name: str, scores: Scores, groups: Mapping[tuple[str, int], str], rule: YawRule, threshold: float
) -> list[tuple[str, ...]]:
    """One line per group of faces, with its number of faces in the name."""
    if not groups:
        return []
    group = np.array(group_of_faces(scores.image, groups))
    rows = []
    for label in np.unique(group):
        chosen = group == label
        yaw = None if scores.yaw_deg is None else scores.yaw_deg[chosen]
        summary = summarize(scores.error[chosen], yaw, rule=rule, threshold=threshold)
        rows.append(_row(f"{name}: {label} (n={summary.num_faces})", summary, None))
    return rows


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
        "normalizer": f"sqrt(w*h) of the {'68 points' if definition.box == 'kpt68' else 'dense points'}' box",
        "definition": f"{config.measure}, {definition.source}",
    }
    return replace(scores, error=errors, protocol=protocol)


def _mean_3d(predictions: Predictions, truth: GroundTruth, config: NmeConfig) -> float | None:
    """Return the mean of the 68 points' 3D error (of the bins' means, where the faces have yaws).

    Returns:
        The fraction, or None where 3D is measured already, or one side has no depth.
    """
    static = config.points in ("dataset", "static") and truth.jaw == "static" and truth.points_px.shape[1] == 68
    if config.measure != "sparse" or config.dims == 3 or not static:
        return None
    if truth.depth_px is None or predictions.landmarks68_px is None or predictions.depths_px() is None:
        return None
    scores = _score(predictions, truth, replace(config, dims=3))
    summary = summarize(scores.error, scores.yaw_deg, threshold=config.threshold)
    return summary.balanced_mean if summary.bins else summary.mean


def _used(
    columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Leave out the column of the 3D error where no line has one."""
    at = columns.index(_SPATIAL)
    if any(row[at] != "-" for row in rows):
        return columns, tuple(rows)
    return (*columns[:at], *columns[at + 1 :]), tuple((*row[:at], *row[at + 1 :]) for row in rows)


_SPATIAL = "3D mean"
"""Column of the 68 points' error in 3D: the mean of the bins' means, where the faces have yaws."""


def _columns(summaries: Sequence[Summary]) -> tuple[str, ...]:
    """Header: bins where the data set has yaw, with their counts where all lines share them."""
    bins: tuple[str, ...] = ()
    for columns in zip(*(summary.bins for summary in summaries), strict=True):
        counts = {column.num_faces for column in columns}
        bins += (f"{columns[0].name} (n={counts.pop()})" if len(counts) == 1 else columns[0].name,)
    balanced = ("mean of bins", "std") if bins else ()
    limit = f"{100 * summaries[0].threshold:g}"
    tail = (
        "plain mean",
        _SPATIAL,
        "95 % interval",
        "median",
        "missed",
        "<5 %",
        "<10 %",
        f"AUC@{limit}",
        f"failed@{limit}",
    )
    return ("system", *bins, *balanced, *tail)


def _row(name: str, summary: Summary, spatial: float | None) -> tuple[str, ...]:
    """One system's line; errors in percent."""
    bins = tuple(percent(b.mean, 3) for b in summary.bins)
    balanced = (percent(summary.balanced_mean, 3), percent(summary.balanced_std, 3)) if summary.bins else ()
    low, high = summary.mean_interval
    return (
        name,
        *bins,
        *balanced,
        percent(summary.mean, 3),
        percent(float("nan") if spatial is None else spatial, 3),
        f"{percent(low)}-{percent(high)}",
        percent(summary.median, 3),
        f"{summary.num_failed} of {summary.num_faces}",
        percent(summary.share_below_5, 1),
        percent(summary.share_below_10, 1),
        f"{summary.auc:.3f}",
        percent(summary.failure_rate, 1),
    )


def _title(config: NmeConfig, data: str) -> str:
    """Name measure and data set."""
    kind = "sparse" if config.measure == "sparse" else f"dense {config.measure}"
    return f"NME (%), {kind} {config.dims}D, {data}"
