"""Checking a MATLAB file before SciPy reads it: SciPy's reader can end the process on a damaged one."""

import math
import zlib
from collections.abc import Collection, Iterator

import numpy as np

HEADER_BYTES = 128
_ENDIAN_MARKS = {b"IM": "<", b"MI": ">"}
_TAG_BYTES = 8
_MATRIX, _COMPRESSED = 14, 15
_NUMBER_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
"""Bytes of one number, by the type of an element."""
_NUMERIC_CLASSES = range(6, 16)
_COMPLEX_FLAG = 0x0800
_MAX_BYTES = 1 << 30
"""Largest array that is unpacked; the largest of BFM 2009 has 255 MB."""


def check_matlab(data: bytes, names: Collection[str]) -> None:
    """Refuse a MATLAB file (version 5 to 7.2) whose elements don't fit each other.

    Args:
        data: The file.
        names: Arrays that will be read; they must be real and numeric, and have as many numbers as their shape needs.

    Raises:
        ValueError: An element reaches past its container, or an array does not have the parts of one.
    """
    order = _ENDIAN_MARKS.get(data[HEADER_BYTES - 2 : HEADER_BYTES])
    if order is None:
        raise ValueError("its header is none of MATLAB's")
    for kind, content in _elements(memoryview(data)[HEADER_BYTES:], order):
        matrix = _unpacked(content, order) if kind == _COMPRESSED else content
        if kind not in (_MATRIX, _COMPRESSED):
            raise ValueError(f"an element of type {kind} stands where arrays do")
        _check_array(matrix, order, names)


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Split bytes into elements: type and content."""
    at = 0
    while at < len(data):
        if at + _TAG_BYTES > len(data):
            raise ValueError("an element is cut off")
        first, size = np.frombuffer(data[at : at + _TAG_BYTES], f"{order}u4").tolist()
        kind, small = first & 0xFFFF, first >> 16
        start, size = (at + 4, small) if small else (at + _TAG_BYTES, size)
        if small > 4 or start + size > len(data):
            raise ValueError(f"an element of {size} bytes stands where {len(data) - start} are left")
        yield kind, data[start : start + size]
        end = at + _TAG_BYTES if small else start + size
        at = end if kind == _COMPRESSED else end + -end % 8


def _unpacked(content: memoryview, order: str) -> memoryview:
    """Unpack a compressed array, no further than its stated size."""
    unpacker = zlib.decompressobj()
    try:
        tag = unpacker.decompress(content, _TAG_BYTES)
        kind, size = np.frombuffer(tag, f"{order}u4").tolist() if len(tag) == _TAG_BYTES else (0, 0)
        if kind != _MATRIX or size > _MAX_BYTES:
            raise ValueError(f"a compressed element has type {kind} and {size} bytes")
        matrix = unpacker.decompress(unpacker.unconsumed_tail, size) if size else b""
    except zlib.error as error:
        raise ValueError(f"a compressed array is damaged: {error}") from error
    if len(matrix) < size:
        raise ValueError("a compressed array is cut off")
    return memoryview(matrix)


def _check_array(matrix: memoryview, order: str, names: Collection[str]) -> None:
    """Check the parts of one array: flags, shape, name, numbers."""
    parts = _elements(matrix, order)
    head = [next(parts, (0, memoryview(b""))) for _ in range(3)]
    if [len(head[0][1]), head[0][0], head[1][0], head[2][0]] != [8, 6, 5, 1] or len(head[1][1]) % 4:
        raise ValueError("an array does not begin with flags, shape and name")
    name = bytes(head[2][1]).decode("latin1")
    if name not in names:
        return
    flags = int(np.frombuffer(head[0][1][:4], f"{order}u4")[0])
    shape = np.frombuffer(head[1][1], f"{order}i4").tolist()
    if flags & 0xFF not in _NUMERIC_CLASSES or flags & _COMPLEX_FLAG or len(shape) < 2 or min(shape) < 0:
        raise ValueError(f"{name} is no real numeric array")
    kind, numbers = next(parts, (0, memoryview(b"")))
    if kind not in _NUMBER_BYTES or len(numbers) != math.prod(shape) * _NUMBER_BYTES[kind]:
        raise ValueError(f"{name} has {len(numbers)} bytes of type {kind} for the shape {tuple(shape)}")
