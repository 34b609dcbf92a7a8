"""Time against the number of faces in a picture."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from morphable_evalkit.files import read_json, refusing

TIMING_FORMAT = "evalkit-timing"
TIMING_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Repeated measurements of one system on one device."""

    system: str
    device: str
    notes: str
    samples_ms: Mapping[int, Float[np.ndarray, " repeats"]]
    """Milliseconds per picture, by number of faces in it."""

    def medians(self) -> dict[int, float]:
        """Median time by number of faces, in rising order."""
        return {faces: float(np.median(self.samples_ms[faces])) for faces in sorted(self.samples_ms)}


def read_timings(path: Path) -> tuple[Timings, ...]:
    """Read a timing file.

    JSON: `{"format": "evalkit-timing", "version": 1, "timings": [{"system": ..., "device": ..., "notes": ...,
    "samples_ms": {"1": [..], "5": [..]}}]}`. CSV: columns `system`, `faces`, `ms`, optionally `device`.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Another format, or times that are not positive.
    """
    if not path.is_file():
        raise FileNotFoundError(f"timings must be a JSON or CSV file, got {path} (no such file)")
    timings = _read_csv(path) if path.suffix.lower() == ".csv" else _read_json(path)
    for timing in timings:
        for faces, samples in timing.samples_ms.items():
            if faces < 0 or len(samples) == 0 or not (np.isfinite(samples) & (samples > 0)).all():
                raise ValueError(
                    f"times of {timing.system} for {faces} faces must be positive, got {samples[:3]} in {path}"
                )
    return timings


def line_through(medians: Mapping[int, float]) -> tuple[float, float]:
    """Return time without faces and time per face, by least squares of the medians; NaN from one number only."""
    if len(medians) < 2:
        return (float("nan"), float("nan"))
    per_face, fixed = np.polyfit(list(medians), list(medians.values()), 1)
    return (float(fixed), float(per_face))


def crossover(first: Mapping[int, float], second: Mapping[int, float]) -> float | None:
    """Return from which number of faces on the first system is at least as fast as the second.

    Medians are joined by straight lines over the range both were measured on.

    Returns:
        The number, possibly between two measured ones; None if it is never as fast at the end of the range.
    """
    low, high = max(min(first), min(second)), min(max(first), max(second))
    grid = sorted({*first, *second, low, high})
    grid = [n for n in grid if low <= n <= high]
    if not grid:
        return None
    gap = np.interp(grid, list(first), list(first.values())) - np.interp(grid, list(second), list(second.values()))
    if gap[-1] > 0:
        return None
    last_slower = np.flatnonzero(gap > 0)
    if len(last_slower) == 0:
        return float(grid[0])
    i = int(last_slower[-1])
    return float(grid[i] + (grid[i + 1] - grid[i]) * gap[i] / (gap[i] - gap[i + 1]))


def quartiles(samples: Float[np.ndarray, " repeats"]) -> tuple[float, float]:
    """Return the limits of the middle half."""
    low, high = np.quantile(samples, [0.25, 0.75])
    return (float(low), float(high))


@dataclass(frozen=True)
class _FileKind:
    """The two keys that tell what a file is, before the others are read."""

    format: str = ""
    version: int = 0


@dataclass(frozen=True)
class _Entry:
    """One system's entry in a timing file."""

    system: str
    samples_ms: dict[str, tuple[float, ...]]
    device: str = ""
    notes: str = ""


@dataclass(frozen=True)
class _TimingFile:
    """Content of a timing file."""

    format: str
    version: int
    timings: tuple[_Entry, ...]


def _read_json(path: Path) -> tuple[Timings, ...]:
    """Read the JSON form."""
    form = "the timing format"
    kind = read_json(path, _FileKind, form, extra_keys=True)
    if (kind.format, kind.version) != (TIMING_FORMAT, TIMING_VERSION):
        raise ValueError(
            f"{path} must have format {TIMING_FORMAT!r} and version {TIMING_VERSION}, got {kind.format!r} "
            f"and {kind.version}"
        )
    entries = read_json(path, _TimingFile, form).timings
    with refusing(path, "a timing file with numbers of faces as keys"):
        return tuple(
            Timings(
                system=entry.system,
                device=entry.device,
                notes=entry.notes,
                samples_ms={int(n): np.array(ms, dtype=np.float64) for n, ms in entry.samples_ms.items()},
            )
            for entry in entries
        )


def _read_csv(path: Path) -> tuple[Timings, ...]:
    """Read the CSV form: one row per measurement."""
    samples: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        for number, row in enumerate(csv.DictReader(file), 2):
            try:
                key = (row["system"], row.get("device") or "")
                samples[key][int(row["faces"])].append(float(row["ms"]))
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"{path} must follow the timing format (columns system, faces, ms), got {error} in line {number}"
                ) from error
    return tuple(
        Timings(system=system, device=device, notes="", samples_ms=_arrays(by_faces))
        for (system, device), by_faces in samples.items()
    )


def _arrays(by_faces: Mapping[int, Sequence[float]]) -> dict[int, Float[np.ndarray, " repeats"]]:
    """Turn lists into arrays."""
    return {faces: np.array(values, dtype=np.float64) for faces, values in by_faces.items()}
