"""Many machines: pictures spread over Ray workers, coefficients to Parquet, results to files."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from morphable_reconstruct.batch import Outcome, run_pictures
from morphable_reconstruct.exports.atomic import atomic_path
from morphable_reconstruct.extras import require
from morphable_reconstruct.options import RunConfig
from morphable_reconstruct.records import Records
from morphable_reconstruct.sources import Source

PARQUET_FOLDER = "parquet"
_ROWS_PER_TASK = 16


class ClusterWorker:
    """Reconstructs blocks of pictures in one Ray process; the network is loaded once."""

    def __init__(self, config: RunConfig, weights_sha256: str) -> None:
        from morphable_reconstruct.opening import open_reconstructor

        self.config = config
        self.reconstructor = open_reconstructor(config.weights, config.model, config.reconstruct)
        self.records = Records(config, weights_sha256)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Reconstruct one block: saves results and records, and one Parquet file of all its faces."""
        columns = (batch[name].tolist() for name in ("path", "name", "stem"))
        sources = [
            Source(kind="image", path=Path(path), name=name, stem=stem)
            for path, name, stem in zip(*columns, strict=True)
        ]
        outcomes = list(run_pictures(sources, self.reconstructor, self.config, self.records))
        write_parquet(outcomes, self.config.out / PARQUET_FOLDER)
        return {
            "name": np.array([outcome.source.name for outcome in outcomes]),
            "error": np.array([outcome.error or "" for outcome in outcomes]),
        }


def run_on_ray(
    sources: Sequence[Source], config: RunConfig, weights_sha256: str, *, worker: Any = ClusterWorker
) -> list[Outcome]:
    """Reconstruct pictures with `config.workers` Ray processes, here or on the cluster `RAY_ADDRESS` names.

    A worker that dies is replaced and its blocks are done again; what has a record is skipped, as in any rerun.
    All machines must see the pictures and the output folder under the same paths.

    Args:
        sources: Pictures.
        config: Options of the command.
        weights_sha256: Hash of the weights, part of the records.
        worker: Class of the workers.

    Raises:
        ImportError: Ray is not installed.
    """
    ray = require("ray", extra="cluster")
    data = require("ray.data", extra="cluster")
    started = not ray.is_initialized()
    if started:
        local = "RAY_ADDRESS" not in os.environ
        cpus = {"num_cpus": config.workers, "include_dashboard": False} if local else {}
        ray.init(log_to_driver=False, logging_level="error", **cpus)
    try:
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        context.max_errored_blocks = 0
        table = [{"path": str(s.path.absolute()), "name": s.name, "stem": s.stem} for s in sources]
        finished = data.from_items(table, override_num_blocks=max(1, -(-len(table) // _ROWS_PER_TASK))).map_batches(
            _bound(worker, config, weights_sha256),
            batch_size=_ROWS_PER_TASK,
            compute=data.ActorPoolStrategy(size=config.workers),
            num_cpus=1,
        )
        errors = {row["name"]: row["error"] for row in finished.take_all()}
    finally:
        if started:
            ray.shutdown()
    records = Records(config, weights_sha256)
    return [_outcome(source, records, errors.get(source.name, "")) for source in sources]


def write_parquet(outcomes: Sequence[Outcome], folder: Path) -> None:
    """Write one row per face; the file's name follows from the pictures' names, so that a rerun replaces it."""
    pyarrow, parquet = require("pyarrow", extra="cluster"), require("pyarrow.parquet", extra="cluster")
    done = [outcome for outcome in outcomes if outcome.error is None]
    if not done:
        return
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
    names = "\n".join(sorted(outcome.source.name for outcome in done))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(names.encode()).hexdigest()[:20]}.parquet"
    with atomic_path(path) as temporary:
        parquet.write_table(pyarrow.table(columns), temporary)


def _bound(worker: Any, config: RunConfig, weights_sha256: str) -> Any:
    """The worker's class with its arguments inside: arguments in Ray's object store may be lost before a restart."""

    class BoundWorker(worker):  # type: ignore[misc]  # a class chosen at run time
        def __init__(self) -> None:
            super().__init__(config, weights_sha256)

    return BoundWorker


def _outcome(source: Source, records: Records, error: str) -> Outcome:
    """What a picture's record says, or the error of its worker."""
    record = None if error else records.find(source)
    if record is None:
        return Outcome(source=source, error=error or "no worker finished it; run again")
    return Outcome(source=source, faces=record.faces, rows=record.rows, files=record.files)
