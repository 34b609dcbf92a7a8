"""One pool of threads per process, as wide as PyTorch is allowed to be, and scratch memory that threads keep."""

import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch

Result = TypeVar("Result")


def num_threads() -> int:
    """Return how many threads to use: PyTorch's setting, so that a data-loading worker (1) stays alone."""
    return torch.get_num_threads()


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Make the pool of this process; a forked child has a new number and so a new pool."""
    return ThreadPoolExecutor(threads, thread_name_prefix=f"morphable-render-{process}")


def run_all(tasks: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run the tasks, the last one on the calling thread, and return their results in order."""
    threads = num_threads()
    if threads == 1 or len(tasks) <= 1:
        return [task() for task in tasks]
    pool = _pool(os.getpid(), threads - 1)
    waiting = [pool.submit(task) for task in tasks[:-1]]
    last = tasks[-1]()
    return [future.result() for future in waiting] + [last]


def run_shared(task: Callable[[], Result]) -> list[Result]:
    """Run a task that shares its work among its runs on every thread.

    Runs that have not started when the caller finishes are cancelled.
    """
    threads = num_threads()
    if threads == 1:
        return [task()]
    pool = _pool(os.getpid(), threads - 1)
    others = [pool.submit(task) for _ in range(threads - 1)]
    mine = task()
    return [mine, *(other.result() for other in others if not other.cancel())]


MAX_KEPT_BYTES = 1 << 24
"""Scratch larger than this is given back after use."""

_kept = threading.local()


def scratch(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return a float64 array with any content, the same memory in every call from this thread where it is small.

    Memory fresh from the system costs a page fault per 4 KiB; for one picture those take as long as its triangles.
    """
    count = math.prod(shape)
    kept: np.ndarray | None = getattr(_kept, name, None)
    if kept is None or kept.size < count:
        kept = np.empty(count)
        if kept.nbytes <= MAX_KEPT_BYTES:
            setattr(_kept, name, kept)
    return kept[:count].reshape(shape)
