"""`evalkit table`: published numbers with their sources, beside one's own."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from morphable_evalkit.files import write_text
from morphable_evalkit.reports.published import Paper, beside_own, read_published
from morphable_evalkit.reports.results import read_results
from morphable_evalkit.reports.tables import to_csv, to_json, to_latex, to_markdown, to_text


@dataclass(frozen=True, kw_only=True)
class TableConfig:
    """Print a paper's tables with their sources, and one's own results below the published rows."""

    paper: Paper
    """wm3dr, mobile-frnet, df-mvr, or records (the field's best, read at the source)."""
    mine: tuple[Path, ...] = ()
    """Result files (--json) of one's own."""
    only: str = ""
    """Print only tables whose name or title contains this."""
    format: Literal["text", "markdown", "latex", "csv", "json"] = "text"
    """How to write it."""
    to: Path | None = None
    """File to write to instead of the terminal."""


def run_table(config: TableConfig) -> None:
    """Print or write the tables.

    Raises:
        ValueError: No table has the name asked for.
    """
    results = [result for path in config.mine for result in read_results(path)]
    tables = [t for t in read_published(config.paper) if config.only.lower() in f"{t.name} {t.title}".lower()]
    if not tables:
        names = ", ".join(table.name for table in read_published(config.paper))
        raise ValueError(f"only must be part of a table's name or title, got {config.only!r}; tables: {names}")
    render = {"text": to_text, "markdown": to_markdown, "latex": to_latex, "csv": to_csv, "json": to_json}
    text = "\n\n".join(render[config.format](beside_own(table, results)).rstrip("\n") for table in tables) + "\n"
    if config.to is None:
        sys.stdout.write(text)
    else:
        write_text(config.to, text)
