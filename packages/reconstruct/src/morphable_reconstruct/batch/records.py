"""What a run has finished, so that a rerun skips it: one small file per picture."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from morphable.files import atomic_path, refusing
from morphable_reconstruct.batch.options import RunConfig
from morphable_reconstruct.exports.predictions import PredictionRows
from morphable_reconstruct.photographs.sources import RECORDS, Source

_IGNORED_OPTIONS = {
    "sources",
    "out",
    "preds",
    "json",
    "overwrite",
    "workers",
    "engine_cluster",
    "weights",
    "model",
    "per_face",
    "weights_dir",
}
"""Options that do not change a picture's results; of weights and face models the content counts, not the name."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """A finished picture."""

    faces: int
    files: tuple[str, ...]
    """Results, relative to the output folder."""
    rows: PredictionRows


class Records:
    """The finished pictures of an output folder."""

    def __init__(self, config: RunConfig, weights_sha256: str) -> None:
        self.out = config.out
        options = {name: str(value) for name, value in vars(config).items() if name not in _IGNORED_OPTIONS}
        options["save"] = ",".join(sorted(config.save_kinds))
        options["weights_sha256"] = weights_sha256
        self._options = json.dumps(options, sort_keys=True)

    def find(self, source: Source) -> Record | None:
        """Return the record of a picture done with these options, if the picture and its results are unchanged.

        Raises:
            ValueError: The record is damaged.
        """
        path = self._path(source)
        if not path.is_file():
            return None
        with refusing("record must be a whole .npz file", path), np.load(path, allow_pickle=False) as stored:
            if str(stored["key"]) != self._key(source):
                return None
            files = tuple(str(name) for name in stored["files"])
            rows = {name[5:]: stored[name] for name in stored.files if name.startswith("rows_")}
            record = Record(faces=len(rows["score"]), files=files, rows=rows)
        return record if all((self.out / name).is_file() for name in files) else None

    def add(self, source: Source, files: tuple[str, ...], rows: PredictionRows) -> Record:
        """Note that a picture is done; call it after its results are written."""
        path = self._path(source)
        path.parent.mkdir(parents=True, exist_ok=True)
        named = {f"rows_{name}": values for name, values in rows.items()}
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            key, names = np.array(self._key(source)), np.array(files, dtype=np.str_)
            np.savez(file, allow_pickle=False, key=key, files=names, **named)
        return Record(faces=len(rows["score"]), files=files, rows=rows)

    def _path(self, source: Source) -> Path:
        """The record's file."""
        return self.out / RECORDS / f"{source.stem}.npz"

    def _key(self, source: Source) -> str:
        """Hash of the options and of the picture's name, size and time of change."""
        status = source.path.stat()
        text = f"{self._options}\n{source.name}\n{status.st_size}\n{status.st_mtime_ns}"
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
