"""Memory that is given back to the system when it is freed."""

import ctypes
import sys
from collections.abc import Callable

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Numbers of glibc's `mallopt`."""
_ARENAS = 2
LARGE_BYTES = 1 << 24
"""Size of the blocks in which Pillow keeps pictures."""
ARRAY_BYTES = 1 << 20
"""Size of the arrays that are worth pages of their own where memory is scarce."""


def give_memory_back(own_pages_bytes: int = LARGE_BYTES) -> None:
    """Set glibc's allocator so that this process holds little more memory than it uses.

    By default each thread has a heap of its own, and the size from which on an array gets pages of its own, which are
    given back when it is freed, grows with the arrays that were freed: a large photograph is then never given back.
    Without glibc nothing is done.

    Args:
        own_pages_bytes: Size from which on arrays have their own pages. These cost time each time they are made.
    """
    mallopt = _glibc("mallopt")
    if mallopt is None:
        return
    for number, value in (
        (_M_ARENA_MAX, _ARENAS),
        (_M_MMAP_THRESHOLD, own_pages_bytes),
        (_M_TRIM_THRESHOLD, own_pages_bytes),
    ):
        mallopt(number, value)


def trim_memory() -> None:
    """Give back what was freed in small pieces, as after loading networks. Without glibc nothing is done."""
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _glibc(name: str) -> Callable[..., int] | None:
    """Return a function of the C library; None where it has none of that name."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
