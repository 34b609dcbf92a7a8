"""How this package compiles its CPU kernels."""

import inspect
from collections.abc import Callable
from typing import Any

import numba
from numba.core.registry import cpu_target

cpu_target.target_context.refresh()  # Numba's tables of NumPy functions: better now than within the first picture


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on first call, releasing the interpreter lock; keep the machine code on disk where that is possible."""
    plain = inspect.unwrap(function)  # the tests' shape checker wraps every function of the package
    try:
        return numba.njit(nogil=True, cache=True, error_model="numpy")(plain)
    except RuntimeError:  # no writable cache folder (a read-only installation without a home)
        return numba.njit(nogil=True, error_model="numpy")(plain)
