"""`reconstruct --model NETWORK`: the per-face networks on the command line."""

import time
from collections.abc import Sequence

from morphable_reconstruct.batch import Outcome
from morphable_reconstruct.exports.predictions import prediction_rows
from morphable_reconstruct.options import RunConfig
from morphable_reconstruct.output import PHOTO_KINDS, save_results
from morphable_reconstruct.per_face.reconstructor import PerFaceReconstructor
from morphable_reconstruct.reconstructor import Reconstructor
from morphable_reconstruct.sources import Source


def is_multi_view(reconstructor: Reconstructor) -> bool:
    """Return whether the sources are views of one person."""
    return isinstance(reconstructor, PerFaceReconstructor) and reconstructor.network.kind == "dfmvr"


def run_views(sources: Sequence[Source], reconstructor: Reconstructor, config: RunConfig) -> list[Outcome]:
    """Reconstruct one person from left, front and right; results carry the front picture's name.

    Raises:
        ValueError: A source is not a picture, or there are more than three.
    """
    assert isinstance(reconstructor, PerFaceReconstructor)
    if any(source.kind != "image" for source in sources):
        raise ValueError("sources must be pictures with dfmvr: left, front, right of one person; got a video or webcam")
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
