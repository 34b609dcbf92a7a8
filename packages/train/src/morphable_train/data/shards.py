"""Shards: WebDataset tar files of pictures, labels and skin masks, with random access for reading.

One record is `KEY.jpg` (or `.png`), `KEY.npz` (labels) and, where known, `KEY.mask.png` (skin, 0 or 255).
A shard appears under its name only when it is whole; `dataset.json` beside the shards describes them.
"""

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from morphable.decoding import open_picture
from morphable.files import atomic_path, refusing, write_text
from morphable.records import build_record, read_object
from morphable_train.data.labels import FaceLabels, LabelVersionError, labels_from_bytes, labels_to_bytes

FORMAT_VERSION = 1
DESCRIPTION_FILE = "dataset.json"
_IMAGE_SUFFIXES = ("jpg", "png")
_JPEG_QUALITY = 92


@dataclass(frozen=True, kw_only=True)
class DatasetSource:
    """Something that went into a data set: a collection of photographs, of skins, of backgrounds."""

    name: str
    license: str


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What a folder of shards holds; written when it is complete, by `prepare` or by `morphable-synth generate`."""

    name: str
    license: str
    """License of the whole set, which a model card repeats for weights trained on it."""
    sources: tuple[DatasetSource, ...] = ()
    records: int | None = None
    faces: int | None = None
    model: str = ""
    """Name of the face model the coefficients belong to; empty for weak labels."""
    settings: dict[str, Any] = field(default_factory=dict)
    """How it was made, in the words of the program that did."""
    format_version: int = FORMAT_VERSION

    def __str__(self) -> str:
        """Return one line for a model card."""
        count = "" if self.faces is None else f"{self.faces} faces, "
        parts = ", ".join(f"{part.name}: {part.license}" for part in self.sources if part.name != self.name)
        return f"{self.name} ({count}{self.license}{'; ' * bool(parts)}{parts})"


@dataclass(frozen=True)
class Record:
    """One picture with its labels."""

    key: str
    image: UInt8[np.ndarray, "rows cols 3"]
    labels: FaceLabels
    skin: UInt8[np.ndarray, "rows cols"] | None = None
    """255 on visible skin of a face, 0 elsewhere."""
    parts: UInt8[np.ndarray, "rows cols"] | None = None
    """What each pixel shows: indices into `morphable_synth.PART_NAMES`; read back by `ShardReader.parts`."""


class ShardWriter:
    """Write records into numbered tar files of a bounded size; a context manager.

    Leaving it by an exception drops the unfinished shard; what was finished stays.

    >>> with ShardWriter(folder / "copy") as writer:
    ...     writer.write(ShardReader(shards).read(0))
    >>> len(ShardReader(folder / "copy"))
    1
    """

    def __init__(self, folder: Path, *, records_per_shard: int = 500, first_shard: int = 0) -> None:
        self.folder, self.records_per_shard, self.shard = folder, records_per_shard, first_shard
        self._pending: list[tuple[str, list[tuple[str, bytes]]]] = []
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()

    @property
    def pending(self) -> int:
        """Records that are not in a file yet."""
        return len(self._pending)

    def write(self, *records: Record) -> None:
        """Add records that stay together; every `records_per_shard` of them, or a few more, become a file.

        Raises:
            ValueError: The shard has such a key; a reader would find only one of the records.
        """
        for record in records:
            if any(key == record.key for key, _ in self._pending):
                raise ValueError(f"record key must be unique in a shard, got {record.key} twice for {self.folder}")
            members = [("jpg", encode_image(record.image)), ("npz", labels_to_bytes(record.labels))]
            if record.parts is not None:
                skin = np.zeros_like(record.parts) if record.skin is None else record.skin
                members.append(("mask.png", encode_mask(np.stack([record.parts, np.zeros_like(skin), skin], -1))))
            elif record.skin is not None:
                members.append(("mask.png", encode_mask(record.skin)))
            self._pending.append((record.key, members))
        if len(self._pending) >= self.records_per_shard:
            self.flush()

    def flush(self) -> None:
        """Write what is pending as one shard, whole or not at all."""
        if not self._pending:
            return
        with (
            atomic_path(self.folder / f"{self.shard:06d}.tar", parents=True) as temporary,
            tarfile.open(temporary, "w") as tar,
        ):
            for key, members in self._pending:
                for suffix, data in members:
                    entry = tarfile.TarInfo(f"{key}.{suffix}")
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
        self._pending.clear()
        self.shard += 1


def encode_image(image: UInt8[np.ndarray, "rows cols 3"]) -> bytes:
    """Return a JPEG without color subsampling."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def encode_mask(mask: UInt8[np.ndarray, "rows cols *planes"]) -> bytes:
    """Return a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG", optimize=False, compress_level=1)
    return buffer.getvalue()


@dataclass
class _Entry:
    """Where the members of one record lie: suffix -> (offset, size)."""

    path: Path
    key: str
    members: dict[str, tuple[int, int]] = field(default_factory=dict)


class ShardReader:
    """Random access to the records of a folder of shards.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: It holds no shard, an unreadable one, or one without a whole record.

    >>> reader = ShardReader(shards)
    >>> reader.read(0).image.shape
    (128, 128, 3)
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(f"shards must be an existing folder, got {folder}; run `morphable-train prepare`")
        self.folder = folder
        self.paths = sorted(folder.glob("[!.]*.tar"))
        if not self.paths:
            raise ValueError(
                f"shards must hold at least one .tar file, got none in {folder}; run `morphable-train prepare`"
            )
        self._entries = [entry for path in self.paths for entry in _index_shard(path)]

    def __len__(self) -> int:
        return len(self._entries)

    def keys(self) -> list[str]:
        """Return the records' keys, in reading order."""
        return [entry.key for entry in self._entries]

    def labels(self, index: int) -> FaceLabels:
        """Read the labels of one record, without its picture.

        Raises:
            ValueError: They are damaged or missing.
        """
        entry = self._entries[index]
        try:
            return labels_from_bytes(self.member(index, "npz"))
        except LabelVersionError as error:
            raise LabelVersionError(f"record {entry.key} in {entry.path}: {error}") from error
        except ValueError as error:
            raise ValueError(f"labels of record {entry.key} in {entry.path} are damaged: {error}") from error

    def read(self, index: int) -> Record:
        """Read one record.

        Raises:
            ValueError: Its picture or labels are damaged or missing.
        """
        entry = self._entries[index]
        suffix = next((s for s in _IMAGE_SUFFIXES if s in entry.members), _IMAGE_SUFFIXES[0])
        image = _decode(self.member(index, suffix), "RGB", entry)
        skin = _decode_skin(self.member(index, "mask.png"), entry) if "mask.png" in entry.members else None
        return Record(entry.key, image, self.labels(index), skin)

    def parts(self, index: int) -> UInt8[np.ndarray, "rows cols"]:
        """Read what each pixel of a synthetic scene shows: indices into `morphable_synth.PART_NAMES`.

        Raises:
            ValueError: The record has no parts, as prepared photographs have none, or they are damaged.
        """
        entry = self._entries[index]
        planes = _decode(self.member(index, "mask.png"), None, entry) if "mask.png" in entry.members else None
        if planes is None or planes.ndim != 3:
            raise ValueError(
                f"record {entry.key} must have parts, got none in {entry.path}; "
                "use shards of `morphable-synth generate`, or of CelebAMask-HQ"
            )
        return np.ascontiguousarray(planes[..., 0])

    def member(self, index: int, suffix: str) -> bytes:
        """Read one file of a record.

        Raises:
            ValueError: The record has none of that suffix.
        """
        entry = self._entries[index]
        if suffix not in entry.members:
            raise ValueError(f"record {entry.key} must have a member .{suffix}, got none in {entry.path}")
        offset, size = entry.members[suffix]
        with entry.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)


def _index_shard(path: Path) -> Iterator[_Entry]:
    """List a shard's records, including incomplete records, so that the reader can count them.

    Raises:
        ValueError: It is no tar file, or has no whole record.
    """
    entries: dict[str, _Entry] = {}
    with (
        refusing("shard must be a whole tar file", path, next_step="delete it and prepare again"),
        tarfile.open(path, "r:") as tar,
    ):
        for member in tar:
            key, _, suffix = member.name.partition(".")
            entries.setdefault(key, _Entry(path, key)).members[suffix] = (member.offset_data, member.size)
    records = [entry for entry in entries.values() if entry.members.keys() & {"npz", *_IMAGE_SUFFIXES}]
    if not any("npz" in e.members and e.members.keys() & set(_IMAGE_SUFFIXES) for e in records):
        raise ValueError(
            f"shard must hold at least one picture with labels, got none in {path}; delete it and prepare again"
        )
    return iter(records)


def _decode(data: bytes, mode: str | None, entry: _Entry) -> UInt8[np.ndarray, "..."]:
    """Decode a picture, in its own mode if none is given."""
    try:
        return np.asarray(open_picture(io.BytesIO(data)).convert(mode))
    except Exception as error:  # decoders raise whatever damaged bytes make them
        raise ValueError(f"picture of record {entry.key} in {entry.path} is damaged: {error}") from error


def _decode_skin(data: bytes, entry: _Entry) -> UInt8[np.ndarray, "rows cols"]:
    """Decode a skin mask: gray, or the last plane of the masks of `morphable-synth` (part, face, skin)."""
    planes = _decode(data, "RGB", entry)
    return np.ascontiguousarray(planes[..., 2])


def write_info(folder: Path, info: DatasetInfo) -> None:
    """Write `dataset.json`."""
    write_text(folder / DESCRIPTION_FILE, json.dumps(asdict(info), indent=2) + "\n", parents=True)


def read_info(folder: Path) -> DatasetInfo | None:
    """Read `dataset.json`; None where a preparation has not finished.

    Raises:
        ValueError: It is damaged, of a newer version, or has unknown keys.
    """
    path = folder / DESCRIPTION_FILE
    if not path.is_file():
        return None
    values = read_object(path, DESCRIPTION_FILE)
    version = values.get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(
            f"shards must be of format version {FORMAT_VERSION}, got {version} in {path}; prepare them again"
        )
    named = {"sources": [_source(entry, values.get("license")) for entry in values.get("sources", ())]}
    return build_record(DatasetInfo, values | named, str(path))


def _source(entry: object, data_license: object) -> object:
    """Return a source as an object; a bare name has the license of the whole."""
    return {"name": entry, "license": data_license} if isinstance(entry, str) else entry
