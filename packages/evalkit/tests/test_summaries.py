import numpy as np
import pytest

from morphable_evalkit.measures.summaries import (
    area_under_curve,
    bootstrap_interval,
    cumulative_curve,
    mean_or_nan,
    share_below,
    summarize,
    yaw_bins,
)


def test_yaw_limits_belong_to_the_lower_bin_and_large_yaws_to_the_last():
    yaw = np.array([0.0, -30.0, 30.001, 60.0, -60.001, 99.0, 351.0])
    assert yaw_bins(yaw).tolist() == [0, 0, 1, 1, 2, 2, 2]
    # half-open on the other side, and 90 and more left out
    assert yaw_bins(np.array([29.9, 30.0, 60.0, 89.9, 90.0]), "sadrnet").tolist() == [0, 1, 2, 2, 3]


def test_summary_by_hand():
    # bins: (0.02, 0.04), (0.06), (0.1, missed): means 0.03, 0.06, 0.1; mean of bins 0.19 / 3
    errors = np.array([0.02, 0.04, 0.06, 0.1, np.nan])
    summary = summarize(errors, np.array([0.0, 10, 45, 70, 80]))
    assert [(b.num_faces, b.num_failed) for b in summary.bins] == [(2, 0), (1, 0), (2, 1)]
    assert summary.balanced_mean == pytest.approx(0.19 / 3)
    assert summary.balanced_std == pytest.approx(np.std([0.03, 0.06, 0.1]))
    assert summary.mean == pytest.approx(0.22 / 4)
    assert summary.num_failed == 1
    assert summary.share_below_5 == 0.4
    # below 0.1: three of five, the one at 0.1 exactly is not below
    assert summary.share_below_10 == 0.6
    assert summary.failure_rate == pytest.approx(0.4)


def test_area_is_the_integral_of_the_step_curve():
    # one face at 0.02, one missed: share 0.5 from 0.02 to 0.1: 0.5 * 0.08 / 0.1 = 0.4
    assert area_under_curve(np.array([0.02, np.nan]), 0.1) == pytest.approx(0.4)
    errors = np.random.default_rng(0).exponential(0.04, 500)
    limits, share = cumulative_curve(errors, 0.1)
    assert area_under_curve(errors, 0.1) == pytest.approx(np.sum(np.diff(limits) * share[:-1]) / 0.1)


def test_a_missing_face_lowers_every_share():
    complete, holed = np.array([0.01, 0.02]), np.array([0.01, 0.02, np.nan])
    assert share_below(complete, 0.05) == 1.0
    assert share_below(holed, 0.05) == pytest.approx(2 / 3)
    _, share = cumulative_curve(holed, 0.1)
    assert share[-1] == pytest.approx(2 / 3)


def test_an_empty_bin_gives_no_balanced_mean():
    summary = summarize(np.array([0.01, 0.02]), np.array([0.0, 80.0]))
    assert np.isnan(summary.balanced_mean)


def test_all_faces_missed():
    summary = summarize(np.array([np.nan, np.nan]), np.array([0.0, 80.0]))
    assert np.isnan(summary.mean)
    assert summary.failure_rate == 1.0
    assert summary.auc == 0.0


def test_bootstrap_interval_is_near_the_normal_one_and_repeats():
    values = np.random.default_rng(0).normal(5.0, 1.0, 400)
    low, high = bootstrap_interval(values, mean_or_nan, seed=1)
    # standard error 1 / sqrt(400) = 0.05; half width 1.96 * 0.05 = 0.098; sampling error of the quantile ~0.01
    assert (high - low) / 2 == pytest.approx(0.098, abs=0.012)
    assert low < values.mean() < high
    assert bootstrap_interval(values, mean_or_nan, seed=1) == (low, high)


def test_refusals():
    with pytest.raises(ValueError, match="at least one face"):
        summarize(np.empty(0))
    with pytest.raises(ValueError, match="threshold must be positive"):
        summarize(np.array([0.1]), threshold=0.0)
