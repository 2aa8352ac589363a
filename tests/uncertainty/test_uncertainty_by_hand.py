"""Ceilings, beliefs about schedules, biases, checks and resampling: few numbers, at each condition's two sides."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scalefit.errors import InputError
from scalefit.fitting.prepare import Options, prepare
from scalefit.laws import find_law
from scalefit.rows.rows import Rows
from scalefit.runs import read_runs
from scalefit.solver.solve import solve
from scalefit.uncertainty import bootstrap as resampling
from scalefit.uncertainty import calibration as cal
from scalefit.uncertainty import ceiling, covariance, folds, misfit, profile, unlike
from scalefit.uncertainty.calibration import EarlierCalibration
from scalefit.uncertainty.estimate import Estimate
from scalefit.uncertainty.folds import fitted_range
from scalefit.uncertainty.pieces import distinct

POWER = find_law("power:over=N")
NORMAL = stats.norm.ppf(0.95)
AT_3_AND_8 = {"x": np.array([3.0, 8.0])}
FITTED = {"x": np.array([1.0, 2.0, 4.0])}


def power(log=True, sigma=0.1, **constants):
    """8 / x: 8, 4, 2 at the fitted rows, 8/3 and 1 at the rows asked for."""
    return Estimate(POWER, {"A": 8.0, "alpha": 1.0, **constants}, log=log, sigma=sigma)


# --- the ceiling of a law that can only fall --------------------------------------------------------------------------


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize(
    ("measured", "ends", "wanted"),
    [
        ([8, 3, 2.5], [10, 10], [(3, 1), (2.5, 1)]),  # the least measured value of smaller runs, and noise
        ([8, 2, 2.5], [10, 10], [(8 / 3, 1), (2, 1)]),  # not below the noise of one run above the prediction
        ([8, 3, 2.5], [2.6, 10], [(2.6, 0), (2.5, 1)]),  # an end that is lower stays, and says nothing of other rows
    ],
)
def test_upper_ends_are_cut_to_what_smaller_runs_measured(log, measured, ends, wanted):
    step = 0.1 * NORMAL
    found = ceiling.capped(
        power(log), FITTED, np.array(measured, float), AT_3_AND_8, np.array(ends, float), upper=None, level=0.9
    )
    above = [value * np.exp(noise * step) if log else value + noise * step for value, noise in wanted]
    assert found == pytest.approx(above, rel=1e-9)


def test_a_law_that_rises_or_reads_several_values_has_no_ceiling():
    ends = np.array([10.0, 20.0])
    told = (np.ones(3), AT_3_AND_8, ends)
    assert ceiling.capped(power(alpha=-1.0), FITTED, *told, upper=None, level=0.9).tolist() == [10.0, 20.0]
    wide = {"x": np.ones((3, 2))}
    assert ceiling.capped(power(), wide, *told, upper=None, level=0.9).tolist() == [10.0, 20.0]
    assert ceiling.capped(
        power(), FITTED, np.ones(3), {"x": np.ones((2, 2))}, ends, upper=None, level=0.9
    ).tolist() == [10.0, 20.0]


def test_a_constant_variable_falls_nowhere():
    found = ceiling.never_rises(POWER, power().parameters, {"x": np.full(3, 2.0)}, {"x": np.array([2.0, 3.0])})
    assert found["x"].tolist() == [False, True]


def passed(fitted, asked):
    """The points that are passed on the way to each row, in order."""
    seen = []

    def upper(way):
        seen.append(way["x"].tolist())
        return 100.0 / way["x"]

    return ceiling._on_the_way(fitted, asked, ["x"], upper), seen


def test_on_the_way_ends_are_asked_for_every_quarter_of_a_decade_from_the_edge():
    least, seen = passed(FITTED, {"x": np.array([3.0, 40.0, 8.0])})
    quarters = 4 * 10 ** np.array([0.0, 0.25, 0.5, 0.75])
    assert [len(points) for points in seen] == [2, 2, 1, 1]
    assert [points[0] for points in seen] == pytest.approx(quarters)
    assert [points[-1] for points in seen[:2]] == pytest.approx(quarters[:2])  # the shorter way passes the same points
    assert least == pytest.approx([np.inf, 100 / quarters[3], 100 / quarters[1]])


def test_the_way_is_at_most_six_decades_long():
    least, seen = passed(FITTED, {"x": np.array([4e9])})
    assert len(seen) == 24
    assert least == pytest.approx([100 / (4 * 10**5.75)])


def test_values_that_are_not_all_positive_are_passed_linearly():
    """Edge 4, range 4: a quarter of the range at a time to 9."""
    least, seen = passed({"x": np.array([0.0, 4.0])}, {"x": np.array([9.0])})
    assert [points[0] for points in seen] == pytest.approx([4, 5, 6, 7, 8])
    assert least == pytest.approx([100 / 8])


def test_a_ceiling_on_the_way_lowers_the_end():
    told = (FITTED, np.array([8.0, 8.0, 8.0]), {"x": np.array([40.0])}, np.array([50.0]))
    assert ceiling.capped(power(), *told, upper=lambda way: 5 + 0 * way["x"], level=0.9) == pytest.approx([5])
    assert ceiling.capped(power(), *told, upper=None, level=0.9) == pytest.approx([8 * np.exp(0.1 * NORMAL)])


# --- what is believed of the law --------------------------------------------------------------------------------------


def test_the_error_under_another_schedule_by_the_formula():
    """S f u / U, and S u_p / U under another peak where that is more; at most S."""
    made = cal.Calibration(1.0, 3, 9, 12.0, 16.0, change=0.5, states=((0.0, 0.0, 1.0, -3.0),))
    asked = np.array(
        [
            [1.0, 0.2, 0.5, -3.0],  # 1.1 away: all of it
            [0.1, 0.0, 1.0, -3.0],  # .1 away
            [0.0, 0.0, 1.0, -3.0 + unlike.UNLIKE / 2],  # another peak, half as far as any other
            [0.9, 0.0, 1.0, -3.0 + unlike.UNLIKE / 2],
            [0.0, 0.0, 1.0, -1.0],
        ]
    )
    own = unlike.SCHEDULE * np.array([1.0, 0.1 * 0.1 / unlike.UNLIKE, 0.5, 0.9, 1.0])
    inside, within = {"x": np.full(5, 1e7)}, 0.5 * cal.WITHIN
    assert made.missed(POWER, inside, asked) == pytest.approx(0.5 * np.hypot(cal.WITHIN, own))
    assert made.missed(POWER, inside) == pytest.approx(np.full(5, within))
    bare = cal.Calibration(1.0, 3, 9, 12.0, 16.0, change=0.5)
    assert bare.missed(POWER, inside, asked) == pytest.approx(np.full(5, within))


def test_a_narrow_range_of_scales_counts_as_a_tenth_of_a_decade_and_widths_as_two():
    for low, span in ((15.95, 0.1), (15.8, 0.2)):
        narrow = cal.Calibration(1.0, 3, 9, low, 16.0, change=1.0)
        far = narrow.missed(POWER, {"x": np.array([10**8.1])})  # .2 beyond
        assert far == pytest.approx([np.hypot(cal.WITHIN, cal.BEYOND * (0.2 / span) ** cal.GROWTH)])
    widths, whole = cal.Calibration(1.0, 3, 9, 2.0, 3.0, change=1.0), np.hypot(cal.WITHIN, cal.BEYOND)
    assert widths.missed(find_law("power:over=width"), {"x": np.array([1e4])}) == pytest.approx([whole])


def test_maps_between_losses_err_less_near_by_and_grow_more_but_not_those_of_fits_saved_before():
    """Fitted from loss 4 to 2.5; what is asked for lies as far beyond as that is wide, and twice as far."""
    law, far = find_law("loss-to-loss"), {"loss_source": 2.5 / 1.6 ** np.array([1.0, 2.0])}
    before = cal.Calibration(1.0, 3, 9, -np.log10(4.0), -np.log10(2.5), change=1.0)
    assert before.missed(law, far) == pytest.approx(np.hypot(0.006, 0.1 * np.array([1.0, 2.0]) ** 0.45))
    found = replace(before, mapped=True).missed(law, far)
    assert found == pytest.approx(np.hypot(0.006, 0.07 * np.array([1.0, 2.0]) ** 0.7))
    source = rows_of(law, 3, loss_source=np.array([4.0, 3.0, 2.5]))
    assert fitted_range(law, source, np.array([4.0, 3.0, 2.5]), True).mapped
    assert not fitted_range(POWER, rows_of(POWER, 3, x=np.ones(3)), np.ones(3), True).mapped


def test_along_a_curve_the_error_grows_in_proportion_to_the_distance():
    """Half as far beyond: half the error, where that of runs falls by 2^GROWTH."""
    curve, far = find_law("annealing"), {"S1": 10.0 ** np.array([4.0, 6.0]), "S2": np.ones(2)}
    own = cal.Calibration(1.0, 3, 9, 0.0, 4.0, change=1.0).missed(curve, far)
    expected = cal.BEYOND * np.array([2.0, 4.0]) / 2  # the distance counts in SPAN = 2 decades a fitted range
    assert own == pytest.approx(np.hypot(cal.WITHIN, expected))


def test_what_earlier_versions_believed_of_a_law():
    made = EarlierCalibration(2.0, 3, 9, 12.0, 16.0)
    assert made.missed(np.array([0.0, 2.0]), 3.0) == pytest.approx([0.003, 3 * np.hypot(0.001, 0.025)])
    half = made.half_width(np.array([0.02]), np.array([0.03]), 0.01, 0.9)
    assert half == pytest.approx([NORMAL * np.sqrt(4 * (0.0004 + 0.0009) + 0.0001)])


def test_a_fall_of_more_steps_than_any_fitted_one_is_further_away():
    """.5 for ten times the steps at the same share; a shorter one is not, and a file without steps says nothing."""
    asked = np.array([[1.0, 0.2, 0.5, -3.0, 4.0], [1.0, 0.2, 0.5, -3.0, 3.4], [1.0, 0.2, 0.5, -3.0, 2.0]])
    inside = {"x": np.full(3, 1e7)}
    made = cal.Calibration(1.0, 3, 9, 12.0, 16.0, change=1.0, states=((1.0, 0.2, 0.5, -3.0, 3.0),))
    own = unlike.SCHEDULE * np.minimum(np.array([0.5, 0.2, 0.0]) / unlike.UNLIKE, 1.0)
    assert made.missed(POWER, inside, asked) == pytest.approx(np.hypot(cal.WITHIN, own))
    before = cal.Calibration(1.0, 3, 9, 12.0, 16.0, change=1.0, states=((1.0, 0.2, 0.5, -3.0),))
    assert before.missed(POWER, inside, asked) == pytest.approx(np.full(3, cal.WITHIN))
    level = cal.Calibration(1.0, 3, 9, 12.0, 16.0, change=1.0, states=((0.0, 0.0, 1.0, -3.0, 0.0),))
    assert level.missed(POWER, inside, asked) == pytest.approx(np.full(3, np.hypot(cal.WITHIN, unlike.SCHEDULE)))


def test_what_the_fitted_decays_miss_is_missed_elsewhere_in_proportion_to_the_fall():
    states = ((0.0, 0.0, 1.0, -3.0, 0.0), (1.0, 0.2, 0.5, -3.0, 3.0))
    made = cal.Calibration(1.0, 3, 9, 12.0, 16.0, change=0.5, states=states, decays=0.01)
    asked, inside = np.array(states), {"x": np.full(2, 1e7)}
    within = 0.5 * cal.WITHIN
    assert made.missed(POWER, inside, asked) == pytest.approx([within, np.hypot(within, 0.01)])
    assert made.missed(POWER, inside) == pytest.approx(np.full(2, within))
    other = np.array([[0.5, 0.9, 0.9, -3.0, 3.0]])  # half a fall, unlike the fitted one
    own = 0.5 * np.hypot(cal.WITHIN, 0.5 * unlike.SCHEDULE)
    wide = made.missed(POWER, {"x": np.array([1e7])}, other)
    assert wide == pytest.approx([np.hypot(own, 0.5 * 0.01 * (1 + unlike.FURTHER))])


def test_what_a_law_misses_of_the_fitted_decays():
    """The root mean square of the residuals there beyond the noise of all rows; nothing from fewer than three rows."""
    made = np.full(9, 2.0)
    values = np.exp(made) * np.exp(np.array([0.01, -0.01, 0.01, -0.01, 0.01, -0.01, 0.09, -0.05, 0.07]))
    states = np.zeros((9, 5))
    states[6:, 0] = [0.11, 0.5, 1.0]
    noise = 1.4826 * 0.01
    expected = np.sqrt((0.09**2 + 0.05**2 + 0.07**2) / 3 - noise**2)
    assert folds._missed_decays(states, values, made, log=True) == pytest.approx(expected)
    assert folds._missed_decays(states, np.log(values), made, log=False) == pytest.approx(expected)
    states[6, 0] = 0.09
    assert folds._missed_decays(states, values, made, log=True) == 0
    assert folds._missed_decays(None, values, made, log=True) == 0


def rows_of(law, count, **variables):
    frame = pd.DataFrame({"run": "r", "step": np.arange(count)})
    return Rows(variables, np.ones(count), frame, np.arange(count), law.is_trajectory)


@pytest.mark.parametrize("log", [True, False])
def test_the_range_of_what_was_fitted(log):
    """From the least prediction up, without the highest twentieth."""
    made = np.linspace(1.0, 101.0, 101)
    shown = np.log(made) if log else made
    found = fitted_range(POWER, rows_of(POWER, 101, x=np.geomspace(1e3, 1e5, 101)), made, log)
    assert (found.low, found.high, found.change) == pytest.approx((6, 10, shown[95] - shown[0]))
    curve = find_law("annealing")
    area = rows_of(curve, 101, S1=np.geomspace(1, 100, 101), S2=np.ones(101))
    found = fitted_range(curve, area, made, log)
    assert (found.low, found.high, found.change) == pytest.approx((0, 4, shown[95] - shown[0]))
    assert (found.factor, found.folds, found.points) == (1.0, 0, 0)


# --- is the law wrong at all ------------------------------------------------------------------------------------------


def fitted(count, seed=0):
    C = np.geomspace(1e16, 1e20, count)
    loss = 2e3 * C**-0.18 * np.exp(0.01 * np.random.default_rng(seed).standard_normal(count))
    ready = prepare(read_runs(pd.DataFrame({"C": C, "loss": loss}), need=()), "power:over=C")
    return ready, solve(ready.model, ready.values, None, ready.settings)


def given(monkeypatch, count, **changes):
    """What the evidence is computed from, or the answer without any."""
    ready, solution = fitted(count)
    solution = SimpleNamespace(**{name: getattr(solution, name) for name in ("theta", "sigma", "residuals")} | changes)
    asked = []
    even = np.repeat([np.log(3.0), 0.0], [9, 14])
    monkeypatch.setattr(misfit, "_likelihoods", lambda *told: asked.append(told) or even)
    found = misfit.shares_missed(ready.law, ready.model, ready.rows, solution, True)
    return found, asked, ready, solution


def test_the_evidence_meets_the_odds_beforehand(monkeypatch):
    found, *_ = given(monkeypatch, 12)
    assert found[0] == (1.0, pytest.approx(0.85 * 3 / (0.85 * 3 + 0.15)))


@pytest.mark.parametrize(("count", "told"), [(3, 0), (4, 1)])
def test_a_row_more_than_constants_and_one_is_needed_for_evidence(monkeypatch, count, told):
    found, asked, *_ = given(monkeypatch, count)
    assert len(asked) == told
    assert (found[0] == (1.0, pytest.approx(0.85))) == (not told)


def test_residuals_without_noise_say_nothing(monkeypatch):
    found, asked, *_ = given(monkeypatch, 12, sigma=0.0)
    assert found[0] == (1.0, pytest.approx(0.85)) and asked == []


def test_rows_that_are_not_independent_are_no_evidence_for_a_law(monkeypatch):
    ready, solution = fitted(12)
    monkeypatch.setattr(misfit, "_likelihoods", lambda *told: np.r_[np.full(22, -1e3), 0.0])
    almost, everything = ((pytest.approx((0.001 / 0.06) ** 0.05), 1.0),), ((1.0, 1.0),)
    plain = SimpleNamespace(is_trajectory=False, columns={"x": "C"}, evaluate=ready.law.evaluate)
    told = (ready.model, ready.rows, solution, True)
    assert misfit.shares_missed(plain, *told) == almost
    assert misfit.shares_missed(SimpleNamespace(is_trajectory=True, columns={}), *told) == everything
    curve = replace(ready.rows, in_curves=True)
    assert misfit.shares_missed(plain, ready.model, curve, solution, True) == everything
    for target, wanted in (("loss", everything), ("accuracy", almost)):
        columns = {"x": "loss_source"}
        a_map = SimpleNamespace(is_trajectory=False, columns=columns, target=target, evaluate=ready.law.evaluate)
        assert misfit.shares_missed(a_map, *told) == wanted
    several = replace(ready.rows, variables={"x": np.ones((12, 2))})
    assert misfit.shares_missed(plain, ready.model, several, solution, True) == everything


def test_residuals_are_clipped_at_three_sigma_and_thinned_to_160(monkeypatch):
    wild = np.linspace(-5, 5, 300)
    _, [(residual, *_)], *_ = given(monkeypatch, 300, sigma=1.0, residuals=wild)
    assert len(residual) == 160
    assert residual == pytest.approx(np.clip(wild[np.linspace(0, 299, 160).astype(int)], -3, 3))


def test_neighbours_are_near_by_the_change_of_the_prediction(monkeypatch):
    """Brownian in log C here, as the law is a power: the variance grows with the distance from the median."""
    _, [(_, slope, smooth, sigma, _)], ready, solution = given(monkeypatch, 9)
    h = -np.log(np.ravel(ready.model.value(solution.theta[None])))
    h = h - h[4]
    assert np.diag(smooth) == pytest.approx(np.ptp(h) * np.abs(h))
    assert smooth[0, 1] == pytest.approx(np.ptp(h) * abs(h[1]))
    assert smooth[0, 8] == pytest.approx(0, abs=1e-12)
    assert slope.shape[1] == 9 or slope.shape[0] == 9
    assert sigma == solution.sigma


def test_the_other_variables_are_held_at_their_upper_quartile():
    values = {"N": np.arange(5.0), "D": np.array([1.0, 2.0, 3.0, 4.0, 9.0])}
    held = misfit._with_others_held(values, "N")
    assert held["N"].tolist() == [0, 1, 2, 3, 4]
    assert held["D"].tolist() == [4.0] * 5


@pytest.mark.parametrize(("loss", "copies"), [(3.1234, True), (31.234, True), (0.012345, True), (3.123, False)])
def test_losses_of_five_digits_that_agree_are_copies(loss, copies):
    rows = Rows({"x": np.ones(2)}, np.full(2, loss), pd.DataFrame({"run": ["a", "b"]}), np.arange(2), False)
    assert distinct(rows).tolist() == ([0, 0] if copies else [0, 1])
    curve = Rows({"x": np.ones(2)}, np.full(2, loss), pd.DataFrame({"run": ["a", "b"]}), np.arange(2), True)
    assert distinct(curve).tolist() == [0, 1]  # rows of curves all count, and those of several values
    for others in ({}, {"N": np.ones(2)}):
        read = {**others, "x": np.ones((2, 3))}
        several = Rows(read, np.full(2, loss), pd.DataFrame({"run": ["a", "b"]}), np.arange(2), False)
        assert distinct(several).tolist() == [0, 1]


# --- the sandwich -----------------------------------------------------------------------------------------------------


def refused(theta=(0.5, 0.5), blocks=20, inside=10, loss="huber", linear=(False, False), rows=20):
    names = [SimpleNamespace(name=name) for name in ("a", "b")]
    ends = {"low": np.zeros(2), "high": np.ones(2), "linear": np.array(linear), "coordinates": names}
    expansion = SimpleNamespace(theta=np.array(theta), model=SimpleNamespace(**ends))
    residual = np.where(np.arange(rows) < inside, 1.0, 1.01)  # a threshold of 1: the first of them lie within
    covariance._check(expansion, SimpleNamespace(delta=1.0, loss=loss), residual, np.ones(rows), blocks)


def test_where_the_sandwich_is_valid():
    refused()
    refused(inside=0, loss="squared")
    refused(theta=np.full(2, 0.5), linear=(True, True))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"theta": (0.5, 0.0)}, "b is at an end"),
        ({"theta": (1.0, 0.5)}, "a is at an end"),
        ({"blocks": 19}, "only 19 independent"),
        ({"inside": 9}, "only 45 % of the rows lie within the threshold 1"),
    ],
)
def test_where_the_sandwich_is_not_valid(change, said):
    with pytest.raises(InputError, match=said):
        refused(**change)


def test_eleven_constants_need_twenty_two_blocks():
    ends = {"low": np.zeros(11), "high": np.ones(11), "linear": np.zeros(11, bool)}
    expansion = SimpleNamespace(theta=np.full(11, 0.5), model=SimpleNamespace(**ends))
    told = (SimpleNamespace(delta=1.0, loss="squared"), np.zeros(30), np.ones(30))
    covariance._check(expansion, *told, 22)
    with pytest.raises(InputError, match="only 21"):
        covariance._check(expansion, *told, 21)


# --- draws ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def drawn(monkeypatch):
    """Draws of a line through four points a block: what each refit is given, instead of its result."""
    monkeypatch.setattr(resampling.Near, "refits", lambda self, made: made)

    def draw(count, method="auto", sigma=0.3):
        x = np.linspace(1, 2, count)
        rows = pd.DataFrame({"x": x, "y": 3 + 2 * x + 0.1 * np.sin(9 * np.arange(count))})
        ready = prepare(read_runs(rows, need=()), "y = a + b*x", Options(residuals="linear", loss="squared"))
        found = solve(ready.model, ready.values, None, ready.settings)
        made = resampling.bootstrap(
            ready.model,
            found.objective,
            ready.values,
            np.ones(count),
            found.theta,
            np.arange(count),
            draws=40,
            seed=0,
            method=method,
            sigma=sigma,
        )
        return made, rows, found

    return draw


@pytest.mark.parametrize(("count", "method"), [(20, "pairs"), (19, "bayesian"), (6, "bayesian"), (5, "wild")])
def test_how_blocks_are_resampled_depends_on_their_number(drawn, count, method):
    np.testing.assert_array_equal(drawn(count)[0], drawn(count, method)[0])


@pytest.mark.parametrize(("count", "factors"), [(12, 2), (11, 6)])
def test_wild_residuals_are_divided_by_what_leverage_leaves_and_change_sign(drawn, count, factors):
    """Two signs from twelve blocks on, Webb's six factors of fewer."""
    made, rows, _ = drawn(count, "wild")
    X = np.column_stack([np.ones(count), rows["x"]])
    hat = X @ np.linalg.pinv(X)
    centre = hat @ rows["y"]
    scaled = (rows["y"] - centre).to_numpy() / (1 - np.diag(hat))
    used = (made - centre) / scaled
    wanted = [-1.0, 1.0] if factors == 2 else [s * np.sqrt(k) for s, k in ((-1, 1.5), (-1, 1), (-1, 0.5))]
    wanted = wanted if factors == 2 else sorted([*wanted, *(-w for w in wanted)])
    assert np.unique(used.round(6)) == pytest.approx(np.array(wanted), abs=1e-5)


def test_parametric_draws_have_the_noise_that_is_given(drawn):
    made, rows, _ = drawn(30, "parametric", sigma=0.5)
    line = np.polyval(np.polyfit(rows["x"], rows["y"], 1), rows["x"])
    assert (made - line).std() == pytest.approx(0.5, rel=0.06)
    assert abs((made - line).mean()) < 0.06


# --- the profile ------------------------------------------------------------------------------------------------------


def walk(end, begin=0.5, side=1, width=0.3, most=4.0):
    """A parabola: the deviance reaches 4 at twice its width from where it begins."""
    asked = []

    def deviance(value):
        asked.append(value)
        return ((value - begin) / width) ** 2

    return profile._outwards(SimpleNamespace(deviance=deviance), begin, side, end, most), asked


@pytest.mark.parametrize("side", [-1, 1])
def test_a_profile_is_followed_outwards_in_doubling_steps(side):
    """First a fiftieth of the value away, then twice as far each time; the end lies before the first step too far."""
    (found, open_end), asked = walk(side * 99.0, side=side)
    assert not open_end
    assert found == pytest.approx(0.5 + side * 0.6, rel=1e-4)
    assert asked[:7] == pytest.approx((0.5 + side * 0.01 * 2.0 ** np.arange(7)).tolist())
    assert walk(99.0, begin=0.0)[1][0] == pytest.approx(0.002)  # of a value below a tenth: a fiftieth of that


@pytest.mark.parametrize("side", [-1, 1])
def test_a_domain_that_ends_first_is_open_there(side):
    assert walk(0.5 + side * 0.4, side=side)[0] == (0.5 + side * 0.4, True)
    (found, open_end), _ = walk(0.5 + side * 0.61, side=side)
    assert not open_end
    assert found == pytest.approx(0.5 + side * 0.6, rel=1e-4)
