"""Where results go: the same options for every command."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from morphable_evalkit.files import check_output, write_text
from morphable_evalkit.reports.plots import check_plot_path
from morphable_evalkit.reports.results import Result, write_results
from morphable_evalkit.reports.tables import Table, to_csv, to_latex, to_markdown, to_text


@dataclass(frozen=True, kw_only=True)
class OutputConfig:
    """Files to write besides the table on the terminal."""

    json: Path | None = None
    """All numbers, with one per face (input of `evalkit compare` and `evalkit table`)."""
    csv: Path | None = None
    """The table as CSV."""
    markdown: Path | None = None
    """The table as Markdown."""
    latex: Path | None = None
    """The table as LaTeX (booktabs)."""
    per_image: Path | None = None
    """CSV with one row per annotated face."""
    plot: tuple[Path, ...] = ()
    """Plot as .png, .svg or .pdf, one or several files."""

    def __post_init__(self) -> None:
        for plot in self.plot:
            check_plot_path(plot)
        for path in (self.json, self.csv, self.markdown, self.latex, self.per_image):
            if path is not None:
                check_output(path)


def emit(table: Table, results: Sequence[Result], output: OutputConfig) -> None:
    """Print the table and write the files asked for (the plot is the command's own)."""
    sys.stdout.write(to_text(table) + "\n")
    if output.json is not None:
        write_results(output.json, results)
    for path, render in ((output.csv, to_csv), (output.markdown, to_markdown), (output.latex, to_latex)):
        if path is not None:
            write_text(path, render(table))
    if output.per_image is not None:
        write_text(output.per_image, to_csv(_per_image(results)))


def refuse_nothing_measured(results: Sequence[Result]) -> None:
    """Let a command that printed its table end with status 1 if a system has no number at all.

    Raises:
        ValueError: Every face or scan of a system was missed or failed.
    """
    empty = [result for result in results if result.items and all(math.isnan(item.error) for item in result.items)]
    if empty:
        names = ", ".join(f"{result.system} ({len(result.items)})" for result in empty)
        raise ValueError(f"preds must give at least one number, got a failure for every face or scan of {names}")


def _per_image(results: Sequence[Result]) -> Table:
    """One row per face and system."""
    rows = tuple(
        (result.system, item.image, str(item.face), item.group, "" if item.error != item.error else repr(item.error))
        for result in results
        for item in result.items
    )
    unit = results[0].unit if results else "fraction"
    return Table("per image", ("system", "image", "face", "group", f"error_{unit}"), rows)
