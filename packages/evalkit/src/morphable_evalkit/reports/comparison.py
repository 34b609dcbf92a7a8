"""Is the difference between two systems real? Paired bootstrap over pictures."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from morphable_evalkit.reports.results import Result

_LEVEL = 0.95
_SMALL = 0.05
"""Error of a face that counts as good."""

_CHUNK_DRAWS = 250
"""Resamples held at once: 40 MB for the 21,080 faces of AFLW."""

_Statistic = Callable[[Float[np.ndarray, "draws faces"]], Float[np.ndarray, "draws 2"]]
"""Both systems' number for every row of weights."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One statistic of two systems on the same faces."""

    statistic: str
    first: float
    second: float
    difference: float
    """Second minus first."""
    interval: tuple[float, float]
    """95 % bootstrap interval of the difference."""
    p_value: float
    """Two-sided: how often resampled differences have the other sign."""
    num_items: int


@dataclass(frozen=True)
class _Pairs:
    """Errors of two systems, row by row of the same face."""

    errors: Float[np.ndarray, "faces 2"]
    group: Int[np.ndarray, " faces"]
    """Row of the group's name; -1 throughout where there are no groups."""
    picture: Int[np.ndarray, " faces"]


def compare_results(
    first: Result, second: Result, *, resamples: int = 10_000, seed: int = 0, same_protocol: bool = True
) -> tuple[Comparison, ...]:
    """Compare two results face by face.

    Faces of one picture are drawn together, and pictures within their yaw bin (or setting), so that every resample
    has the bins of the original. A face that either system missed has no error to compare: means use the faces that
    both found, and the share of failures is compared on its own.

    Args:
        first: One system.
        second: The other.
        resamples: Number of resamples of the bootstrap.
        seed: Seed of the bootstrap.
        same_protocol: Refuse results measured in different ways.

    Raises:
        ValueError: Different faces, units or protocols, or no face found by both.

    Example:
        >>> from morphable_evalkit.reports.results import ItemResult
        >>> def result(system, errors):
        ...     items = tuple(ItemResult(image=f"{i}.jpg", face=0, error=error) for i, error in enumerate(errors))
        ...     return Result(command="nme", system=system, protocol={}, unit="fraction", summary={}, items=items)
        >>> mean, *_ = compare_results(result("a", [0.03, 0.04, 0.05]), result("b", [0.02, 0.03, 0.04]), resamples=100)
        >>> mean.statistic, round(mean.difference, 3)
        ('mean, found by both', -0.01)
    """
    pairs = _pair(first, second, same_protocol=same_protocol)
    both = np.isfinite(pairs.errors).all(axis=1)
    if not both.any():
        raise ValueError("results must share at least one face that both systems found, got none")
    everything = np.ones(len(both))
    errors = np.where(both[:, None], pairs.errors, 0.0)
    measured: dict[str, _Statistic] = {"mean, found by both": lambda w: _ratio(w * both, errors)}
    if first.command == "nme" and len(np.unique(pairs.group)) > 1:
        members = [both & (pairs.group == group) for group in np.unique(pairs.group)]
        measured["mean of bins, found by both"] = lambda w: np.mean([_ratio(w * m, errors) for m in members], axis=0)
    shares: dict[str, _Statistic] = {}
    if first.unit == "fraction":
        shares["share below 5 %"] = lambda w: _ratio(w * everything, pairs.errors < _SMALL)
    shares["share failed"] = lambda w: _ratio(w * everything, ~np.isfinite(pairs.errors))
    statistics = measured | shares
    drawn: dict[str, list[Float[np.ndarray, "draws 2"]]] = {name: [] for name in statistics}
    for weights in _draw_weights(pairs, resamples, seed):
        for name, statistic in statistics.items():
            drawn[name].append(statistic(weights))
    return tuple(
        _compare(
            name,
            statistic(np.ones((1, len(both))))[0],
            np.concatenate(drawn[name]),
            num_items=int(both.sum()) if name in measured else len(both),
        )
        for name, statistic in statistics.items()
    )


def _pair(first: Result, second: Result, *, same_protocol: bool) -> _Pairs:
    """Bring two results into the same order."""
    if first.unit != second.unit or first.command != second.command:
        raise ValueError(
            f"results must be of one kind, got {first.command} ({first.unit}) and {second.command} ({second.unit})"
        )
    different = [key for key in first.protocol if first.protocol[key] != second.protocol.get(key)]
    if different and same_protocol:
        key = different[0]
        raise ValueError(
            f"results must share one protocol, got {key}: {first.protocol[key]!r} and {second.protocol.get(key)!r}; "
            "pass --no-same-protocol to compare nevertheless"
        )
    rows = {(item.image, item.face): item for item in first.items}
    others: Mapping[tuple[str, int], float] = {(item.image, item.face): item.error for item in second.items}
    if rows.keys() != others.keys():
        name = sorted(rows.keys() ^ others.keys())[0][0]
        raise ValueError(
            f"results must cover the same faces, got {len(rows)} and {len(others)}, differing for example in {name}"
        )
    groups = {name: index for index, name in enumerate(sorted({item.group for item in first.items}))}
    pictures = {name: index for index, name in enumerate(sorted({item.image for item in first.items}))}
    return _Pairs(
        np.array([[item.error, others[key]] for key, item in rows.items()], dtype=np.float64).reshape(-1, 2),
        np.array([groups[item.group] for item in rows.values()], dtype=np.int64),
        np.array([pictures[item.image] for item in rows.values()], dtype=np.int64),
    )


def _ratio(
    weights: Float[np.ndarray, "draws faces"], values: Shaped[np.ndarray, "faces 2"]
) -> Float[np.ndarray, "draws 2"]:
    """Weighted mean of both systems' values; NaN where nothing has weight."""
    total = weights.sum(axis=1, keepdims=True)
    return np.where(total > 0, weights @ values.astype(np.float64) / np.where(total > 0, total, 1.0), np.nan)


def _draw_weights(pairs: _Pairs, resamples: int, seed: int) -> Iterator[Float[np.ndarray, "draws faces"]]:
    """How often each face is drawn: pictures with replacement, within the group of their first face."""
    rng = np.random.default_rng(seed)
    _, first, picture = np.unique(pairs.picture, return_index=True, return_inverse=True)
    group = pairs.group[first]
    for start in range(0, resamples, _CHUNK_DRAWS):
        drawn = np.zeros((min(_CHUNK_DRAWS, resamples - start), len(first)), dtype=np.float64)
        for name in np.unique(group):
            members = np.flatnonzero(group == name)
            drawn[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), len(drawn))
        yield drawn[:, picture]


def _compare(
    name: str, value: Float[np.ndarray, "2"], drawn: Float[np.ndarray, "draws 2"], *, num_items: int
) -> Comparison:
    """Sum up one statistic: its value on the faces, and on every resample."""
    difference = drawn[:, 1] - drawn[:, 0]
    difference = difference[np.isfinite(difference)]
    low, high = np.quantile(difference, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    tail = min((difference <= 0).sum(), (difference >= 0).sum())
    return Comparison(
        statistic=name,
        first=float(value[0]),
        second=float(value[1]),
        difference=float(value[1] - value[0]),
        interval=(float(low), float(high)),
        p_value=min(1.0, float(2 * (tail + 1) / (len(difference) + 1))),
        num_items=num_items,
    )
