"""Reading arrays out of pickles without running what is in them.

FLAME, DECA and 3DDFA hand out pickled dictionaries of arrays, some wrapped in `chumpy` objects, some as torch tensors.
A pickle is a program; here the only names it can call are stand-ins of this module, none of which does more than build
an array or keep a state. A pickle that names anything else is refused before anything is called.
"""

import io
import math
import pickle
import pickletools
import re
from collections import OrderedDict
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from morphable.importers.foreign import foreign_kind

NPY_MAGIC = b"\x93NUMPY"
_PLAIN_DTYPE = re.compile(r"\?|[biufc][1248]|c16|[OSU]\d*")
"""Codes of the element types that arrays of a face model have: numbers, texts, and objects (a pickled dictionary)."""
MAX_DENSE = 10**7
"""Entries of the largest sparse matrix that is read; a joint regressor of FLAME has 25,115."""
_MEMO_WRITERS = ("PUT", "BINPUT", "LONG_BINPUT")
_INERT_MODULES = ("chumpy", "scipy.sparse")


class _ForeignError(pickle.UnpicklingError):
    """The pickle names something that is not an array."""


class Inert:
    """Stands for an object of a class that is not imported: keeps its state, does nothing."""

    name = ""
    """Name of the class that it stands for."""

    def __new__(cls, *_args: object) -> "Inert":
        """Ignore what the class would have been built from."""
        return super().__new__(cls)

    def __init__(self, *_args: object) -> None:
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        """Keep what the pickle would have set."""
        self.state = state


class _Dtype:
    """Stands for `numpy.dtype`: an element type by its code, then perhaps its byte order."""

    def __init__(self, code: bytes | str, _align: object = False, _copy: object = True) -> None:
        text = code.decode("latin1") if isinstance(code, bytes) else code
        if not _PLAIN_DTYPE.fullmatch(text):
            raise _ForeignError(f"element type {text!r}")
        self.kind = np.dtype(text)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the byte order, the second entry of the state; fields and subarrays are refused with the code."""
        self.kind = self.kind.newbyteorder(state[1])


class _ArrayClass:
    """Stands for the class `numpy.ndarray`: pickles of arrays name it, and what calls it gets nothing of use."""

    def __init__(self, *_args: object) -> None:
        """Ignore what an array would have been built from."""


class _Array:
    """Stands for an array under construction: numpy's `_reconstruct` makes it empty, its state fills it."""

    def __init__(self, kind: object, _shape: object, _code: object) -> None:
        if kind is not _ArrayClass:
            raise _ForeignError(f"array type {kind!r}")
        self.value = np.zeros(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Build the array from (version, shape, type, whether in Fortran's order, bytes or list of objects)."""
        shape, dtype, is_fortran, data = state[-4:]
        if dtype.kind.kind == "O":
            if not isinstance(data, list) or math.prod(shape) != len(data):
                raise ValueError(f"an array of shape {shape} must have as many objects")
            objects = np.empty(len(data), object)
            objects[:] = data
            self.value = objects.reshape(shape)
        else:
            self.value = _from_buffer(data, dtype, shape, "F" if is_fortran else "C")


def _from_buffer(
    data: bytes | bytearray | str, dtype: _Dtype, shape: tuple[int, ...], order: Literal["C", "F"]
) -> np.ndarray:
    """Stand in for numpy's `_frombuffer`: an array from its bytes, which Python 2 wrote as text."""
    raw = data.encode("latin1") if isinstance(data, str) else data
    if dtype.kind.hasobject:
        raise _ForeignError("objects in a buffer")
    return np.frombuffer(raw, dtype.kind).reshape(shape, order=order).copy(order)  # writable, as torch wants it


def _scalar(dtype: _Dtype, data: bytes | str) -> np.generic:
    """Stand in for numpy's `scalar`: one number from its bytes."""
    return _from_buffer(data, dtype, (1,), "C")[0]


def _build_object(kind: type, _base: type, _state: object) -> Inert:
    """Stand in for `copyreg._reconstructor`."""
    if not (isinstance(kind, type) and issubclass(kind, Inert)):
        raise _ForeignError(f"object type {kind!r}")
    return kind()


def _encode(text: str, encoding: str) -> bytes:
    """Stand in for `_codecs.encode`, by which Python 2 wrote bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise _ForeignError(f"encoding {encoding!r}")
    return text.encode("latin1")


def _storage(data: bytes) -> np.ndarray:
    """Stand in for torch's `_load_from_bytes`: a storage, read as weights are."""
    storage = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return torch.empty(0, dtype=storage.dtype).set_(storage).numpy()


def _tensor(storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> np.ndarray:
    """Stand in for torch's `_rebuild_tensor_v2`: an array that looks at a part of a storage."""
    view = torch.from_numpy(storage).as_strided(size, stride, offset)  # checks that the part is inside
    return view.contiguous().numpy()


def _parameter(tensor: np.ndarray, *_: object) -> np.ndarray:
    """Stand in for torch's `_rebuild_parameter`."""
    return tensor


_NUMPY_CORES = ("numpy.core", "numpy._core")
_ALLOWED: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
    **{(module, "_reconstructor"): _build_object for module in ("copyreg", "copy_reg")},
    **{(module, "object"): object for module in ("builtins", "__builtin__")},
    **{(module, "bytearray"): bytearray for module in ("builtins", "__builtin__")},
    ("numpy", "ndarray"): _ArrayClass,
    ("numpy", "dtype"): _Dtype,
    **{(f"{core}.multiarray", "_reconstruct"): _Array for core in _NUMPY_CORES},
    **{(f"{core}.multiarray", "scalar"): _scalar for core in _NUMPY_CORES},
    **{(f"{core}.numeric", "_frombuffer"): _from_buffer for core in _NUMPY_CORES},
    ("torch.storage", "_load_from_bytes"): _storage,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler that builds arrays, and inert stand-ins for all other objects."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Return a stand-in, or refuse."""
        if (module_name, global_name) in _ALLOWED:
            return _ALLOWED[module_name, global_name]
        if any(module_name == known or module_name.startswith(f"{known}.") for known in _INERT_MODULES):
            return type("Inert", (Inert,), {"name": global_name})
        raise _ForeignError(f"{module_name}.{global_name}")


def load_arrays(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a pickled dictionary (or a pickled `.npy` holding one), chumpy arrays and torch tensors as NumPy arrays.

    Entries that are neither arrays, sparse matrices nor plain values keep their key with the value None; sparse
    matrices become dense ones.

    Raises:
        ValueError: If the file is damaged, does not hold a dictionary, or names any class other than arrays, ordered
            dictionaries, torch's tensors, chumpy's and scipy.sparse's. Nothing in the file is executed.
    """
    content = load_pickle(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a dictionary, got {type(content).__name__}")
    return content


def load_pickle(path: str | PathLike[str]) -> Any:
    """Read what a pickle (or a `.npy` of objects) holds; see `load_arrays`.

    Raises:
        ValueError: As for `load_arrays`.
    """
    path = Path(path)
    raw = path.read_bytes()
    kind = foreign_kind(raw)
    if kind is not None:
        raise ValueError(f"{path} must be a pickle, got {kind}")
    try:
        return _unpickle(raw[_npy_header_length(raw) :])
    except _ForeignError as error:
        raise ValueError(f"{path} must hold only arrays, got a pickle with {error}; nothing was executed") from error
    except Exception as error:  # damaged bytes make `pickle` raise whatever they happen to ask for
        raise ValueError(f"{path} must be a complete pickle: {error}") from error


def _unpickle(program: bytes) -> Any:
    """Return what a pickle holds, stand-ins replaced by what they stand for."""
    _check_lengths(program)
    content = _plain(_ArrayUnpickler(io.BytesIO(program), encoding="latin1").load())
    if isinstance(content, np.ndarray) and content.shape == () and content.dtype == object:
        content = _plain(content.item())
    return {str(key): _plain(value) for key, value in content.items()} if isinstance(content, dict) else content


def _check_lengths(program: bytes) -> None:
    """Refuse lengths and memo places that the file can't hold, before memory is reserved for them."""
    for opcode, argument, position in pickletools.genops(program):
        length = argument if opcode.name in (*_MEMO_WRITERS, "FRAME") else 0
        if isinstance(length, int) and length > len(program):
            raise ValueError(f"{opcode.name} of {length} at byte {position} in a file of {len(program)} bytes")


def _npy_header_length(raw: bytes) -> int:
    """Return where the pickle in a `.npy` file of objects begins; 0 in a bare pickle."""
    if not raw.startswith(NPY_MAGIC) or len(raw) < 10:
        return 0
    start = len(NPY_MAGIC) + 2
    length_bytes = 2 if raw[len(NPY_MAGIC)] == 1 else 4
    return start + length_bytes + int.from_bytes(raw[start : start + length_bytes], "little")


def _plain(value: object) -> Any:
    """Unwrap arrays, chumpy's arrays (whose value is the state's `x`) and sparse matrices."""
    if isinstance(value, _Array):
        return value.value
    if not isinstance(value, Inert):
        return value
    state = value.state if isinstance(value.state, dict) else {}
    if {"data", "indices", "indptr"} <= set(state):
        return _dense(value.name, {str(key): _plain(entry) for key, entry in state.items()})
    inner = _plain(state.get("x"))
    return inner if isinstance(inner, np.ndarray) else None


def _dense(name: str, state: dict[str, Any]) -> np.ndarray | None:
    """Return a compressed sparse matrix as a dense one, or None for other layouts than rows or columns."""
    shape = state.get("_shape", state.get("shape"))
    if not name.startswith(("csc", "csr")) or shape is None:
        return None
    rows, columns = (int(size) for size in shape)
    if not 0 <= rows * columns <= MAX_DENSE:
        return None
    data, indices, pointers = (np.asarray(state[key]) for key in ("data", "indices", "indptr"))
    if len(pointers) - 1 != (columns if name.startswith("csc") else rows):
        raise ValueError(f"a {name} of shape {shape} must have as many compressed lines, got {len(pointers) - 1}")
    lines = np.repeat(np.arange(len(pointers) - 1), np.diff(pointers))
    matrix = np.zeros((rows, columns))
    np.add.at(matrix, (indices, lines) if name.startswith("csc") else (lines, indices), data)
    return matrix
