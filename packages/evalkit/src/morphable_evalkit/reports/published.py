"""Published numbers with their sources, from the data files of this package."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal, get_args

from morphable_evalkit.files import read_json
from morphable_evalkit.reports.results import Result
from morphable_evalkit.reports.tables import Table

Paper = Literal["wm3dr", "mobile-frnet", "df-mvr", "records"]


@dataclass(frozen=True)
class PublishedColumn:
    """One column, and where one's own number for it lies in a result's summary."""

    label: str
    own: tuple[str | int, ...]
    scale: float


@dataclass(frozen=True)
class PublishedTable:
    """One table of a paper."""

    name: str
    title: str
    command: str
    """Command of evalkit that measures the same, empty if none does."""
    match: Mapping[str, str]
    """How entries of a result's protocol must begin for the result to belong beside the table."""
    protocol: str
    source: str
    columns: tuple[PublishedColumn, ...]
    rows: tuple[tuple[str, ...], ...]
    """Method and cells: the digits as printed, `-` where there is none."""


@dataclass(frozen=True)
class _Paper:
    """Content of a data file."""

    title: str
    tables: tuple[PublishedTable, ...]


def paper_names() -> tuple[str, ...]:
    """Return the names that `--paper` takes."""
    return get_args(Paper)


def read_published(paper: Paper) -> tuple[PublishedTable, ...]:
    """Read the tables of a paper (`records`: the best numbers of the field that were read at their source)."""
    with resources.as_file(resources.files("morphable_evalkit.reports") / "published_data" / f"{paper}.json") as file:
        return read_json(file, _Paper, "the form of published tables").tables


def beside_own(published: PublishedTable, results: Sequence[Result]) -> Table:
    """Put one's own results under the published rows, with their protocol in the notes.

    Results of another command, data set or scan protocol than the table's are left out.
    """
    own = [result for result in results if _belongs(result, published)]
    rows = tuple(
        (f"{result.system} (own)", *(_own_cell(result.summary, column) for column in published.columns))
        for result in own
    )
    notes = [f"published: {published.source}", f"protocol: {published.protocol}"]
    notes += [
        f"{result.system} (own): " + "; ".join(f"{key}: {value}" for key, value in result.protocol.items())
        for result in own
    ]
    columns = ("method", *(column.label for column in published.columns))
    return Table(f"{published.title} ({published.name})", columns, published.rows + rows, tuple(notes))


def _belongs(result: Result, published: PublishedTable) -> bool:
    """Whether a result measures what the table does."""
    fits = all(result.protocol.get(key, "").startswith(start) for key, start in published.match.items())
    return result.command == published.command and fits


def _own_cell(summary: dict[str, Any], column: PublishedColumn) -> str:
    """Look one number up; `-` where the result has none."""
    value: Any = summary
    for key in column.own:
        inside = isinstance(value, dict) and key in value
        within = isinstance(value, list | tuple) and isinstance(key, int) and key < len(value)
        if not (inside or within):
            return "-"
        value = value[key]
    if not column.own or value is None or value == "-":
        return "-"
    return f"{float(value) * column.scale:.2f}"
