"""Photographs to shards: landmarks, skin, crop; a report of what was refused and why."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from morphable.files import atomic_path, write_text
from morphable_train.data.labels import FaceLabels, weak_labels
from morphable_train.data.pictures import read_picture
from morphable_train.data.shards import DatasetInfo, DatasetSource, Record, ShardReader, ShardWriter, write_info
from morphable_train.json_files import read_object
from morphable_train.preparation.landmarkers import (
    LandmarkFinder,
    LandmarkModelConfig,
    build_landmark_finder,
    cut_window,
)
from morphable_train.preparation.skin_sources import SkinSource, skin_source
from morphable_train.readers import SourceKind, open_source
from morphable_train.readers.item import SourceItem, check_face
from morphable_train.readers.video import read_frame
from morphable_train.runs.drawing import TRUE_COLOR, draw_points, grid
from morphable_train.runs.progress import track

SETTINGS_FILE = "prepare.json"
REJECTS_FILE = "rejects.jsonl"
REPORT_FILE = "rejects.md"
SHEET_FILE = "contact_sheet.png"
SHEET_COLUMNS, SHEET_ROWS, SHEET_PX = 8, 6, 160


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """How photographs become shards."""

    kind: SourceKind = "auto"
    """The data set's layout."""
    name: str = ""
    """Name in the model card; by default the folder's."""
    license: str = "unknown"
    """Licence of the photographs, for the model card of what is trained on them."""
    landmarks: LandmarkModelConfig = field(default_factory=LandmarkModelConfig)
    """Networks for pictures without landmarks."""
    layout: Literal["crop", "scene"] = "crop"
    """One square per face, or the whole picture with all its faces."""
    size_px: int = 384
    """Side of a crop, or longest side of a scene (not enlarged)."""
    face_scale: float = 2.4
    """Side of a crop relative to the longer side of the face's box."""
    min_face_px: float = 48.0
    """Smaller faces (longer side of the box, in the photograph) are refused."""
    skin: Literal["color", "parsing", "folder", "none"] = "color"
    """Skin masks from colour and landmarks, from the parsing network in `skin_weights`, given in `skin_folder`, or
    none: then nothing is compared photometrically."""
    skin_weights: Path | None = None
    """Weights file of the face-parsing network of `morphable_regressors`."""
    skin_folder: Path | None = None
    """Folder of masks, white on skin: the mask of `SOURCE/a/b.jpg` is `a/b.png`."""
    records_per_shard: int = 500
    """Records per tar file."""

    def __post_init__(self) -> None:
        if self.size_px < 64:
            raise ValueError(f"size_px must be at least 64, got {self.size_px}")
        if self.face_scale < 1.0:
            raise ValueError(f"face_scale must be at least 1, got {self.face_scale}")


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
    """Make shards of a folder; go on where an earlier run stopped.

    Args:
        source: The data set.
        output: Folder of the shards; also gets the rejects report and a contact sheet.
        config: How.
        finder: Finds landmarks where the data set has none; by default built from `config.landmarks` when needed.

    Raises:
        FileNotFoundError: The source has another layout.
        ValueError: Landmarks must be found and no network is named; the folder was begun with another source or other
            options; or nothing at all was usable.
        OSError: The disk is full; finished shards stay.
    """
    items = list(open_source(source, config.kind))
    settings = _settings(source, config)
    _refuse_change(output, settings)
    skin = skin_source(config.skin, source, weights=config.skin_weights, folder=config.skin_folder)
    output.mkdir(parents=True, exist_ok=True)
    done, first_shard = _finished(output, config.layout)
    todo = [item for item in items if item.name not in done]
    if finder is None and any(item.landmarks68_px is None and not item.problem for item in todo):
        finder = build_landmark_finder(config.landmarks)
    write_text(output / SETTINGS_FILE, json.dumps(settings, indent=2) + "\n", parents=True)
    refused: list[tuple[str, str]] = []
    with ShardWriter(output, records_per_shard=config.records_per_shard, first_shard=first_shard) as writer:
        for item in track(todo, "preparing", len(todo)):
            records, problems = _records(item, config, finder, skin)
            refused += [(item.name, problem) for problem in problems]
            writer.write(*records)
            if not writer.pending:  # else a kill would lose the faces of a picture that is in the list
                _note(output, refused)
    _note(output, refused)
    return _finish(source, output, config)


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


def _records(
    item: SourceItem, config: PrepareConfig, finder: LandmarkFinder | None, skin: SkinSource
) -> tuple[list[Record], list[str]]:
    """The records of one picture, and why it or some of its faces are refused."""
    if item.problem:
        return [], [item.problem]
    try:
        image = read_picture(item.path) if item.frame is None else read_frame(item.path, item.frame)
    except (ValueError, OSError) as error:
        return [], [str(error)]
    landmarks, known = item.landmarks68_px, item.landmark_valid
    if landmarks is None:
        assert finder is not None
        landmarks = finder(image)
        if not len(landmarks):
            return [], ["no face found"]
    known = np.ones(landmarks.shape[:2], bool) if known is None else known
    size_hw = image.shape[0], image.shape[1]
    checked = [
        check_face(points, size_hw, config.min_face_px, valid) for points, valid in zip(landmarks, known, strict=True)
    ]
    usable = [not problem for problem in checked]
    problems = [problem for problem in checked if problem]
    if not any(usable):
        return [], problems
    labels = weak_labels(landmarks[usable], contour=item.contour, valid=known[usable])
    try:
        if config.layout == "scene":
            return [_scene(item, image, labels, config, skin)], problems
        faces = (labels.select([index]) for index in range(len(labels)))
        return [_crop(item, index, image, face, config, skin) for index, face in enumerate(faces)], problems
    except ValueError as error:
        return [], [*problems, str(error)]


def _crop(
    item: SourceItem, index: int, image: np.ndarray, labels: FaceLabels, config: PrepareConfig, skin: SkinSource
) -> Record:
    """A square around one face; what lies outside the picture is black and not skin."""
    box = labels.boxes_px()[0]
    low, high = box[:2], box[2:]
    side = float((high - low).max()) * config.face_scale
    size = int(min(config.size_px, np.ceil(side)))
    left, top = (low + high) / 2 - side / 2
    mask = skin(item, image, labels)
    window = (float(left), float(top), float(left + side), float(top + side))
    moved = (labels.landmarks68_px - np.array([left, top], np.float32)) * np.float32(size / side)
    return Record(
        f"{item.name}__{index}",
        cut_window(image, window, size),
        replace(labels, landmarks68_px=moved),
        cut_window(mask, window, size) if mask is not None else None,
    )


def _scene(item: SourceItem, image: np.ndarray, labels: FaceLabels, config: PrepareConfig, skin: SkinSource) -> Record:
    """The whole picture, made smaller where it is larger than asked for."""
    rows, cols = image.shape[:2]
    scale = min(1.0, config.size_px / max(rows, cols))
    width, height = max(1, round(cols * scale)), max(1, round(rows * scale))
    ratio = np.array([width / cols, height / rows], np.float32)
    small = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    moved = replace(labels, landmarks68_px=(labels.landmarks68_px * ratio).astype(np.float32))
    return Record(item.name, small, moved, skin(item, small, moved))


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
        with suppress(json.JSONDecodeError):
            yield json.loads(line)


def _note(output: Path, refused: list[tuple[str, str]]) -> None:
    """Move names and reasons to the list of refused pictures; a picture in it is not looked at again."""
    if refused:
        with (output / REJECTS_FILE).open("a", encoding="utf-8") as file:
            for name, reason in refused:  # the line break first: what was cut short ends there
                file.write("\n" + json.dumps({"name": name, "reason": reason}))
        refused.clear()


def _finish(source: Path, output: Path, config: PrepareConfig) -> PrepareResult:
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
    write_info(
        output, DatasetInfo(name=name, license=config.license, records=len(reader), faces=faces, sources=sources)
    )
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
