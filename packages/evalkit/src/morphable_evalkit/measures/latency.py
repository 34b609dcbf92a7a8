"""Time against the number of faces in a picture."""

import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

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
    read = _read_csv if path.suffix.lower() == ".csv" else _read_json
    try:
        timings = read(path)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} must follow the timing format, got {type(error).__name__}: {error}") from error
    for timing in timings:
        for faces, samples in timing.samples_ms.items():
            if faces < 0 or len(samples) == 0 or not (np.isfinite(samples) & (samples > 0)).all():
                raise ValueError(f"times of {timing.system} for {faces} faces must be positive, got {samples[:3]}")
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


def _read_json(path: Path) -> tuple[Timings, ...]:
    """Read the JSON form."""
    content = json.loads(path.read_text())
    if content.get("format") != TIMING_FORMAT or content.get("version") != TIMING_VERSION:
        raise ValueError(
            f"{path} must have format {TIMING_FORMAT!r} and version {TIMING_VERSION}, got {content.get('format')!r} "
            f"and {content.get('version')}"
        )
    return tuple(
        Timings(
            system=entry["system"],
            device=entry.get("device", ""),
            notes=entry.get("notes", ""),
            samples_ms={int(n): np.array(ms, dtype=np.float64) for n, ms in entry["samples_ms"].items()},
        )
        for entry in content["timings"]
    )


def _read_csv(path: Path) -> tuple[Timings, ...]:
    """Read the CSV form: one row per measurement."""
    samples: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            samples[row["system"], row.get("device") or ""][int(row["faces"])].append(float(row["ms"]))
    return tuple(
        Timings(system=system, device=device, notes="", samples_ms=_arrays(by_faces))
        for (system, device), by_faces in samples.items()
    )


def _arrays(by_faces: Mapping[int, Sequence[float]]) -> dict[int, Float[np.ndarray, " repeats"]]:
    """Turn lists into arrays."""
    return {faces: np.array(values, dtype=np.float64) for faces, values in by_faces.items()}
