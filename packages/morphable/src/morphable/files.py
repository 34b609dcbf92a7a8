"""Files that are either whole or absent."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from safetensors import SafetensorError

_READABLE_BY_ALL = 0o644


@contextmanager
def atomic_path(path: str | PathLike[str], *, parents: bool = False) -> Iterator[Path]:
    """Give a temporary file beside `path`, renamed to it when the block succeeds and gone when it fails.

    The name of the temporary file is unique and short and has the suffix of `path`. A full disk or a crash leaves an
    earlier file as it was.

    Args:
        path: The file to write or replace.
        parents: Make missing folders.

    Raises:
        FileNotFoundError: The folder does not exist.
        OSError: The disk is full, with the name of the file, which the operating system leaves out; or safetensors
            could not write.

    >>> import tempfile
    >>> from pathlib import Path
    >>> target = Path(tempfile.mkdtemp()) / "numbers.txt"
    >>> with atomic_path(target) as temporary:
    ...     _ = temporary.write_text("1 2 3")
    >>> target.read_text()
    '1 2 3'
    """
    target = Path(path)
    if parents:
        target.parent.mkdir(parents=True, exist_ok=True)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"path must be in an existing folder, got {target}; create {target.parent} first")
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=target.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _flush_to_disk(temporary)
        temporary.chmod(_READABLE_BY_ALL)
        temporary.replace(target)
    except SafetensorError as error:
        raise OSError(f"{target} could not be written ({error}); free some space or check the folder") from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(f"disk must have room for {target}, got {error.strerror}; free some and run again") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | PathLike[str], data: bytes, *, parents: bool = False) -> None:
    """Write a whole file or nothing; the arguments are those of `atomic_path`."""
    with atomic_path(path, parents=parents) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | PathLike[str], text: str, *, parents: bool = False) -> None:
    """Write a whole UTF-8 text file or nothing; the arguments are those of `atomic_path`."""
    write_bytes(path, text.encode(), parents=parents)


def _flush_to_disk(path: Path) -> None:
    """Make the bytes durable before the rename makes them visible."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
