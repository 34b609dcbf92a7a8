"""Rows of an array inside an uncompressed .npz file, read one at a time without loading the array."""

import math
import struct
import zipfile
from io import BufferedIOBase
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, Shaped
from numpy.lib import format as npy_format

_LOCAL_HEADER_BYTES = 30
_LOCAL_HEADER_MAGIC = b"PK\x03\x04"
_BLOCK_BYTES = 1 << 20


@runtime_checkable
class Rows(Protocol):
    """Anything that hands out rows along its first axis: an array in memory or one in a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of all axes."""

    def __getitem__(self, index: int, /) -> Shaped[np.ndarray, "..."]:
        """Return one row."""


class NpzRows:
    """One array of an .npz file whose rows are read from the disk on demand."""

    def __init__(self, path: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.path = path
        self.shape = shape
        self.dtype = dtype
        self._offset = offset
        self._row_items = int(np.prod(shape[1:], dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int, /) -> Shaped[np.ndarray, "..."]:
        """Read row `index` (from 0)."""
        if not 0 <= index < self.shape[0]:
            raise IndexError(f"index must be in [0, {self.shape[0]}), got {index}")
        start = self._offset + index * self._row_items * self.dtype.itemsize
        with self.path.open("rb") as file:
            file.seek(start)
            data = file.read(self._row_items * self.dtype.itemsize)
        return np.frombuffer(data, self.dtype).reshape(self.shape[1:])


class RowSubset:
    """Some rows of others, in a given order."""

    def __init__(self, rows: Rows, chosen: Int[np.ndarray, " chosen"]) -> None:
        self._rows = rows
        self._chosen = chosen
        self.shape = (len(chosen), *rows.shape[1:])

    def __getitem__(self, index: int, /) -> Shaped[np.ndarray, "..."]:
        """Return chosen row `index`."""
        return self._rows[int(self._chosen[index])]


def open_rows(path: Path, name: str) -> Rows:
    """Open array `name` of an .npz file for reading by rows.

    Args:
        path: The .npz file.
        name: Name of the array.

    Returns:
        Rows read from the disk where the array is stored uncompressed in C order, else the whole
        array in memory.

    Raises:
        KeyError: The file holds no such array.
    """
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(f"{name}.npy")
    if member.compress_type == zipfile.ZIP_STORED:
        with path.open("rb") as file:
            file.seek(_data_start(path, member.header_offset))
            shape, fortran_order, dtype = _read_npy_header(file)
            if not fortran_order and len(shape) > 0:
                return NpzRows(path, file.tell(), shape, dtype)
    with np.load(path, allow_pickle=False) as arrays:
        return arrays[name]


def is_compressed(path: Path, name: str) -> bool:
    """Tell whether array `name` would have to be unpacked as a whole."""
    with zipfile.ZipFile(path) as archive:
        return archive.getinfo(f"{name}.npy").compress_type != zipfile.ZIP_STORED


def array_shape(path: Path, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Read shape and type of an array without its values."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        assert isinstance(file, BufferedIOBase)
        shape, _, dtype = _read_npy_header(file)
        expected = file.tell() + dtype.itemsize * math.prod(shape)
        if archive.getinfo(f"{name}.npy").file_size != expected:
            raise ValueError(f"another size than the {shape} of its header")
    return shape, dtype


def check_sum(path: Path, name: str) -> None:
    """Read an array once, in blocks, and compare it with the check sum that the archive holds.

    Raises:
        zipfile.BadZipFile: The array is damaged.
    """
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        while file.read(_BLOCK_BYTES):
            pass


def _data_start(path: Path, header_offset: int) -> int:
    """Find where a member's bytes begin: the local header's name and extra field vary in length."""
    with path.open("rb") as file:
        file.seek(header_offset)
        header = file.read(_LOCAL_HEADER_BYTES)
    if header[:4] != _LOCAL_HEADER_MAGIC:
        raise ValueError(f"{path} must be a valid .npz file, got a broken member header; write it again")
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    return header_offset + _LOCAL_HEADER_BYTES + name_length + extra_length


def _read_npy_header(file: BufferedIOBase) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read the header in front of an array's bytes."""
    version = npy_format.read_magic(file)
    if version == (1, 0):
        return npy_format.read_array_header_1_0(file)
    return npy_format.read_array_header_2_0(file)
