"""What the command was pointed at: pictures, folders, globs, videos, webcams."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from morphable.commands import printable
from morphable_reconstruct.photographs.formats import IMAGE_SUFFIXES, PREFIX_BYTES, looks_like_picture
from morphable_reconstruct.photographs.naming import distinct_stems, result_source
from morphable_reconstruct.photographs.video_kinds import VIDEO_SUFFIXES, is_video

WEBCAM = "webcam"
RECORDS = ".reconstruct"
"""Folder in which a run notes what it has done; where it is, files named like results are results."""
_HELPER_FOLDERS = frozenset({"@eaDir", "__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found"})
"""Folders of thumbnails and the like that are not hidden by their name's dot."""
_GLOB_CHARACTERS = frozenset("*?[")
_SHOWN_SUFFIXES = 5


@dataclass(frozen=True, kw_only=True)
class Source:
    """One picture or video."""

    kind: Literal["image", "video", "webcam"]
    path: Path
    """File; for a webcam its number."""
    name: str
    """Path relative to what was asked for, with `/`; printable, different for every source of a run."""
    stem: str
    """`name` for results, see `distinct_stems`."""


@dataclass(kw_only=True)
class LeftOut:
    """What was found beside the sources."""

    suffixes: Counter[str] = field(default_factory=Counter)
    """Other files, by suffix."""
    results: int = 0
    """Results of earlier runs."""
    hidden: int = 0
    """Hidden folders and folders of thumbnails."""
    closed: int = 0
    """Folders that can't be read."""
    missing: dict[str, str] = field(default_factory=dict)
    """What was asked for and is not there beside sources that are, with the reason."""

    def notes(self) -> tuple[str, ...]:
        """Return one line for each kind of thing that was left out."""
        notes = []
        if self.suffixes:
            most = self.suffixes.most_common(_SHOWN_SUFFIXES)
            kinds = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in most)
            rest = ", ..." if len(self.suffixes) > len(most) else ""
            notes.append(f"{_counted(self.suffixes.total(), 'file')} skipped: {kinds}{rest}")
        if self.results:
            notes.append(f"{_counted(self.results, 'result')} of earlier runs left out")
        if self.hidden:
            notes.append(f"{_counted(self.hidden, 'hidden folder')} left out")
        if self.closed:
            notes.append(f"{_counted(self.closed, 'folder')} left out for lack of permission or a fault of the disk")
        return tuple(notes)


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """One file behind an argument."""

    kind: Literal["image", "video", "webcam"]
    path: Path
    base: Path
    """Folder to which its name is relative."""


def find_sources(
    patterns: Sequence[str], *, without: Path | None = None, left_out: LeftOut | None = None
) -> tuple[Source, ...]:
    """List the pictures and videos behind paths, folders (recursive), globs and `webcam[:NUMBER]`.

    A file named directly is taken whatever its name, so that a broken one is reported rather than ignored. In folders
    and globs files count by their suffix, or by their first bytes where the suffix is unknown. Hidden files and
    folders, folders of thumbnails, and results of earlier runs are left out; linked folders are followed, each once.

    Args:
        patterns: What was asked for.
        without: A folder whose files are no sources unless named directly: that of the results.
        left_out: Counts what was found beside the sources, where it is given, and takes what is missing.

    Raises:
        FileNotFoundError: A path does not exist, or a folder or glob holds no picture and no video; with `left_out`
            only where no source is left.
        ValueError: Nothing was given.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "a.jpg").touch()
    ...     [source.name for source in find_sources([folder])]
    ['a.jpg']
    """
    if not patterns:
        raise ValueError("sources must be pictures, folders, globs, videos or webcam, got none; name at least one")
    found: dict[Path, _Entry] = {}
    missing: dict[str, FileNotFoundError] = {}
    for pattern in patterns:
        try:
            found |= {entry.path: entry for entry in _expand(pattern, without, left_out or LeftOut())}
        except FileNotFoundError as error:
            missing[pattern] = error
    if missing and (left_out is None or not found):
        raise next(iter(missing.values()))
    if left_out is not None:
        left_out.missing |= {pattern: str(error) for pattern, error in missing.items()}
    entries = list(found.values())
    names = [e.path.name if e.kind == WEBCAM else e.path.relative_to(e.base).as_posix() for e in entries]
    if max(Counter(names).values()) > 1:
        shared = Path(os.path.commonpath([e.path.absolute() for e in entries]))
        names = [e.path.absolute().relative_to(shared).as_posix() for e in entries]
    return tuple(
        Source(kind=entry.kind, path=entry.path, name=printable(name), stem=stem)
        for entry, name, stem in zip(entries, names, distinct_stems(names), strict=True)
    )


def _expand(pattern: str, without: Path | None, left_out: LeftOut) -> list[_Entry]:
    """Everything behind one argument."""
    if pattern == WEBCAM or pattern.startswith(f"{WEBCAM}:"):
        number = pattern.partition(":")[2] or "0"
        if not number.isdigit():
            raise ValueError(f"webcam must be followed by its number, got {pattern}; try webcam:0")
        return [_Entry(kind="webcam", path=Path(f"{WEBCAM}{number}"), base=Path())]
    path = Path(pattern)
    if path.is_dir():
        return _nonempty(pattern, _walk(path, without, left_out), path, left_out)
    if path.exists() and not path.is_file():
        raise FileNotFoundError(f"sources must be files or folders, got {pattern}, a pipe or a device")
    if path.exists():
        return [_Entry(kind=_kind(path), path=path, base=path.parent)]
    if _GLOB_CHARACTERS & set(pattern):
        fixed = Path(*_fixed_parts(path))
        beyond = path.relative_to(fixed).as_posix()
        return _nonempty(pattern, _globbed(f"{glob.escape(str(fixed))}/{beyond}", fixed, without), fixed, left_out)
    raise FileNotFoundError(f"sources must exist, got {pattern}; check the path")


def _nonempty(pattern: str, paths: Iterable[Path], base: Path, left_out: LeftOut) -> list[_Entry]:
    """Pictures and videos among files, in order of their names."""
    entries = []
    files = sorted(paths)
    beside = {path.with_suffix("") for path in files if _known(path) and result_source(path.name) is None}
    for path in files:
        if path.name.startswith("."):
            continue
        if _is_result(path, base, beside):
            left_out.results += 1
        elif _known(path) or _begins_as_picture(path):
            entries.append(_Entry(kind=_kind(path), path=path, base=base))
        else:
            left_out.suffixes[path.suffix.lower()] += 1
    if not entries:
        told = "".join(f"; {note}" for note in left_out.notes())
        raise FileNotFoundError(
            f"sources must hold pictures or videos, got none in {pattern}; check the suffixes{told}"
        )
    return entries


def _walk(folder: Path, without: Path | None, left_out: LeftOut) -> Iterator[Path]:
    """Files of a folder and of those in it, linked ones once; hidden ones and that of the results left out."""
    results = None if without is None else without.resolve()
    if results in (folder.resolve(), *folder.resolve().parents):
        results = None
    seen: set[Path] = set()

    def closed(_: OSError) -> None:
        left_out.closed += 1

    for root, folders, files in os.walk(folder, followlinks=True, onerror=closed):
        real = Path(root).resolve()
        if real in seen or real == results:
            folders.clear()
            continue
        seen.add(real)
        shown = [name for name in folders if not _hidden_folder(name)]
        left_out.hidden += sum(name != RECORDS for name in folders) - len(shown)
        # linked folders last, so that a folder goes by its own name
        folders[:] = sorted(shown, key=lambda name: ((Path(root) / name).is_symlink(), name))
        yield from (path for path in (Path(root) / name for name in files) if path.is_file())


def _globbed(pattern: str, fixed: Path, without: Path | None) -> Iterator[Path]:
    """Files behind a glob; each folder counts once, by the shortest of the paths that links give it."""
    seen: set[tuple[Path, str]] = set()
    found = sorted(map(Path, glob.glob(pattern, recursive=True)), key=lambda path: len(path.parts))  # noqa: PTH207
    for path in found:
        place = (path.parent.resolve(), path.name)
        parts = path.relative_to(fixed).parts[:-1]
        inside = without is not None and without.resolve() in (place[0], *place[0].parents)
        asked_inside = without is not None and without.resolve() in (fixed.resolve(), *fixed.resolve().parents)
        if place in seen or any(map(_hidden_folder, parts)) or (inside and not asked_inside) or not path.is_file():
            continue
        seen.add(place)
        yield path


def _hidden_folder(name: str) -> bool:
    """Whether a folder holds what is not meant to be looked at."""
    return name.startswith(".") or name in _HELPER_FOLDERS


def _is_result(path: Path, base: Path, sources: set[Path]) -> bool:
    """Whether a file is a result: named like one, and beside its source or in a folder with records."""
    stem = result_source(path.name)
    if stem is None:
        return False
    if path.with_name(stem) in sources:
        return True
    folders = [path.parent, *path.parent.parents]
    inside = folders[: folders.index(base) + 1] if base in folders else folders[:1]
    return any((folder / RECORDS).is_dir() for folder in inside)


def _known(path: Path) -> bool:
    """Whether a file is named like a picture, or named like a video and one by its content."""
    suffix = path.suffix.lower()
    return suffix in IMAGE_SUFFIXES or (suffix in VIDEO_SUFFIXES and is_video(path))


def _begins_as_picture(path: Path) -> bool:
    """Whether a file's first bytes are a picture's; no if it can't be read."""
    try:
        with path.open("rb") as file:
            return looks_like_picture(file.read(PREFIX_BYTES))
    except OSError:
        return False


def _fixed_parts(path: Path) -> list[str]:
    """Leading parts of a glob without wildcards, or with what would be wildcards in the names of folders."""
    parts: list[str] = []
    for part in path.parts[:-1]:
        if _GLOB_CHARACTERS & set(part) and not Path(*parts, part).is_dir():
            break
        parts.append(part)
    return parts


def _kind(path: Path) -> Literal["image", "video"]:
    """Video by content or suffix; anything else is read as a picture."""
    return "video" if is_video(path) else "image"


def _counted(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
