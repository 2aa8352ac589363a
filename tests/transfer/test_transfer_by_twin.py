"""Sweeps of learning rates: curves against plain kriging, lines against least squares, verdicts and edges by hand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from scalefit.answers import interval
from scalefit.errors import InputError
from scalefit.numerics import offsets
from scalefit.transfer import bowl, drift, optimum
from scalefit.transfer.backtest import regret, seed_noise
from scalefit.transfer.boundary import Boundary
from scalefit.transfer.lr_transfer import Arm, _remarks
from scalefit.transfer.optimum import Optimum
from scalefit.transfer.reach import far_beyond, refuse_target
from scalefit.transfer.sensitivity import lr_sensitivity, sensitivities, within_decades
from scalefit.transfer.sweeps import read_sweeps
from scalefit.transfer.verdict import Apart, Interval, apart, verdict_of

SIZES = np.array([64.0, 128.0, 256.0])  # two doublings


RISES, OVER = "the best learning rate rises to", "over a factor of 4 in d_model"


@pytest.mark.parametrize(
    ("drift_of", "beyond", "said"),
    [
        (
            (0.0, -0.04, 0.04),
            (0, ""),
            f"transfers: {RISES} 1 times its value [0.946, 1.06] {OVER}; the drift is too",
        ),
        (
            (-0.1, -0.2, 0.0),
            (0, ""),
            f"transfers: the best learning rate falls to 0.871 times its value [0.758, 1] {OVER}; it stays",
        ),
        ((0.4, 0.3, 0.5), (0, ""), f"transfers: {RISES} 1.74 times"),
        (
            (0.4, 0.3, 0.51),
            (0, ""),
            f"undecided: {RISES} 1.74 times its value [1.52, 2.03] {OVER}: perhaps more than a factor of 2",
        ),
        ((0.6, 0.49, 0.7), (0, ""), "undecided:"),
        ((0.6, 0.51, 0.7), (0, ""), "does not transfer:"),
        ((-0.6, -0.7, -0.51), (0, ""), "does not transfer: the best learning rate falls to 0.435 times"),
        ((0.1, 0.0, 0.2), (1.01, "gone"), "does not transfer: gone. Use the fitted law, or train in mup"),
        (
            (0.1, 0.0, 0.2),
            (1.0, "gone"),
            f"undecided: {RISES} 1.15 times its value [1, 1.32] {OVER}, but gone; extend the learning",
        ),
        ((np.nan, np.nan, np.nan), (0, ""), "not known: only one d_model has an optimum"),
    ],
)
def test_verdicts(drift_of, beyond, said):
    assert verdict_of("sp", "d_model", Interval(*drift_of), SIZES, Apart(*beyond)).startswith(said)


def test_drifts_per_doubling_over_close_sizes():
    near = np.array([64.0, 96.0])
    said = verdict_of("sp", "d_model", Interval(0.3, 0.0, 0.51), near)
    assert "possibly over 0.5 octaves per doubling; sizes further apart would decide it" in said
    assert verdict_of("sp", "d_model", Interval(0.3, 0.0, 0.49), near).startswith("transfers")
    limit = verdict_of("sp", "d_model", Interval(0.05, 0.0, 0.1), SIZES)
    assert "over a factor of at least 1.02e+03" in limit


@pytest.mark.parametrize(
    ("arm", "over", "cure"),
    [
        ("mup", "d_model", "a coordinate check"),
        ("MUP", "N", "a coordinate check"),
        ("mup", "batch", "scale the learning rate"),
        ("sp", "n_layer", "divide residual branches"),
        ("sp", "steps", "sweep the learning rate at each steps"),
    ],
)
def test_cures(arm, over, cure):
    assert cure in verdict_of(arm, over, Interval(2.0, 1.9, 2.1), SIZES)


@pytest.mark.parametrize(
    ("found", "bounds", "octaves", "side"),
    [
        ({64.0: -7.0}, {256.0: (-np.inf, -9.0)}, 2.0, "below 0.00195, at least 2.00 octaves from that at 64"),
        ({64.0: -9.0}, {256.0: (-7.0, np.inf)}, 2.0, "above 0.00781"),
        ({64.0: -7.0}, {256.0: (-np.inf, -6.0)}, 0.0, ""),
        ({64.0: -7.0, 1024.0: -7.0}, {256.0: (-np.inf, -9.0)}, 1.0, "below 0.00195, at least 1.00 octaves"),
        ({64.0: -7.0, 256.0: -6.0}, {256.0: (-np.inf, -9.0)}, 3.0, "from that at 256"),
        ({}, {256.0: (-np.inf, -9.0)}, 0.0, ""),
    ],
)
def test_how_far_optima_are_apart_at_least(found, bounds, octaves, side):
    told = apart(found, bounds)
    assert told.octaves == octaves
    assert side in told.text


@pytest.mark.parametrize(
    ("sizes", "target", "said"),
    [
        ([64, 256], 1024, ""),
        ([64, 256], 1100, "d_model 1100 lies a factor of 4.3 beyond the measured 64 to 256 (a factor of 4)"),
        ([64, 256], 15, "d_model 15 lies a factor of 4.27 below the measured 64 to 256"),
        ([64, 64], 127, ""),
        ([64, 64], 130, "beyond the measured 64: measure"),
        ([64, 128], 260, "(a factor of 2): measure"),
        ([1, 1e4], 1e6, ""),
        ([1, 1e4], 1.1e6, "lies a factor of 110 beyond"),
    ],
)
def test_targets_far_beyond_the_sizes(sizes, target, said):
    told = far_beyond("d_model", sizes, target)
    assert bool(told) == bool(said)
    assert said in told
    for wrong in (0, -1, np.inf):
        with pytest.raises(InputError, match="the target size is"):
            refuse_target(wrong)


def test_learning_rate_sensitivity():
    assert lr_sensitivity([3.0, 2.0, 4.0]) == pytest.approx(1.0)
    assert lr_sensitivity([3.0, 2.0, 9.0], 5.0) == pytest.approx((3 + 2 + 5) / 3 - 2)
    assert lr_sensitivity([np.nan, 2.0, np.inf], 5.0) == pytest.approx(2.0)
    assert lr_sensitivity([6.0, 7.0], 5.0) == 0.0
    with pytest.raises(InputError, match="no run of the grid"):
        lr_sensitivity([np.nan], 5.0)
    with pytest.raises(InputError, match="1 run diverged"):
        lr_sensitivity([np.nan, 2.0])
    assert within_decades([1e-5, 10**-3.5, 10**-0.5, 1.0], 1e-2).tolist() == [False, True, True, False]
    assert within_decades([1e-3, 1e-2], 1e-2, 1.9).tolist() == [False, True]


# --- curves through losses --------------------------------------------------------------------------------------------

X = np.array([-9.0, -8.0, -7.0, -6.5, -6.0, -5.0, -4.0, -7.0, -6.0, -5.0])
SEED = np.array([0, 0, 0, 0, 0, 0, 0, 1, 1, 1])
Y = 1 + 0.03 * (X + 6.3) ** 2 + 0.02 * (SEED == 1) + 0.004 * np.cos(5 * np.arange(10))


def matern(distance, ratio, length, corners):
    r = np.abs(distance) / length
    if corners:
        return ratio**2 * (1 + 3**0.5 * r) * np.exp(-(3**0.5) * r)
    return ratio**2 * (1 + 5**0.5 * r + 5 * r**2 / 3) * np.exp(-(5**0.5) * r)


def test_a_curve_is_kriging_averaged_over_kinds_by_their_restricted_likelihood():
    places = np.linspace(-9, -4, 41)
    effect = np.where(SEED == 1, 1.0, -1.0)
    trend = np.column_stack([np.ones(10), X - X.mean(), (X - X.mean()) ** 2, effect])
    there = np.column_stack([np.ones(41), places - X.mean(), (places - X.mean()) ** 2, np.zeros(41)])
    kinds = [(0.0, 0.8, False)]
    kinds += [(r, l, c) for r in (0.3, 1, 3, 10, 30, 100, 300) for l in (0.8, 1.5, 3, 6) for c in (False, True)]
    logs, means, fitted, variances = [], [], [], []
    for kind in kinds:
        K = matern(X[:, None] - X, *kind)
        W = np.linalg.inv(np.eye(10) + K)
        gram = trend.T @ W @ trend
        b = np.linalg.solve(gram, trend.T @ W @ Y)
        left = Y - trend @ b
        variance = left @ W @ left / 6
        logs.append(
            -0.5 * np.linalg.slogdet(np.eye(10) + K)[1] - 0.5 * np.linalg.slogdet(gram)[1] - 3 * np.log(variance)
        )
        means.append(there @ b + matern(places[:, None] - X, *kind) @ W @ left)
        fitted.append(trend @ b + K @ W @ left)
        variances.append(variance)
    weight = np.exp(np.array(logs) - max(logs))
    weight[weight < 1e-3] = 0
    weight /= weight.sum()
    found = bowl.fit_bowl(X, Y, SEED, (-9.0, -4.0), 400, np.random.default_rng(0))
    assert found.freedom == 6
    np.testing.assert_allclose(found.places, places)
    np.testing.assert_allclose(found.mean, weight @ np.array(means), rtol=1e-7)
    np.testing.assert_allclose(found.fitted, weight @ np.array(fitted), rtol=1e-7)
    assert found.sigma == pytest.approx(np.sqrt(weight @ np.array(variances)))
    assert found.draws.shape == (400, 41)
    assert np.abs(found.draws.mean(axis=0) - found.mean).max() < 0.3 * found.draws.std(axis=0).max()
    assert -6.6 < found.lowest < -6.0


def test_draws_have_the_variance_of_the_posterior():
    """With the noise's variance drawn too, they are Student's: the variance is larger by freedom/(freedom - 2)."""
    covariance = np.array([[1.0, 0.5], [0.5, 2.0]])
    drawn = bowl._drawn(np.array([5.0, 6.0]), covariance, 0.04, 40_000, 10, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.mean(axis=0), [5, 6], atol=0.01)
    np.testing.assert_allclose(np.cov(drawn.T), covariance * 0.04 * 10 / 8, rtol=0.05)


@pytest.mark.parametrize("place", [-8.7, -6.3, -4.4])
def test_what_is_known_of_one_more_run_is_what_many_draws_say(place):
    found = bowl.known_at(X, Y, SEED, place)
    drawn = bowl.fit_bowl(X, Y, SEED, (place - 0.01, place + 0.01), 20_000, np.random.default_rng(0))
    assert found.freedom == drawn.freedom
    assert found.value == pytest.approx(drawn.mean[1], rel=1e-9)
    assert found.error == pytest.approx(np.hypot(drawn.draws[:, 1].std(), drawn.sigma), rel=0.03)
    np.testing.assert_allclose(bowl.fitted_to(X, Y, SEED), drawn.fitted, rtol=1e-9)


def test_three_rates_tell_nothing_of_the_noise_of_a_fourth():
    x, y = np.array([-2.0, 0, 2]), np.array([4.0, 1, 2])
    assert bowl.known_at(x, y, np.zeros(3), 1.0).freedom == 0
    np.testing.assert_allclose(bowl.fitted_to(x, y, np.zeros(3)), y)


def test_three_rates_leave_a_parabola_without_noise():
    found = bowl.fit_bowl(
        np.array([-2.0, 0, 2]), np.array([4.0, 1, 2]), np.zeros(3), (-2.0, 2.0), 5, np.random.default_rng(0)
    )
    assert (found.freedom, np.isnan(found.sigma)) == (0, True)
    np.testing.assert_allclose(found.mean, 1 - 0.5 * found.places + 0.5 * found.places**2)
    np.testing.assert_allclose(found.draws, np.repeat(found.mean[None], 5, axis=0))
    assert found.lowest == pytest.approx(0.5)


def test_places_of_minima():
    places = np.array([0.0, 1.0, 2.0, 3.0])
    curves = np.array([[1, 2, 3, 4.0], [4, 3, 2, 1.0], [2, 1, 2, 9.0], [9, 2, 1, 1.0], [4, 1, 3, 9.0]])
    assert bowl.minima(places, curves).tolist() == pytest.approx([0, 3, 1, 2.5, 1 + 0.5 * (4 - 3) / (4 - 2 + 3)])


@pytest.mark.parametrize(
    ("seed", "wanted"),
    [([0, 0, 0], (3, 0)), ([0, 0, 1], (3, 0)), ([0, 0, 1, 1], [[-1], [-1], [1], [1]]), ([2, 0, 1, 0, 1, 2], (6, 2))],
)
def test_offsets_of_seeds_sum_to_zero(seed, wanted):
    columns = offsets(np.array(seed))
    if isinstance(wanted, tuple):
        assert columns.shape == wanted
    else:
        assert columns.tolist() == wanted
    for seeds in (np.unique(seed),) if columns.shape[1] else ():
        assert sum(columns[list(seed).index(one)] for one in seeds).tolist() == [0] * columns.shape[1]


# --- lines over size --------------------------------------------------------------------------------------------------


def test_the_line_through_optima_weighs_them_by_their_errors_and_a_stray():
    rng = np.random.default_rng(1)
    x, errors = np.array([-1.5, -0.5, 0.5, 1.5]), np.array([0.05, 0.2, 0.001, 0.1])
    y = np.column_stack([[-6.0, -6.6, -6.9, -7.7], (rng.standard_normal((2000, 4)) * errors - 7).T])
    variance = np.maximum(y[:, 1:].var(axis=1), 0.02**2)
    columns = np.stack([np.ones(4), x], axis=1)
    logs = []
    for tau in np.geomspace(0.02, 1.5, 40):
        V = variance + tau**2
        gram = columns.T @ (columns / V[:, None])
        b = np.linalg.solve(gram, columns.T @ (y[:, 0] / V))
        left = y[:, 0] - columns @ b
        density = -0.5 * np.log(V).sum() - 0.5 * np.linalg.slogdet(gram)[1] - 0.5 * (left**2 / V).sum()
        prior = -3 * np.log(tau) - 3 * 0.15**2 / (2 * tau**2)
        logs.append(density + prior)
    weight = np.exp(np.array(logs) - max(logs))
    weight /= weight.sum()
    np.testing.assert_allclose(drift._stray_weights(x, y[:, 0], variance), weight, rtol=1e-9)
    V = variance + weight @ np.geomspace(0.02, 1.5, 40) ** 2
    slope, height = np.polyfit(x, y[:, 0], 1, w=1 / np.sqrt(V))
    found = drift.drift_line(x, y)
    assert (found[0][0], found[1][0]) == pytest.approx((height, slope))
    assert found[1][1:].mean() == pytest.approx(0, abs=0.03)
    single = drift.drift_line(np.array([0.0]), np.array([[-6.0, -6.1]]))
    assert single[0].tolist() == [-6.0, -6.1]
    assert np.isnan(single[1]).all()


def test_theory_is_one_more_measurement():
    rng = np.random.default_rng(0)
    slope = np.r_[-0.5, -0.5 + 0.3 * rng.standard_normal(5000)]
    height = np.r_[-7.0, -7 + 0.2 * (slope[1:] + 0.5) + 0.01 * rng.standard_normal(5000)]
    variance = slope[1:].var(ddof=1)
    share = variance / (variance + 0.4**2)
    made = drift.with_theory(height, slope, (-1.0, 0.4), 0)
    assert made[2] == ""
    assert made[1][0] == pytest.approx(-0.5 + share * (-0.5))
    assert made[0][0] == pytest.approx(-7 + 0.2 * share * -0.5, abs=2e-3)
    assert made[1][1:].std() == pytest.approx(1 / (1 / variance + 1 / 0.16) ** 0.5, rel=0.05)
    assert drift.with_theory(height, slope, None, 0)[1] is slope
    far = drift.with_theory(height, slope, (-2.0, 0.4), 0)
    assert far[1] is slope
    assert far[2].startswith(
        "the measured drift, -0.50 octaves per doubling, contradicts theory's -2 ± 0.4: the law follows"
    )
    optimum = np.array([[0.0, -7.05, -6.95]])  # where -1 would raise the line, though -0.5 lies near enough to -1 ± 0.4
    pushed = drift.with_theory(height - 0.5 * (slope - slope[0]), slope, (-1.0, 0.4), 0, optimum)
    assert pushed[1] is slope
    assert "contradicts" not in pushed[2]
    assert "does not go with theory's -1 ± 0.4" in pushed[2]
    away = 2 * np.hypot(0.4, variance**0.5)
    assert drift.with_theory(height, slope, (-0.5 - 0.99 * away, 0.4), 0)[2] == ""
    assert drift.with_theory(height, slope, (-0.5 - 1.01 * away, 0.4), 0)[2]
    alone = drift.with_theory(np.array([-7.0, -7.1]), np.full(2, np.nan), (-1.0, 0.4), 0)
    assert alone[1][0] == -1.0
    assert alone[0].tolist() == [-7.0, -7.1]


@pytest.mark.parametrize(
    ("draws", "wanted"),
    [([5.0], (5, 5, 5)), ([5.0, *np.linspace(0, 10, 101)], (5, 0.5, 9.5)), ([99.0, 1.0, 2.0], (99, 1.05, 99))],
)
def test_intervals_of_draws(draws, wanted):
    assert drift.interval_of(np.array(draws)) == pytest.approx(wanted)
    assert drift.interval_of(np.array(draws[:1]), np.exp2) == (2 ** draws[0],) * 3


def test_the_largest_stable_rate_over_size():
    made = Boundary(np.array([-4.0, -4.0, -5.0, -3.0]), np.array([-1.0, -1.0, -1.0, -1.0]), 128.0, (64.0, 256.0))
    assert made.at(256.0).value == 2**-5
    assert made.chance(256.0, 2**-4.5) == (1 + 2) / (2 + 3)
    assert made.size_of(2**-6) == 512
    assert np.isnan(made.size_of(2**-2))
    assert made.size_of(2**-3) == 64
    assert Boundary(made.height, np.zeros(4), 128.0, (64.0,)).size_of(0.1) == np.inf
    assert Boundary(made.height, np.full(4, -1e-4), 128.0, (64.0,)).size_of(1e-9) == np.inf


# --- minima at the edge of what was tried -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("grid", "means", "tried", "said", "within"),
    [
        ([-3, -2, -1], [2, 1, 3], [-3, -2, -1], "", (-np.inf, np.inf)),
        (
            [-3, -2, -1],
            [1, 2, 3],
            [-3, -2, -1],
            "at the smallest learning rate tried (0.125): add smaller ones",
            (-np.inf, -2),
        ),
        ([-3], [1], [-3, -1], "at the smallest learning rate tried", (-np.inf, -1)),
        (
            [-3, -2, -1],
            [3, 2, 1],
            [-3, -2, -1],
            "at the largest learning rate tried (0.5): add larger ones",
            (-2, np.inf),
        ),
        ([-3, -2, -1], [3, 2, 1], [-3, -2, -1, 0], "", (-np.inf, np.inf)),
        ([-3, -2], [2, 1], [-3, -2, -1], "only 2 of 3 learning rates have not diverged", (-np.inf, np.inf)),
        ([], [], [-3, -2], "none of 2 learning rates has a finite loss", (-np.inf, -3)),
    ],
)
def test_minima_at_an_edge(grid, means, tried, said, within):
    found, where = optimum._at_edge(*(np.array(each, dtype=float) for each in (grid, means, tried)))
    assert (said in found, bool(found)) == (True, bool(said))
    assert where == within


@pytest.mark.parametrize(
    ("loss", "means", "doubted"),
    [
        (2.9, [3.0, 3.1, 3.21], False),
        (2.9, [3.0, 3.1, 3.19], True),
        (2.986, [3.0, 3.0, 3.0], False),
        (2.984, [3.0, 3.0, 3.0], True),
    ],
)
def test_minima_far_below_every_loss(loss, means, doubted):
    assert bool(optimum._too_low(loss, np.array(means))) == doubted


@pytest.mark.parametrize(
    ("x", "alive", "kept", "said"),
    [
        ([1, 1, 2, 2], [1, 1, 1, 1], [1, 1, 1, 1], []),
        ([1, 1, 2, 2], [1, 1, 1, 0], [1, 1, 0, 0], ["1 of 2 seeds diverged at learning rate 4"]),
        ([1, 1, 1, 2], [1, 0, 1, 1], [1, 0, 1, 1], ["1 of 3 seeds diverged at learning rate 2"]),
        (
            [1, 1, 1, 2, 2, 2],
            [1, 0, 1, 1, 0, 0],
            [1, 0, 1, 0, 0, 0],
            ["up to 2 of 3 seeds diverged at 2 learning rates, 2 to 4"],
        ),
        ([1, 2], [1, 0], [1, 0], []),
    ],
)
def test_rates_that_lost_some_of_their_seeds(x, alive, kept, said):
    found, notes = optimum._stable(np.array(x, dtype=float), np.array(alive, dtype=bool))
    assert found.tolist() == [bool(each) for each in kept]
    assert list(notes) == said


@pytest.mark.parametrize(
    ("y", "row"),
    [
        ([1.0, 3.2, 3.1, 3.0, 3.1, 3.2], None),  # more than ten times the span of the others
        ([1.3, 3.2, 3.1, 3.0, 3.1, 3.2], 0),
        ([2.95, 3.2, 3.1, 3.0, 3.1, 3.2], None),  # less than three times the steepest of the others
        ([2.85, 3.2, 3.1, 3.0, 3.1, 3.2], 0),
        ([3.2, 3.1, 3.0, 3.1, 3.2, 2.5], 5),
        ([1.3, 3.0, 3.1, 3.2, 3.3, 3.4], None),  # the others have no minimum of their own
        ([3.2, 1.0, 3.1, 3.0, 3.1, 3.2], None),
    ],
)
def test_a_loss_that_drops_at_an_end(y, row):
    assert optimum._drops_at_end(np.arange(6.0), np.array(y)) == row


def test_the_reach_of_a_curve():
    """The seven nearest rates, at least 2.5 and at most 5 octaves, but never fewer than three rates."""
    for step, wanted in ((0.5, 2.5), (1.0, 3.0), (2.0, 5.0), (6.0, 6.0)):
        grid = step * np.arange(-4, 5)
        assert optimum._reach(grid, grid**2) == pytest.approx(wanted)


def test_the_loss_that_a_predicted_rate_costs():
    cell = pd.DataFrame({"lr": [0.25, 0.5, 1.0, 0.25], "loss": [3.0, 2.0, 4.0, 5.0], "seed": [0, 0, 0, 1]})
    assert regret(cell, 0.25) == pytest.approx(1.0)  # the mean of 3 and 5 over 2
    assert regret(cell, 1.0) == pytest.approx(1.0)
    assert 0 < regret(cell, 0.6) < 1
    assert np.isnan(regret(cell, 2.0))
    assert np.isnan(seed_noise(cell))


def arm_of(drift_value=-0.5, expected=(-1.0, 0.4), **more):
    best = Optimum(0.01, 0.008, 0.02, 2.5, np.array([]))
    given = {
        "optima": {64.0: best},
        "drift": Interval(drift_value, -0.6, -0.4),
        "law_drift": Interval(-0.7, -0.8, -0.6),
        "expected": expected,
        "height": np.array([-7.0, -7.5, -6.5]),
        "slope": np.array([-1.0, -1.0, -1.0]),
        "origin": 64.0,
    }
    return Arm("sp", **(given | more), verdict="why", over="d_model")


def test_an_arm_in_words():
    lines = arm_of().told(128.0)
    assert lines == [
        f"sp: best learning rate at d_model 128: {interval(arm_of().at(128.0))}",
        "  why",
        "  drift -0.50 [-0.60, -0.40] octaves (factors of 2) per doubling of d_model",
        "  the law combines the measured drift with theory's -1 ± 0.4: -0.70 (--measured-only leaves theory out)",
    ]
    assert arm_of().at(128.0).value == 2**-8
    assert len(arm_of(expected=None).told()) == 2
    assert arm_of(drift_value=np.nan).told(128.0) == ["sp: why"]
    refused = Optimum(np.nan, np.nan, np.nan, 2.0, np.array([]), refused="at the edge")
    assert list(arm_of(optima={64.0: refused, 128.0: arm_of().optima[64.0]}).found) == [128.0]
    assert str(refused) == "no optimum: at the edge"
    assert str(arm_of().optima[64.0]) == "learning rate 0.01 [0.008, 0.02], loss 2.5"
    assert arm_of().optima[64.0].octaves == pytest.approx(np.log2(2.5))


def test_what_may_be_wrong_with_optima_in_words():
    one = replace(arm_of().optima[64.0], left_out=1, doubts=("flat",))
    two = replace(one, left_out=2, doubts=())
    assert _remarks((arm_of(optima={64.0: one, 128.0: two}, contradicts="theory"),)) == [
        "sp, d_model 64: 1 run jumps far above the neighbouring losses: left out of the curve as diverged",
        "sp, d_model 64: flat",
        "sp, d_model 128: 2 runs jump far above the neighbouring losses: left out of the curve as diverged",
        "sp: theory",
    ]


def sweep_of(widths=(64, 128), losses=(3.0, 2.0, 4.0), lost=None, **more):
    rows = [
        {"d_model": width, "lr": lr, "loss": loss}
        for width in widths
        for lr, loss in zip((0.25, 0.5, 1.0), losses, strict=True)
    ]
    table = pd.DataFrame(rows)
    if lost is not None:
        table.loc[lost, "loss"] = np.nan
    return read_sweeps(table, over="d_model", **more)


def sensitivity(sweeps):
    optima = {name: {size: SimpleNamespace(stray=()) for size in sweeps.sizes(name)} for name in sweeps.names}
    found, notes = sensitivities(sweeps, optima)
    return list(found.values()), notes


def test_sensitivities_of_a_sweep():
    found, notes = sensitivity(sweep_of())
    assert found == pytest.approx([1.0, 1.0])
    assert len(notes) == 1 and "give --initial-loss" in notes[0]
    found, notes = sensitivity(sweep_of(initial_loss=3.5))
    assert found == pytest.approx([2.5 / 3, 2.5 / 3])
    assert notes == []
    found, notes = sensitivity(sweep_of(lost=2))
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(1.0)
    assert notes == ["LR sensitivity is missing where runs diverged: give --initial-loss, ln(vocabulary size)"]
    found, _ = sensitivity(sweep_of(lost=2, initial_loss=6.0))
    assert found == pytest.approx([(1 + 4) / 3, 1.0])


@pytest.mark.parametrize(
    ("arm", "octaves", "spread"),
    [("sp", -1.0, 0.4), ("mup", 0.0, 0.2), ("depth-mup", 0.0, 0.2), ("completep", 0.0, 0.2)],
)
def test_what_theory_expects_of_adam_over_the_width(arm, octaves, spread):
    """In sp the optimum halves with each doubling of the width (arXiv:2203.03466); elsewhere it stays."""
    assert drift.EXPECTED[arm, "d_model"] == (octaves, spread)


def test_the_width_of_an_interval_in_octaves():
    found = Optimum(0.01, 0.004, 0.032, 3.0, np.array([]))
    assert (found.octaves, found.log2) == pytest.approx((3.0, np.log2(0.01)))


def test_the_sensitivity_is_taken_over_three_shared_rates_at_least():
    rows = [(0.25, 3.0), (0.5, 2.0), (1.0, 4.0), (2.0, 9.0)]

    def over(**cells):
        table = [{"d_model": int(size[1:]), "lr": lr, "loss": loss} for size, own in cells.items() for lr, loss in own]
        return sensitivity(read_sweeps(pd.DataFrame(table), over="d_model", initial_loss=10.0))

    assert over(s64=rows[:3], s128=rows[:3]) == (pytest.approx([1.0, 1.0]), [])
    assert over(s64=rows, s128=rows) == (pytest.approx([2.5, 2.5]), [])
    told = ["LR sensitivity is taken over the 3 learning rates that all sizes share"]
    assert over(s64=rows, s128=rows[:3]) == (pytest.approx([1.0, 1.0]), told)
    told = ["LR sensitivity is missing: all sizes share fewer than 3 learning rates"]
    assert over(s64=rows[:3], s128=rows[1:]) == (pytest.approx([np.nan] * 2, nan_ok=True), told)


def test_without_noise_to_estimate_the_optimum_lies_between_the_neighbours_of_the_least_loss():
    """Three runs, one a learning rate; the least loss is the first, in the middle, or the last."""
    x, rng = np.array([-3.0, -2.0, -1.0]), np.random.default_rng(0)
    for least, (low, high) in enumerate([(-3, -2), (-3, -1), (-2, -1)]):
        y = np.log(2 + 0.1 * np.abs(x - x[least]))
        found = optimum._located(x, y, np.zeros(3), np.inf, 400, rng, True)
        assert found.how.startswith("the grid")
        assert (found.draws.min(), found.draws.max()) == pytest.approx((low, high), abs=0.35)


def test_a_loss_of_zero_has_no_logarithm_but_a_best_rate():
    """A bowl with its least loss, 0, at 2^-6: it is fitted as it stands, as one that ends just below 0 is."""
    lr, seeds = 2.0 ** np.arange(-9.0, -2.0), np.zeros(7)
    for least in (0.0, -1e-3):
        found = optimum.best_lr(lr, 0.01 * (np.log2(lr) + 6) ** 2 + least, seeds, draws=40)
        assert found.log2 == pytest.approx(-6.0, abs=1e-6) and found.loss == pytest.approx(least, abs=1e-6)
