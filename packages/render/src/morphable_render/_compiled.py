"""How this package compiles its CPU kernels."""

import inspect
from collections.abc import Callable
from typing import Any

import numba
from numba import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

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


def _add_atomically(context: Any, counters: Any, index: Any, amount: Any) -> tuple[Any, Any]:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.atomic_rmw("add", builder.gep(array.data, [arguments[1]]), arguments[2], "acq_rel")

    return types.int64(counters, types.int64, types.int64), build


add_atomically: Any = intrinsic(inspect.unwrap(_add_atomically))
"""In kernels: add to one (index) of several int64 counters that threads share and return what it held before."""
