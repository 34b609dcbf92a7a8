"""Scan-to-mesh protocols by name, as data: region, alignment, distance, and how one number comes of many."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Region = Literal["now", "nose-sphere"]
"""`now`: sphere from the landmarks' own size; `nose-sphere`: sphere of fixed radius about the nose tip."""

Distance = Literal["surface", "plane"]
"""To the nearest surface point, or to the plane of the triangle it lies on (point-to-plane)."""

Measure = Literal["mean", "rmse", "two-way-mean", "mean-per-interocular"]
"""Number of one scan; `two-way-mean` averages both directions, `mean-per-interocular` divides by the scan's."""

Pooling = Literal["vertices", "scans", "best-of-subject"]
"""Statistics over all vertices of all scans, over scans, or over subjects with the better of their scans."""


@dataclass(frozen=True, kw_only=True)
class ScanProtocol:
    """How a predicted mesh is compared with a scan in millimeters."""

    region: Region
    radius: float
    """Millimeters for `nose-sphere`; factor of the landmarks' size for `now`."""
    scale: Literal["free", "unit"]
    """`free`: the prediction's size is fitted; `unit`: it is metric, only its unit is converted."""
    distance: Distance
    measure: Measure
    pooling: Pooling
    source: str
    small_radius: Mapping[str, float] | None = None
    """Subjects with a smaller region."""


_NOW = ScanProtocol(
    region="now",
    radius=1.4,
    scale="free",
    distance="surface",
    measure="mean",
    pooling="vertices",
    source="NoW (soubhiksanyal/now_evaluation): 7 landmarks with scale, then least squares of scan-to-mesh "
    "distance; median, mean, std over all vertices of all images",
)
_NOSE_SPHERE = replace(_NOW, region="nose-sphere", radius=95.0, pooling="scans")

SCAN_PROTOCOLS: Mapping[str, ScanProtocol] = {
    "now": _NOW,
    "now-metrical": replace(_NOW, scale="unit", source="NoW metrical: as now, without scale"),
    "stirling": replace(_NOW, radius=1.2, source="Stirling / FG2018 challenge: as now with a factor of 1.2"),
    "micc-deng": replace(
        _NOSE_SPHERE,
        distance="plane",
        measure="rmse",
        source="MICC by Deng et al. (microsoft/Deep3DFaceReconstruction#23): 95 mm about the scan's nose tip, ICP with "
        "isotropic scale per mesh, point-to-plane RMSE over vertices, mean and std over meshes; the cut of the "
        "forehead is not public: pass it as --forehead-mm",
    ),
    "micc-ganfit": replace(
        _NOSE_SPHERE,
        measure="two-way-mean",
        pooling="best-of-subject",
        source="MICC by GANFIT's code: 95 mm about the nose tip (60 mm for subject 28), mean nearest-surface distance "
        "of both directions, better of the two frontal scans, mean and std over subjects",
        small_radius={"subject_28": 60.0},
    ),
    "df-mvr": replace(
        _NOW,
        pooling="scans",
        source="DF-MVR's code (lib/now_evaluation/compute_error.py): its 'RMSE' is the mean scan-to-mesh distance",
    ),
    "florence-prnet": replace(
        _NOSE_SPHERE,
        measure="mean-per-interocular",
        source="PRNet on Florence (YadiraF/PRNet#161): ICP, mean distance over the scan's outer interocular distance",
    ),
}
"""Protocols E5 and E6 by the name that `--protocol` takes."""


def unit_of(protocol: ScanProtocol) -> Literal["mm", "fraction"]:
    """Unit of a protocol's numbers."""
    return "fraction" if protocol.measure == "mean-per-interocular" else "mm"
