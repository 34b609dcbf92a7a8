"""How this package compiles its kernels."""

import inspect
from collections.abc import Callable
from typing import Any

import numba

_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy"}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on first call, releasing the interpreter lock; keep the machine code on disk where that is possible."""
    return _compiled(function, _OPTIONS)


def per_pixel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile what runs at every pixel: into its callers, without counting references; it must not allocate.

    Counting the references of the arrays in `Soup` took three quarters of the time of shading.
    """
    return _compiled(function, _OPTIONS | {"forceinline": True, "_nrt": False})


def _compiled(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    plain = inspect.unwrap(function)  # the tests' shape checker wraps every function of the package
    try:
        return numba.njit(cache=True, **options)(plain)
    except RuntimeError:  # no writable cache folder
        return numba.njit(**options)(plain)
