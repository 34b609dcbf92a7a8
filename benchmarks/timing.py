"""Times of tasks that run in turn, so that what is compared meets the same conditions."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Milliseconds of a task over its repetitions."""

    median: float
    best: float
    """What a quiet machine would show: other programs can only add to it."""

    def __str__(self) -> str:
        return f"{self.median:.2f} ms (best {self.best:.2f})"

    def per_face(self, faces: int) -> str:
        """Give both numbers per face."""
        return f"{self.median / faces:.1f} ms/face (best {self.best / faces:.1f})"


def timings(*tasks: Callable[[], object], repeats: int, clock: Callable[[], float] = time.perf_counter) -> list[Timing]:
    """Run the tasks in turn, so that they meet the same conditions.

    Args:
        tasks: What is timed.
        repeats: Timed runs of each, after one that isn't.
        clock: Seconds; `time.process_time` counts those in which this process had a processor.
    """
    times: list[list[float]] = [[] for _ in tasks]
    for task in tasks:
        task()
    for _ in range(repeats):
        for task, kept in zip(tasks, times, strict=True):
            start = clock()
            task()
            kept.append((clock() - start) * 1e3)
    return [Timing(statistics.median(kept), min(kept)) for kept in times]


def ratio(slow: Timing, fast: Timing) -> str:
    """Say how many times faster the second is."""
    return f"{slow.median / fast.median:.2f} x (best {slow.best / fast.best:.2f} x)"
