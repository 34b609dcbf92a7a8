"""Collections of pictures: read ahead, reconstruct in batches, save, go on after broken files."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from zipfile import BadZipFile

from morphable_reconstruct.batch.options import RunConfig
from morphable_reconstruct.batch.output import PHOTO_KINDS, save_results
from morphable_reconstruct.batch.records import Records
from morphable_reconstruct.exports.predictions import PredictionRows, prediction_rows
from morphable_reconstruct.photographs.reading import Photograph
from morphable_reconstruct.photographs.sources import Source
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.scene import Scene

_READERS = 2
_EXPECTED_ERRORS = (OSError, ValueError, MemoryError)


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What became of one source."""

    source: Source
    faces: int = 0
    seconds: float = 0.0
    skipped: bool = False
    """Done by an earlier run."""
    error: str | None = None
    rows: PredictionRows = field(default_factory=dict)
    files: tuple[str, ...] = ()


def run_pictures(
    sources: Sequence[Source],
    reconstructor: Reconstructor,
    config: RunConfig,
    records: Records,
    *,
    on_scene: Callable[[Source, Scene], tuple[str, ...]] | None = None,
) -> Iterator[Outcome]:
    """Reconstruct and save pictures; each gives one outcome, in order of completion, whatever happens to the others.

    Args:
        sources: Pictures.
        reconstructor: The loaded network.
        config: What to save, and where.
        records: What is done already.
        on_scene: Called with each scene; returns further files it has written.
    """
    todo = []
    for source in sources:
        record = None if config.overwrite else find_done(records, source)
        if record is None:
            todo.append(source)
        else:
            yield record
    for batch in _in_batches(_read_ahead(todo, reconstructor), reconstructor.config.batch_size):
        read = [(source, photo) for source, photo in batch if isinstance(photo, Photograph)]
        yield from (Outcome(source=source, error=str(photo)) for source, photo in batch if isinstance(photo, Exception))
        start = time.perf_counter()
        for source, scene in _reconstruct(read, reconstructor):
            if isinstance(scene, Exception):
                yield Outcome(source=source, error=str(scene))
                continue
            yield _save(source, scene, config, records, on_scene=on_scene, start=start)
            start = time.perf_counter()


def find_done(records: Records, source: Source) -> Outcome | None:
    """The outcome of an earlier run; a damaged record or a vanished picture counts as not done."""
    try:
        record = records.find(source)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    if record is None:
        return None
    return Outcome(source=source, faces=record.faces, skipped=True, rows=record.rows, files=record.files)


def _save(
    source: Source,
    scene: Scene,
    config: RunConfig,
    records: Records,
    *,
    on_scene: Callable[[Source, Scene], tuple[str, ...]] | None,
    start: float,
) -> Outcome:
    """Write one picture's results, then its record."""
    kinds = tuple(kind for kind in config.save_kinds if kind in PHOTO_KINDS)
    try:
        files = save_results(
            scene, config.out, source.stem, kinds=kinds, texture=config.texture, texture_px=config.texture_px
        )
        files += on_scene(source, scene) if on_scene else ()
        rows = prediction_rows(scene)
        records.add(source, files, rows)
    except _EXPECTED_ERRORS as error:
        return Outcome(source=source, error=f"saving failed: {error}")
    seconds = time.perf_counter() - start
    return Outcome(source=source, faces=len(scene.faces), seconds=seconds, rows=rows, files=files)


def _reconstruct(
    read: list[tuple[Source, Photograph]], reconstructor: Reconstructor
) -> Iterator[tuple[Source, Scene | Exception]]:
    """Reconstruct a batch together; if that fails, one by one, so that one picture cannot take others along."""
    try:
        scenes = reconstructor.reconstruct([photo for _, photo in read])
        yield from zip((source for source, _ in read), scenes, strict=True)
    except _EXPECTED_ERRORS:
        for source, photo in read:
            try:
                yield source, reconstructor.reconstruct([photo])[0]
            except _EXPECTED_ERRORS as error:
                yield source, error


def _read_ahead(
    sources: Iterable[Source], reconstructor: Reconstructor
) -> Iterator[tuple[Source, Photograph | Exception]]:
    """Decode pictures in threads, a bounded number ahead of the network."""

    def read(source: Source) -> Photograph | Exception:
        try:
            return reconstructor.load(source.path, name=source.name)
        except _EXPECTED_ERRORS as error:
            return error

    rest = iter(sources)
    waiting: deque[tuple[Source, Future[Photograph | Exception]]] = deque()
    with ThreadPoolExecutor(_READERS) as pool:
        for source in islice(rest, reconstructor.config.batch_size + _READERS):
            waiting.append((source, pool.submit(read, source)))
        while waiting:
            source, photo = waiting.popleft()
            yield source, photo.result()
            for following in islice(rest, 1):
                waiting.append((following, pool.submit(read, following)))


def _in_batches(
    items: Iterable[tuple[Source, Photograph | Exception]], size: int
) -> Iterator[list[tuple[Source, Photograph | Exception]]]:
    """Lists of up to `size` items."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
