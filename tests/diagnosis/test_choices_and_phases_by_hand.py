"""Other choices, errors on one side, logarithms in disguise, phases of curves: at each condition's two sides."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

import scalefit as sf
from scalefit.diagnosis import undetermined
from scalefit.diagnosis.choices import Sensitivity, other_choices, sensitivity
from scalefit.diagnosis.degenerate import degenerate
from scalefit.diagnosis.image import no_image
from scalefit.diagnosis.one_sided import Bias, one_sided
from scalefit.diagnosis.phases import first_steps, stray_phases, transient
from scalefit.diagnosis.reach import decades_beyond, furthest, in_words, side, unsupported
from scalefit.diagnosis.undetermined import _idle
from scalefit.fitting.prepare import Options, prepare
from scalefit.laws import find_law
from scalefit.rows.rows import Rows
from scalefit.solver.solve import solve
from scalefit.uncertainty.estimate import Estimate


@dataclass
class Found:
    """What is asked of a solution."""

    theta: np.ndarray
    residuals: np.ndarray
    cost: float


# --- other choices ----------------------------------------------------------------------------------------------------


def test_the_prediction_at_the_last_row_under_each_choice():
    line = Estimate(find_law("power:over=N"), {"A": 8.0, "alpha": 1.0}, log=True, sigma=0.01)
    found = sensitivity(line, {"a": (12.0, 1.0), "lost": (np.nan, 1.0)}, {"x": np.array([1.0, 2.0])})
    assert found == Sensitivity(4.0, {"a": 6.0})
    assert sensitivity(line, {"lost": (np.nan, 1.0)}, {"x": np.array([2.0])}) is None


@pytest.mark.parametrize(
    ("predicted", "other", "said"), [(2.0, 2.5, "25 %"), (2.0, 1.6, "25 %"), (0.0, 0.5, "0.5"), (-0.5, -0.1, "0.4")]
)
def test_spreads_are_relative_where_all_values_are_positive(predicted, other, said):
    assert Sensitivity(predicted, {"x": other}).text.startswith(f"sensitivity: {said} between")


def test_the_threshold_of_the_papers_is_one_of_logarithms():
    x = np.geomspace(1, 100, 12)
    runs = sf.read_runs(pd.DataFrame({"x": x, "y": 2 + 3 * x**-0.5 + 0.01 * np.sin(9 * np.arange(12))}), need=())

    def told(residuals):
        ready = prepare(runs, "y = E + A*x**-b", Options(residuals=residuals))
        solution = solve(ready.model, ready.values, None, ready.settings)
        return other_choices(ready.law, ready.model, ready.rows, None, ready.settings, solution).keys()

    assert told("log") - told("linear") == {"delta 1e-3"}
    assert "least squares" in told("linear")


# --- errors on one side -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "sigma", "count", "said"),
    [
        (0.0101, 0.005, 4, "too low"),
        (-0.0101, 0.005, 5, "too high"),
        (0.0099, 0.005, 4, ""),  # less than two standard errors
        (0.0101, 0.005, 3, ""),  # three refits
        (0.0011, 0.0001, 4, "too low"),
        (0.0009, 0.0001, 4, ""),  # less than a thousandth
    ],
)
def test_refits_that_err_alike(error, sigma, count, said):
    found = one_sided([Bias(error, sigma)] * count, 1.0)
    assert found.startswith(f"predicts {said} at scale: in {count} of {count} refits") if said else found == ""


def test_the_size_of_an_error_on_one_side_is_its_mean_in_units_of_the_loss():
    found = one_sided([Bias(0.02, 1e-3), Bias(0.04, 1e-3), Bias(0.03, 1e-3), Bias(0.03, 1e-3)], 2.0)
    assert "by 1.5 % on average" in found
    assert one_sided([*[Bias(0.03, 1e-3)] * 3, Bias(0.0, 1e-3)], 1.0) == ""  # no error is no side


# --- logarithms in disguise -------------------------------------------------------------------------------------------


def disguised(floor=21.0, exponent=0.049, changes=False, meaning="exponent of size", **kind):
    """A law of a floor and an exponent; the largest value is 10."""
    names = [
        SimpleNamespace(name="E", linear=True, log=False),
        SimpleNamespace(**{"name": "a", "linear": False, "log": False} | kind),
    ]
    slope = np.array([[1.0, 1.5 if changes else 1.0], [3.0, 4.0]])
    law = SimpleNamespace(parameters={"a": SimpleNamespace(meaning=meaning)})
    model = SimpleNamespace(coordinates=names, straight=[0], jacobian=lambda theta: (None, slope[None]), law=law)
    return degenerate(model, np.array([-10.0, 5.0]), SimpleNamespace(theta=np.array([floor, exponent])))


def test_a_floor_beyond_twice_the_data_beside_an_exponent_near_zero():
    (found,) = disguised()
    assert found.text.startswith("E = 21 lies far outside the data (at most 10), and a = 0.049 is near 0")
    assert disguised(floor=-21.0, exponent=-0.049)
    (found,) = disguised(log=True, exponent=np.log(0.049))  # searched in its logarithm
    assert "a = 0.049 is near 0" in found.text


@pytest.mark.parametrize(
    "change",
    [
        *({"floor": 20.0}, {"exponent": 0.051}, {"changes": True}, {"linear": True}),
        {"log": True, "exponent": np.log(0.049), "meaning": "size of a term"},
        {"log": True, "exponent": np.log(0.051)},
    ],
    ids=str,
)
def test_a_law_with_a_floor_and_a_slope_is_no_logarithm(change):
    assert disguised(**change) == []


# --- where a law has a value, and how far that is ---------------------------------------------------------------------


def test_a_law_without_floors_has_values_everywhere():
    assert no_image(find_law("chinchilla"), {}, {"N": np.ones(3), "D": np.ones(3)}).tolist() == [False] * 3


def test_decades_outside_a_range():
    found = decades_beyond({"N": (1e6, 1e8), "S2": (0.0, 10.0), "u": (0.0, 0.0)}, {"N": np.array([1e5, 1e7, 1e10])})
    assert found["N"].tolist() == pytest.approx([1, -1, 2])
    assert found.keys() == {"N"}
    inside = decades_beyond({"S2": (0.0, 10.0), "u": (0.0, 0.0)}, {"S2": np.array([0, 1, 100]), "u": np.ones(3)})
    assert inside["S2"].tolist() == [-np.inf, -1, 1]
    assert inside.keys() == {"S2"}


# --- phases -----------------------------------------------------------------------------------------------------------

NOISE = 0.001 * np.tile([1.0, -1.0], 5)  #: sigma .0014826


def phases(off, decayed=3, last=0.89, unit=1.0, noise=1.0, runs=("r",)):
    """Ten rows at the peak and some at a lower rate, whose residuals are ``off``; the rows of each run alike."""
    rate = np.r_[np.full(10, 1.0), np.full(decayed, last)]
    names = np.repeat(runs, len(rate))
    frame = pd.DataFrame({"run": names, "step": np.tile(np.arange(len(rate)), len(runs))})
    residual = np.concatenate([np.r_[noise * NOISE, np.full(decayed, each)] for each in np.ravel([off])])
    paths = {run: SimpleNamespace(lr=rate) for run in runs}
    return stray_phases(Rows({}, None, frame, np.arange(len(frame)), True, paths), residual, unit)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"off": 0.0089}, True),  # six times the noise is .0089
        ({"off": 0.0088}, False),
        ({"off": -0.0089}, True),
        ({"off": 0.0089, "decayed": 2}, False),
        ({"off": 0.0089, "last": 0.91}, False),
        ({"off": 0.0021, "noise": 0.0}, True),  # without noise from .002 on,
        ({"off": 0.0019, "noise": 0.0}, False),
        ({"off": 0.0021, "noise": 0.0, "unit": 2.0}, False),  # relative
    ],
    ids=str,
)
def test_rows_of_a_decayed_rate_that_lie_off_the_law(change, told):
    assert bool(phases(**change)) is told


def test_the_run_that_lies_farthest_off_gives_side_and_size():
    """Residuals are predicted minus measured."""
    (found,) = phases([0.02, -0.03, 0.01, 0.02], runs=("a", "b", "c", "d"))
    assert "of 4 runs (a, b, c, ...) lie off the law, up to 20 sigma above it" in found.text
    (found,) = phases([0.02, 0.001], runs=("a", "b"))
    assert "of 1 runs (a) lie off the law, up to 13 sigma below it" in found.text
    (found,) = phases([0.02], noise=0.0)
    assert "up to far below it" in found.text


def test_too_few_rows_at_the_peak_say_nothing_of_the_decay():
    frame = pd.DataFrame({"run": "r", "step": np.arange(8)})
    for peak, told in ((2, False), (3, True)):
        rate = np.r_[np.ones(peak), np.full(8 - peak, 0.5)]
        rows = Rows({}, None, frame, np.arange(8), True, {"r": SimpleNamespace(lr=rate)})
        assert bool(stray_phases(rows, np.where(np.arange(8) < peak, 0.0, 0.1), 1.0)) is told


def begun(off, count=12, height=0.0089):
    """Rows of which the first ``off`` lie off the law by ``height``; the later ones have a noise of .0014826."""
    residual = np.tile([0.001, -0.001], count)[:count]
    residual[:off] = height
    return residual


@pytest.mark.parametrize(
    ("off", "count", "height", "step"),
    [
        (4, 12, 0.0089, 40),
        (2, 12, 0.0089, 30),  # smoothed over three rows, and so a row later
        (3, 12, 0.0088, 0),
        (4, 12, -0.0089, 40),
        (3, 9, 0.02, 30),
        (3, 8, 0.02, 0),  # a third of eight rows are two
        (6, 12, 0.02, 40),  # at most a third
    ],
)
def test_first_steps_end_with_the_last_row_far_off_in_the_first_third(off, count, height, step):
    for shift in (0.0, 0.3):  # off what the later rows are, wherever these lie
        residuals = begun(off, count, height) + shift
        assert first_steps(np.zeros(count), 10 * np.arange(1, count + 1), residuals) == step


def test_one_row_far_off_is_no_phase_and_the_longest_phase_of_all_runs_counts():
    lone = begun(0)
    lone[2] = 0.5
    steps = 10 * np.arange(1, 13)
    assert first_steps(np.zeros(12), steps, lone) == 0
    both = np.concatenate([begun(4), begun(2)])
    assert first_steps(np.repeat([0, 1], 12), np.tile(steps, 2), both) == 40
    assert first_steps(np.repeat([0, 1], 12), np.tile(steps, 2), both[::-1].reshape(2, 12)[:, ::-1].ravel()) == 40


def test_as_many_first_steps_are_named_as_lie_off_the_law():
    for every, said in ((1, "the first 3 steps lie"), (10, "the first 30 steps lie")):
        frame = pd.DataFrame({"run": "r", "step": every * np.arange(1, 13)})
        found = transient(Rows({}, None, frame, np.arange(12), True), begun(2))
        assert found[0].text.startswith(said) and f"--skip {3 * every})" in found[0].text
    frame = pd.DataFrame({"run": "r", "step": np.r_[1:5, 9:17] - 2})
    for count, said in ((2, "the first step lies"), (4, "the first 2 steps lie")):
        found = transient(Rows({}, None, frame, np.arange(12), True), begun(count))
        assert [each.text.partition(" off")[0] for each in found] == [said]


def test_first_steps_are_told_of_curves_alone():
    frame = pd.DataFrame({"run": "r", "step": 10 * np.arange(1, 13)})
    for in_curves, columns, told in ((True, ["run", "step"], 1), (False, ["run", "step"], 0), (True, ["run"], 0)):
        found = transient(Rows({}, None, frame[columns], np.arange(12), in_curves), begun(4))
        assert len(found) == told
    assert "the first 40 steps lie off" in transient(Rows({}, None, frame, np.arange(12), True), begun(4))[0].text
    early = Rows({}, None, frame.assign(step=[0.25, 0.5, 0.75, *range(1, 10)]), np.arange(12), True)
    assert transient(early, begun(4))[0].text.startswith("the first step lies off")


# --- parameters without effect ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("here", "slope", "idle"),
    [
        ([1.0, 0.0], [1.0, 0.0], ["b"]),
        ([1.0, 0.0], [1.0, 5.0], []),  # it had an effect if the term that it stands in were not zero
        ([1.0, 2.0], [1.0, 0.0], []),
        ([0.0, 0.0], [0.0, 0.0], ["a", "b"]),
        ([1.0, 0.9e-14], [1.0, 0.9e-14], ["b"]),  # over a range of 10: less than rounding
        ([1.0, 1.1e-14], [1.0, 1.1e-14], []),
        ([1e-20, 1.0], [1e-20, 1.0], []),  # the size of a term may be of any unit
    ],
)
def test_a_parameter_on_which_nothing_depends(here, slope, idle):
    seen = []

    def jacobian(theta):
        seen.append(theta[0].tolist())
        return np.full((1, 3), 2.0), 2.0 * np.array(slope)[None, :, None] * np.ones((1, 2, 3))

    names = [SimpleNamespace(name="a", searched=(0.0, 0.0)), SimpleNamespace(name="b", searched=(-5.0, 5.0))]
    model = SimpleNamespace(coordinates=names, low=np.full(2, -9.0), high=np.full(2, 9.0))
    model.linear, model.log = np.array([True, False]), np.array([False, False])
    model.take = lambda rows: SimpleNamespace(jacobian=jacobian)
    solution = SimpleNamespace(theta=np.array([0.0, 0.5]))
    slopes = np.array(here)[:, None] * np.ones((2, 3))
    assert _idle(model, solution, slopes, slice(None)) == idle
    assert all(theta == [1.0, 0.5] for theta in seen)
    at_end = SimpleNamespace(theta=np.array([0.0, 9.0]))
    assert "b" not in _idle(model, at_end, slopes, slice(None))


def test_a_threshold_that_has_gone_beyond_all_runs_is_not_identified():
    """Experts that help without end: E_max went to 1e63 of itself, with the state of a fitted constant."""
    size, experts = np.repeat([3e7, 1e8, 4e8], 4), np.tile([1, 4, 16, 64], 3)
    runs = pd.DataFrame({"N": size, "experts": experts, "loss": 3.5 * (size / 1e8) ** -0.15 * experts**-0.03})
    fit = sf.fit(runs, "routed", draws=0)
    assert fit["E_max"] > 1e12
    assert [check.text.partition(" cannot")[0] for check in fit.warnings if check.code == "not-identified"] == ["E_max"]


@pytest.mark.parametrize(
    ("error", "rise", "change", "wide"),
    [
        (0.51, 0.24, {}, True),  # a twentieth of a range of 10; a quarter of the noise
        (0.49, 0.24, {}, False),
        (0.51, 0.26, {}, False),
        (0.51, 0.24, {"linear": True}, False),
        (0.51, 0.24, {"signed": True}, False),
        (0.51, 0.24, {"cost": 0.0}, False),
        (0.0, 2.9, {"floors": {"a": "x"}}, True),  # a floor: 1.7109^2 of Student's t of 24 degrees of freedom
        (0.0, 3.0, {"floors": {"a": "x"}}, False),
    ],
    ids=str,
)
def test_a_parameter_that_other_values_fit_as_well(monkeypatch, error, rise, change, wide):
    """Moved to both ends of the range searched; a floor to the lower end of its domain."""
    asked = []
    heard = SimpleNamespace(deviance=lambda value, enough: asked.append(value) or rise)
    monkeypatch.setattr(undetermined, "Search", lambda *told: heard)
    kind = {"name": "a", "linear": False, "signed": False, "start": (2.0, 12.0), "low": 0.5}
    coordinate = SimpleNamespace(**kind | {key: change[key] for key in change if key in kind})
    law = SimpleNamespace(floors=change.get("floors", {}))
    model = SimpleNamespace(coordinates=[coordinate], law=law, n=25)
    model.take = model.condensed_at = lambda rows: model
    solution = Found(np.array([3.0]), np.zeros(25), change.get("cost", 1.0))
    assert undetermined.unsettled(model, np.ones(25), None, solution, np.array([error])) == (["a"] if wide else [])
    if wide:
        assert asked == ([0.5] if "floors" in change else [12.0, 2.0])  # the farther end first


def profiled(monkeypatch, rises, **kind):
    """A model whose first parameter is profiled: what the objective rises by at each value, 1 noise elsewhere."""
    known = {round(at, 9): rise for at, rise in rises.items()}
    heard = SimpleNamespace(deviance=lambda at, enough=None: known.get(round(at, 9), 1.0))
    monkeypatch.setattr(undetermined, "Search", lambda *told: heard)
    kind = {"name": "a", "linear": False, "log": True, "low": np.log(0.01), "high": np.log(20.0)} | kind
    start = kind.pop("start", (np.log(0.5), np.log(4.0)))
    law = SimpleNamespace(parameters={"a": SimpleNamespace(high=20.0)}, hardly=("a",))
    model = SimpleNamespace(coordinates=[SimpleNamespace(**kind, start=start)] * 2, law=law, n=12)
    model.condensed_at = lambda theta: model
    return model


@pytest.mark.parametrize(
    ("half", "start", "at", "cost", "kind", "found"),
    [
        (3.28, 3.29, 20.0, 1.0, {}, True),  # 1.8125^2 of Student's t of 10 degrees of freedom is 3.285
        (-3.28, 3.29, 20.0, 1.0, {}, True),
        (3.29, 3.29, 20.0, 1.0, {}, False),
        (-3.29, 3.29, 20.0, 1.0, {}, False),  # the fit lies far above its own profile: nothing is known
        (3.28, 3.28, 20.0, 1.0, {}, False),
        (3.28, 3.29, 0.46, 1.0, {}, True),  # just nearer to the upper end, in logarithms
        (3.28, 3.29, 0.44, 1.0, {}, False),
        (3.28, 3.29, 20.0, 0.0, {}, False),
        (3.28, 3.29, 20.0, 1.0, {"linear": True}, False),
        (3.28, 3.29, 8.0, 1.0, {"high": np.log(8.0)}, False),  # an end that the user gave
        (3.28, 3.29, 20.0, 1.0, {"low": np.log(10.0)}, False),  # half of the domain lies outside the box
    ],
    ids=str,
)
def test_an_upper_end_of_a_domain_of_which_half_is_as_good(monkeypatch, half, start, at, cost, kind, found):
    solution = SimpleNamespace(theta=np.log([at, at]), cost=cost)
    model = profiled(monkeypatch, {np.log(10.0): half, np.log(0.5): start}, **kind)
    assert undetermined.open_above(model, np.ones(12), None, solution, "a") == found


def test_an_upper_end_that_is_no_logarithm(monkeypatch):
    kind = {"log": False, "low": 0.0, "high": 20.0, "start": (0.5, 4.0)}
    model = profiled(monkeypatch, {10.0: 3.28, 0.5: 3.29}, **kind)
    for at, found in ((10.01, True), (9.99, False)):
        solution = SimpleNamespace(theta=np.array([at, at]), cost=1.0)
        assert undetermined.open_above(model, np.ones(12), None, solution, "a") == found


@pytest.mark.parametrize(
    ("half", "twice", "kind", "said"),
    [
        (3.28, 3.28, {}, "a = 4 is hardly identified: twice and half as much lie inside"),
        (3.28, 3.29, {}, "a = 4 is hardly identified: half as much lies inside"),
        (3.29, 3.28, {}, "a = 4 is hardly identified: twice as much lies inside"),
        (3.29, 3.29, {}, ""),
        (3.28, 3.28, {"high": np.log(8.0)}, "a = 4 is hardly identified: half as much lies inside"),
        (3.28, 3.28, {"high": np.log(8.01)}, "a = 4 is hardly identified: twice and half as much"),
        (3.28, 3.28, {"low": np.log(4.0)}, ""),  # at its lower end
        (3.28, 3.28, {"cost": 0.0}, ""),
        (3.28, 3.28, {"name": "b"}, ""),  # the law does not say that it is hard to tell
    ],
    ids=str,
)
def test_twice_and_half_of_what_a_law_says_is_hard_to_tell(monkeypatch, half, twice, kind, said):
    solution = SimpleNamespace(theta=np.log([4.0, 4.0]), cost=kind.get("cost", 1.0))
    told = {key: value for key, value in kind.items() if key != "cost"}
    model = profiled(monkeypatch, {np.log(2.0): half, np.log(8.0): twice}, **told)
    found = undetermined.hardly_known(model, np.ones(12), None, solution)
    assert [text[: len(said)] for text in found] == ([said] * 2 if said else [])


def test_half_of_what_is_no_logarithm(monkeypatch):
    model = profiled(monkeypatch, {2.0: 3.28, 8.0: 3.29}, log=False, low=0.0, high=9.0)
    solution = SimpleNamespace(theta=np.array([4.0, 4.0]), cost=1.0)
    found = undetermined.hardly_known(model, np.ones(12), None, solution)
    assert found[0].startswith("a = 4 is hardly identified: half as much lies inside")


def test_the_distance_in_size_and_data_together_is_that_from_their_hull():
    """By linear programming: the least change of both logarithms that leads to a mean of fitted points."""
    rng = np.random.default_rng(5)
    for count in (1, 2, 3, 5, 8, 8, 12, 12):
        points, at = rng.uniform(0, 3, (count, 2)), rng.uniform(-1, 4, 2)
        sides = np.column_stack([np.vstack([points.T, -points.T]), -np.ones(4)])
        least = linprog(
            np.r_[np.zeros(count), 1], sides, np.r_[at, -at], np.r_[np.ones(count), 0][None], [1.0], method="highs"
        )
        fitted = {name: tuple(10 ** points[:, j]) for j, name in enumerate("nd")}
        asked = {name: np.array([10 ** at[j]]) for j, name in enumerate("nd")}
        assert furthest({"n": "N", "d": "D"}, fitted, asked)[0] == pytest.approx(least.fun, abs=1e-9)
        alone = furthest({"n": "depth", "d": "D"}, fitted, asked)[0]  # a depth is no size: each by its own range
        assert alone == pytest.approx(max(0, *np.maximum(points.min(0) - at, at - points.max(0))))


def test_what_is_far_across_a_short_side_is_told_though_another_lies_further_along_a_long_one():
    """Two budgets .1 decades apart over two decades of N/D: 1.2 decades beyond in N/D are near, .5 in C are far."""
    corners = [(0.0, 0.0), (2.0, 0.0), (0.0, 0.1), (2.0, 0.1)]

    def rows(places):
        return {"N": np.array([10 ** (b + a) for a, b in places]), "D": np.array([10 ** (b - a) for a, b in places])}

    fitted = {name: tuple(values) for name, values in rows(corners).items()}
    said = [unsupported({"N": "N", "D": "D"}, fitted, rows(asked)) for asked in ([(3.2, 0.1)], [(1.0, 0.6)])]
    assert said == ["", "N and D together lie 0.5 decades beyond the fitted runs, which span 0.1"]
    for asked in ([(3.2, 0.1), (1.0, 0.6)], [(3.2, 0.6)]):
        assert unsupported({"N": "N", "D": "D"}, fitted, rows(asked)) == said[1]
    assert in_words(1.0, 9.6e-17, "the runs") == "1 decade beyond the runs, which span 0"


def test_the_side_on_which_a_point_lies():
    """Larger in one or both is beyond, smaller below; another ratio of size to data is neither."""
    corners = {"N": (1e6, 1e6, 1e8, 1e8), "D": (1e9, 1e10, 1e10, 1e11)}  # of a band along N ~ D^.5 to D^1
    cases = {(1e9, 1e11): "beyond", (1e5, 1e9): "below", (1e8, 1e13): "beyond", (1e8, 1e9): "outside"}
    for (N, D), where in {**cases, (1e6, 1e11): "outside"}.items():
        asked = {"N": np.array([N]), "D": np.array([D])}
        assert side({"N": "N", "D": "D"}, corners, asked) == where, (N, D)
