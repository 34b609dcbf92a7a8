"""Readers of public data sets: pictures with their annotations."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from morphable_train.readers.celeba import read_celeba
from morphable_train.readers.celebamask import MASKS, read_celebamask_hq
from morphable_train.readers.folder import read_folder
from morphable_train.readers.item import SourceItem
from morphable_train.readers.points import JSON_FILE, read_json_folder, read_pts_folder
from morphable_train.readers.view_triples import read_multi_pie, read_pixel_face, read_triples, triples_kind
from morphable_train.readers.w300lp import is_300w_lp, read_300w_lp, read_aflw2000
from morphable_train.readers.w300vw import VIDEO_FILE, read_300vw

SourceKind = Literal[
    "auto",
    "celeba",
    "celebamask_hq",
    "300w_lp",
    "aflw2000",
    "300vw",
    "pts",
    "json",
    "triples",
    "pixel_face",
    "multi_pie",
    "folder",
]
"""Data sets by name: `pts` is Helen, LFPW, AFW, iBUG and 300-W; `json` a folder with `landmarks68.json`; `triples`
views of people from the left, the front and the right."""

READERS: dict[str, Callable[[Path], Iterator[SourceItem]]] = {
    "celeba": read_celeba,
    "celebamask_hq": read_celebamask_hq,
    "300w_lp": read_300w_lp,
    "aflw2000": read_aflw2000,
    "300vw": read_300vw,
    "pts": read_pts_folder,
    "json": read_json_folder,
    "triples": read_triples,
    "pixel_face": read_pixel_face,
    "multi_pie": read_multi_pie,
    "folder": read_folder,
}


def open_source(folder: Path, kind: SourceKind = "auto") -> Iterator[SourceItem]:
    """Yield the pictures of a data set; a picture whose name another one has taken gets a problem.

    Args:
        folder: Where it lies.
        kind: Which one; `auto` looks at the files.

    Raises:
        FileNotFoundError: The folder does not exist or has another layout.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"source must be an existing folder, got {folder}; check the path")
    return _distinct(folder, READERS[detect_kind(folder) if kind == "auto" else kind](folder))


def _distinct(folder: Path, items: Iterable[SourceItem]) -> Iterator[SourceItem]:
    """Refuse pictures whose key is taken, and call them by their path instead; usable ones take theirs first."""
    first: dict[str, Path] = {}
    for item in sorted(items, key=lambda item: bool(item.problem)):
        if item.name not in first:
            first[item.name] = item.path
            yield item
            continue
        name = os.path.relpath(item.path, folder) + (f" frame {item.frame}" if item.frame is not None else "")
        holder = os.path.relpath(first[item.name], folder)
        problem = item.problem or f"name is taken: {holder} is {item.name} in the shards already; rename one of them"
        yield replace(item, name=name, landmarks68_px=None, problem=problem)


def detect_kind(folder: Path) -> str:
    """Guess which data set a folder holds from the files beside its pictures."""
    if triples := triples_kind(folder):
        return triples
    if (folder / MASKS).is_dir():
        return "celebamask_hq"
    if (folder / JSON_FILE).is_file():
        return "json"
    if any(folder.glob(f"*/{VIDEO_FILE}")):
        return "300vw"
    if any((folder / name).is_dir() for name in ("img_celeba", "img_align_celeba", "Img")):
        return "celeba"
    if any(folder.rglob("*.pts")):
        return "pts"
    if is_300w_lp(folder):
        return "300w_lp"
    return "aflw2000" if any(folder.rglob("*.mat")) else "folder"
