"""`evalkit rmse`: predicted meshes against 3D scans, by named protocols."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from morphable_evalkit.reports.error_maps import DEFAULT_LIMIT_MM, write_error_map
from morphable_evalkit.reports.output import OutputConfig, emit, refuse_nothing_measured
from morphable_evalkit.reports.results import ItemResult, Result
from morphable_evalkit.reports.tables import Table
from morphable_evalkit.scans.errors import ScanCase, ScanError, Unit, measure_scan
from morphable_evalkit.scans.layouts import Layout, ScanPaths, find_scans, read_landmarks
from morphable_evalkit.scans.mesh_files import read_mesh
from morphable_evalkit.scans.protocols import SCAN_PROTOCOLS, ScanProtocol, unit_of

ProtocolName = Literal["now", "now-metrical", "stirling", "micc-deng", "micc-ganfit", "df-mvr", "florence-prnet"]


@dataclass(frozen=True, kw_only=True)
class RmseConfig:
    """Measure predicted meshes against 3D scans (MICC, NoW, Pixel-Face, Bosphorus) by a named protocol."""

    preds: Path
    """Folder of predicted meshes (.obj, .ply, .npz) with their seven landmarks."""
    scans: Path
    """Root of the scans, in millimeters."""
    layout: Layout = "folder"
    """Folder layout of the data set (docs/evaluation.md)."""
    protocol: ProtocolName = "now"
    """Region, alignment, distance and pooling by name."""
    unit: Unit = "m"
    """Unit of the predicted meshes."""
    forehead_mm: float | None = None
    """Leave out scan vertices higher than this above the nose tip."""
    image_list: Path | None = None
    """NoW: list of images, if not in the root."""
    system: str = ""
    """Name for tables; the folder's name where absent."""
    error_maps: Path | None = None
    """Folder for one PNG and one PLY per scan."""
    error_limit_mm: float = DEFAULT_LIMIT_MM
    """Distance of the maps' last color."""
    output: OutputConfig = field(default_factory=OutputConfig)


@dataclass(frozen=True)
class _Row:
    """One comparison: its error, or why there is none."""

    paths: ScanPaths
    value: float
    distance_mm: Float[np.ndarray, " scored"]
    failure: str
    warnings: tuple[str, ...] = ()


def run_rmse(config: RmseConfig) -> None:
    """Measure every scan, print the table, write the files."""
    protocol = SCAN_PROTOCOLS[config.protocol]
    rows = [
        _measure(paths, protocol, config)
        for paths in find_scans(config.layout, config.scans, config.preds, image_list=config.image_list)
    ]
    for row in rows:
        for line in (row.failure, *row.warnings):
            if line:
                sys.stderr.write(f"evalkit: {row.paths.name}: {line}\n")
    system, unit = config.system or config.preds.name, unit_of(protocol)
    items = tuple(
        ItemResult(image=f"{row.paths.name} | {row.paths.scan.name}", face=0, error=row.value, group=row.paths.group)
        for row in rows
    )
    notes = {"protocol": f"{config.protocol}: {protocol.source}"}
    if config.forehead_mm is not None:
        notes["forehead"] = f"scan vertices more than {config.forehead_mm:g} mm above the nose tip left out"
    groups = ["", *sorted({row.paths.group for row in rows} - {""})]
    cells = [_summary(system, group, [r for r in rows if group in ("", r.paths.group)], protocol) for group in groups]
    summary = {"all": dict(zip(_COLUMNS, cells[0], strict=True))}
    result = Result(command="rmse", system=system, protocol=notes, unit=unit, summary=summary, items=items)
    title = f"Scan distance ({'mm' if unit == 'mm' else '% of the interocular distance'}), {config.protocol}"
    emit(Table(title, _COLUMNS, tuple(cells), tuple(notes.values())), [result], config.output)
    refuse_nothing_measured([result])


_COLUMNS = ("system", "group", "scans", "failed", "median", "mean", "std", "over")


def _measure(paths: ScanPaths, protocol: ScanProtocol, config: RmseConfig) -> _Row:
    """Measure one comparison; a missing or broken prediction is a named failure, a broken scan an error."""
    nothing = np.empty(0)
    scan = read_mesh(paths.scan)
    landmarks = read_landmarks(paths.scan, paths.scan_root, paths.scan_landmarks)
    if paths.prediction is None:
        return _Row(paths, float("nan"), nothing, "no predicted mesh")
    try:
        case = ScanCase(
            name=paths.name,
            subject=paths.subject,
            group=paths.group,
            scan=scan,
            scan_landmarks=landmarks,
            prediction=read_mesh(paths.prediction),
            prediction_landmarks=read_landmarks(paths.prediction, paths.prediction_root),
        )
        error = measure_scan(case, protocol, unit=config.unit, forehead_mm=config.forehead_mm)
    except (OSError, ValueError) as failure:
        return _Row(paths, float("nan"), nothing, str(failure))
    if config.error_maps is not None:
        _write_map(config, case, paths, error)
    return _Row(paths, error.value, error.distance_mm, "", error.warnings)


def _write_map(config: RmseConfig, case: ScanCase, paths: ScanPaths, error: ScanError) -> None:
    """Write the colored scan under a name made of both files."""
    assert config.error_maps is not None
    name = re.sub(r"[^\w.-]+", "_", f"{paths.name}_{paths.scan.stem}")
    write_error_map(
        config.error_maps / name,
        case.scan,
        case.scan_landmarks,
        error,
        limit_mm=config.error_limit_mm,
        title=f"{paths.name}: {error.value:.3f} {unit_of(SCAN_PROTOCOLS[config.protocol])}",
    )


def _summary(system: str, group: str, rows: Sequence[_Row], protocol: ScanProtocol) -> tuple[str, ...]:
    """One line: all comparisons or those of a group."""
    measured = [row for row in rows if not row.failure]
    values = _pooled(measured, protocol)
    factor = 100.0 if unit_of(protocol) == "fraction" else 1.0
    statistics = (np.median, np.mean, np.std)
    numbers = [f"{factor * statistic(values):.3f}" if len(values) else "-" for statistic in statistics]
    over = {"vertices": "vertices", "scans": "scans", "best-of-subject": "subjects, best scan"}[protocol.pooling]
    counts = (str(len(rows)), str(len(rows) - len(measured)))
    return (system, group or "all", *counts, *numbers, f"{len(values)} {over}")


def _pooled(rows: Sequence[_Row], protocol: ScanProtocol) -> Float[np.ndarray, " values"]:
    """Values over which median, mean and std are taken."""
    if not rows:
        return np.empty(0)
    if protocol.pooling == "vertices":
        return np.concatenate([row.distance_mm for row in rows])
    if protocol.pooling == "scans":
        return np.array([row.value for row in rows])
    best: dict[str, float] = {}
    for row in rows:
        best[row.paths.name] = min(row.value, best.get(row.paths.name, np.inf))
    return np.array(list(best.values()))
