"""The one place that reads JSON and NumPy files and writes results.

Readers turn whatever a decoder raises on a damaged file into one `ValueError` that names file and part; `OSError`
passes as it is. Writers leave a whole file or none.
"""

import errno
import json
import math
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import GenericAlias
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from jaxtyping import Shaped

if TYPE_CHECKING:
    import cattrs
    from PIL import Image

T = TypeVar("T")

_DECODER_ERRORS = (None, errno.EINVAL)
"""Numbers of an OSError that comes of a file's content, such as a seek before its start, not of the disk."""
_HEAD_BYTES = 256
_PICTURE_FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
_MAX_SHOWN_PROBLEMS = 3


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with the same suffix, that becomes `path` if the block succeeds.

    The file is flushed to the disk before it takes its name, and is removed if the block fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    r"""Write a UTF-8 text file whole or not at all; bytes of file names that are not UTF-8 are written as `\udcff`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode(errors="backslashreplace"))


def check_output(path: Path) -> None:
    """Find out whether a file can be written, before hours of work.

    Raises:
        ValueError: It is a folder, or its folder is a file or cannot be written.
    """
    if path.is_dir():
        raise ValueError(f"results must go to a file, got the folder {path}; name a file in it")
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ValueError(f"results must go to a folder that can be written, got {path}; choose another than {folder}")


@contextmanager
def refusing(path: Path, expected: str, part: str = "") -> Iterator[None]:
    """Turn any decoder's error into one `ValueError` that names the file, and the part of it if given.

    Args:
        path: File that is read inside the block.
        expected: What the file must be, for the message.
        part: Part that is read, such as the name of an array.
    """
    try:
        yield
    except Exception as error:  # decoders of damaged files raise anything: struct.error, KeyError, MemoryError, ...
        if isinstance(error, OSError) and error.errno not in _DECODER_ERRORS:
            raise
        if isinstance(error, ValueError) and str(error).startswith(str(path)):
            raise  # a reader inside has named the file and its part
        met = foreign_content(path) or _short(error)
        where = f"{path}: {part}" if part else str(path)
        raise ValueError(f"{where} must be {expected}, got {met}") from error


@contextmanager
def open_picture(path: Path) -> Iterator["Image.Image"]:
    """Open a picture; what its decoder raises inside the block is one `ValueError`.

    Other formats are refused, among them EPS, for which Pillow would start Ghostscript.
    """
    from PIL import Image

    with refusing(path, "a whole picture"), Image.open(path, formats=_PICTURE_FORMATS) as picture:
        yield picture


def foreign_content(path: Path) -> str:
    """Return what a file is that was downloaded in the wrong way, and what to do; empty if it is none of these."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        return "an empty file"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer; fetch the file itself with `git lfs pull`"
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "a web page; download the file itself"
    return ""


def read_json(path: Path, kind: type[T] | GenericAlias, form: str, *, extra_keys: bool = False) -> T:
    """Read a JSON file into a dataclass or a container of plain values.

    Args:
        path: The file.
        kind: What is built; numbers, texts and lists are taken as they are, never converted, and null is a NaN
            where a number with a fraction stands.
        form: What the content must follow, for the message.
        extra_keys: Whether keys that `kind` does not name are ignored instead of refused.

    Raises:
        ValueError: The file is no JSON, or its content is of another form; the message names the place.
    """
    import cattrs

    with refusing(path, f"JSON and must follow {form}"):
        content = json.loads(path.read_text(encoding="utf-8"))
    try:
        return _converter(not extra_keys).structure(content, cast(type[T], kind))
    except Exception as error:  # cattrs groups whatever the parts raised
        problems = cattrs.transform_error(error)
        more = f"; and {len(problems) - _MAX_SHOWN_PROBLEMS} more" if len(problems) > _MAX_SHOWN_PROBLEMS else ""
        shown = "; ".join(problems[:_MAX_SHOWN_PROBLEMS])
        raise ValueError(f"{path} must follow {form}, got {shown}{more}") from error


def read_npy(path: Path) -> Shaped[np.ndarray, "..."]:
    """Read one plain array.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is no array, is damaged or holds pickled objects.
    """
    with refusing(path, "an .npy file of plain numbers"):
        array = np.load(path, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("an archive of several arrays")
        if not array.ndim:
            raise ValueError("a single number")
    return array


def read_npz(path: Path, *, skip: tuple[str, ...] = ()) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Read the arrays of an .npz file, except those named in `skip`.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is no .npz archive, or an array in it is damaged or holds pickled objects.
    """
    arrays = {}
    with path.open("rb") as file:
        with refusing(path, "an .npz file"):
            if not zipfile.is_zipfile(file):
                raise ValueError("another kind of file, or a part of one")
            file.seek(0)
            stored = np.load(file, allow_pickle=False)
        for name in (name for name in stored.files if name not in skip):
            with refusing(path, "a plain array", name):
                arrays[name] = stored[name]
                if not isinstance(arrays[name], np.ndarray):
                    raise ValueError("no array")
    return arrays


def read_text(path: Path) -> str:
    """Read a text file, whatever its encoding: bytes that are not UTF-8 become replacement characters."""
    return path.read_text(encoding="utf-8", errors="replace")


def _short(error: Exception) -> str:
    """Put an error of a decoder into one line."""
    text = " ".join(str(error).split())
    kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    return f"{kind}{text}" if text else type(error).__name__


def _number(value: Any, _: type) -> float:
    """Take a number, or null as NaN."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"must be a number, got {value!r}")
    return float(value)


def _integer(value: Any, _: type) -> int:
    """Take an integer as it is."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"must be an integer, got {value!r}")
    return value


def _text(value: Any, _: type) -> str:
    """Take a text as it is."""
    if not isinstance(value, str):
        raise TypeError(f"must be a text, got {value!r}")
    return value


@cache
def _converter(forbid_extra_keys: bool) -> "cattrs.Converter":
    """Make a converter that turns no value into another kind."""
    import cattrs

    converter = cattrs.Converter(forbid_extra_keys=forbid_extra_keys)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(int, _integer)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(str | int, lambda value, _: value)
    return converter
