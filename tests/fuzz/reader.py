"""What a reader under test is."""

import os
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


def file_name(reader: Reader) -> str:
    """Return the name under which a mutated file is read."""
    return f"mutated-{os.getpid()}{reader.suffix}"
