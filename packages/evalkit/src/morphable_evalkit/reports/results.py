"""The result file: one number per face or image, so that two systems can be compared pair by pair."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from morphable_evalkit.reports.tables import write_text

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
    """What one system scored on one data set under one protocol."""

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


def write_results(path: Path, results: Sequence[Result]) -> None:
    """Write results as JSON (NaN becomes null) by a temporary file and a rename."""
    content = {"format": RESULT_FORMAT, "version": RESULT_VERSION, "results": [asdict(result) for result in results]}
    write_text(path, json.dumps(_without_nan(content), indent=1, allow_nan=False) + "\n")


def read_results(path: Path) -> tuple[Result, ...]:
    """Read a result file.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is of another format or version.
    """
    if not path.is_file():
        raise FileNotFoundError(f"results must be a file written by --json, got {path} (no such file)")
    try:
        content = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} must be JSON, got {error}") from error
    if not isinstance(content, dict) or content.get("format") != RESULT_FORMAT:
        raise ValueError(f"{path} must be a result file of evalkit (written by --json), got another kind of JSON")
    if content["version"] != RESULT_VERSION:
        raise ValueError(f"version of {path} must be {RESULT_VERSION}, got {content['version']}")
    return tuple(_read_result(entry, path) for entry in content["results"])


def _read_result(entry: dict[str, Any], path: Path) -> Result:
    """Build one result; unknown or missing keys are refused."""
    try:
        items = tuple(
            ItemResult(**(item | {"error": float("nan") if item["error"] is None else item["error"]}))
            for item in entry["items"]
        )
        return Result(**(entry | {"items": items}))
    except (TypeError, KeyError) as error:
        raise ValueError(f"{path} must follow the result format, got {error}") from error


def _without_nan(value: Any) -> Any:
    """Replace NaN and infinity, which JSON does not know, by null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
