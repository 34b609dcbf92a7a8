"""One pool of threads per process, as wide as PyTorch is allowed to be."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

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
