"""What sources and results are called: distinct names, decided once, that the disk and other programs take."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

RESULT_SUFFIXES = {
    "overlay": ".overlay.jpg",
    "views": ".views.png",
    "render": ".render.png",
    "depth": ".depth.png",
    "segmentation": ".segmentation.png",
    "parts": ".parts.png",
    "axes": ".axes.jpg",
    "cells": ".cells.png",
    "video": ".overlay.mp4",
}
"""Endings of results that are pictures or videos themselves."""
NUMBERED_SUFFIXES = {
    "texture": ".texture_{:02d}.png",
    "frontal": ".frontal_{:02d}.png",
    "crop": ".crop_{:02d}.png",
    "face": "_face_{:02d}.png",
}
"""Endings of results that are one picture per face."""
_RESULT = re.compile(
    "(?:"
    + "|".join(
        [re.escape(suffix) for suffix in RESULT_SUFFIXES.values()]
        + [re.escape(suffix).replace(re.escape("{:02d}"), r"\d{2,}") for suffix in NUMBERED_SUFFIXES.values()]
    )
    + ")$"
)
MAX_STEM_BYTES = 200
"""A file name may have 255 bytes; endings and temporary names need the rest."""
_HASH_DIGITS = 8
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def result_source(name: str) -> str | None:
    """Return the stem of a file that is named like a picture or video this package writes, or None."""
    found = _RESULT.search(name)
    return name[: found.start()] if found and found.start() else None


def distinct_stems(names: Sequence[str]) -> list[str]:
    """Return names for results: without suffix, unless two sources would share one where case does not count.

    Names longer than a disk takes with an ending are shortened.
    """
    stems = [str(PurePosixPath(name).with_suffix("")) for name in names]
    count = Counter(map(_key, stems))
    stems = [_short(stem if count[_key(stem)] == 1 else name) for name, stem in zip(names, stems, strict=True)]
    taken: set[str] = set()
    for index, stem in enumerate(stems):
        number = 2
        while _key(stems[index]) in taken:
            stems[index] = f"{stem}~{number}"
            number += 1
        taken.add(_key(stems[index]))
    return stems


def safe_stem(stem: str) -> str:
    """Return a file name of ASCII letters, digits, dots and dashes: `stem` itself, or what is left of it and a hash."""
    kept = _UNSAFE.sub("_", stem).strip("_")
    return stem if kept == stem and kept else f"{kept or 'faces'}_{_hash(stem)}"


def _key(name: str) -> str:
    """Equal for names that some disks take for one."""
    return unicodedata.normalize("NFC", name).casefold()


def _short(stem: str) -> str:
    """Cut the last part of a name that is too long, with a hash in place of what is lost."""
    folder, _, last = stem.rpartition("/")
    raw = last.encode("utf-8", "surrogateescape")
    if len(raw) <= MAX_STEM_BYTES:
        return stem
    cut = raw[: MAX_STEM_BYTES - _HASH_DIGITS - 1].decode("utf-8", "ignore")
    shortened = f"{cut}~{_hash(last)}"
    return f"{folder}/{shortened}" if folder else shortened


def _hash(text: str) -> str:
    """A few digits that tell texts apart."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_HASH_DIGITS]
