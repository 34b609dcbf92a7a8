"""The command's run: sources in, results, summary and exit status out."""

import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from PIL import Image
from rich.console import Console

from morphable_reconstruct.batch.cells import cells_writer
from morphable_reconstruct.batch.options import RunConfig
from morphable_reconstruct.batch.pictures import Outcome, run_pictures
from morphable_reconstruct.batch.records import Records
from morphable_reconstruct.batch.report import print_summary, summary_json, with_progress
from morphable_reconstruct.batch.views import is_multi_view, run_views
from morphable_reconstruct.exports.atomic import write_bytes
from morphable_reconstruct.exports.predictions import write_predictions
from morphable_reconstruct.photographs.sources import Source, find_sources
from morphable_reconstruct.reconstructor.opening import open_reconstructor, weights_sha256
from morphable_reconstruct.reconstructor.per_face.weights import is_per_face
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor

_DISTRIBUTION = "morphable-reconstruct"


def run(config: RunConfig, reconstructor: Reconstructor | None = None) -> int:
    """Reconstruct all sources; 1 if any of them failed.

    Args:
        config: Options of the command.
        reconstructor: A loaded network; by default the configuration's.
    """
    sources = find_sources(config.sources, without=config.out)
    Image.MAX_IMAGE_PIXELS = None  # this process's limit is --max-pixels
    config.out.mkdir(parents=True, exist_ok=True)
    screen, errors = Console(), Console(stderr=True)
    if config.engine_cluster == "ray":
        return _finish(_run_cluster(sources, config), config, screen, errors)
    if reconstructor is None:
        reconstructor = open_reconstructor(config.weights, config.model, config.reconstruct)
        records = Records(config, weights_sha256(config.weights, config.model))
    else:
        records = Records(config, "given")
    outcomes = list(with_progress(_outcomes(sources, reconstructor, config, records), len(sources), console=errors))
    return _finish(outcomes, config, screen, errors)


def _finish(outcomes: list[Outcome], config: RunConfig, screen: Console, errors: Console) -> int:
    """Write the files about the whole run, print the summary, choose the exit status."""
    if config.preds is not None:
        _write_predictions(config.preds, outcomes, config)
    if config.json is not None:
        write_bytes(config.json, summary_json(outcomes).encode())
    print_summary(outcomes, out=str(config.out), console=screen, errors=errors)
    return 1 if any(outcome.error is not None for outcome in outcomes) else 0


def _outcomes(
    sources: Sequence[Source], reconstructor: Reconstructor, config: RunConfig, records: Records
) -> Iterator[Outcome]:
    """Pictures first, then videos; or the views of one person."""
    if is_multi_view(reconstructor):
        yield from run_views(reconstructor, config)
        return
    pictures = [source for source in sources if source.kind == "image"]
    on_scene = cells_writer(reconstructor, config.out) if config.debug_cells else None
    yield from run_pictures(pictures, reconstructor, config, records, on_scene=on_scene)
    for source in sources:
        if source.kind != "image":
            from morphable_reconstruct.batch.videos import run_video

            yield run_video(source, reconstructor, config, records)


def _run_cluster(sources: Sequence[Source], config: RunConfig) -> list[Outcome]:
    """Spread the pictures over Ray workers."""
    from morphable_reconstruct.batch.cluster import run_on_ray

    if any(source.kind != "image" for source in sources):
        raise ValueError("sources must be pictures with --engine-cluster, got a video or webcam; run those without it")
    return run_on_ray(sources, config, weights_sha256(config.weights, config.model))


def _write_predictions(path: Path, outcomes: Sequence[Outcome], config: RunConfig) -> None:
    """Write the rows of all pictures that were processed, in order of their names."""
    done = sorted((o for o in outcomes if o.error is None and o.source.kind == "image"), key=lambda o: o.source.name)
    networks = f"{config.weights} and {config.model}" if is_per_face(config.model) else config.weights
    system = f"{_DISTRIBUTION} {version(_DISTRIBUTION)}, {networks}, Python {platform.python_version()}"
    write_predictions(path, ((outcome.source.name, outcome.rows) for outcome in done), system=system)
