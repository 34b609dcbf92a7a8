"""`evalkit latency`: time against the number of faces."""

from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

import tyro

from morphable_evalkit.measures.latency import Timings, crossover, line_through, quartiles, read_timings
from morphable_evalkit.reports.output import OutputConfig, emit
from morphable_evalkit.reports.plots import plot_latency
from morphable_evalkit.reports.results import Result
from morphable_evalkit.reports.tables import Table


@dataclass(frozen=True, kw_only=True)
class LatencyConfig:
    """Plot and tabulate time against the number of faces from timing files, and where systems cross."""

    timings: tyro.conf.Positional[tuple[Path, ...]]
    """Timing files, JSON or CSV (docs/evaluation.md)."""
    output: OutputConfig = field(default_factory=OutputConfig)

    def __post_init__(self) -> None:
        if not self.timings:
            raise ValueError("timings must name at least one file, got none")


def run_latency(config: LatencyConfig) -> None:
    """Print the table, write the files."""
    systems = {_label(timing): timing for path in config.timings for timing in read_timings(path)}
    counts = sorted({faces for timing in systems.values() for faces in timing.samples_ms})
    columns = ("system", *(f"{n} face{'s' if n != 1 else ''}" for n in counts), "fixed", "per face", "repeats")
    rows = tuple(_row(name, timing, counts) for name, timing in systems.items())
    notes = ["median milliseconds per picture; fixed, per face: straight line through the medians"]
    notes += [f"{name}: {timing.notes}" for name, timing in systems.items() if timing.notes]
    notes += _crossovers(systems)
    results = [
        Result(
            command="latency",
            system=name,
            protocol={"device": timing.device},
            unit="ms",
            summary={"median_ms": {str(faces): value for faces, value in timing.medians().items()}},
            items=(),
        )
        for name, timing in systems.items()
    ]
    emit(Table("Time per picture (ms)", columns, rows, tuple(notes)), results, config.output)
    for path in config.output.plot:
        plot_latency(path, {name: _curve(timing) for name, timing in systems.items()})


def _label(timing: Timings) -> str:
    """Name a system with its device."""
    return f"{timing.system}, {timing.device}" if timing.device else timing.system


def _row(name: str, timing: Timings, counts: list[int]) -> tuple[str, ...]:
    """One system's line."""
    medians = timing.medians()
    cells = [f"{medians[n]:.1f}" if n in medians else "-" for n in counts]
    line = [f"{value:.2f}" if value == value else "-" for value in line_through(medians)]
    repeats = {len(samples) for samples in timing.samples_ms.values()}
    return (name, *cells, *line, f"{min(repeats)}" if len(repeats) == 1 else f"{min(repeats)}-{max(repeats)}")


def _crossovers(systems: dict[str, Timings]) -> list[str]:
    """List, for every pair of systems, the number of faces above which each is at least as fast."""
    notes = []
    for (name, timing), (other, baseline) in permutations(systems.items(), 2):
        start = crossover(timing.medians(), baseline.medians())
        if start is not None:
            notes.append(f"{name} is at least as fast as {other} from {start:.1f} faces on")
    return notes


def _curve(timing: Timings) -> tuple[list[float], list[float], list[float], list[float]]:
    """Numbers of faces, medians and quartiles."""
    medians = timing.medians()
    bounds = [quartiles(timing.samples_ms[faces]) for faces in medians]
    faces = [float(n) for n in medians]
    return faces, list(medians.values()), [low for low, _ in bounds], [high for _, high in bounds]
