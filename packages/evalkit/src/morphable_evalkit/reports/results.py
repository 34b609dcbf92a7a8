"""The result file: one number per face or image, so that two systems can be compared pair by pair."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from morphable_evalkit.files import read_json, write_text

RESULT_FORMAT = "evalkit-result"
RESULT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ItemResult:
    """One annotated face, image or scan."""

    image: str
    face: int
    """Number of the face within its picture, from 0."""
    error: float
    """In `unit`; NaN where missed or failed."""
    group: str = ""
    """Yaw bin, challenge or setting, where there are any."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one system scored on one data set under one protocol.

    Example:
        >>> from morphable_evalkit.reports.results import ItemResult
        >>> def result(system, errors):
        ...     items = tuple(ItemResult(image=f"{i}.jpg", face=0, error=error) for i, error in enumerate(errors))
        ...     return Result(command="nme", system=system, protocol={}, unit="fraction", summary={}, items=items)
        >>> result("mine", [0.03, 0.04]).items[1].error
        0.04
    """

    command: str
    system: str
    protocol: dict[str, str]
    unit: str
    """`fraction`, `deg` or `mm`."""
    summary: dict[str, Any]
    items: tuple[ItemResult, ...]


def face_numbers(images: Sequence[str]) -> list[int]:
    """Number the faces of each picture from 0."""
    seen: dict[str, int] = {}
    numbers = []
    for name in images:
        numbers.append(seen.get(name, 0))
        seen[name] = numbers[-1] + 1
    return numbers


@dataclass(frozen=True, kw_only=True)
class _ResultFile:
    """Content of a result file."""

    format: str
    version: int
    results: tuple[Result, ...]


def write_results(path: Path, results: Sequence[Result]) -> None:
    """Write results as JSON (NaN becomes null), whole or not at all.

    Example:
        >>> from morphable_evalkit.reports.results import ItemResult
        >>> def result(system, errors):
        ...     items = tuple(ItemResult(image=f"{i}.jpg", face=0, error=error) for i, error in enumerate(errors))
        ...     return Result(command="nme", system=system, protocol={}, unit="fraction", summary={}, items=items)
        >>> write_results(Path("mine.json"), [result("mine", [0.03, 0.04])])
        >>> read_results(Path("mine.json"))[0].system
        'mine'
    """
    content = asdict(_ResultFile(format=RESULT_FORMAT, version=RESULT_VERSION, results=tuple(results)))
    write_text(path, json.dumps(_without_nan(content), indent=1, allow_nan=False) + "\n")


def read_results(path: Path) -> tuple[Result, ...]:
    """Read a result file.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is of another format or version, or a key is missing or unknown.

    Example:
        >>> from morphable_evalkit.reports.results import ItemResult
        >>> def result(system, errors):
        ...     items = tuple(ItemResult(image=f"{i}.jpg", face=0, error=error) for i, error in enumerate(errors))
        ...     return Result(command="nme", system=system, protocol={}, unit="fraction", summary={}, items=items)
        >>> write_results(Path("mine.json"), [result("mine", [0.03, 0.04])])
        >>> read_results(Path("mine.json"))[0].system
        'mine'
    """
    if not path.is_file():
        raise FileNotFoundError(f"results must be a file written by --json, got {path} (no such file)")
    form = "the result format"
    kind = read_json(path, _FileKind, form, extra_keys=True)
    if kind.format != RESULT_FORMAT:
        raise ValueError(f"{path} must be a result file of evalkit (written by --json), got another kind of JSON")
    if kind.version != RESULT_VERSION:
        raise ValueError(f"version of {path} must be {RESULT_VERSION}, got {kind.version}")
    return read_json(path, _ResultFile, form).results


@dataclass(frozen=True, kw_only=True)
class _FileKind:
    """The two keys that tell what a file is, before the others are read."""

    format: str = ""
    version: int = 0


def _without_nan(value: Any) -> Any:
    """Replace NaN and infinity, which JSON lacks, by null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
