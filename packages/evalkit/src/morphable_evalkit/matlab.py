"""Numeric arrays of MATLAB files, read so that a damaged file cannot do worse than raise.

SciPy's reader ends the process on some damaged files, so this one reads what the data sets and face models need:
real numeric and text arrays of versions 5 to 7.2 (MathWorks, "MAT-File Format"); cells, structures, sparse and
complex arrays are passed over.
"""

import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from morphable_evalkit.files import refusing

_HEADER_BYTES, _TAG_BYTES = 128, 8
_MATRIX, _COMPRESSED = 14, 15
_STORED = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
    16: "u1",
    17: "u2",
}
"""Kind of the stored numbers, by the type of an element; text is stored as bytes or 16-bit units."""
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""Kind of the array, by its class: whole numbers of a double array may be stored as bytes."""
_TEXT_CLASS = 4
_COMPLEX_FLAG = 0x0800
_MAX_BYTES = 1 << 30
"""Largest array that is unpacked; BFM's largest has 255 MB."""


def read_mat(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Read the numeric arrays of a MATLAB file of version 5 to 7.2 (`save -v7`), and its texts as arrays of text.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is of version 7.3 or 4, damaged, or no MATLAB file.
    """
    data = path.read_bytes()
    with refusing(path, "a MATLAB file of version 5 to 7"):
        if data.startswith(b"MATLAB 7.3"):
            raise ValueError("version 7.3; save it in MATLAB with `save -v7`")
        if len(data) < _HEADER_BYTES or data[126:128] not in (b"IM", b"MI"):
            raise ValueError("another kind of file")
        order = "<" if data[126:128] == b"IM" else ">"
        arrays = {}
        for kind, content in _elements(memoryview(data)[_HEADER_BYTES:], order):
            matrix = _unpack(content, order) if kind == _COMPRESSED else content if kind == _MATRIX else None
            found = _array(matrix, order) if matrix is not None else None
            if found is not None:
                arrays[found[0]] = found[1]
        return arrays


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Split bytes into elements: type and content."""
    at = 0
    while at + _TAG_BYTES <= len(data):
        first, size = (int(word) for word in np.frombuffer(data[at : at + _TAG_BYTES], order + "u4"))
        kind, small = first & 0xFFFF, first >> 16
        start = at + (4 if small else _TAG_BYTES)
        size = small or size
        if (small and small > 4) or start + size > len(data):
            raise ValueError(f"an element of {size} bytes where {len(data) - start} are left")
        yield kind, data[start : start + size]
        at = at + _TAG_BYTES if small else start + size
        at += 0 if kind == _COMPRESSED else -at % 8


def _unpack(content: memoryview, order: str) -> memoryview | None:
    """Unpack a compressed element, no further than the size it states; None unless it is an array."""
    unpacker = zlib.decompressobj()
    tag = unpacker.decompress(content, _TAG_BYTES)
    if len(tag) < _TAG_BYTES:
        raise ValueError("a compressed array that is cut off")
    kind, size = (int(word) for word in np.frombuffer(tag, order + "u4"))
    if kind != _MATRIX:
        return None
    if size > _MAX_BYTES:
        raise ValueError(f"an array of {size} bytes, beyond {_MAX_BYTES}")
    matrix = unpacker.decompress(unpacker.unconsumed_tail, size)
    if len(matrix) < size:
        raise ValueError("a compressed array that is cut off")
    return memoryview(matrix)


def _array(matrix: memoryview, order: str) -> tuple[str, Shaped[np.ndarray, "..."]] | None:
    """Read name and values of an array; None for kinds that are passed over."""
    parts = list(_elements(matrix, order))
    if len(parts) < 3:
        raise ValueError("an array without flags, sizes and name")
    flags = int(np.frombuffer(parts[0][1][:4], order + "u4")[0])
    shape = tuple(int(size) for size in np.frombuffer(parts[1][1], order + "i4"))
    name = bytes(parts[2][1]).decode("ascii")
    number_class = flags & 0xFF
    if (number_class not in _CLASSES and number_class != _TEXT_CLASS) or flags & _COMPLEX_FLAG:
        return None
    if len(parts) != 4 or parts[3][0] not in _STORED or min(shape, default=-1) < 0:
        raise ValueError(f"array {name!r} without numbers")
    values = np.frombuffer(parts[3][1], order + _STORED[parts[3][0]])
    if len(values) != math.prod(shape):
        raise ValueError(f"array {name!r} of {len(values)} numbers for the sizes {shape}")
    if number_class == _TEXT_CLASS:
        return name, np.array("".join(map(chr, values)))
    return name, values.reshape(shape, order="F").astype(_CLASSES[number_class])
