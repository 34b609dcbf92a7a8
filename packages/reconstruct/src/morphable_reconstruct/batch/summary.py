"""The end of a run: prediction file, summary and exit status."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from morphable.files import write_bytes
from morphable_reconstruct.batch.options import RunConfig, ViewsConfig
from morphable_reconstruct.batch.pictures import Outcome
from morphable_reconstruct.batch.report import print_summary, summary_json
from morphable_reconstruct.exports.predictions import write_predictions

_DISTRIBUTION = "morphable-reconstruct"


def finish(outcomes: list[Outcome], config: RunConfig | ViewsConfig) -> int:
    """Write the files about the whole run, print the summary, choose the exit status: 1 if a source failed."""
    if config.preds is not None:
        _write_predictions(config.preds, outcomes, config)
    if config.json is not None:
        write_bytes(config.json, summary_json(outcomes).encode())
    print_summary(outcomes, out=str(config.out), console=Console(), errors=Console(stderr=True))
    return 1 if any(outcome.error is not None for outcome in outcomes) else 0


def _write_predictions(path: Path, outcomes: Sequence[Outcome], config: RunConfig | ViewsConfig) -> None:
    """Write the rows of all pictures that were processed, in order of their names."""
    done = sorted((o for o in outcomes if o.error is None and o.source.kind == "image"), key=lambda o: o.source.name)
    networks = config.weights if config.per_face is None else f"{config.weights} and {config.per_face}"
    system = f"{_DISTRIBUTION} {version(_DISTRIBUTION)}, {networks}, Python {platform.python_version()}"
    write_predictions(path, ((outcome.source.name, outcome.rows) for outcome in done), system=system)
