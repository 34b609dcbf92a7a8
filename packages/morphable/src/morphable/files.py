"""Files that are either whole or absent, and damaged ones that are refused in one way."""

import errno
import os
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, wraps
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar, cast

from safetensors import SafetensorError

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

_Read = TypeVar("_Read", bound=Callable[..., Any])
_READABLE_BY_ALL = 0o644
_TEMPORARY = ".mrph-"
"""How the names of temporary files begin."""
_ABANDONED_S = 10.0
"""Temporary files that were changed since are left alone, locked or not: a writer may have replaced the locked file."""
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
"""Numbers of the errors of folders that can't be written."""
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.EBADF)
"""Numbers of the errors of file systems that have no locks."""
_DECODER_ERRORS = (None, errno.EINVAL)
"""Numbers of an OSError that comes of a file's content, such as a seek before its start, not of the disk."""
_LONGEST_REASON = 300
"""Letters of a decoder's error that are shown."""


@contextmanager
def refusing(rule: str, path: str | PathLike[str], *, next_step: str = "") -> Iterator[None]:
    """Turn whatever a decoder raises on a damaged file into one `ValueError`, `RULE, got PATH: REASON; NEXT STEP`.

    Decoders raise what damaged bytes happen to cause: `struct.error`, `KeyError`, `RecursionError`, `MemoryError` for
    a length that no file can have. Errors of the disk and a missing package pass as they are, and so do refusals that
    name the file already.

    Args:
        rule: What the file must be, as the error says it.
        path: The file that the block reads.
        next_step: What the user can do.

    Raises:
        ValueError: The block raised an error that is about the file's content.

    >>> import json
    >>> with refusing("settings must be JSON", "settings.json"):
    ...     json.loads("[1, 2")
    Traceback (most recent call last):
    ValueError: settings must be JSON, got settings.json: Expecting ',' delimiter: line 1 column 6 (char 5)
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, ImportError | FileNotFoundError):
            raise
        if isinstance(error, OSError) and error.errno not in _DECODER_ERRORS:
            raise
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        reason = textwrap.shorten(str(error), _LONGEST_REASON, placeholder=" ...") or type(error).__name__
        kind = f"{type(error).__name__}: " if isinstance(error, LookupError) else ""
        step = f"; {next_step}" if next_step else ""
        raise ValueError(f"{rule}, got {path}: {kind}{reason}{step}") from error


def reader(rule: str) -> Callable[[_Read], _Read]:
    """Make a function that reads the file or folder of its first argument refuse damaged ones, as `refusing` does.

    Refusals that name another file among the arguments pass as they are.

    >>> @reader("list must hold numbers")
    ... def first(path):
    ...     return [][0]
    >>> first("a.txt")
    Traceback (most recent call last):
    ValueError: list must hold numbers, got a.txt: IndexError: list index out of range
    """

    def decorated(read: _Read) -> _Read:
        @wraps(read)
        def reading(path: str | PathLike[str], *arguments: Any, **options: Any) -> Any:
            try:
                return read(path, *arguments, **options)
            except Exception as error:
                others = [other for other in (*arguments, *options.values()) if isinstance(other, str | PathLike)]
                if isinstance(error, ValueError) and any(str(other) in str(error) for other in others):
                    raise
                with refusing(rule, path):
                    raise

        return cast(_Read, reading)

    return decorated


@contextmanager
def atomic_path(path: str | PathLike[str], *, parents: bool = False) -> Iterator[Path]:
    """Give a temporary file beside `path`, renamed to it when the block succeeds and gone when it fails.

    The name of the temporary file is unique and short and has the suffix of `path`. A full disk or a crash leaves an
    earlier file as it was. What a killed process left behind is removed by the next one that writes into the folder.

    Args:
        path: The file to write or replace.
        parents: Make missing folders.

    Raises:
        FileNotFoundError: The folder does not exist.
        PermissionError: The folder can't be written.
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
    with _temporary(target.parent, target.suffix) as temporary:
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


@contextmanager
def claimed(folder: str | PathLike[str]) -> Iterator[None]:
    """Keep a folder for this program while the block runs; a killed program's claim ends with it.

    Without file locks (Windows, some network folders) nothing is claimed.

    Raises:
        BlockingIOError: Another program has claimed the folder.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, claimed(folder), claimed(folder):
    ...     pass
    Traceback (most recent call last):
    BlockingIOError: folder must be used by one program at a time, got ...; wait for the other or choose another folder
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = f"folder must be used by one program at a time, got {folder}"
            raise BlockingIOError(f"{text}; wait for the other or choose another folder") from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield
    finally:
        os.close(handle)


@contextmanager
def _temporary(folder: Path, suffix: str) -> Iterator[Path]:
    """Make a file that is locked while the block runs, so that no other process takes it for left behind."""
    _remove_abandoned(folder)
    try:
        handle, name = tempfile.mkstemp(dir=folder, prefix=_TEMPORARY, suffix=suffix)
    except OSError as error:  # it names the temporary file, which tells a user nothing
        if error.errno not in UNWRITABLE:
            raise
        raise PermissionError(f"folder must be writable, got {folder}; choose another") from None
    temporary = Path(name)
    try:
        if fcntl is None:
            os.close(handle)
            yield temporary
        else:
            with os.fdopen(handle):
                with suppress(OSError):  # some network folders have no locks
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@cache
def _remove_abandoned(folder: Path) -> None:
    """Remove temporary files that no process holds any more; once for each folder."""
    for path in folder.glob(f"{_TEMPORARY}*") if fcntl is not None else ():
        with suppress(OSError), path.open("rb") as file:
            if time.time() - os.fstat(file.fileno()).st_mtime > _ABANDONED_S:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


def write_bytes(path: str | PathLike[str], data: bytes, *, parents: bool = False) -> None:
    """Write a whole file or nothing; the arguments are those of `atomic_path`."""
    with atomic_path(path, parents=parents) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | PathLike[str], text: str, *, parents: bool = False) -> None:
    r"""Write a whole UTF-8 text file or nothing; the arguments are those of `atomic_path`.

    Bytes of file names that are not UTF-8 are written as `\udcff`.
    """
    write_bytes(path, text.encode(errors="backslashreplace"), parents=parents)


def _flush_to_disk(path: Path) -> None:
    """Make the bytes durable before the rename makes them visible."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
