import numpy as np
import pytest

from morphable_evalkit.reports.comparison import compare_results
from morphable_evalkit.reports.results import ItemResult, Result


def _result(errors, images=None, groups=None, command="nme", unit="fraction", **protocol) -> Result:
    names = images or [f"{i}.jpg" for i in range(len(errors))]
    seen: dict[str, int] = {}
    items = []
    for name, error, group in zip(names, errors, groups or [""] * len(errors), strict=True):
        seen[name] = seen.get(name, -1) + 1
        items.append(ItemResult(image=name, face=seen[name], error=float(error), group=group))
    return Result(
        command=command, system="s", protocol={"p": "x"} | protocol, unit=unit, summary={}, items=tuple(items)
    )


def _rows(first, second, **options):
    return {row.statistic: row for row in compare_results(first, second, resamples=2000, **options)}


def test_a_constant_difference_has_a_narrow_interval_and_a_small_p():
    errors = np.random.default_rng(0).uniform(0.02, 0.06, 200)
    row = _rows(_result(errors), _result(errors + 0.001))["mean, found by both"]
    assert row.difference == pytest.approx(0.001)
    np.testing.assert_allclose(row.interval, 0.001)
    assert row.p_value == pytest.approx(2 / 2001)


def test_equal_systems_have_an_interval_around_zero():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.02, 0.06, 200)
    noise = rng.normal(0, 0.005, (2, 200))
    noise -= noise.mean(axis=1, keepdims=True)
    row = _rows(_result(base + noise[0]), _result(base + noise[1]))["mean, found by both"]
    assert row.interval[0] < 0 < row.interval[1]
    assert row.p_value > 0.5
    # standard error of the difference: sqrt(2) * 0.005 / sqrt(200) = 0.0005, half width 0.00098
    assert (row.interval[1] - row.interval[0]) / 2 == pytest.approx(0.00098, rel=0.2)


def test_faces_missed_by_either_do_not_enter_means_but_are_compared_themselves():
    rows = _rows(_result([0.01, 0.02, np.nan, 0.09]), _result([0.03, np.nan, 0.01, 0.09]))
    mean = rows["mean, found by both"]
    assert (mean.first, mean.second, mean.num_items) == (pytest.approx(0.05), pytest.approx(0.06), 2)
    failed = rows["share failed"]
    assert (failed.first, failed.second, failed.difference, failed.num_items) == (0.25, 0.25, 0.0, 4)
    assert (rows["share below 5 %"].first, rows["share below 5 %"].second) == (0.5, 0.5)


def test_order_of_the_faces_does_not_matter():
    first = _result([0.01, 0.02, 0.03])
    second = _result([0.04, 0.05, 0.07], images=["2.jpg", "1.jpg", "0.jpg"])
    assert _rows(first, second)["mean, found by both"].difference == pytest.approx(0.1 / 3)


def test_mean_of_bins_weighs_bins_equally():
    groups = ["0-30"] * 8 + ["60-90"] * 2
    row = _rows(_result([0.02] * 8 + [0.1] * 2, groups=groups), _result([0.02] * 8 + [0.2] * 2, groups=groups))[
        "mean of bins, found by both"
    ]
    assert (row.first, row.second) == (pytest.approx(0.06), pytest.approx(0.11))
    np.testing.assert_allclose(row.interval, 0.05)  # pictures are drawn within their bin


def test_faces_of_one_picture_are_drawn_together():
    # two pictures of 50 faces each, differences +0.01 and -0.01: only three outcomes, so a wide interval
    images = ["a.jpg"] * 50 + ["b.jpg"] * 50
    first = _result([0.03] * 100, images=images)
    second = _result([0.04] * 50 + [0.02] * 50, images=images)
    row = _rows(first, second)["mean, found by both"]
    np.testing.assert_allclose(row.interval, [-0.01, 0.01])


def test_results_in_other_units_compare_means_only():
    rows = _rows(_result([1.0, 2.0], command="rmse", unit="mm"), _result([1.5, 2.5], command="rmse", unit="mm"))
    assert set(rows) == {"mean, found by both", "share failed"}


def test_what_cannot_be_compared_is_named():
    with pytest.raises(ValueError, match=r"of one kind, got nme \(fraction\) and rmse \(mm\)"):
        compare_results(_result([0.1]), _result([0.1], command="rmse", unit="mm"))
    with pytest.raises(ValueError, match="share one protocol, got p: 'x' and 'y'"):
        compare_results(_result([0.1]), _result([0.1], p="y"))
    assert _rows(_result([0.1]), _result([0.1], p="y"), same_protocol=False)
    with pytest.raises(ValueError, match=r"differing for example in 1\.jpg"):
        compare_results(_result([0.1]), _result([0.1, 0.2]))
    with pytest.raises(ValueError, match="at least one face that both systems found"):
        compare_results(_result([np.nan]), _result([0.1]))
