"""Curves as PNG or SVG (by the file's ending), drawn without a display."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from morphable_evalkit.files import atomic_path, check_output
from morphable_evalkit.measures.summaries import area_under_curve, cumulative_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLOT_SUFFIXES = (".png", ".svg", ".pdf")
_SIZE_INCHES = (6.4, 4.4)
_DPI = 150


def plot_cumulative_errors(
    path: Path, errors: Mapping[str, Float[np.ndarray, " faces"]], *, threshold: float, title: str
) -> None:
    """Draw one cumulative error curve per system; missing faces keep a curve below 1.

    Args:
        path: .png, .svg or .pdf.
        errors: Fractions per system, NaN where missed.
        threshold: End of the horizontal axis, as a fraction.
        title: Data set and protocol.

    Raises:
        ValueError: Another file ending.
    """
    figure, axes = _figure(path)
    for name, values in errors.items():
        limits, share = cumulative_curve(values, threshold)
        area = area_under_curve(values, threshold)
        axes.step(100 * limits, share, where="post", label=f"{name} (AUC {area:.3f})")
    axes.set(
        xlim=(0, 100 * threshold),
        ylim=(0, 1.005),
        xlabel="normalized mean error (%)",
        ylabel="share of all faces",
        title=title,
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    save_figure(path, figure)


def plot_latency(
    path: Path, times_ms: Mapping[str, tuple[Sequence[float], Sequence[float], Sequence[float], Sequence[float]]]
) -> None:
    """Draw time against the number of faces, median with the range of the middle half.

    Args:
        path: .png, .svg or .pdf.
        times_ms: Per system: numbers of faces, medians, lower and upper quartiles.
    """
    figure, axes = _figure(path)
    for name, (faces, median, low, high) in times_ms.items():
        (line,) = axes.plot(faces, median, marker="o", markersize=4, label=name)
        axes.fill_between(faces, low, high, alpha=0.2, color=line.get_color())
    axes.set(xlabel="faces in the picture", ylabel="time per picture (ms)", ylim=(0, None), xlim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    save_figure(path, figure)


def check_plot_path(path: Path) -> None:
    """Refuse a file ending that is no picture, and a file that cannot be written, before hours of work.

    Raises:
        ValueError: Another file ending, or as of `check_output`.
    """
    if path.suffix.lower() not in PLOT_SUFFIXES:
        raise ValueError(f"plot must end in {', '.join(PLOT_SUFFIXES)}, got {path.name}")
    check_output(path)


def save_figure(path: Path, figure: "Figure") -> None:
    """Save a figure whole or not at all."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=_DPI, bbox_inches="tight")


def _figure(path: Path) -> "tuple[Figure, Axes]":
    """Make a figure without touching the global state of pyplot."""
    check_plot_path(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE_INCHES)
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()
