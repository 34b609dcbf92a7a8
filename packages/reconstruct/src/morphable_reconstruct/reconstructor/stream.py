"""Collections of pictures: decoded ahead in threads, reconstructed in batches; one bad picture fails alone."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from morphable_reconstruct.photographs.reading import Photograph
from morphable_reconstruct.reconstructor.pipeline import map_ahead
from morphable_reconstruct.scene import Scene

_READERS = 2
EXPECTED_ERRORS = (OSError, ValueError, MemoryError)
"""What a picture may raise without ending the run."""
_Item = TypeVar("_Item")


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
