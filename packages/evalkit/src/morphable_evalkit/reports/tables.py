"""A table with its notes, written for the terminal, Markdown, LaTeX, CSV or JSON."""

import csv
import io
import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

_NOTE_WIDTH = 110
_LATEX_ESCAPES = str.maketrans({
    "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}", "<": "$<$", ">": "$>$",
    "±": r"$\pm$", "≤": r"$\leq$", "°": r"$^\circ$",
})  # fmt: skip


@dataclass(frozen=True)
class Table:
    """Cells that are text already, so that every format shows the same digits."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    """Protocol, counts, sources: printed under the table in every format that has room for them."""

    def __post_init__(self) -> None:
        wrong = [row for row in self.rows if len(row) != len(self.columns)]
        if wrong:
            raise ValueError(f"rows must have {len(self.columns)} cells, got {len(wrong[0])} in {wrong[0]}")


def to_text(table: Table) -> str:
    """Align the table for the terminal: first column left, the others right."""
    lines = [table.columns, *table.rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.columns))]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        rest = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "  ".join([first, *rest]).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    body = [line(table.columns), rule, *(line(row) for row in table.rows)]
    return "\n".join([table.title, *body, *_wrapped(table.notes)])


def _wrapped(notes: Sequence[str]) -> list[str]:
    """Break notes into indented lines."""
    return [
        line
        for note in notes
        for line in textwrap.wrap(note, _NOTE_WIDTH, initial_indent="  ", subsequent_indent="    ")
    ]


def to_markdown(table: Table) -> str:
    """Write a GitHub-flavoured table, notes as a list below it."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (table.columns, *table.rows)]
    align = ["---", *["---:"] * (len(table.columns) - 1)]
    lines = [f"| {' | '.join(row)} |" for row in (cells[0], align, *cells[1:])]
    return "\n".join([f"**{table.title}**", "", *lines, "", *(f"- {note}" for note in table.notes)]).rstrip() + "\n"


def to_latex(table: Table) -> str:
    """Write a booktabs table with the notes as comments."""
    rows = [" & ".join(cell.translate(_LATEX_ESCAPES) for cell in row) + r" \\" for row in (table.columns, *table.rows)]
    lines = [
        *(f"% {note}" for note in (table.title, *table.notes)),
        rf"\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}",
        r"\toprule",
        rows[0],
        r"\midrule",
        *rows[1:],
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def to_csv(table: Table) -> str:
    """Write header and rows; notes have no place in CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([table.columns, *table.rows])
    return out.getvalue()


def to_json(table: Table) -> str:
    """Write title, one object per row, and notes."""
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return json.dumps({"title": table.title, "rows": rows, "notes": table.notes}, indent=1) + "\n"


def percent(fraction: float, digits: int = 2) -> str:
    """Write a fraction as percent without the sign; `-` for NaN."""
    return "-" if fraction != fraction else f"{100 * fraction:.{digits}f}"
