"""Photographs to shards: landmarks, skin, crop; a report of what was refused and why."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from morphable.files import atomic_path, claimed, write_text
from morphable.records import read_object
from morphable_train.data.shards import DatasetInfo, DatasetSource, Record, ShardReader, ShardWriter, write_info
from morphable_train.preparation.basel import basel_labels
from morphable_train.preparation.landmarkers import LandmarkFinder, build_landmark_finder
from morphable_train.preparation.records import PrepareConfig, RecordMaker
from morphable_train.preparation.skin_sources import skin_source
from morphable_train.readers import open_source
from morphable_train.readers.item import SourceItem
from morphable_train.runs.drawing import TRUE_COLOR, draw_points, grid
from morphable_train.runs.progress import track

SETTINGS_FILE = "prepare.json"
REJECTS_FILE = "rejects.jsonl"
REPORT_FILE = "rejects.md"
SHEET_FILE = "contact_sheet.png"
SHEET_COLUMNS, SHEET_ROWS, SHEET_PX = 8, 6, 160


@dataclass(frozen=True)
class PrepareResult:
    """What a preparation did, over all its runs."""

    records: int
    faces: int
    rejected: dict[str, int]
    """Pictures or faces refused, by reason."""


def prepare(
    source: Path, output: Path, config: PrepareConfig, *, finder: LandmarkFinder | None = None
) -> PrepareResult:
    r"""Make shards of a folder; go on where an earlier run stopped.

    Args:
        source: The data set.
        output: Folder of the shards; also gets the rejects report and a contact sheet.
        config: How.
        finder: Finds landmarks where the data set has none; by default built from `config.landmarks` when needed.

    Raises:
        FileNotFoundError: The source has another layout.
        ValueError: Landmarks must be found and no network is named; the folder was begun with another source or other
            options; or nothing at all was usable.
        OSError: The disk is full; finished shards stay. Or another program prepares into the folder.

    >>> photographs = folder / "photographs"
    >>> photographs.mkdir()
    >>> Image.fromarray(np.full((200, 200, 3), 128, np.uint8)).save(photographs / "a.png")
    >>> points = "\n".join(f"{60 + k} {60 + 80 * (k % 2)}" for k in range(68))
    >>> _ = (photographs / "a.pts").write_text(f"version: 1\nn_points: 68\n{{\n{points}\n}}\n")
    >>> prepare(photographs, folder / "shards", PrepareConfig())
    PrepareResult(records=1, faces=1, rejected={})
    """
    items = list(open_source(source, config.kind))
    output.mkdir(parents=True, exist_ok=True)
    with claimed(output):
        return _prepare(items, source, output, config, finder)


def _prepare(
    items: list[SourceItem], source: Path, output: Path, config: PrepareConfig, finder: LandmarkFinder | None
) -> PrepareResult:
    """Fill the folder."""
    settings = _settings(source, config)
    _refuse_change(output, settings)
    skin = skin_source(config.skin, source, weights=config.skin_weights, folder=config.skin_folder)
    done, first_shard = _finished(output, config.layout)
    todo = [item for item in items if item.name not in done]
    if finder is None and any(item.landmarks68_px is None and not (item.problem or item.part_masks) for item in todo):
        finder = build_landmark_finder(config.landmarks)
    basel = None if config.basel is None else basel_labels(config.basel, str(config.basel_model))
    maker = RecordMaker(config, finder, skin, basel)
    write_text(output / SETTINGS_FILE, json.dumps(settings, indent=2) + "\n", parents=True)
    refused: list[tuple[str, str]] = []
    with ShardWriter(output, records_per_shard=config.records_per_shard, first_shard=first_shard) as writer:
        for item in track(todo, "preparing", len(todo)):
            records, problems = maker.records(item)
            refused += [(item.name, problem) for problem in problems]
            writer.write(*records)
            if not writer.pending:  # else a kill would lose the faces of a picture that is in the list
                _note(output, refused)
    _note(output, refused)
    return _finish(source, output, config, model="" if basel is None else basel.name)


def _settings(source: Path, config: PrepareConfig) -> dict[str, Any]:
    """What the records depend on: not how many share a file, nor where a network runs."""
    values = {"source": source} | asdict(config)
    values |= {f"landmarks.{name}": value for name, value in values.pop("landmarks").items()}
    del values["records_per_shard"], values["landmarks.device"]
    return json.loads(json.dumps(values, default=lambda path: str(path.resolve())))


def _refuse_change(output: Path, settings: dict[str, Any]) -> None:
    """Raise a ValueError that names what differs from the settings the folder was begun with."""
    path = output / SETTINGS_FILE
    if not path.is_file():
        if any(output.glob("[!.]*.tar")):
            raise ValueError(
                f"output must be new or have its {SETTINGS_FILE}, got shards in {output}; use another folder"
            )
        return
    before = read_object(path, SETTINGS_FILE)
    changed = [
        f"{key} {value} instead of {before.get(key)}" for key, value in settings.items() if value != before.get(key)
    ]
    if changed:
        raise ValueError(f"options must be those {output} was begun with, got {', '.join(changed)}; use another folder")


def _finished(output: Path, layout: str) -> tuple[set[str], int]:
    """Names that are in whole shards or refused, and the number of the next shard."""
    paths = sorted(output.glob("[!.]*.tar"))
    names = {entry["name"] for entry in _rejects(output)}
    if paths:
        keys = ShardReader(output).keys()
        names |= {re.sub(r"__\d+$", "", key) if layout == "crop" else key for key in keys}
    return names, 1 + max((int(p.stem) for p in paths), default=-1)


def _rejects(output: Path) -> Iterator[dict[str, str]]:
    """What was refused so far; a line that a kill or a full disk cut short is not: its picture is looked at again."""
    path = output / REJECTS_FILE
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        with suppress(json.JSONDecodeError, TypeError, KeyError):
            entry = json.loads(line)
            yield {key: str(entry[key]) for key in ("name", "reason")}


def _note(output: Path, refused: list[tuple[str, str]]) -> None:
    """Move names and reasons to the list of refused pictures; a picture in it is not looked at again."""
    if refused:
        with (output / REJECTS_FILE).open("a", encoding="utf-8") as file:
            for name, reason in refused:  # the line break first: what was cut short ends there
                file.write("\n" + json.dumps({"name": name, "reason": reason}))
        refused.clear()


def _finish(source: Path, output: Path, config: PrepareConfig, *, model: str) -> PrepareResult:
    """Describe the shards, write report and contact sheet.

    Raises:
        ValueError: Nothing was usable.
    """
    reasons = Counter(entry["reason"].partition(":")[0] for entry in _rejects(output))
    if not any(output.glob("[!.]*.tar")):
        raise ValueError(
            f"source must hold at least one usable face, got none in {source} ({dict(reasons)}); "
            f"see {output / REJECTS_FILE}"
        )
    reader = ShardReader(output)
    faces = sum(len(reader.labels(index)) for index in range(len(reader)))
    name = config.name or source.resolve().name
    sources = (DatasetSource(name=name, license=config.license),)
    info = DatasetInfo(
        name=name, license=config.license, records=len(reader), faces=faces, sources=sources, model=model
    )
    write_info(output, info)
    lines = [f"# Refused while preparing {name}", "", f"{len(reader)} records with {faces} faces were made.", ""]
    lines += ["| reason | count |", "|---|---|"]
    lines += [*(f"| {reason} | {count} |" for reason, count in reasons.most_common()), ""]
    lines += [f"- `{entry['name']}`: {entry['reason']}" for entry in _rejects(output)]
    write_text(output / REPORT_FILE, "\n".join(lines) + "\n", parents=True)
    _write_sheet(output, reader)
    return PrepareResult(len(reader), faces, dict(reasons))


def _write_sheet(output: Path, reader: ShardReader) -> None:
    """Records spread over the shards, with landmarks, and skin tinted."""
    count = min(len(reader), SHEET_COLUMNS * SHEET_ROWS)
    chosen = np.linspace(0, len(reader) - 1, count).astype(int).tolist()
    tiles = [_tile(reader.read(index)) for index in chosen]
    columns = min(SHEET_COLUMNS, count)
    tiles += [np.zeros_like(tiles[0])] * (-count % columns)
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    with atomic_path(output / SHEET_FILE, parents=True) as temporary:
        Image.fromarray(grid(rows)).save(temporary, "PNG")


def _tile(record: Record) -> np.ndarray:
    """One record, scaled into a square."""
    picture = record.image.copy()
    if record.skin is not None:
        tint = np.array([0, 80, 160])
        picture = np.where(record.skin[..., None] > 0, picture // 2 + (tint // 2).astype(np.uint8), picture).astype(
            np.uint8
        )
    scale = SHEET_PX / max(picture.shape[:2])
    small = Image.fromarray(picture).resize((round(picture.shape[1] * scale), round(picture.shape[0] * scale)))
    tile = np.zeros((SHEET_PX, SHEET_PX, 3), np.uint8)
    tile[: small.height, : small.width] = np.asarray(small)
    labels = record.labels
    return draw_points(tile, labels.landmarks68_px[labels.landmark_valid] * np.float32(scale), TRUE_COLOR)
