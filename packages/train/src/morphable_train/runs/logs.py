"""What a run writes down: CSV rows, TensorBoard, `run.json`."""

import csv
import json
import platform
import subprocess
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from morphable.files import atomic_path, refusing, write_text
from morphable.records import plain, read_object

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from torch.utils.tensorboard import SummaryWriter

RUN_FILE = "run.json"
RESULTS_FILE = "results.json"
RUN_VERSION = 1


class RunLog:
    """Numbers and pictures of a run, in TensorBoard too where the extra `tensorboard` is installed.

    A row holds what was known at its step, and columns may be added later.
    """

    def __init__(self, run: Path, *, enabled: bool = True) -> None:
        self._run, self._enabled = run, enabled
        self._board = _open_board(run / "tensorboard") if enabled else None

    def scalars(self, table: str, step: int, values: dict[str, float]) -> None:
        """Append a row to `TABLE.csv` and to TensorBoard."""
        if not self._enabled:
            return
        _append_row(self._run / f"{table}.csv", {"step": float(step)} | values)
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{table}/{name}", value, step)
            self._board.flush()

    def picture(self, name: str, step: int, picture: UInt8[np.ndarray, "rows cols 3"]) -> None:
        """Save a picture as `pictures/NAME_STEP.png` and in TensorBoard."""
        if not self._enabled:
            return
        with atomic_path(self._run / "pictures" / f"{name}_{step:08d}.png", parents=True) as temporary:
            Image.fromarray(picture).save(temporary, "PNG")
        if self._board is not None:
            self._board.add_image(name, picture, step, dataformats="HWC")

    def forget_after(self, step: int) -> None:
        """Drop rows that a resumed run will write again."""
        for path in self._run.glob("*.csv") if self._enabled else ():
            with refusing("table of the run must have a column step", path), path.open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if float(row["step"]) <= step]
            _write_rows(path, rows)

    def close(self) -> None:
        """Finish the files."""
        if self._board is not None:
            self._board.close()


def _open_board(folder: Path) -> "SummaryWriter | None":
    """Open TensorBoard's event file; None without the extra `tensorboard`."""
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder))


def _append_row(path: Path, values: dict[str, float]) -> None:
    """Append one row; a new column makes the file be written anew with it."""
    text = {name: f"{value:.8g}" for name, value in values.items()}
    if path.is_file():
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or [])
            rows = list(reader) if set(text) - set(columns) else None
        if rows is not None:
            _write_rows(path, [*rows, text])
            return
        with path.open("a", newline="") as file:
            csv.DictWriter(file, columns, restval="").writerow(text)
        return
    _write_rows(path, [text])


def _write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """Write a table with every column that occurs."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_path(path, parents=True) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def write_run_file(run: Path, config: "DataclassInstance", *, processes: int) -> None:
    """Write `run.json`: the configuration, the number of processes, the code's versions and the machine."""
    siblings = ("render", "detector-head", "losses", "regressors", "synth", "train")
    names = ("morphable", *(f"morphable-{name}" for name in siblings), "torch")
    content = {
        "format_version": RUN_VERSION,
        "config": plain(asdict(config)),
        "processes": processes,
        "versions": {name: version(name) for name in names},
        "commit": _commit(),
        "machine": {"python": platform.python_version(), "cuda": torch.cuda.is_available()},
    }
    write_text(run / RUN_FILE, json.dumps(content, indent=2) + "\n", parents=True)


def read_run_file(run: Path) -> dict[str, Any]:
    """Read `run.json`.

    Raises:
        FileNotFoundError: The folder is not a run.
        ValueError: It is damaged, or was written by a newer version.
    """
    path = run / RUN_FILE
    if not path.is_file():
        raise FileNotFoundError(f"run must be a folder with {RUN_FILE}, got {run}; pass the folder of a training run")
    content = read_object(path, RUN_FILE)
    if content.get("format_version") != RUN_VERSION:
        raise ValueError(
            f"run must be of version {RUN_VERSION}, got {content.get('format_version')} in {path}; "
            "install the version of morphable-train that wrote it"
        )
    if not isinstance(content.get("config"), dict):
        raise ValueError(f"{RUN_FILE} must hold an object config, got none in {path}")
    return content


def read_results(run: Path) -> dict[str, Any]:
    """Read what a run's latest validation measured; empty without any."""
    path = run / RESULTS_FILE
    return read_object(path, RESULTS_FILE) if path.is_file() else {}


def _commit() -> str:
    """The commit of the working copy this code runs from; empty for an installed package."""
    try:
        result = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607  (whatever git the user has)
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""
