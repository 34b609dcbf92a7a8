"""One person from a left, a front and a right photograph."""

import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from morphable.commands import UsageError
from morphable_reconstruct.batch.options import ViewsConfig
from morphable_reconstruct.batch.output import save_results
from morphable_reconstruct.batch.pictures import Outcome
from morphable_reconstruct.exports.predictions import prediction_rows
from morphable_reconstruct.photographs.sources import Source, find_sources
from morphable_reconstruct.reconstructor.per_face.passes import VIEWS
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor

_ORDER = f"{', '.join(VIEWS)} of one person"


def view_sources(arguments: Sequence[str | Path]) -> list[Source]:
    """Return the pictures of one person in the order in which they were named.

    Raises:
        FileNotFoundError: One does not exist.
        UsageError: There are more than three, one is not a picture but a folder, glob, video or webcam, or a file
            whose name says left, front or right is in another's place (a picture that is given twice may be).
    """
    if not 1 <= len(arguments) <= len(VIEWS):
        raise UsageError(f"views must be 1 to {len(VIEWS)} pictures: {_ORDER}; got {len(arguments)}")
    sources: list[Source] = []
    for argument in arguments:
        found = find_sources((str(argument),))
        if not Path(argument).is_file() or found[0].kind != "image":
            raise UsageError(f"views must be single pictures: {_ORDER}; got {argument}")
        sources += found
    given = Counter(source.path for source in sources)
    for view, source in zip(VIEWS, sources, strict=False):
        said = set(VIEWS) & set(re.split("[^a-z]+", source.path.stem.lower()))
        if len(sources) > 1 and given[source.path] == 1 and said not in (set(), {view}):
            raise UsageError(f"views must be in the order {_ORDER}; got {source.path} for {view}")
    return sources


def save_views(sources: Sequence[Source], reconstructor: Reconstructor, config: ViewsConfig) -> Outcome:
    """Reconstruct and save one person; results carry the front picture's name."""
    start = time.perf_counter()
    scene = reconstructor.views([reconstructor.load(source.path, name=source.name) for source in sources])
    named = sources[min(1, len(sources) - 1)]
    files = save_results(
        scene,
        config.out,
        named.stem,
        kinds=config.save_kinds,
        texture=config.texture,
        texture_px=config.texture_px,
        mesh=config.mesh,
    )
    rows = prediction_rows(scene, vertices=config.preds_vertices)
    seconds = time.perf_counter() - start
    return Outcome(source=named, faces=len(scene), seconds=seconds, rows=rows, files=files)
