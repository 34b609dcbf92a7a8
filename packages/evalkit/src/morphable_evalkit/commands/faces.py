"""`evalkit faces`: pictures with several faces, matched one to one."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from morphable_evalkit.alignment.faces import FacesSummary, PlacementSummary, summarize_faces, summarize_placement
from morphable_evalkit.alignment.point_sets import Points
from morphable_evalkit.alignment.scores import check_coverage, score_alignment
from morphable_evalkit.datasets.catalog import DatasetConfig, open_dataset
from morphable_evalkit.measures.points import Normalizer
from morphable_evalkit.predictions.file import read_systems
from morphable_evalkit.reports.output import OutputConfig, emit, refuse_nothing_measured
from morphable_evalkit.reports.plots import check_plot_path, plot_cumulative_errors
from morphable_evalkit.reports.records import make_result, matched_points, protocol_notes
from morphable_evalkit.reports.sheets import draw_worst_sheet
from morphable_evalkit.reports.tables import Table, percent


@dataclass(frozen=True, kw_only=True)
class FacesConfig:
    """Measure several faces per picture: recall, precision where defined, matched NME, shares, placement."""

    preds: tuple[Path, ...]
    """Prediction files, or output folders of `reconstruct` that hold one; a row of the table each."""
    data: DatasetConfig
    points: Points = "dataset"
    """Which predicted 68 points: what the labels mean, static, contour, or the 51 without the jaw."""
    normalizer: Normalizer = "bbox"
    """sqrt(w*h) of the ground-truth points' box, or the distance of the outer eye corners."""
    placement: bool = False
    """Also compare positions and distances between faces (needs translation_m on both sides)."""
    partial: bool = False
    """Allow pictures that were not processed; the table gives their number."""
    worst: Path | None = None
    """Picture sheet of the worst faces, with points drawn (one prediction file)."""
    worst_count: int = 12
    """Faces on it."""
    output: OutputConfig = field(default_factory=OutputConfig)

    def __post_init__(self) -> None:
        if self.worst is not None:
            check_plot_path(self.worst)
        if self.worst is not None and len(self.preds) > 1:
            raise ValueError(f"worst must be asked for one prediction file, got {len(self.preds)}")


_COLUMNS = (
    "system", "images", "faces", "recall", "precision", "unmatched/image", "NME %", "95 % interval", "median",
    "<5 %", "<10 %",
)  # fmt: skip
_PLACEMENT_COLUMNS = ("position m", "position %", "pair distance %", "depth order", "pairs")


def run_faces(config: FacesConfig) -> None:
    """Measure, print the table, write the files."""
    truth = open_dataset(config.data)
    rows, results, curves = [], [], {}
    for name, predictions in read_systems(config.preds).items():
        part = check_coverage(predictions, truth, partial=config.partial)
        scores = score_alignment(predictions, part, points=config.points, normalizer=config.normalizer, one_to_one=True)
        summary = summarize_faces(scores, part)
        placement = summarize_placement(scores, predictions, part) if config.placement else None
        rows.append(_row(summary, name, placement))
        numbers = asdict(summary) | ({"placement": asdict(placement)} if placement else {})
        results.append(make_result("faces", name, scores, numbers))
        curves[name] = scores.error
        if config.worst is not None:
            points = matched_points(predictions, part, scores, config.points)
            draw_worst_sheet(config.worst, part, scores.error, points, count=config.worst_count)
    notes = protocol_notes(results)
    if not truth.every_face_annotated:
        notes = (*notes, "not every face of these pictures is annotated: precision is not defined")
    columns = _COLUMNS + (_PLACEMENT_COLUMNS if config.placement else ())
    emit(Table(f"Faces, {results[0].protocol['data set']}", columns, tuple(rows), notes), results, config.output)
    for path in config.output.plot:
        plot_cumulative_errors(path, curves, threshold=0.1, title=results[0].protocol["data set"])
    refuse_nothing_measured(results)


def _row(summary: FacesSummary, name: str, placement: PlacementSummary | None) -> tuple[str, ...]:
    """One system's line."""
    low, high = summary.mean_interval
    cells = (
        name,
        str(summary.num_images),
        str(summary.num_faces),
        _share(summary.recall),
        _share(summary.precision),
        f"{summary.unmatched_per_image:.2f}",
        percent(summary.mean, 3),
        f"{percent(low)}-{percent(high)}",
        percent(summary.median, 3),
        percent(summary.share_below_5, 1),
        percent(summary.share_below_10, 1),
    )
    if placement is None:
        return cells
    return (
        *cells,
        f"{placement.position_error_m:.3f}",
        percent(placement.position_error_relative, 1),
        percent(placement.distance_error_relative, 1),
        _share(placement.depth_order_share),
        str(placement.num_pairs),
    )


def _share(value: float) -> str:
    """Write a share with three digits, `-` where it is not defined."""
    return "-" if value != value else f"{value:.3f}"
