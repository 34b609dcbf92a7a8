"""Measure weights on the development photographs, whole pictures in, no crop.

`python benchmarks/photographs.py --root ../shared/data --out out/photographs --weights mobile` writes a prediction file
and overlays for each set and prints the table of `photograph_summary.py`.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro
from photograph_summary import SummaryConfig, run_summary

from morphable_evalkit.reports.output import OutputConfig
from morphable_reconstruct import ReconstructConfig, Reconstructor, RunConfig, run

SETS = {
    "aflw2000": "faces_dev/aflw2000",
    "afw_multi": "faces_dev/afw_multi",
    "dlib_groups": "faces_dev/dlib_groups",
    "helen": "faces_dev/helen",
    "afw_single": "faces_dev/afw_single",
    "ytf": "faces_dev/ytf",
    "backgrounds": "backgrounds",
}


@dataclass(frozen=True, kw_only=True)
class PhotographsConfig:
    """Reconstruct every development set and score the predictions."""

    root: Path
    """Folder that holds `faces_dev/`, `aflw2000_gt/` and `backgrounds/`."""
    out: Path = Path("out/photographs")
    """Folder of the prediction files and overlays."""
    weights: str = "mobile"
    """mobile, or a weights file."""
    sets: tuple[str, ...] = tuple(SETS)
    """Names of the sets."""
    size_px: int | None = None
    """Long side of the network's input; by default those of the weights file."""
    min_score: float | None = None
    """Faces below this probability are dropped; by default those of the weights file."""
    markdown: Path | None = None
    """File for the table."""


def main() -> None:
    """Reconstruct, then print the table."""
    config = tyro.cli(PhotographsConfig)
    options = ReconstructConfig(size_px=config.size_px, min_score=config.min_score)
    reconstructor = Reconstructor(config.weights, config=options)
    for name in config.sets:
        run_config = RunConfig(
            sources=(str(config.root / SETS[name]),),
            out=config.out / name,
            save="overlay",
            weights=config.weights,
            preds=config.out / f"{name}.npz",
        )
        run(run_config, reconstructor)
    run_summary(SummaryConfig(preds=(config.out,), root=config.root, output=OutputConfig(markdown=config.markdown)))


if __name__ == "__main__":
    main()
