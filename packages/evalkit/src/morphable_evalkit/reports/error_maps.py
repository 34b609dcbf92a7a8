"""Error maps: the scan colored by its distance to the prediction, as PNG and PLY."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from morphable_evalkit.reports.plots import save_figure
from morphable_evalkit.scans.errors import ScanError
from morphable_evalkit.scans.mesh import Mesh
from morphable_evalkit.scans.mesh_files import write_ply

OUTSIDE_COLOR = (128, 128, 128)
"""Gray: scan vertices that do not count."""

DEFAULT_LIMIT_MM = 5.0

_AXES_POINTS = 220.0
"""Side of the drawing area in points (1/72 inch)."""


def error_colors(error: ScanError, limit_mm: float) -> UInt8[np.ndarray, "verts 3"]:
    """Color scan vertices from 0 to the limit (viridis), gray outside the region."""
    from matplotlib import colormaps

    colors = np.tile(np.array(OUTSIDE_COLOR, np.uint8), (len(error.region), 1))
    shade = colormaps["viridis"](np.clip(error.distance_mm / limit_mm, 0, 1))[:, :3]
    colors[error.region] = (255 * shade + 0.5).astype(np.uint8)
    return colors


def write_error_map(
    path: Path,
    scan: Mesh,
    landmarks: Float[np.ndarray, "7 3"],
    error: ScanError,
    *,
    limit_mm: float = DEFAULT_LIMIT_MM,
    title: str = "",
) -> None:
    """Write `path.ply` (the whole scan, colored) and `path.png` (the region seen from the front).

    Args:
        path: Without ending.
        scan: The scan.
        landmarks: Its seven landmarks, which say where its front is.
        error: What was measured.
        limit_mm: Distance of the last color.
        title: Over the picture.
    """
    write_ply(path.with_name(path.name + ".ply"), scan, error_colors(error, limit_mm))
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    xyz = frontal_view(scan.vertices[error.region], landmarks)
    order = np.argsort(xyz[:, 2], kind="stable")  # far to near
    figure = Figure(figsize=(4.6, 4.6))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    dots = axes.scatter(
        xyz[order, 0],
        xyz[order, 1],
        c=error.distance_mm[order],
        s=_dot_size(xyz),
        linewidths=0,
        vmin=0,
        vmax=limit_mm,
        cmap="viridis",
    )
    axes.set_aspect("equal")
    axes.set(xlabel="mm", ylabel="mm")
    axes.set_title(title, fontsize=8)
    figure.colorbar(dots, ax=axes, label="distance (mm)", shrink=0.8)
    save_figure(path.with_name(path.name + ".png"), figure)


def _dot_size(xyz: Float[np.ndarray, "points 3"]) -> float:
    """Area of a dot, in square points, that lets neighboring dots touch."""
    spread = np.ptp(xyz[:, :2], axis=0).max()
    return float(2.0 * (_AXES_POINTS / spread) ** 2 * np.ptp(xyz[:, 0]) * np.ptp(xyz[:, 1]) / len(xyz))


def frontal_view(
    points: Float[np.ndarray, "points 3"], landmarks: Float[np.ndarray, "7 3"]
) -> Float[np.ndarray, "points 3"]:
    """Turn points so that the eyes are level, the eyes above the mouth, the nose toward the viewer (+z)."""
    right, left = landmarks[:2].mean(axis=0), landmarks[2:4].mean(axis=0)
    x = (left - right) / np.linalg.norm(left - right)
    up = (left + right) / 2 - landmarks[5:7].mean(axis=0)
    y = up - (up @ x) * x
    y /= np.linalg.norm(y)
    return (points - landmarks[4]) @ np.stack([x, y, np.cross(x, y)]).T
