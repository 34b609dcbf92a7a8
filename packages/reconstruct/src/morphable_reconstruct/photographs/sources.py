"""What the command was pointed at: pictures, folders, globs, videos, webcams."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from morphable_reconstruct.photographs.video_kinds import VIDEO_SUFFIXES, is_video

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".avif", ".jp2"}
)
WEBCAM = "webcam"
_GLOB_CHARACTERS = frozenset("*?[")


@dataclass(frozen=True, kw_only=True)
class Source:
    """One picture or video."""

    kind: Literal["image", "video", "webcam"]
    path: Path
    """File; for a webcam its number."""
    name: str
    """Path relative to what was asked for, with `/`; different for every source of a run."""
    stem: str
    """`name` for results: without suffix, unless two sources would share it."""


def find_sources(patterns: Sequence[str], *, without: Path | None = None) -> tuple[Source, ...]:
    """List the pictures and videos behind paths, folders (recursive), globs and `webcam[:NUMBER]`.

    A file named directly is taken whatever its suffix, so that a broken one is reported rather than ignored.
    Hidden files of folders (such as macOS's `._a.jpg`) are left out.

    Args:
        patterns: What was asked for.
        without: A folder whose files are no sources unless named directly: that of the results.

    Raises:
        FileNotFoundError: A path does not exist, or a folder or glob holds no picture and no video.
        ValueError: Nothing was given.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "a.jpg").touch()
    ...     [source.name for source in find_sources([folder])]
    ['a.jpg']
    """
    if not patterns:
        raise ValueError("sources must be pictures, folders, globs, videos or webcam, got none; name at least one")
    found = {entry[1]: entry for pattern in patterns for entry in _expand(pattern, without)}
    entries = list(found.values())
    names = [path.relative_to(base).as_posix() if kind != WEBCAM else path.name for kind, path, base in entries]
    if max(Counter(names).values()) > 1:
        shared = Path(os.path.commonpath([path.absolute() for _, path, _ in entries]))
        names = [path.absolute().relative_to(shared).as_posix() for _, path, _ in entries]
    stems = [str(PurePosixPath(name).with_suffix("")) for name in names]
    count = Counter(stems)
    return tuple(
        Source(kind=kind, path=path, name=name, stem=stem if count[stem] == 1 else name)  # type: ignore[arg-type]
        for (kind, path, _), name, stem in zip(entries, names, stems, strict=True)
    )


def _expand(pattern: str, without: Path | None) -> list[tuple[str, Path, Path]]:
    """(kind, path, base folder of the name) of everything behind one argument."""
    if pattern == WEBCAM or pattern.startswith(f"{WEBCAM}:"):
        number = pattern.partition(":")[2] or "0"
        if not number.isdigit():
            raise ValueError(f"webcam must be followed by its number, got {pattern}; try webcam:0")
        return [(WEBCAM, Path(f"{WEBCAM}{number}"), Path())]
    path = Path(pattern)
    if path.is_dir():
        return _nonempty(pattern, path.rglob("*"), path, without)
    if path.exists():
        return [(_kind(path), path, path.parent)]
    if _GLOB_CHARACTERS & set(pattern):
        fixed = Path(*(part for part in _fixed_parts(path)))
        return _nonempty(pattern, map(Path, glob.glob(pattern, recursive=True)), fixed, without)  # noqa: PTH207
    raise FileNotFoundError(f"sources must exist, got {pattern}; check the path")


def _nonempty(pattern: str, paths: Iterable[Path], base: Path, without: Path | None) -> list[tuple[str, Path, Path]]:
    """Pictures and videos among paths, in order of their names."""
    known = IMAGE_SUFFIXES | VIDEO_SUFFIXES
    files = [path for path in paths if path.suffix.lower() in known and path.name[0] != "." and path.is_file()]
    files = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES or is_video(path)]
    if without is not None and base.resolve() in without.resolve().parents:
        files = [path for path in files if without.resolve() not in path.resolve().parents]
    if not files:
        raise FileNotFoundError(f"sources must hold pictures or videos, got none in {pattern}; check the suffixes")
    return [(_kind(path), path, base) for path in sorted(files)]


def _fixed_parts(path: Path) -> list[str]:
    """Leading parts of a glob without wildcards."""
    parts = []
    for part in path.parts[:-1]:
        if _GLOB_CHARACTERS & set(part):
            break
        parts.append(part)
    return parts


def _kind(path: Path) -> Literal["image", "video"]:
    """Video by content or suffix; anything else is read as a picture."""
    return "video" if is_video(path) else "image"
