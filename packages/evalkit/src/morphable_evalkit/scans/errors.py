"""Error of one predicted mesh against one scan."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from morphable_evalkit.scans.landmarks import (
    INNER_LEFT,
    INNER_RIGHT,
    LEFT_MOUTH,
    NOSE,
    OUTER_LEFT,
    OUTER_RIGHT,
    RIGHT_MOUTH,
    check_fit,
    check_on_mesh,
)
from morphable_evalkit.scans.mesh import Mesh
from morphable_evalkit.scans.protocols import Distance, ScanProtocol
from morphable_evalkit.scans.registration import Similarity, align_points, refine_on_surface
from morphable_evalkit.scans.surface import TriangleSurface

Unit = Literal["m", "cm", "mm"]

MILLIMETERS = {"m": 1000.0, "cm": 10.0, "mm": 1.0}

_NOSE_BRIDGE_PART = 0.3
"""NoW's center lies this far from the nose bottom toward the bridge."""

_FIT_POINTS = 5000
"""Scan vertices drawn for the alignment; all of them change the mean distance by less than 0.01 mm (tested)."""

_SEED = 0


@dataclass(frozen=True, kw_only=True)
class ScanCase:
    """A scan in millimeters with its prediction.

    Example:
        >>> from scipy.spatial import Delaunay
        >>> from morphable_evalkit import Mesh
        >>> def raised(xy):  # a bump in millimeters
        ...     return np.column_stack([xy, 60 * np.exp(-(xy**2).sum(axis=1) / 6000)])
        >>> xy = np.stack(np.meshgrid(np.arange(-80.0, 81, 5), np.arange(-80.0, 81, 5)), axis=-1).reshape(-1, 2)
        >>> scan = Mesh(raised(xy), Delaunay(xy).simplices.astype(np.int64))
        >>> marks = raised(np.array([[-45.0, 35], [-17, 33], [17, 33], [45, 35], [0, -12], [-25, -42], [25, -42]]))
        >>> case = ScanCase(
        ...     name="a", subject="a", group="", scan=scan, scan_landmarks=marks,
        ...     prediction=Mesh(scan.vertices / 1000, scan.triangles), prediction_landmarks=marks / 1000,
        ... )
        >>> case.scan.triangles.shape[1]
        3
    """

    name: str
    subject: str
    group: str
    """Challenge, setting or expression."""
    scan: Mesh
    scan_landmarks: Float[np.ndarray, "7 3"]
    prediction: Mesh
    prediction_landmarks: Float[np.ndarray, "7 3"]
    nose_tip: Float[np.ndarray, "3"] | None = None
    """On the scan; the nose landmark where absent."""


@dataclass(frozen=True, kw_only=True)
class ScanError:
    """Distances of one scan's vertices in millimeters."""

    value: float
    """The protocol's number for this scan: millimeters, or a fraction of the interocular distance."""
    distance_mm: Float[np.ndarray, " scored"]
    """Distance of each scan vertex in the region."""
    region: Bool[np.ndarray, " verts"]
    """Scan vertices that count."""
    aligned: Mesh
    """The prediction in the scan's frame."""
    scale: float
    """By how much the prediction was enlarged, after conversion to millimeters."""
    warnings: tuple[str, ...] = ()
    """Landmarks that may be wrong, by name."""


def measure_scan(
    case: ScanCase, protocol: ScanProtocol, *, unit: Unit = "m", forehead_mm: float | None = None
) -> ScanError:
    """Align a predicted mesh with its scan and measure the distance.

    Args:
        case: Scan, prediction and their landmarks.
        protocol: One of `SCAN_PROTOCOLS`.
        unit: Unit of the prediction; matters for protocols without free scale.
        forehead_mm: Leave out scan vertices higher than this above the nose tip, along the line from mouth to eyes.

    Raises:
        ValueError: The region is empty, vertices are not finite, or the landmarks cannot be right: they lie off
            their mesh, or those of scan and prediction do not correspond.

    Example:
        >>> from morphable_evalkit import SCAN_PROTOCOLS  # and `case` as the example of `ScanCase` makes it
        >>> measure_scan(case, SCAN_PROTOCOLS["now"], unit="m").value < 1e-6  # millimeters
        True
    """
    if len(case.prediction.triangles) == 0:
        raise ValueError(f"prediction of {case.name} must hold triangles, got a point cloud")
    if not np.isfinite(case.prediction.vertices).all():
        raise ValueError(f"prediction of {case.name} must be finite, got NaN or infinity")
    factor = MILLIMETERS[unit]
    mesh = Mesh(case.prediction.vertices * factor, case.prediction.triangles)
    landmarks = case.prediction_landmarks * factor
    region = scan_region(case, protocol, forehead_mm=forehead_mm)
    points = case.scan.vertices[region]
    if len(points) == 0:
        raise ValueError(f"region of {case.name} must hold scan vertices, got none; are scan and landmarks in mm?")
    with_scale = protocol.scale == "free"
    surface = TriangleSurface(mesh.vertices, mesh.triangles)
    start = align_points(landmarks, case.scan_landmarks, with_scale=with_scale)
    warnings = (
        *check_fit(start.apply(landmarks), case.scan_landmarks, with_scale=with_scale),
        *check_on_mesh(landmarks, mesh, "prediction"),
        *check_on_mesh(case.scan_landmarks, case.scan, "scan"),
    )
    pose = refine_on_surface(surface, _some(points), start, with_scale=with_scale)
    distance = _distances(surface, points, pose, protocol.distance)
    aligned = Mesh(pose.apply(mesh.vertices), mesh.triangles)
    return ScanError(
        value=_value(distance, aligned, case, protocol),
        distance_mm=distance,
        region=region,
        aligned=aligned,
        scale=pose.scale,
        warnings=warnings,
    )


def scan_region(
    case: ScanCase, protocol: ScanProtocol, *, forehead_mm: float | None = None
) -> Bool[np.ndarray, " verts"]:
    """Mark the scan vertices that count.

    `now`: a sphere whose center lies 0.3 of the way from nose bottom to nose bridge (midpoint of the inner eye
    corners), and whose radius is the factor times the mean of the outer eye distance and the nose's length.
    `nose-sphere`: fixed radius about the nose tip. A vertex exactly on the sphere counts.
    """
    lmk = case.scan_landmarks.astype(np.float64)
    nose = lmk[NOSE] if case.nose_tip is None else case.nose_tip.astype(np.float64)
    if protocol.region == "now":
        bridge = (lmk[INNER_RIGHT] + lmk[INNER_LEFT]) / 2
        center = lmk[NOSE] + _NOSE_BRIDGE_PART * (bridge - lmk[NOSE])
        size = np.linalg.norm(lmk[OUTER_RIGHT] - lmk[OUTER_LEFT]) + np.linalg.norm(bridge - lmk[NOSE])
        radius = protocol.radius * size / 2
    else:
        center, radius = nose, np.float64((protocol.small_radius or {}).get(case.subject, protocol.radius))
    inside: Bool[np.ndarray, " verts"] = np.linalg.norm(case.scan.vertices - center, axis=-1) <= radius
    if forehead_mm is None:
        return inside
    eyes = lmk[[OUTER_RIGHT, INNER_RIGHT, INNER_LEFT, OUTER_LEFT]].mean(axis=0)
    up = eyes - lmk[[RIGHT_MOUTH, LEFT_MOUTH]].mean(axis=0)
    height = (case.scan.vertices - nose) @ (up / np.linalg.norm(up))
    return inside & (height <= forehead_mm)


def _distances(
    surface: TriangleSurface, points: Float[np.ndarray, "points 3"], pose: Similarity, kind: Distance
) -> Float[np.ndarray, " points"]:
    """Distances of scan points to the aligned surface, in the scan's unit."""
    moved = pose.apply_inverse(points)
    closest = surface.closest(moved)
    if kind == "surface":
        return closest.distance * pose.scale
    normals = surface.normals()[closest.triangle]
    flat = np.abs(((moved - closest.point) * normals).sum(axis=-1))
    degenerate = ~(normals != 0).any(axis=-1)
    return np.where(degenerate, closest.distance, flat) * pose.scale


def _value(distance: Float[np.ndarray, " scored"], aligned: Mesh, case: ScanCase, protocol: ScanProtocol) -> float:
    """Boil the distances down to the protocol's number."""
    mean = float(distance.mean())
    if protocol.measure == "rmse":
        return float(np.sqrt((distance**2).mean()))
    if protocol.measure == "mean-per-interocular":
        lmk = case.scan_landmarks
        return mean / float(np.linalg.norm(lmk[OUTER_RIGHT] - lmk[OUTER_LEFT]))
    if protocol.measure == "two-way-mean":
        return (mean + _back_distance(aligned, case, protocol)) / 2
    return mean


def _back_distance(aligned: Mesh, case: ScanCase, protocol: ScanProtocol) -> float:
    """Mean distance of the prediction's vertices in the region to the scan's surface."""
    if len(case.scan.triangles) == 0:
        raise ValueError(f"scan of {case.name} must hold triangles for a two-way distance, got a point cloud")
    nose = case.scan_landmarks[NOSE] if case.nose_tip is None else case.nose_tip
    radius = (protocol.small_radius or {}).get(case.subject, protocol.radius)
    inside = np.linalg.norm(aligned.vertices - nose, axis=-1) <= radius
    if not inside.any():
        raise ValueError(f"prediction of {case.name} must reach into the region, got no vertex there")
    scan = TriangleSurface(case.scan.vertices, case.scan.triangles)
    return float(scan.closest(aligned.vertices[inside]).distance.mean())


def _some(points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "some 3"]:
    """Draw the vertices that the alignment uses."""
    if len(points) <= _FIT_POINTS:
        return points
    return points[np.random.default_rng(_SEED).choice(len(points), _FIT_POINTS, replace=False)]
