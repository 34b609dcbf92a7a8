"""`evalkit compare`: is the difference between two systems real?"""

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from morphable_evalkit.reports.comparison import Comparison, compare_results
from morphable_evalkit.reports.output import OutputConfig, emit
from morphable_evalkit.reports.results import Result, read_results
from morphable_evalkit.reports.tables import Table

_FACTORS = {"fraction": 100.0, "deg": 1.0, "mm": 1.0}


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """Compare two result files (--json) face by face: difference, 95 % interval, p-value."""

    first: tyro.conf.Positional[Path]
    """Result file of one system."""
    second: tyro.conf.Positional[Path]
    """Result file of the other."""
    resamples: int = 10_000
    """Number of resamples of the paired bootstrap over pictures."""
    seed: int = 0
    """Seed of the bootstrap."""
    same_protocol: bool = True
    """Refuse results that were measured in different ways."""
    output: OutputConfig = field(default_factory=OutputConfig)

    def __post_init__(self) -> None:
        if self.resamples < 100:
            raise ValueError(f"resamples must be at least 100, got {self.resamples}")
        if self.output.json is not None or self.output.per_image is not None or self.output.plot:
            raise ValueError("compare must be written as csv, markdown or latex, got json, per-image or plot")


def run_compare(config: CompareConfig) -> None:
    """Compare and print."""
    first, second = _only(config.first), _only(config.second)
    rows = compare_results(
        first, second, resamples=config.resamples, seed=config.seed, same_protocol=config.same_protocol
    )
    unit = "%" if first.unit == "fraction" else first.unit
    columns = (f"statistic ({unit})", "A", "B", "B - A", "95 % interval", "p", "faces")
    notes = (
        f"A: {first.system} ({config.first}); B: {second.system} ({config.second})",
        f"paired bootstrap over pictures, {config.resamples} resamples, seed {config.seed}; p: two-sided",
        "; ".join(f"{key}: {value}" for key, value in first.protocol.items()),
    )
    emit(Table("Comparison", columns, tuple(_row(row, first.unit) for row in rows), notes), [], config.output)


def _row(row: Comparison, unit: str) -> tuple[str, ...]:
    """One statistic's line; shares are percent in every unit."""
    factor = 100.0 if row.statistic.startswith("share") else _FACTORS[unit]
    low, high = row.interval
    values = [f"{factor * value:.3f}" for value in (row.first, row.second)]
    suffix = " (%)" if row.statistic.startswith("share") and unit != "fraction" else ""
    return (
        row.statistic + suffix,
        *values,
        f"{factor * row.difference:+.3f}",
        f"{factor * low:+.3f} to {factor * high:+.3f}",
        f"{row.p_value:.4f}",
        str(row.num_items),
    )


def _only(path: Path) -> Result:
    """The one result of a file."""
    results = read_results(path)
    if len(results) != 1:
        raise ValueError(f"{path} must hold one result, got {len(results)}; write one file per system")
    return results[0]
