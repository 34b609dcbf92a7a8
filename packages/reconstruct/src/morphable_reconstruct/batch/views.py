"""`reconstruct --model NETWORK`: the per-face networks on the command line."""

import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from morphable_reconstruct.batch.options import RunConfig
from morphable_reconstruct.batch.output import PHOTO_KINDS, save_results
from morphable_reconstruct.batch.pictures import Outcome
from morphable_reconstruct.exports.predictions import prediction_rows
from morphable_reconstruct.photographs.sources import Source, find_sources
from morphable_reconstruct.reconstructor.per_face.reconstructor import VIEWS, PerFaceReconstructor
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor

_ORDER = f"{', '.join(VIEWS)} of one person"


def is_multi_view(reconstructor: Reconstructor) -> bool:
    """Return whether the sources are views of one person."""
    return isinstance(reconstructor, PerFaceReconstructor) and reconstructor.network.kind == "dfmvr"


def view_sources(arguments: Sequence[str]) -> list[Source]:
    """Return the pictures of one person in the order in which they were named.

    Raises:
        FileNotFoundError: One does not exist.
        ValueError: There are more than three, one is not a picture but a folder, glob, video or webcam, or a file
            whose name says left, front or right is in another's place (a picture that is given twice may be).
    """
    if len(arguments) > len(VIEWS):
        raise ValueError(f"sources must be at most {len(VIEWS)} with dfmvr: {_ORDER}; got {len(arguments)}")
    sources: list[Source] = []
    for argument in arguments:
        found = find_sources((argument,))
        if not Path(argument).is_file() or found[0].kind != "image":
            raise ValueError(f"sources must be single pictures with dfmvr: {_ORDER}; got {argument}")
        sources += found
    given = Counter(source.path for source in sources)
    for view, source in zip(VIEWS, sources, strict=False):
        said = set(VIEWS) & set(re.split("[^a-z]+", source.path.stem.lower()))
        if len(sources) > 1 and given[source.path] == 1 and said not in (set(), {view}):
            raise ValueError(f"sources must be in the order {_ORDER}; got {source.path} for {view}")
    return sources


def run_views(reconstructor: Reconstructor, config: RunConfig) -> list[Outcome]:
    """Reconstruct one person from left, front and right; results carry the front picture's name.

    Raises:
        FileNotFoundError: See `view_sources`.
        ValueError: See `view_sources`.
    """
    assert isinstance(reconstructor, PerFaceReconstructor)
    sources = view_sources(config.sources)
    start = time.perf_counter()
    scene = reconstructor.reconstruct_views([reconstructor.load(s.path, name=s.name) for s in sources])
    named = sources[min(1, len(sources) - 1)]
    kinds = tuple(kind for kind in config.save_kinds if kind in PHOTO_KINDS)
    files = save_results(
        scene, config.out, named.stem, kinds=kinds, texture=config.texture, texture_px=config.texture_px
    )
    return [
        Outcome(
            source=named,
            faces=len(scene.faces),
            seconds=time.perf_counter() - start,
            rows=prediction_rows(scene),
            files=files,
        )
    ]
