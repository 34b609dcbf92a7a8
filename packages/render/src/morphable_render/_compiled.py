"""How this package compiles its CPU kernels."""

import inspect
from collections.abc import Callable
from typing import Any

import numba
from numba.core.registry import cpu_target

cpu_target.target_context.refresh()  # Numba's tables of NumPy functions: better now than within the first picture

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
_INLINED = _OPTIONS | {"forceinline": True, "_nrt": False}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on first call, releasing the interpreter lock; keep the machine code on disk where that is possible."""
    plain = inspect.unwrap(function)  # the tests' shape checker wraps every function of the package
    try:
        return numba.njit(cache=True, **_OPTIONS)(plain)
    except RuntimeError:  # no writable cache folder (a read-only installation without a home)
        return numba.njit(**_OPTIONS)(plain)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile into the callers, without counting references to its arguments; it must not allocate.

    The counters are atomic: threads that count references to one array at every pixel wait for each other.
    """
    return numba.njit(**_INLINED)(inspect.unwrap(function))
