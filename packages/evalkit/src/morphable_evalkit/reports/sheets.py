"""A sheet of the worst faces, with labels and predictions drawn on the photographs."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from morphable_evalkit.datasets.ground_truth import GroundTruth
from morphable_evalkit.files import open_picture
from morphable_evalkit.reports.plots import check_plot_path, save_figure

_TILE_INCHES = 2.4
_COLUMNS = 4
_MARGIN = 0.6
"""Free space around the labeled face, in widths of its box."""

_TRUTH_COLOR, _PREDICTION_COLOR = "#00c853", "#ff1744"


def worst_first(errors: Float[np.ndarray, " faces"], count: int) -> Int[np.ndarray, " worst"]:
    """Return rows of the largest errors; missed faces (NaN) come first."""
    rank = np.where(np.isfinite(errors), errors, np.inf)
    return np.argsort(-rank, kind="stable")[:count]


def draw_worst_sheet(
    path: Path,
    truth: GroundTruth,
    errors: Float[np.ndarray, " faces"],
    predicted_px: Float[np.ndarray, "faces points 2"],
    *,
    count: int = 12,
) -> None:
    """Draw the faces with the largest errors: labels green, predictions red.

    Args:
        path: .png, .svg or .pdf.
        truth: Data set whose pictures are present.
        errors: Fractions, NaN where missed.
        predicted_px: Matched prediction of each face, NaN where missed.
        count: Faces on the sheet.

    Raises:
        ValueError: The data set has no pictures or no faces here.
    """
    check_plot_path(path)
    if truth.pictures is None or not len(errors):
        raise ValueError(f"worst must have pictures to draw on, got none for {truth.name}; leave --worst out")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = worst_first(errors, count)
    columns = min(_COLUMNS, len(rows))
    lines = -(-len(rows) // columns)
    figure = Figure(figsize=(columns * _TILE_INCHES, lines * (_TILE_INCHES + 0.35)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, row in zip(figure.subplots(lines, columns, squeeze=False).flat, rows, strict=False):
        with open_picture(truth.pictures / truth.image[row]) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        height, width = pixels.shape[:2]
        axes.imshow(pixels, extent=(0, width, height, 0))
        seen = slice(None) if truth.visible is None else truth.visible[row]
        axes.scatter(*truth.points_px[row][seen].T, s=3, c=_TRUTH_COLOR, linewidths=0)
        axes.scatter(*predicted_px[row].T, s=3, c=_PREDICTION_COLOR, linewidths=0)
        x0, y0, x1, y1 = truth.boxes()[row]
        pad = _MARGIN * max(x1 - x0, y1 - y0)
        axes.set_xlim(max(x0 - pad, 0), min(x1 + pad, width))
        axes.set_ylim(min(y1 + pad, height), max(y0 - pad, 0))
        label = f"{100 * errors[row]:.2f} %" if np.isfinite(errors[row]) else "missed"
        yaw = "" if truth.yaw_deg is None else f", yaw {truth.yaw_deg[row]:.0f}°"
        axes.set_title(f"{truth.image[row]}\n{label}{yaw}", fontsize=6)
    for axes in figure.axes:
        axes.axis("off")
    save_figure(path, figure)
