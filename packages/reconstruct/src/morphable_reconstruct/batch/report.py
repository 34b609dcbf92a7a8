"""Output of a run: progress, a summary table, the failures, a summary for machines."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from morphable.commands import printable
from morphable_reconstruct.batch.pictures import Outcome

MAX_ROWS = 30
"""Longer runs get totals only."""


class RateColumn(ProgressColumn):
    """Items per second."""

    def render(self, task: Task) -> Text:
        """Show the speed, once there is one."""
        return Text("" if task.speed is None else f"{task.speed:.1f}/s")


def with_progress(outcomes: Iterable[Outcome], total: int, *, console: Console) -> Iterator[Outcome]:
    """Pass outcomes on, with a bar that shows the rate and the number of faces."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[faces]} faces"),
    )
    faces = 0
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("reconstructing", total=total, faces=0)
        for outcome in outcomes:
            faces += outcome.faces
            progress.update(task, advance=1, faces=faces)
            yield outcome


def print_summary(outcomes: list[Outcome], *, out: str, console: Console, errors: Console) -> None:
    """Print results to `console` and failures to `errors`."""
    done = [outcome for outcome in outcomes if outcome.error is None]
    if 0 < len(done) <= MAX_ROWS:
        table = Table(Column("picture", overflow="fold"), Column("faces", justify="right"), "seconds", "results")
        for outcome in done:
            seconds = "done before" if outcome.skipped else f"{outcome.seconds:.2f}"
            name, results = Text(outcome.source.name), Text(printable(_results(outcome)))
            table.add_row(name, str(outcome.faces), seconds, results)
        console.print(table)
    for outcome in done[:MAX_ROWS]:
        if outcome.faces == 0:
            _print(console, f"no face found in {outcome.source.name}")
    for outcome in done:
        for note in outcome.notes:
            _print(errors, f"note: {outcome.source.name}: {note}")
    skipped = sum(outcome.skipped for outcome in done)
    empty = sum(outcome.faces == 0 for outcome in done)
    faces, sources = sum(outcome.faces for outcome in done), len(done)
    parts = [f"{_counted(faces, 'face')} in {_counted(sources, 'source')}", f"results in {out}"]
    parts += [f"{skipped} done before"] * (skipped > 0) + [f"{empty} without a face"] * (empty > 0)
    parts += [f"{len(outcomes) - len(done)} failed"] * (len(outcomes) > len(done))
    _print(console, "; ".join(parts))
    for outcome in outcomes:
        if outcome.error is not None:
            _print(errors, f"failed: {outcome.source.name}: {outcome.error}")


def _print(console: Console, line: str) -> None:
    """Print a line with names of files in it as it is: no markup, no emoji, no color."""
    console.print(Text(printable(line)), soft_wrap=True)


def _counted(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _results(outcome: Outcome) -> str:
    """Endings of a source's files, without the name that they share."""
    endings = [file.removeprefix(outcome.source.stem) for file in outcome.files]
    shared = dict.fromkeys(re.sub(r"_\d{2,}(?=\.)", "_*", ending) for ending in endings)
    return " ".join(shared)


def summary_json(outcomes: list[Outcome]) -> str:
    """Encode the outcomes for machines."""
    sources: list[dict[str, Any]] = [
        {
            "name": outcome.source.name,
            "faces": outcome.faces,
            "seconds": round(outcome.seconds, 4),
            "skipped": outcome.skipped,
            "error": outcome.error,
            "files": [printable(file) for file in outcome.files],
            "notes": list(outcome.notes),
        }
        for outcome in outcomes
    ]
    failed = sum(outcome.error is not None for outcome in outcomes)
    summary = {"sources": sources, "faces": sum(o.faces for o in outcomes), "failed": failed}
    return json.dumps(summary, indent=1) + "\n"
