"""Collections of pictures: reconstruct and save each, go on after broken files."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from morphable.memory import ARRAY_BYTES, LARGE_BYTES, give_memory_back, trim_memory
from morphable_reconstruct.batch.options import PICTURE_KINDS, RunConfig
from morphable_reconstruct.batch.output import save_results
from morphable_reconstruct.batch.records import Records
from morphable_reconstruct.exports.predictions import PredictionRows, prediction_rows
from morphable_reconstruct.photographs.reading import Photograph, pixel_count
from morphable_reconstruct.photographs.sources import Source
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.reconstructor.stream import EXPECTED_ERRORS, Attempt, attempt_all, map_ahead, read_ahead
from morphable_reconstruct.scene import Scene

LARGE_PIXELS = 24_000_000
"""Larger pictures are computed one at a time and with little memory rather than at full speed."""
_WRITERS = 2
"""Pictures that are drawn and written at the same time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What became of one source."""

    source: Source
    faces: int = 0
    seconds: float = 0.0
    """Reading, its share of the batch, and writing."""
    skipped: bool = False
    """Done by an earlier run."""
    error: str | None = None
    rows: PredictionRows = field(default_factory=dict)
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What of the source was lost, left out or changed, a line each."""


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

    def save(attempt: Attempt[Source]) -> Outcome:
        if attempt.scene is None:
            return Outcome(source=attempt.item, seconds=attempt.seconds, error=str(attempt.error))
        saved = _save(attempt.item, attempt.scene, config, records, on_scene=on_scene, before_s=attempt.seconds)
        return replace(saved, notes=_notes(attempt.scene, reconstructor.config.max_faces))

    for part in _parts(todo):
        attempts = attempt_all(
            part,
            lambda source: _load(source, reconstructor),
            reconstructor.reconstruct,
            batch_size=reconstructor.batch_size,
        )
        # decoding, the network, and drawing and writing each have threads of their own
        with closing(read_ahead(attempts, ahead=1)) as ahead:
            yield from map_ahead(save, ahead, threads=_WRITERS, ahead=_WRITERS + 1)


def _parts(sources: Sequence[Source]) -> Iterator[Iterable[Source]]:
    """Large pictures one by one, and between them as many as there are, in order; take each part to its end."""
    rest = deque(sources)
    large: dict[Source, bool] = {}  # of the next one only

    def is_large() -> bool:
        if rest[0] not in large:
            large.clear()
            large[rest[0]] = pixel_count(rest[0].path) > LARGE_PIXELS
        return large[rest[0]]

    def until_large() -> Iterator[Source]:
        while rest and not is_large():
            yield rest.popleft()

    while rest:
        yield (rest.popleft(),) if is_large() else until_large()


def _load(source: Source, reconstructor: Reconstructor) -> Photograph:
    """Decode a picture, and make room for what is computed of it."""
    photo = reconstructor.load(source.path, name=source.name)
    large = photo.size_hw[0] * photo.size_hw[1] > LARGE_PIXELS
    give_memory_back(ARRAY_BYTES if large else LARGE_BYTES)
    return photo


def find_done(records: Records, source: Source) -> Outcome | None:
    """Return the outcome of an earlier run; a damaged record or a vanished picture counts as not done."""
    try:
        record = records.find(source)
    except (OSError, ValueError):
        return None
    if record is None:
        return None
    return Outcome(source=source, faces=record.faces, skipped=True, rows=record.rows, files=record.files)


def _notes(scene: Scene, max_faces: int) -> tuple[str, ...]:
    """What was done to the picture, and whether there may be more faces than were looked for."""
    limit = f"{max_faces} faces, the limit: there may be more; raise it with --max-faces"
    return scene.photo.notes + (limit,) * (len(scene) >= max_faces)


def _save(
    source: Source,
    scene: Scene,
    config: RunConfig,
    records: Records,
    *,
    on_scene: Callable[[Source, Scene], tuple[str, ...]] | None,
    before_s: float,
) -> Outcome:
    """Write one picture's results, then its record."""
    start = time.perf_counter()
    kinds = tuple(kind for kind in config.save_kinds if kind in PICTURE_KINDS)
    if scene.photo.size_hw[0] * scene.photo.size_hw[1] > LARGE_PIXELS:
        trim_memory()
    try:
        files = save_results(
            scene,
            config.out,
            source.stem,
            kinds=kinds,
            texture=config.texture,
            texture_px=config.texture_px,
            mesh=config.mesh,
            csv=config.csv,
        )
        files += on_scene(source, scene) if on_scene else ()
        rows = prediction_rows(scene, vertices=config.preds_vertices)
        records.add(source, files, rows)
    except EXPECTED_ERRORS as error:
        return Outcome(source=source, error=f"saving failed: {error}")
    seconds = before_s + time.perf_counter() - start
    return Outcome(source=source, faces=len(scene), seconds=seconds, rows=rows, files=files)
