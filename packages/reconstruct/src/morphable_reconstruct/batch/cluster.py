"""Many machines: pictures spread over Ray workers, coefficients to Parquet, results to files."""

import hashlib
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from morphable.commands import printable
from morphable.extras import import_extra
from morphable.files import atomic_path, refusing
from morphable_reconstruct.batch.cells import cells_writer
from morphable_reconstruct.batch.options import RunConfig
from morphable_reconstruct.batch.pictures import Outcome, find_done, run_pictures
from morphable_reconstruct.batch.records import Records
from morphable_reconstruct.photographs.sources import Source

_ARROW = ("pyarrow", "pyarrow.parquet")
PARQUET_FOLDER = "parquet"
_ROWS_PER_TASK = 16
_MAX_RETRIES = 6
"""A picture that kills its worker (by taking all memory, say) must not do so forever; a death takes one or two."""
_ADDRESS = "RAY_ADDRESS"
_BYTES = "latin-1"
"""Encoding in which any bytes are a text."""
_CONNECT_S = 10.0
"""How long a cluster may take to accept a connection; Ray itself would ask for minutes."""
_LOST = "its worker ended before it was done; run again, without --engine-cluster to see why"


class ClusterWorker:
    """Reconstructs blocks of pictures in one Ray process; the network is loaded once.

    Ray ships this class by name, so every machine needs the package; its arguments travel with it.
    """

    def __init__(self, config: RunConfig, weights_sha256: str) -> None:
        """Load the network.

        Args:
            config: Options of the command, paths absolute.
            weights_sha256: Hash of the weights, part of the records.
        """
        from morphable_reconstruct.reconstructor.reconstructor import Reconstructor

        self.config = config
        self.reconstructor = Reconstructor(
            config.weights,
            config.model,
            per_face=config.per_face,
            weights_dir=config.weights_dir,
            config=config.reconstruct,
        )
        self.records = Records(config, weights_sha256)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Reconstruct one block: saves results and records, and one Parquet file of all its faces."""
        sources = list(map(_source, batch["path"].tolist(), batch["name"].tolist(), batch["stem"].tolist()))
        radius = self.config.debug_cells
        on_scene = None if radius is None else cells_writer(self.reconstructor, self.config.out, radius)
        outcomes = list(run_pictures(sources, self.reconstructor, self.config, self.records, on_scene=on_scene))
        parquet = write_parquet(outcomes, self.config.out / PARQUET_FOLDER)
        return {
            "name": np.array([outcome.source.name for outcome in outcomes]),
            "error": np.array([printable(outcome.error or "") for outcome in outcomes]),
            "seconds": np.array([outcome.seconds for outcome in outcomes]),
            "skipped": np.array([outcome.skipped for outcome in outcomes]),
            "parquet": np.array([parquet] * len(outcomes)),
        }


def run_on_ray(
    sources: Sequence[Source], config: RunConfig, weights_sha256: str, *, worker: type[Any] = ClusterWorker
) -> list[Outcome]:
    """Reconstruct pictures with `config.workers` Ray processes, here or on the cluster `RAY_ADDRESS` names.

    A worker that dies is replaced and its block is done again, a few times; what has a record is skipped, as in any
    rerun. What is left of lost blocks is then done picture by picture, so that a picture that kills its workers takes
    no other along. All machines must see the pictures, the output folder, and weights given by path, under the same
    paths.

    Args:
        sources: Pictures.
        config: Options of the command.
        weights_sha256: Hash of the weights, part of the records.
        worker: Class of the workers, made with `config` and `weights_sha256`.

    Returns:
        An outcome for every picture, in the order of `sources`.

    Raises:
        ImportError: Ray is not installed.
        OSError: The cluster cannot be reached or was lost, or no worker could start.
    """
    config = _with_absolute_paths(config)
    records = Records(config, weights_sha256)
    arguments = {"config": config, "weights_sha256": weights_sha256}
    with _ray_session(config.workers):
        rows = _map_blocks(sources, worker, arguments, workers=config.workers, size=_ROWS_PER_TASK)
        names = {row["name"] for row in rows}
        alone = [s for s in sources if s.name not in names and (config.overwrite or find_done(records, s) is None)]
        if alone:
            rows += _map_blocks(alone, worker, arguments, workers=config.workers, size=1)
    returned = {row["name"]: row for row in rows}
    outcomes = [_outcome(source, records, returned.get(source.name)) for source in sources]
    lost = [outcome for outcome in outcomes if outcome.source.name not in returned and outcome.error is None]
    folder = config.out / PARQUET_FOLDER
    written = {row["parquet"] for row in rows} | {write_parquet(lost, folder)}
    drop_older_rows(folder, returned.keys() | {outcome.source.name for outcome in lost}, written)
    return outcomes


@contextmanager
def _ray_session(workers: int) -> Iterator[None]:
    """Use the Ray that runs already, or start one, on the cluster that is named or here, and end it."""
    ray = import_extra("ray", "morphable-reconstruct", "cluster")
    import_extra("ray.data", "morphable-reconstruct", "cluster")
    started = not ray.is_initialized()
    if started:
        _start(ray, workers)
    try:
        yield
    except ray.exceptions.RayError as error:
        raise OSError(f"the workers ended: {error}") from error
    finally:
        if started:
            ray.shutdown()


def _start(ray: Any, workers: int) -> None:
    """Connect to the cluster that the environment names, or start a Ray of this machine's."""
    quiet = {"log_to_driver": False, "logging_level": "error"}
    address = os.environ.get(_ADDRESS)
    try:
        if address:
            _knock(address)
            ray.init(**quiet)
        else:
            ray.init(address="local", num_cpus=workers, include_dashboard=False, **quiet)
    except Exception as error:  # Ray raises bare ones
        if not address:
            raise OSError(f"Ray could not start on this machine: {error}") from error
        raise ConnectionError(
            f"{_ADDRESS} must be the address of a running Ray cluster, got {address!r} ({error}); start one with "
            f"`ray start --head`, or unset {_ADDRESS} to use the cores of this machine"
        ) from error


def _knock(address: str) -> None:
    """Raise an error if nobody listens at the address; names without a port are left to Ray."""
    place = urlsplit(f"//{address.removeprefix('ray://')}")
    if place.port is not None:
        socket.create_connection((place.hostname or "", place.port), timeout=_CONNECT_S).close()


def _map_blocks(
    sources: Sequence[Source], worker: type[Any], arguments: dict[str, Any], *, workers: int, size: int
) -> list[dict[str, Any]]:
    """What workers made with `arguments` returned: a row for each picture of the blocks that were not lost."""
    data = import_extra("ray.data", "morphable-reconstruct", "cluster")
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # a lost block's pictures are reported or done alone, the others go on
    rows = list(map(_row, sources))
    blocks = data.from_items(rows, override_num_blocks=max(1, -(-len(rows) // size))).map_batches(
        worker,
        fn_constructor_kwargs=arguments,
        batch_size=size,
        # A block that waits at a worker would be lost with the one that kills it
        compute=data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
        num_cpus=1,
        max_restarts=-1,  # of workers; blocks are what gives up
        max_task_retries=_MAX_RETRIES,
    )
    return blocks.take_all()


def _row(source: Source) -> dict[str, str]:
    """What a worker is told of a picture; names of files may be no UTF-8, which Arrow's texts are, but are bytes."""
    path, stem = (os.fsencode(name).decode(_BYTES) for name in (source.path.absolute(), source.stem))
    return {"path": path, "name": source.name, "stem": stem}


def _source(path: str, name: str, stem: str) -> Source:
    """Return the picture that `_row` told of."""
    path, stem = (os.fsdecode(told.encode(_BYTES)) for told in (path, stem))
    return Source(kind="image", path=Path(path), name=name, stem=stem)


def write_parquet(outcomes: Sequence[Outcome], folder: Path) -> str:
    """Write one row per face; the file's name follows from the pictures' names, so that a rerun replaces it.

    Returns:
        The file's name; empty if there was no face, and so no file.
    """
    pyarrow, parquet = (import_extra(name, "morphable-reconstruct", "cluster") for name in _ARROW)
    done = [outcome for outcome in outcomes if outcome.error is None]
    columns: dict[str, list[Any]] = {"image": [], "height": [], "width": []}
    for outcome in done:
        height, width = outcome.rows["size_hw"].tolist()
        for index in range(outcome.faces):
            columns["image"].append(outcome.source.name)
            columns["height"].append(height)
            columns["width"].append(width)
            for name, values in outcome.rows.items():
                if name != "size_hw":
                    value = values[index].reshape(-1).tolist() if values.ndim > 1 else float(values[index])
                    columns.setdefault(name, []).append(value)
    if not columns["image"]:
        return ""
    names = "\n".join(sorted(outcome.source.name for outcome in done))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(names.encode()).hexdigest()[:20]}.parquet"
    with atomic_path(path) as temporary:
        parquet.write_table(pyarrow.table(columns), temporary)
    return path.name


def drop_older_rows(folder: Path, images: set[str], written: set[str]) -> None:
    """Take the rows of this run's pictures out of the files of earlier runs, which may have cut other blocks.

    Args:
        folder: Of the Parquet files.
        images: Names of this run's pictures.
        written: Names of the files this run has written.
    """
    pyarrow, parquet = (import_extra(name, "morphable-reconstruct", "cluster") for name in _ARROW)
    for path in sorted(folder.glob("[!.]*.parquet")):
        if path.name in written:
            continue
        with refusing("table of faces must be a whole Parquet file", path, next_step="move or delete it"):
            table = parquet.read_table(path)
        if "image" not in table.column_names:
            continue
        kept = table.filter(pyarrow.array([name not in images for name in table["image"].to_pylist()], pyarrow.bool_()))
        if len(kept) == 0:
            path.unlink()
        elif len(kept) < len(table):
            with atomic_path(path) as temporary:
                parquet.write_table(kept, temporary)


def _with_absolute_paths(config: RunConfig) -> RunConfig:
    """The same options for workers that run in other folders; names of bundled weights and models stay."""

    def moved(name: str) -> str:
        return str(Path(name).absolute()) if Path(name).is_file() else name

    per_face = None if config.per_face is None else moved(config.per_face)
    weights, model = moved(config.weights), moved(config.model)
    folder = None if config.weights_dir is None else config.weights_dir.absolute()
    return replace(
        config, out=config.out.absolute(), weights=weights, model=model, per_face=per_face, weights_dir=folder
    )


def _outcome(source: Source, records: Records, returned: dict[str, Any] | None) -> Outcome:
    """Return the content of a picture's record, or the error of its worker, which may have returned nothing."""
    if returned is not None and returned["error"]:
        return Outcome(source=source, error=returned["error"])
    done = find_done(records, source)
    if done is None:
        return Outcome(source=source, error=_LOST)
    if returned is None:
        return replace(done, skipped=False)
    return replace(done, seconds=float(returned["seconds"]), skipped=bool(returned["skipped"]))
