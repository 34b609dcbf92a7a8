"""Work done ahead in threads, in order, and collections of pictures that are reconstructed so.

Pictures are decoded ahead of the network, a bounded number at a time, and reconstructed in batches; one bad picture
fails alone.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from morphable_reconstruct.photographs.reading import Photograph
from morphable_reconstruct.scene import Scene

_READERS = 2
EXPECTED_ERRORS = (OSError, ValueError, MemoryError)
"""What a picture may raise without ending the run."""
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_END = object()
_POLL_S = 0.1
"""How often a thread that waits for room looks whether it is still needed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Attempt(Generic[_Item]):
    """What became of one picture: a scene or an error."""

    item: _Item
    seconds: float
    """Its reading, and its share of the batch's time."""
    scene: Scene | None = None
    error: Exception | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Read(Generic[_Item]):
    """A picture that was read, or the error."""

    item: _Item
    photo: Photograph | Exception
    seconds: float


def attempt_all(
    items: Iterable[_Item],
    read: Callable[[_Item], Photograph],
    reconstruct: Callable[[Sequence[Photograph]], list[Scene]],
    *,
    batch_size: int,
) -> Iterator[Attempt[_Item]]:
    """Read and reconstruct every item; unreadable ones of a batch come first, the others in their order.

    Args:
        items: What `read` takes.
        read: Read one picture; called in threads.
        reconstruct: Reconstruct pictures together. If that fails, they are reconstructed one by one, so that one
            picture cannot take others along.
        batch_size: Number of pictures that are reconstructed together.
    """
    for batch in _in_batches(_read_ahead(items, read, batch_size), batch_size):
        for entry in batch:
            if isinstance(entry.photo, Exception):
                yield Attempt(item=entry.item, seconds=entry.seconds, error=entry.photo)
        whole = [(entry, entry.photo) for entry in batch if isinstance(entry.photo, Photograph)]
        yield from _reconstructed(whole, reconstruct)


def _reconstructed(
    read: list[tuple[_Read[_Item], Photograph]], reconstruct: Callable[[Sequence[Photograph]], list[Scene]]
) -> Iterator[Attempt[_Item]]:
    """Reconstruct a batch together, or one by one."""
    if not read:
        return
    start = time.perf_counter()
    try:
        scenes = reconstruct([photo for _, photo in read])
    except EXPECTED_ERRORS as error:
        if len(read) > 1:
            for one in read:
                yield from _reconstructed([one], reconstruct)
        else:
            (entry, _), seconds = read[0], time.perf_counter() - start
            yield Attempt(item=entry.item, seconds=entry.seconds + seconds, error=error)
        return
    share = (time.perf_counter() - start) / len(read)
    for (entry, _), scene in zip(read, scenes, strict=True):
        yield Attempt(item=entry.item, seconds=entry.seconds + share, scene=scene)


def _read_ahead(items: Iterable[_Item], read: Callable[[_Item], Photograph], batch_size: int) -> Iterator[_Read[_Item]]:
    """Decode pictures in threads, a bounded number ahead of the network."""

    def timed(item: _Item) -> _Read[_Item]:
        start = time.perf_counter()
        try:
            photo: Photograph | Exception = read(item)
        except EXPECTED_ERRORS as error:
            photo = error
        return _Read(item=item, photo=photo, seconds=time.perf_counter() - start)

    return map_ahead(timed, items, threads=_READERS, ahead=batch_size + _READERS)


def _in_batches(items: Iterable[_Read[_Item]], size: int) -> Iterator[list[_Read[_Item]]]:
    """Lists of up to `size` items."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def read_ahead(items: Iterable[_Item], *, ahead: int) -> Generator[_Item, None, None]:
    """Take items from an iterable in a thread of its own, at most `ahead` of them before they are asked for.

    An error of the iterable is raised at its place; closing this iterator ends the thread and closes the iterable.
    """
    waiting: queue.Queue[Any] = queue.Queue(maxsize=ahead)
    stopped = threading.Event()
    errors: list[BaseException] = []

    def put(item: Any) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        source = iter(items)
        try:
            for item in source:
                if not put(item):
                    break
        except BaseException as error:  # raised again where the items are used
            errors.append(error)
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()
            put(_END)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            yield item
        if errors:
            raise errors[0]
    finally:
        stopped.set()
        thread.join()


def map_ahead(
    function: Callable[[_Item], _Result], items: Iterable[_Item], *, threads: int, ahead: int
) -> Iterator[_Result]:
    """Map in threads, in order, with at most `ahead` items under way."""
    source = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[_Result]] = deque()
        try:
            for item in source:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
