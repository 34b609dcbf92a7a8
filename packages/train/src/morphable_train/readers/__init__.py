"""Readers of public data sets: pictures with what the data set says about them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from morphable_train.readers.celeba import read_celeba
from morphable_train.readers.folder import read_folder
from morphable_train.readers.item import SourceItem
from morphable_train.readers.mat import read_mat_folder
from morphable_train.readers.points import JSON_FILE, read_json_folder, read_pts_folder
from morphable_train.readers.w300vw import VIDEO_FILE, read_300vw

SourceKind = Literal["auto", "celeba", "300w_lp", "aflw2000", "300vw", "pts", "json", "folder"]
"""Data sets by name: `pts` is Helen, LFPW, AFW, iBUG and 300-W; `json` a folder with `landmarks68.json`."""

READERS: dict[str, Callable[[Path], Iterator[SourceItem]]] = {
    "celeba": read_celeba,
    "300w_lp": read_mat_folder,
    "aflw2000": read_mat_folder,
    "300vw": read_300vw,
    "pts": read_pts_folder,
    "json": read_json_folder,
    "folder": read_folder,
}


def open_source(folder: Path, kind: SourceKind = "auto") -> Iterator[SourceItem]:
    """Yield the pictures of a data set.

    Args:
        folder: Where it lies.
        kind: Which one; `auto` looks at the files.

    Raises:
        FileNotFoundError: The folder does not exist or has another layout.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"source must be an existing folder, got {folder}; check the path")
    return READERS[detect_kind(folder) if kind == "auto" else kind](folder)


def detect_kind(folder: Path) -> str:
    """Guess which data set a folder holds from the files beside its pictures."""
    if (folder / JSON_FILE).is_file():
        return "json"
    if any(folder.glob(f"*/{VIDEO_FILE}")):
        return "300vw"
    if any((folder / name).is_dir() for name in ("img_celeba", "img_align_celeba", "Img")):
        return "celeba"
    if any(folder.rglob("*.pts")):
        return "pts"
    return "300w_lp" if any(folder.rglob("*.mat")) else "folder"
