"""How this package compiles its kernels."""

import inspect
from collections.abc import Callable
from typing import Any

import numba

_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy"}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on first call, releasing the interpreter lock; keep the machine code on disk where that is possible."""
    plain = inspect.unwrap(function)  # the tests' shape checker wraps every function of the package
    try:
        return numba.njit(cache=True, **_OPTIONS)(plain)
    except RuntimeError:  # no writable cache folder
        return numba.njit(**_OPTIONS)(plain)
