"""Sum up one error per face: yaw bins, means, cumulative curve, failures, bootstrap intervals."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

YawRule = Literal["3ddfa", "sadrnet"]
"""`3ddfa`: |yaw| <= 30, (30, 60], > 60 without upper limit. `sadrnet`: [0, 30), [30, 60), [60, 90)."""

BIN_NAMES = ("0-30", "30-60", "60-90")
_BIN_EDGES_DEG = (30.0, 60.0)
_SADRNET_LIMIT_DEG = 90.0

DEFAULT_RESAMPLES = 2000
"""Bootstrap resamples: the ends of a 95 % interval then vary by about 1 % of its width from seed to seed."""


def yaw_bins(yaw_deg: Float[np.ndarray, " faces"], rule: YawRule = "3ddfa") -> Int[np.ndarray, " faces"]:
    """Return the yaw bin of every face: 0, 1, 2, and 3 for faces that `sadrnet` leaves out."""
    size = np.abs(yaw_deg)
    right = rule == "3ddfa"
    bins = np.digitize(size, _BIN_EDGES_DEG, right=right)
    if rule == "sadrnet":
        bins = np.where(size < _SADRNET_LIMIT_DEG, bins, len(BIN_NAMES))
    return bins.astype(np.int64)


@dataclass(frozen=True)
class BinSummary:
    """Faces of one yaw bin."""

    name: str
    num_faces: int
    num_failed: int
    """Faces without a prediction, or with one that is not finite."""
    mean: float
    """Mean over the faces that were found; NaN if none was."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Errors of a data set as fractions; every share counts a missing face as a failure.

    Example:
        >>> import numpy as np
        >>> from morphable_evalkit import summarize
        >>> summary = summarize(np.array([0.02, 0.03, 0.05, np.nan]), yaw_deg=np.array([0.0, 40.0, 80.0, 10.0]))
        >>> summary.num_failed, summary.share_below_5  # the missed face is a failure
        (1, 0.5)
    """

    num_faces: int
    num_failed: int
    mean: float
    """Plain mean over the faces that were found."""
    mean_interval: tuple[float, float]
    """95 % bootstrap interval of the plain mean."""
    median: float
    bins: tuple[BinSummary, ...]
    """Empty where the data set has no yaw."""
    balanced_mean: float
    """Unweighted mean of the bins' means; NaN without yaw or with an empty bin."""
    balanced_std: float
    """Standard deviation of the bins' means (3DDFA's benchmark prints it)."""
    threshold: float
    auc: float
    """Area under the cumulative error curve up to the threshold, 1 at best."""
    failure_rate: float
    """Share of all faces above the threshold or missing."""
    share_below_5: float
    share_below_10: float


def summarize(
    errors: Float[np.ndarray, " faces"],
    yaw_deg: Float[np.ndarray, " faces"] | None = None,
    *,
    rule: YawRule = "3ddfa",
    threshold: float = 0.1,
    seed: int = 0,
) -> Summary:
    """Sum up errors.

    Args:
        errors: One fraction per ground-truth face; NaN where the face was missed or failed.
        yaw_deg: Ground-truth yaw.
        rule: Limits of the yaw bins.
        threshold: End of the cumulative curve, as a fraction.
        seed: Seed of the bootstrap.

    Raises:
        ValueError: No face at all.

    Example:
        >>> import numpy as np
        >>> summary = summarize(np.array([0.02, 0.03, 0.05]), yaw_deg=np.array([0.0, 40.0, 80.0]))
        >>> [bin.name for bin in summary.bins], round(summary.balanced_mean, 4)
        (['0-30', '30-60', '60-90'], 0.0333)
    """
    if len(errors) == 0:
        raise ValueError("errors must hold at least one face, got none")
    if not threshold > 0:
        raise ValueError(f"threshold must be positive, got {threshold}")
    found = errors[np.isfinite(errors)]
    bins = () if yaw_deg is None else _summarize_bins(errors, yaw_bins(yaw_deg, rule))
    bin_means = np.array([b.mean for b in bins]) if bins else np.array([np.nan])
    return Summary(
        num_faces=len(errors),
        num_failed=len(errors) - len(found),
        mean=mean_or_nan(found),
        mean_interval=bootstrap_interval(found, mean_or_nan, seed=seed),
        median=float(np.median(found)) if len(found) else float("nan"),
        bins=bins,
        balanced_mean=float(bin_means.mean()),
        balanced_std=float(bin_means.std()),
        threshold=threshold,
        auc=area_under_curve(errors, threshold),
        failure_rate=1.0 - share_below(errors, threshold),
        share_below_5=share_below(errors, 0.05),
        share_below_10=share_below(errors, 0.10),
    )


def mean_or_nan(values: Float[np.ndarray, " faces"]) -> float:
    """Return the mean, NaN of nothing."""
    return float(values.mean()) if len(values) else float("nan")


def share_below(errors: Float[np.ndarray, " faces"], limit: float) -> float:
    """Return the share of all faces with an error below a limit; a NaN is not below."""
    return float((errors < limit).mean())


def area_under_curve(errors: Float[np.ndarray, " faces"], threshold: float) -> float:
    """Return the exact area under the cumulative error curve on [0, threshold], divided by the threshold."""
    gained = np.clip(threshold - errors, 0.0, None)
    return float(np.where(np.isfinite(errors), gained, 0.0).mean() / threshold)


def cumulative_curve(
    errors: Float[np.ndarray, " faces"], threshold: float
) -> tuple[Float[np.ndarray, " steps"], Float[np.ndarray, " steps"]]:
    """Return error limits up to the threshold and the share of all faces at or below each, as steps."""
    limits = np.sort(errors[np.isfinite(errors)])
    limits = limits[limits <= threshold]
    share = np.arange(1, len(limits) + 1) / len(errors)
    last = share[-1] if len(share) else 0.0
    return np.concatenate([[0.0], limits, [threshold]]), np.concatenate([[0.0], share, [last]])


def bootstrap_interval(
    values: Float[np.ndarray, " faces"],
    statistic: Callable[[Float[np.ndarray, " faces"]], float],
    *,
    level: float = 0.95,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a statistic, resampling faces; NaN of nothing."""
    if len(values) == 0:
        return (float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    drawn = [statistic(values[rng.integers(0, len(values), len(values))]) for _ in range(resamples)]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return (float(low), float(high))


def _summarize_bins(errors: Float[np.ndarray, " faces"], bins: Int[np.ndarray, " faces"]) -> tuple[BinSummary, ...]:
    """Sum up each yaw bin."""
    out = []
    for index, name in enumerate(BIN_NAMES):
        chosen = errors[bins == index]
        found = chosen[np.isfinite(chosen)]
        out.append(BinSummary(name, len(chosen), len(chosen) - len(found), mean_or_nan(found)))
    return tuple(out)
