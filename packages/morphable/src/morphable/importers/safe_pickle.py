"""Reading arrays out of pickles without running what is in them.

FLAME and 3DDFA hand out pickled dictionaries of arrays, some wrapped in `chumpy` objects. A pickle is a program; here
the only things it can call are the few constructors below, none of which does more than build an array or keep a
state. A pickle that names anything else is refused before anything is called.
"""

import pickle
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

NPY_MAGIC = b"\x93NUMPY"


class _ForeignError(pickle.UnpicklingError):
    """The pickle names something that is not an array."""


class Inert:
    """Stands for an object of a class that is not imported: keeps its state, does nothing."""

    def __new__(cls, *_args: object) -> "Inert":
        """Ignore what the class would have been built from."""
        return super().__new__(cls)

    def __init__(self, *_args: object) -> None:
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        """Keep what the pickle would have set."""
        self.state = state


def _build_array(kind: type, shape: tuple[int, ...], code: bytes | str) -> np.ndarray:
    """Stand in for numpy's `_reconstruct`: an empty array whose contents follow in the pickle."""
    if kind is not np.ndarray:
        raise _ForeignError(f"array type {kind!r}")
    return np.ndarray(shape, np.dtype(code if isinstance(code, str) else code.decode("latin1")))


def _build_object(kind: type, _base: type, _state: object) -> Inert:
    """Stand in for `copyreg._reconstructor`."""
    if not (isinstance(kind, type) and issubclass(kind, Inert)):
        raise _ForeignError(f"object type {kind!r}")
    return kind()


def _scalar(dtype: np.dtype[Any], data: bytes | str) -> np.generic:
    """Stand in for numpy's `scalar`: one number from its bytes."""
    raw = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(raw, dtype)[0]


def _encode(text: str, encoding: str) -> bytes:
    """Stand in for `_codecs.encode`, by which Python 2 wrote bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise _ForeignError(f"encoding {encoding!r}")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("_codecs", "encode"): _encode,
    **{(module, "_reconstructor"): _build_object for module in ("copyreg", "copy_reg")},
    **{(module, "object"): object for module in ("builtins", "__builtin__")},
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _build_array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
}
_DAMAGE = (pickle.UnpicklingError, EOFError, AttributeError, LookupError, TypeError, ValueError, OverflowError)
"""What `pickle` raises for damaged files."""
_INERT_MODULES = ("chumpy", "scipy.sparse")


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler that knows arrays, and objects only as inert stand-ins."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Return a stand-in, or refuse."""
        if (module_name, global_name) in _ALLOWED:
            return _ALLOWED[module_name, global_name]
        if any(module_name == known or module_name.startswith(f"{known}.") for known in _INERT_MODULES):
            return Inert
        raise _ForeignError(f"{module_name}.{global_name}")


def load_arrays(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a pickled dictionary (or a pickled `.npy` holding one), chumpy arrays as NumPy arrays.

    Entries that are neither arrays nor plain values keep their key with the value None.

    Raises:
        ValueError: If the file is damaged, does not hold a dictionary, or names any class other than arrays, chumpy's
            and scipy.sparse's. Nothing in the file is executed.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            _skip_npy_header(file)
            content = _ArrayUnpickler(file, encoding="latin1").load()
    except _ForeignError as error:
        raise ValueError(f"{path} must hold only arrays, got a pickle with {error}; nothing was executed") from error
    except (
        pickle.UnpicklingError,
        EOFError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        OverflowError,
    ) as error:
        raise ValueError(f"{path} must be a complete pickle: {error}") from error
    if isinstance(content, np.ndarray) and content.shape == () and content.dtype == object:
        content = content.item()
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a dictionary, got {type(content).__name__}")
    return {str(key): _plain(value) for key, value in content.items()}


def _skip_npy_header(file: BinaryIO) -> None:
    """Move past the header of a `.npy` file of objects, to the pickle that follows."""
    if file.read(len(NPY_MAGIC)) != NPY_MAGIC:
        file.seek(0)
        return
    major = file.read(2)[0]
    length_bytes = 2 if major == 1 else 4
    file.read(int.from_bytes(file.read(length_bytes), "little"))


def _plain(value: object) -> Any:
    """Unwrap chumpy's arrays, whose value is the state's `x`."""
    if isinstance(value, Inert):
        inner = value.state.get("x") if isinstance(value.state, dict) else None
        return inner if isinstance(inner, np.ndarray) else None
    return value
