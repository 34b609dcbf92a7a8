"""What a reader under test is."""

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Reader:
    """A function that reads a file, with a whole one."""

    suffix: str
    make: Callable[[], bytes]
    read: Callable[[Path], object]
    allowed: tuple[type[Exception], ...] = ()
    """Errors that the function documents besides ValueError and OSError."""


def written(write: Callable[[Path], object], suffix: str) -> Callable[[], bytes]:
    """Make a file by what writes to a path."""

    def make() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"whole{suffix}"
            write(path)
            return path.read_bytes()

    return make


def in_folder(file: str, write: Callable[[Path], object], read: Callable[[Path], object]) -> Reader:
    """Return the reader of a folder of which one file is damaged.

    Args:
        file: Name of that file.
        write: Fills a folder.
        read: Reads one.
    """

    def make() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder))
            return (Path(folder) / file).read_bytes()

    def read_damaged(path: Path) -> object:
        folder = path.parent / f"folder-{file}"
        if not folder.is_dir():
            folder.mkdir()
            write(folder)
        shutil.copyfile(path, folder / file)
        return read(folder)

    return Reader(Path(file).suffix, make, read_damaged)


def file_name(reader: Reader) -> str:
    """Return the name under which a mutated file is read."""
    return f"mutated-{os.getpid()}{reader.suffix}"
