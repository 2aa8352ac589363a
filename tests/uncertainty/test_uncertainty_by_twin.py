"""Intervals, calibration and pieces of curves against plain rewritings of their definitions."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scalefit.errors import InputError
from scalefit.laws import find_law
from scalefit.numerics import MAD_TO_SIGMA
from scalefit.rows.rows import Rows
from scalefit.uncertainty import bootstrap as resampling
from scalefit.uncertainty import calibration as cal
from scalefit.uncertainty import intervals as made
from scalefit.uncertainty.bootstrap import resampled_as_one
from scalefit.uncertainty.estimate import Estimate
from scalefit.uncertainty.folds import _thinned, folds_of
from scalefit.uncertainty.intervals import Intervals, Resampling, as_dict, from_dict
from scalefit.uncertainty.pieces import piece_length, pieces

POWER = find_law("power:over=N")
NORMAL = stats.norm.ppf(0.95)


def rows_of(x, names=None, in_curves=False):
    x = np.asarray(x, dtype=float)
    frame = pd.DataFrame({"run": names or [f"r{i}" for i in range(len(x))]})
    return Rows({"x": x}, np.ones(len(x)), frame, np.arange(len(x)), in_curves)


def walking(seed=0, length=30, runs=2, memory=0.8):
    """Residuals along runs that remember their last value."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(runs):
        value, mine = 0.0, []
        for _ in range(length):
            value = memory * value + rng.standard_normal()
            mine.append(value)
        parts.append(mine)
    return np.concatenate(parts), np.repeat(np.arange(runs), length)


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_length_of_a_piece_from_autocorrelations_by_a_loop(memory, seed):
    residuals, runs = walking(seed, memory=memory)
    sigma = MAD_TO_SIGMA * np.median(np.abs(residuals))
    clipped = np.clip(residuals, -3 * sigma, 3 * sigma)
    rho = []
    for lag in range(1, 30):
        products = [clipped[runs == run][:-lag] @ clipped[runs == run][lag:] for run in (0, 1)]
        rho.append(sum(products) / np.sum(clipped**2))
    total = 0.0
    for first, second in zip(rho[0::2], rho[1::2], strict=False):
        if first + second <= 0:
            break
        total += first + second
    wanted = min(max(1.0, 3 * 2 * total), 30)
    assert piece_length(residuals, runs) == pytest.approx(wanted)
    found = pieces(residuals, runs)
    many = max(1, round(30 / wanted))
    assert [found[30 * run + at] for run in (0, 1) for at in range(30)] == [
        many * run + at * many // 30 for run in (0, 1) for at in range(30)
    ]


def test_pieces_of_nothing_and_of_single_rows():
    assert piece_length(np.zeros(6), np.array([0, 0, 0, 1, 1, 1])) == 1.0
    assert pieces(np.ones(3), np.array([2, 0, 1])).tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("runs", "rows", "method", "wanted"),
    [(19, 2, "auto", "wild"), (20, 2, "auto", "auto"), (19, 1, "auto", "auto"), (3, 2, "pairs", "pairs")],
)
def test_what_is_resampled_together(runs, rows, method, wanted):
    codes = np.repeat(np.arange(runs), rows)
    found, how = resampled_as_one(np.random.default_rng(0).standard_normal(len(codes)), codes, method)
    assert how == wanted
    if wanted != "wild":
        assert found is codes


@pytest.mark.parametrize("method", ["pairs", "bayesian"])
def test_weights_of_blocks_have_mean_one(method):
    drawn = resampling._block_weights(np.random.default_rng(0), method, 200, 7)
    np.testing.assert_allclose(drawn.mean(axis=1), 1)
    assert (drawn >= 0).all()
    whole = drawn == np.round(drawn)
    assert whole.all() if method == "pairs" else whole.mean() < 0.01
    assert drawn.var() == pytest.approx(6 / 7 if method == "pairs" else 6 / 8, rel=0.1)


def test_webb_s_six_points_have_mean_zero_and_variance_one():
    assert resampling.WEBB.mean() == pytest.approx(0)
    assert (resampling.WEBB**2).mean() == pytest.approx(1)
    assert sorted(resampling.WEBB**2) == pytest.approx([0.5, 0.5, 1, 1, 1.5, 1.5])


# --- intervals --------------------------------------------------------------------------------------------------------


def test_intervals_of_parameters_are_those_of_the_draws_widened():
    draws = tuple((1 + k / 100, 5.0) for k in range(-100, 101))
    found = Intervals(draws, 1.5, None, 0, "pairs")
    ends = found.parameter_intervals({"A": 1.0, "alpha": 5.5})
    assert ends["A"] == pytest.approx((1 - 1.5 * 0.9, 1 + 1.5 * 0.9))
    assert ends["alpha"] == pytest.approx((5.5 - 1.5 * 0.5, 5.5))
    assert found.parameter_intervals({"A": 1.0, "alpha": 5.0}, level=0.5)["A"] == pytest.approx((0.25, 1.75))
    again = from_dict(as_dict(found))
    assert again == found


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("kind", ["observation", "mean"])
@pytest.mark.parametrize(("factor", "misfit"), [(None, 1.0), (1.7, 1.0), (1.7, 0.6)])
def test_intervals_of_predictions(monkeypatch, log, kind, factor, misfit):
    """Draws of A alone, so that those of the prediction are A/x: their 5 and 95 % points, noise, and what is missed.

    Differences go down as shares of the prediction, so that no loss below zero is in an interval.
    """
    unit = 1.0 if log else 1e6
    fit = Estimate(POWER, {"A": 8.0 * unit, "alpha": 1.0}, log=log, sigma=0.02)
    amounts = np.linspace(6.0, 11.0, 501) * unit
    told = cal.Calibration(factor, 5, 20, 5.0, 6.0, change=0.5, misfit=misfit) if factor else None
    found = Intervals(tuple((a, 1.0) for a in amounts), 1.2, told, 0, "pairs")
    x = np.array([2.0, 1e6])
    monkeypatch.setattr(made, "BLOCK", 501)  # one row at a time
    low, high = found.at(fit, {"x": x}, 0.8, kind)
    centre, tails = 8.0 * unit / x, np.percentile(amounts, [5, 95])
    off = np.abs(np.log(tails / 8.0))[:, None] * np.ones(2) if log else np.abs((tails - 8.0 * unit)[:, None] / x)
    noise = 0.02 if kind == "observation" else 0.0
    scale = 2 * np.log10(x)
    beyond = np.maximum(0, np.maximum(scale - 6.0, 5.0 - scale))  # in units of the fitted range, one decade
    missed = 0.5 * np.hypot(cal.WITHIN, cal.BEYOND * beyond**cal.GROWTH)
    for side, spread, end in zip((-1, 1), 1.2 * off / NORMAL, (low, high), strict=True):
        narrow = np.sqrt(spread**2 + noise**2)
        wide = np.hypot(np.maximum(spread, factor * missed), noise) if factor else narrow
        half = np.log(end / centre) * side if log else end - centre if side > 0 else -np.log(end / centre) * centre
        outside = misfit * stats.norm.sf(half / wide) + (1 - misfit) * stats.norm.sf(half / narrow)
        np.testing.assert_allclose(outside, 0.1, rtol=1e-6)


@pytest.mark.parametrize("log", [True, False])
def test_the_centre_lies_part_of_the_way_to_the_other_form(log):
    """As far as the law misses something, and never so far that the prediction lies outside."""
    fit = Estimate(POWER, {"A": 8.0, "alpha": 1.0}, log=log, sigma=0.5)
    told = cal.Calibration(1.0, 5, 20, 5.0, 7.0, change=0.5, misfit=0.6)
    draws, asked = tuple((a, 1.0) for a in np.linspace(6.0, 10.0, 41)), {"x": np.array([2.0])}
    forms = {other: Intervals(draws, 1.2, told, 0, "pairs", other=other) for other in ((), (9.0, 1.0), (1e9, 1.0))}
    low, high = (
        np.array([float(made.at(fit, asked, 0.9, "mean")[side][0]) for made in forms.values()]) for side in (0, 1)
    )
    below = 4 + 4 * np.log(low / 4)  # of differences
    bare, near, far = np.log(np.array([low, high]).T) if log else np.array([below, high]).T
    moved = np.log(9.0 / 8.0) if log else 0.5
    assert near - bare == pytest.approx(np.full(2, 0.6 * moved))
    assert far[0] == pytest.approx(np.log(4.0) if log else 4.0)
    assert from_dict(as_dict(forms[9.0, 1.0])) == forms[9.0, 1.0]


def test_an_interval_of_draws_that_are_infinite_is_open_above():
    """A mean between two of them is no number, and was a warning of NumPy on the screen."""
    made = Intervals(tuple((float(draw),) for draw in [*range(10), *[np.inf] * 30]), 1.0, None, 0, "pairs")
    (low, high) = made.parameter_intervals({"x": 20.0})["x"]
    assert low < 20 and high == np.inf


def test_refits_are_judged_by_their_distance_from_the_centre_of_the_interval():
    near = fold(3)
    assert cal.factor_of([replace(near, pulled=0.01, error=near.error + 0.01)]) == cal.factor_of([near])


@pytest.mark.parametrize(("level", "kind"), [(0.0, "mean"), (1.0, "mean"), (0.9, "median")])
def test_intervals_that_are_none(level, kind):
    found = Intervals(((8.0, 1.0),), 1.0, None, 0, "pairs")
    with pytest.raises(InputError, match='give 0 < level < 1 and the interval "observation" or "mean"'):
        found.at(Estimate(POWER, {"A": 8.0, "alpha": 1.0}, True, 0.1), {"x": np.array([1.0])}, level, kind)


@pytest.mark.parametrize("draws", [0, 20])
def test_how_many_draws(draws):
    assert Resampling(draws).draws == draws
    for few in (1, 19):
        with pytest.raises(InputError, match=f"{few} draws are too few"):
            Resampling(few)


def test_each_side_of_the_draws_has_at_least_a_twentieth_of_their_range():
    draws = np.linspace(0, 1, 1001)[:, None] * np.ones(2)
    below, above = cal.spreads(np.array([0.5, 1.2]), draws, 2.0)
    unit = 2.0 / NORMAL
    assert below == pytest.approx([unit * 0.45, unit * 1.15])
    assert above == pytest.approx([unit * 0.45, unit * 0.05 * 0.9])
    broken = draws.copy()
    broken[:3] = np.nan
    assert np.isfinite(cal.spreads(np.array([0.5, 0.5]), broken, 1.0)).all()


@pytest.mark.parametrize(
    ("blocks", "rows", "parameters", "method", "wanted"),
    [
        (10, 40, 4, "pairs", np.sqrt(10 / 9 * 39 / 36) * stats.t.ppf(0.95, 9) / NORMAL),
        (10, 40, 4, "wild", np.sqrt(10 / 9) * stats.t.ppf(0.95, 9) / NORMAL),
        (30, 12, 4, "pairs", np.sqrt(30 / 29 * 11 / 8) * stats.t.ppf(0.95, 8) / NORMAL),
        (2, 4, 4, "wild", np.sqrt(2) * stats.t.ppf(0.95, 1) / NORMAL),
        (1, 4, 2, "wild", stats.t.ppf(0.95, 1) / NORMAL),
    ],
)
def test_the_small_sample_factor(blocks, rows, parameters, method, wanted):
    assert cal.small_sample(blocks, rows, parameters, method) == pytest.approx(wanted)


# --- calibration ------------------------------------------------------------------------------------------------------


def fold(seed, sigma=0.01, n=6):
    rng = np.random.default_rng(seed)
    error, below, above = 0.03 * rng.standard_normal(n), rng.uniform(0.005, 0.02, n), rng.uniform(0.005, 0.02, n)
    distance, missed = rng.uniform(0, 1, n), rng.uniform(0.01, 0.03, n)
    return cal.Fold(f"f{seed}", np.arange(n), 10, distance, missed, error, below, above, sigma)


def test_the_factor_from_folds_by_the_formula():
    folds = [fold(1), fold(2, sigma=0.03), fold(3, sigma=0.0)]
    total = weight = 2.0
    for one in folds:
        s = np.where(one.error > 0, one.above, one.below)
        w = one.missed**2 / (one.missed**2 + s**2 + one.sigma**2) ** 2
        whole = np.sum(w * one.missed**2)
        k2 = np.sum(w * (one.error**2 - one.sigma**2)) / whole
        doubt = np.sqrt(2 * (np.sum((w * one.sigma**2) ** 2) + np.sum(w * s**2) ** 2)) / whole
        trust = 1 / (1 + (doubt / cal.DOUBT) ** 2)
        total, weight = total + trust * min(max(k2, 0), cal.WORST**2), weight + trust
    lost = fold(4)
    lost.error[:] = np.nan
    found, count, points = cal.factor_of([*folds, lost], level=0.8)
    assert found == pytest.approx(np.sqrt(total / weight) * stats.t.ppf(0.9, weight) / stats.norm.ppf(0.9))
    assert (count, points) == (3, 18)
    assert cal.factor_of([], 0.8)[1:] == (0, 0)


@pytest.mark.parametrize(("folds", "points", "enough"), [(3, 8, True), (2, 8, False), (3, 7, False), (4, 9, True)])
def test_when_intervals_are_called_calibrated(folds, points, enough):
    assert cal.Calibration(1.0, folds, points, 0.0, 1.0, 0.5).calibrated == enough


def test_distances_outside_the_fitted_scales():
    made_of = cal.Calibration(1.0, 3, 9, 12.0, 16.0, 0.5)
    assert made_of.distance(POWER, {"x": np.array([1e5, 1e6, 1e8, 1e10])}).tolist() == pytest.approx([2, 0, 0, 4])
    other = find_law("power:over=width")
    relative = cal.Calibration(1.0, 3, 9, 1.0, 3.0, 0.5)
    assert relative.distance(other, {"x": np.array([1e5, 1e2, 1e0])}).tolist() == pytest.approx([2, 0, 1])


def test_folds_grow_with_the_scale():
    """Ten sizes; refits below the 40, 50, ... 90 % points that keep at least the parameters and three rows."""
    rows = rows_of(10.0 ** np.arange(1, 11))
    found = folds_of(POWER, rows, free=2)
    assert [label for label, _ in found] == [f"smallest {count} rows" for count in (5, 6, 7, 8, 9)]
    assert [int(held.sum()) for _, held in found] == [5, 4, 3, 2, 1]
    assert found[0][1].tolist() == [False] * 5 + [True] * 5
    assert [label for label, _ in folds_of(POWER, rows, free=4)] == [f"smallest {n} rows" for n in (7, 8, 9)]
    assert folds_of(POWER, rows_of([5.0] * 10), free=2) == []
    law = SimpleNamespace(is_trajectory=True, schedules_needed=2)
    three = rows_of(np.arange(6.0), names=list("aabbcc"), in_curves=True)
    assert [label for label, _ in folds_of(law, three, 2)] == ["without a", "without b", "without c"]
    assert folds_of(law, rows_of(np.arange(4.0), names=list("aabb"), in_curves=True), 2) == []


@pytest.mark.parametrize(("count", "kept"), [(4000, 4000), (4001, 2001), (12001, 3001)])
def test_refits_read_at_most_four_thousand_rows(count, kept):
    found = _thinned(np.ones(count, dtype=bool))
    assert len(found) == kept
    assert found[0] == 0
