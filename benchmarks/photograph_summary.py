"""Put every set of development photographs in one table, for one or several systems, beside the project's goals.

    python benchmarks/photograph_summary.py --preds DIR [DIR ...] --root ../shared/data

A folder of predictions belongs to one system and holds `aflw2000.npz`, `afw_multi.npz`, `dlib_groups.npz`,
`helen.npz`, `afw_single.npz`, `ytf.npz` and `backgrounds.npz`, or some of them; `benchmarks/photographs.py` writes
such a folder. The goals stand in `photograph_goals.json`.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro

from morphable_evalkit.alignment.faces import summarize_faces
from morphable_evalkit.alignment.point_sets import Points
from morphable_evalkit.alignment.pose import score_pose, summarize_pose
from morphable_evalkit.alignment.scores import check_coverage, score_alignment
from morphable_evalkit.datasets.catalog import DatasetConfig, DatasetName, open_dataset
from morphable_evalkit.datasets.ground_truth import GroundTruth
from morphable_evalkit.measures.summaries import summarize
from morphable_evalkit.predictions.file import Predictions, read_predictions
from morphable_evalkit.reports.output import OutputConfig, emit
from morphable_evalkit.reports.tables import Table, percent

_COLUMNS = (
    "set", "system", "faces", "missed", "recall", "NME %", "95 % interval", "<5 %", "by yaw",
    "mean of bins", "3D, mean of bins", "yaw error °", "false/picture",
)  # fmt: skip

_GOALS = Path(__file__).with_name("photograph_goals.json")

Cells = dict[str, str]
"""Some columns of one line."""


@dataclass(frozen=True, kw_only=True)
class SummaryConfig:
    """Measure the development photographs in one go: AFLW2000-3D, AFW, dlib's groups, Helen, YTF, backgrounds."""

    preds: tuple[Path, ...]
    """Folders, one per system, with prediction files named after the sets. A missing set is reported as `not
    measured`."""
    root: Path
    """Folder that holds `faces_dev/`, `aflw2000_gt/` and `backgrounds/`."""
    points: Points = "dataset"
    """Which predicted 68 points: what the labels mean, static, contour, or the 51 without the jaw."""
    reference: bool = True
    """Add lines for an earlier baseline and the targets."""
    output: OutputConfig = field(default_factory=OutputConfig)

    def __post_init__(self) -> None:
        if not self.preds:
            raise ValueError("preds must name at least one folder, got none")
        if self.output.json is not None or self.output.per_image is not None or self.output.plot:
            raise ValueError("summary must be written as csv, markdown or latex; use nme or faces for the others")


def run_summary(config: SummaryConfig) -> None:
    """Measure every set of which there are predictions, print the table."""
    missing = [folder for folder in config.preds if not folder.is_dir()]
    if missing:
        raise FileNotFoundError(f"preds must be folders of prediction files, got {missing[0]}")
    reference: dict[str, Any] = json.loads(_GOALS.read_text()) if config.reference else {"rows": {}, "source": ""}
    lines: list[Cells] = []
    for name in _MEASURES:
        lines += [{"set": name} | _measure(config, folder, name) for folder in config.preds]
        lines += [{"set": name} | entry for entry in reference["rows"].get(name, [])]
    rows = tuple(tuple(line.get(column, "") for column in _COLUMNS) for line in lines)
    points = "what the labels of each set mean" if config.points == "dataset" else config.points
    notes = (
        "matched as for whole pictures; mean NME over found faces by sqrt(w*h) of the ground-truth points' "
        "box with its bootstrap interval; <5 %: share of all faces; aflw2000: original labels, static points, "
        "prediction of best IoU, yaw bins 0-30 / 30-60 / 60-90; afw_multi, dlib_groups: one to one, greedy by score, "
        f"IoU >= 0.5; 68 points: {points}",
        *((reference["source"],) if reference["source"] else ()),
    )
    emit(Table("Development photographs", _COLUMNS, rows, notes), [], config.output)


def _measure(config: SummaryConfig, folder: Path, name: DatasetName) -> Cells:
    """Measure one system on one set; a set without predictions is named as such."""
    system = folder.resolve().name
    path = folder / f"{'backgrounds' if name == 'no-faces' else name}.npz"
    if not path.is_file():
        return {"system": system, "faces": "not measured"}
    truth = open_dataset(
        DatasetConfig(
            dataset=name,
            root=config.root / ("backgrounds" if name == "no-faces" else f"faces_dev/{name}"),
            arrays=config.root / "aflw2000_gt" if name == "aflw2000" else None,
        )
    )
    predictions = read_predictions(path)
    return {"system": system} | _MEASURES[name](predictions, check_coverage(predictions, truth), config.points)


def _single(predictions: Predictions, truth: GroundTruth, points: Points) -> Cells:
    """Sets with one face per picture."""
    scores = score_alignment(predictions, truth, points=points)
    summary = summarize(scores.error, scores.yaw_deg)
    low, high = summary.mean_interval
    cells = {
        "faces": str(summary.num_faces),
        "missed": str(summary.num_failed),
        "recall": f"{1 - summary.num_failed / summary.num_faces:.2f}",
        "NME %": percent(summary.mean),
        "95 % interval": f"{percent(low)}-{percent(high)}",
        "<5 %": percent(summary.share_below_5, 0),
    }
    if summary.bins:
        counts = "/".join(str(b.num_faces) for b in summary.bins)
        cells["by yaw"] = " / ".join(percent(b.mean) for b in summary.bins) + f" (n={counts})"
        cells["mean of bins"] = percent(summary.balanced_mean)
        if points in ("dataset", "static") and truth.depth_px is not None and predictions.depths_px() is not None:
            spatial = score_alignment(predictions, truth, points=points, dims=3)
            cells["3D, mean of bins"] = percent(summarize(spatial.error, spatial.yaw_deg).balanced_mean)
        if predictions.rotation_head is not None:
            pose = summarize_pose(score_pose(predictions, truth, look_at=predictions.translation_m is not None))
            cells["yaw error °"] = f"{pose.yaw:.2f}"
    return cells


def _several(predictions: Predictions, truth: GroundTruth, points: Points) -> Cells:
    """Sets with several faces per picture, and pictures without any."""
    summary = summarize_faces(score_alignment(predictions, truth, points=points, one_to_one=True), truth)
    if summary.num_faces == 0:
        return {"faces": "0", "false/picture": f"{summary.unmatched_per_image:.3f}"}
    low, high = summary.mean_interval
    return {
        "faces": str(summary.num_faces),
        "missed": str(summary.num_faces - summary.num_found),
        "recall": f"{summary.recall:.2f}",
        "NME %": percent(summary.mean),
        "95 % interval": f"{percent(low)}-{percent(high)}",
        "<5 %": percent(summary.share_below_5, 0),
    }


_MEASURES: dict[DatasetName, Callable[[Predictions, GroundTruth, Points], Cells]] = {
    "aflw2000": _single,
    "afw_multi": _several,
    "dlib_groups": _several,
    "helen": _single,
    "afw_single": _single,
    "ytf": _single,
    "no-faces": _several,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    run_summary(tyro.cli(SummaryConfig, description=__doc__, args=argv, config=(tyro.conf.OmitArgPrefixes,)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
