"""`reconstruct SOURCES`: pictures and videos in, results, summary and exit status out."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.text import Text

from morphable import load_model
from morphable.commands import UsageError, printable
from morphable.memory import trim_memory
from morphable_reconstruct.batch.options import PICTURE_KINDS, VIDEO_KINDS, RunConfig
from morphable_reconstruct.batch.output import check_outputs
from morphable_reconstruct.batch.pictures import Outcome, run_pictures
from morphable_reconstruct.batch.records import Records
from morphable_reconstruct.batch.report import with_progress
from morphable_reconstruct.batch.summary import finish
from morphable_reconstruct.exports.livelink import check_livelink
from morphable_reconstruct.photographs.sources import LeftOut, Source, find_sources
from morphable_reconstruct.reconstructor.fingerprint import networks_sha256
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor


def run(config: RunConfig, reconstructor: Reconstructor | None = None) -> int:
    """Reconstruct all sources; 1 if any of them failed.

    Args:
        config: Options of the command.
        reconstructor: A loaded network; by default the configuration's.

    Raises:
        UsageError: A kind of result cannot come from these sources.

    >>> import contextlib, io, pathlib, tempfile, morphable_reconstruct as mr
    >>> from PIL import Image
    >>> reconstructor = mr.Reconstructor("mobile", config=mr.ReconstructConfig(size_px=256))
    >>> with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
    ...     Image.new("RGB", (64, 64)).save(f"{folder}/a.png")
    ...     out = pathlib.Path(folder, "out")
    ...     status = mr.run(mr.RunConfig(sources=(f"{folder}/a.png",), out=out, save="json"), reconstructor)
    ...     written = [path.name for path in out.glob("*.json")]
    >>> status, written
    (0, ['a.json'])
    """
    left_out = LeftOut()
    sources = find_sources(config.sources, without=config.out, left_out=left_out)
    check_kinds(config.save_kinds, sources)
    check_outputs(config.out, config.json, config.preds)
    if config.csv == "livelink" and "csv" in config.save_kinds:
        check_livelink(load_model(config.model) if reconstructor is None else reconstructor.model)
    Image.MAX_IMAGE_PIXELS = None  # this process's limit is --max-pixels
    errors = Console(stderr=True)
    for note in left_out.notes():
        errors.print(Text(printable(note)), soft_wrap=True)
    missing = _missing(left_out)
    if config.engine_cluster == "ray":
        return finish(missing + _run_cluster(sources, config), config)
    if reconstructor is None:
        reconstructor = Reconstructor(
            config.weights,
            config.model,
            per_face=config.per_face,
            weights_dir=config.weights_dir,
            config=config.reconstruct,
        )
        records = Records(config, networks_sha256(config.weights, config.model, config.per_face, config.weights_dir))
        trim_memory()
    else:
        records = Records(config, "given")
    outcomes = _outcomes(sources, reconstructor, config, records)
    return finish(missing + list(with_progress(outcomes, len(sources), console=errors)), config)


def _missing(left_out: LeftOut) -> list[Outcome]:
    """Count what was asked for and is not there as failed, so that the rest is done."""
    return [
        Outcome(source=Source(kind="image", path=Path(pattern), name=printable(pattern), stem=""), error=reason)
        for pattern, reason in left_out.missing.items()
    ]


def check_kinds(kinds: Sequence[str], sources: Sequence[Source]) -> None:
    """Refuse kinds of results that none of the sources can give, and sources that can give none of the kinds.

    Raises:
        UsageError: There is such a kind or source.
    """
    given = {source: PICTURE_KINDS if source.kind == "image" else VIDEO_KINDS for source in sources}
    for kind in kinds:
        if not any(kind in possible for possible in given.values()):
            raise UsageError(f"save must be of {', '.join(VIDEO_KINDS)} for videos, got {kind}")
    for source, possible in given.items():
        if not set(kinds) & set(possible):
            raise UsageError(
                f"save must name one of {', '.join(possible)} for {source.name}, got {', '.join(kinds)}; add one"
            )


def _outcomes(
    sources: Sequence[Source], reconstructor: Reconstructor, config: RunConfig, records: Records
) -> Iterator[Outcome]:
    """Pictures first, then videos."""
    pictures = [source for source in sources if source.kind == "image"]
    on_scene = None
    if config.debug_cells is not None:
        from morphable_reconstruct.batch.cells import cells_writer

        on_scene = cells_writer(reconstructor, config.out, config.debug_cells)
    yield from run_pictures(pictures, reconstructor, config, records, on_scene=on_scene)
    for source in sources:
        if source.kind != "image":
            from morphable_reconstruct.batch.videos import run_video

            yield run_video(source, reconstructor, config, records)


def _run_cluster(sources: Sequence[Source], config: RunConfig) -> list[Outcome]:
    """Spread the pictures over Ray workers."""
    from morphable_reconstruct.batch.cluster import run_on_ray

    if any(source.kind != "image" for source in sources):
        raise UsageError("sources must be pictures with --engine-cluster, got a video or webcam; run those without it")
    return run_on_ray(
        sources, config, networks_sha256(config.weights, config.model, config.per_face, config.weights_dir)
    )
