"""Warnings about fits and rows, from solutions, residuals and tables written by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import scalefit as sf
from scalefit.diagnosis import influence
from scalefit.diagnosis.checks import at_bounds, examine, find_outliers, sub_models
from scalefit.diagnosis.influence import Influence, standing_out, usual_target, without_each
from scalefit.diagnosis.leverage import expected_changes
from scalefit.diagnosis.residuals import Units, outlier_checks, still_falling, trends, under_trained, units_of
from scalefit.diagnosis.undetermined import undetermined
from scalefit.diagnosis.unread import unread
from scalefit.laws import Law, Parameter, Variable, find_law
from scalefit.numerics import MAD_TO_SIGMA
from scalefit.rows.gather import gather
from scalefit.rows.points import Points
from scalefit.rows.rows import Rows
from scalefit.runs import read_runs
from scalefit.runs.table import Runs
from scalefit.solver.model import bind
from scalefit.solver.objective import Objective
from scalefit.solver.solve import Settings, Solution, solve
from scalefit.uncertainty.estimate import Estimate

CHINCHILLA = find_law("chinchilla")
N, D = (grid.ravel() for grid in np.meshgrid([1e6, 1e7, 1e8], [1e8, 1e9, 1e10]))
TRUE = {"E": 1.7, "A": 400.0, "B": 410.0, "alpha": 0.34, "beta": 0.28}


def rows_of(values=None, in_curves=False, names=None, **variables):
    given = {name: np.asarray(column, dtype=float) for name, column in variables.items()}
    count = len(next(iter(given.values())))
    frame = pd.DataFrame({"run": names or [f"r{i}" for i in range(count)]})
    return Rows(given, None if values is None else np.asarray(values, float), frame, np.arange(count), in_curves)


def runs_of(**columns):
    return Runs(None, pd.DataFrame({"run": [f"r{i}" for i in range(len(next(iter(columns.values()))))], **columns}))


# --- a solution -------------------------------------------------------------------------------------------------------

MODEL = bind(CHINCHILLA, {"N": N, "D": D})
NOISE = 1e-3 * (-1.0) ** np.arange(9)


def theta_of(**changed):
    """The coordinates of a model at these parameters: logarithms where the model works on them."""
    named = TRUE | changed
    return np.array([np.log(named[c.name]) if c.log else named[c.name] for c in MODEL.coordinates])


def solution(starts=10, agree=10, agreeing=None, **given):
    """A solution at the true constants, which ``agree`` of its ``starts`` reached."""
    reached = np.arange(starts) < agree if agreeing is None else np.asarray(agreeing)
    told = {"converged": True, "iterations": 7, "cost": 1.0, "costs": np.where(reached, 1.0, 2.0), "theta": theta_of(),
            "sigma": 1e-3, "objective": Objective("log"), "ends": np.zeros((0, 5)), "residuals": NOISE}  # fmt: skip
    return Solution(**(told | given))


def codes(**given):
    rows = rows_of(CHINCHILLA.evaluate({"N": N, "D": D}, TRUE), N=N, D=D)
    return {check.code: check.text for check in examine(CHINCHILLA, MODEL, solution(**given), rows)}


def test_a_solution_without_fault():
    assert codes() == {}
    assert codes(agree=5) == {}
    assert codes(starts=1, agree=1) == {}
    assert codes(starts=3, agree=2) == {}


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"converged": False}, "not-converged", "the solver stopped after 7 iterations"),
        ({"agree": 4}, "starts-disagree", "only 4 of 10 starts reached this optimum"),
        ({"starts": 2, "agree": 1}, "starts-disagree", "only 1 of 2 starts"),
        ({"starts": 3, "agree": 1}, "starts-disagree", "only 1 of 3 starts"),
        ({"sigma": 1e3}, "not-identified", "cannot be identified: other values, over the whole range searched"),
    ],
)
def test_faults_of_a_solution(given, code, said):
    found = codes(**given)
    assert list(found) == [code]
    assert said in found[code]


def test_terms_that_are_zero_and_other_bounds():
    names = [c.name for c in MODEL.coordinates]
    assert at_bounds(MODEL, theta_of()) == {}
    gone = theta_of(A=1e-30, E=1e-30)
    found = at_bounds(MODEL, gone)
    assert found["A"] == ("its lower bound 0", True)
    assert "E" in found
    text = codes(theta=theta_of(A=1e-30))["at-bound"]
    assert "A ended at its lower bound 0: its term (" in text
    assert "is zero; take a law without that term" in text
    assert "these runs show no irreducible loss; take a law without it" in codes(theta=theta_of(E=1e-30))["at-bound"]
    j = names.index("alpha")
    for end, word in ((MODEL.low[j], "lower"), (MODEL.high[j], "upper")):
        theta = theta_of()
        theta[j] = end
        (bound, zero) = at_bounds(MODEL, theta)["alpha"]
        assert bound == f"its {word} bound {np.exp(end) if MODEL.coordinates[j].log else end:g}"
        assert not zero
        told = codes(theta=theta)["at-bound"]
        assert ", the end of its domain: these runs do not determine it; add runs over" in told and "widen" not in told
        theta[j] = end + (1e-8 if word == "lower" else -1e-8) * max(abs(end), 1e-3)
        assert "alpha" in at_bounds(MODEL, theta)
        theta[j] = end + (1e-5 if word == "lower" else -1e-5) * max(abs(end), 1.0)
        assert "alpha" not in at_bounds(MODEL, theta)


def test_starts_that_missed_are_counted_by_where_they_ended():
    ends = np.stack([theta_of(A=1e-30), theta_of(), theta_of(A=1e-30), theta_of(alpha=0.5), theta_of(E=1e-30)])
    found = sub_models(MODEL, solution(ends=ends, agreeing=np.array([False, True, False, False, False])))
    assert found == {"without A": 2, "elsewhere": 1, "without E": 1}


@pytest.mark.parametrize(("value", "told"), [(0.3, False), (-0.1, True)])
def test_fixed_values_outside_their_domain(value, told):
    model = bind(CHINCHILLA, {"N": N, "D": D}, fix={"alpha": value})
    theta = np.array([np.log(TRUE[c.name]) if c.log else TRUE[c.name] for c in model.coordinates])
    rows = rows_of(np.ones(9), N=N, D=D)
    found = [check.text for check in examine(CHINCHILLA, model, solution(theta=theta, sigma=1e-6), rows)]
    assert any(text.startswith("alpha = -0.1 lies outside its domain, 0 to ") for text in found) == told


def test_parameters_that_change_together():
    """With one size E and the term of N cannot be told apart."""
    one = bind(CHINCHILLA, {"N": np.full(9, 1e7), "D": np.geomspace(1e8, 1e10, 9)})
    said = undetermined(one, np.ones(9), None, solution())
    assert "can change together without changing any prediction for these rows" in said
    assert set(said.split(" can ")[0].replace(" and ", ", ").split(", ")) <= {"E", "A", "alpha"}
    few = bind(CHINCHILLA, {"N": N[:3], "D": D[:3]})
    assert "can change together" in undetermined(few, np.ones(3), None, solution())
    assert undetermined(MODEL, np.ones(9), None, solution()) == ""


def outliers(residuals, sigma=0.1, loss="huber"):
    runs = runs_of(N=np.ones(len(residuals)), loss=np.ones(len(residuals)))
    found = find_outliers(
        rows_of(N=np.ones(len(residuals))), runs, SimpleNamespace(loss=loss), np.array(residuals), sigma
    )
    return [(each.run, round(each.sigmas, 6)) for each in found]


def test_rows_beyond_five_sigma_the_farthest_first():
    assert outliers([0.0, 0.51, -0.9, 0.49]) == [("r2", 9.0), ("r1", -5.1)]
    assert outliers([0.51], loss="squared") == outliers([0.51], sigma=0.0) == []
    assert outliers([4e-12], sigma=1e-15) == []  # less than rounding
    assert outliers([6e-12], sigma=1e-15) == [("r0", -6000.0)]


# --- residuals --------------------------------------------------------------------------------------------------------


def trend(slope=0.02, noise=0.001, count=16, seed=0, **scales):
    """Residuals that change by ``slope`` per decade of N over the larger half, with alternating noise."""
    size = np.geomspace(1e6, 1e9, count) if not scales else scales["N"]
    wiggle = noise * np.random.default_rng(seed).permutation(np.linspace(-1, 1, count))
    return Units(np.array([f"r{i}" for i in range(count)]), slope * np.log10(size / 1e6) + wiggle, {"N": size})


POWER = find_law("power:over=N")


def power_units(units):
    return Units(units.names, units.residual, {"x": units.variables["N"]})


@pytest.mark.parametrize(
    ("slope", "noise", "sigma", "unit", "told"),
    [
        (0.02, 1e-5, 1e-5, 1.0, "+2 %"),
        (-0.02, 1e-5, 1e-5, 1.0, "-2 %"),
        (0.0098, 1e-5, 1e-5, 1.0, ""),  # less than 1 % a decade
        (0.0112, 1e-5, 1e-5, 1.0, "+1.1 %"),
        (0.02, 0.004, 0.0072, 1.0, ""),  # less than three times the noise of the fit
        (0.02, 1e-5, 0.02, 1.0, "+2 %"),  # the noise of the fit is the trend itself
        (0.03, 1e-5, 1e-5, 2.0, "+0.03"),
        (0.0195, 1e-5, 1e-5, 2.0, ""),
    ],
)
def test_trends_with_scale(slope, noise, sigma, unit, told):
    found = trends(POWER, power_units(trend(slope, noise)), sigma, unit)
    assert bool(found) == bool(told)
    if told:
        assert f"change by {told} per decade of N" in found[0].text


def test_trends_need_fourteen_runs_and_four_scales():
    assert trends(POWER, power_units(trend(count=14)), 0.001, 1.0)
    assert not trends(POWER, power_units(trend(count=13)), 0.001, 1.0)
    few = trend(N=np.repeat([1e6, 1e7, 1e8, 1e9], 4))
    assert not trends(POWER, power_units(few), 0.001, 1.0)  # two scales in the larger half


def test_curves_count_once_by_their_last_quarter():
    names, loss = ["a"] * 8 + ["b"] * 8, np.arange(16.0)
    units = units_of(POWER, rows_of(in_curves=True, names=names, x=np.arange(16.0) + 1), -loss)
    assert units.names.tolist() == ["a", "b"]
    assert units.residual.tolist() == [6.5, 14.5]
    assert units.variables["x"].tolist() == [7.5, 15.5]
    single = units_of(POWER, rows_of(in_curves=True, names=["a"] * 32, x=np.arange(32.0) + 1), -np.arange(32.0))
    assert single.residual.tolist() == [2 * k + 0.5 for k in range(16)]
    each = units_of(POWER, rows_of(names=["a", "a"], x=[1.0, 2.0]), np.array([1.0, -2.0]))
    assert each.residual.tolist() == [-1.0, 2.0]


def short(ratios, residuals, sigma=0.01):
    size = np.full(len(ratios), 1e6)
    units = Units(np.array([f"r{i}" for i in range(len(ratios))]), np.array(residuals), {"N": size, "D": size * ratios})
    found = under_trained(CHINCHILLA, units, sigma)
    return found[0].text if found else ""


def test_runs_with_few_tokens_per_parameter():
    above = [0.031, 0.031] + [0.0] * 8
    said = short([1.0, 1.5] + [20.0] * 8, above)
    assert said.startswith(
        "2 runs (r0, r1) saw at most 1.5 tokens per parameter (median of the others 20; 3.1 sigma above"
    )
    assert short([3.0, 3.0] + [20.0] * 8, above) == ""  # not ten times fewer
    assert short([1.9, 1.9] + [20.0] * 8, [0.029, 0.029] + [0.0] * 8).startswith("2 runs (r0, r1) saw at most 1.9")
    assert "no run in between" in short([1.9, 1.9] + [20.0] * 8, [0.0] * 10)
    assert short([2.1, 2.1] + [30.0] * 8, [0.0] * 10) == ""
    assert short([0.5] * 3 + [20.0] * 7, [0.0] * 10) == ""  # more than a quarter of all
    assert short([0.5, 1, 1.8, 3, 6, 10, 20, 20, 20, 20], [0.0] * 10) == ""  # no decade without runs
    assert short([1.0] + [20.0] * 7, [0.05] + [0.0] * 7) != ""
    assert short([1.0] + [20.0] * 6, [0.05] + [0.0] * 6) == ""  # seven runs are too few
    assert short([1.0] + [20.0] * 9, [0.05] + [0.0] * 9, sigma=0.0) == ""


def falling(powers, last=3000):
    """Curves that end as powers of the step, with a row at every hundredth step."""
    step = np.arange(100, last + 1, 100)
    parts = [
        pd.DataFrame({"run": f"r{i}", "step": step, "loss": 3 * (step / last) ** -p}) for i, p in enumerate(powers)
    ]
    curves = pd.concat(parts, ignore_index=True)
    curves["run"] = pd.Categorical(curves["run"])
    table = pd.DataFrame({"run": [f"r{i}" for i in range(len(powers))], "N": np.geomspace(1e6, 1e8, len(powers))})
    rows = rows_of(np.ones(len(powers)), x=table["N"])
    return [check.text for check in still_falling(POWER, rows, Runs(curves, table), "loss")]


def test_curves_that_still_fall():
    (said,) = falling([0.04, 0.04, 0.04, 0.16])
    assert said.startswith("the last loss of 1 run (r3) still falls as step^-0.16 (median run: step^-0.04)")
    assert falling([0.04, 0.04, 0.04, 0.14]) == []
    assert falling([0.06, 0.06, 0.06, 0.17]) == []  # less than three times the usual
    assert falling([0.06, 0.06, 0.06, 0.19])
    assert falling([0.04, 0.04, 0.16]) == []
    assert falling([0.04, 0.04, 0.04, 0.16], last=600) == []  # three rows in the last third


@pytest.mark.parametrize(
    ("residual", "sigma", "log", "codes"),
    [
        ([0.0] * 9 + [0.081], 0.01, True, ["outliers"]),
        ([0.0] * 9 + [0.079], 0.01, True, []),
        ([0.0] * 9 + [0.0101], 0.001, True, ["outliers"]),
        ([0.0] * 9 + [0.0099], 0.001, True, []),
        ([0.0] * 9 + [0.0099], 0.001, False, ["outliers"]),
        ([0.0] * 8 + [0.3665, 0.3665], 0.001, True, ["mixed-conventions", "outliers"]),
        ([0.0] * 8 + [-0.357, 0.376], 0.001, True, ["mixed-conventions", "outliers"]),
        ([0.0] * 8 + [0.355, 0.378], 0.001, True, ["outliers"]),
        ([0.0] * 9 + [0.3665], 0.001, True, ["outliers"]),
        ([0.0] * 8 + [0.3665, 0.3665], 0.001, False, ["outliers"]),
    ],
)
def test_runs_far_from_the_law(residual, sigma, log, codes):
    units = Units(np.array([f"r{i}" for i in range(10)]), np.array(residual), {})
    found = outlier_checks(units, np.zeros(40), 40, sigma, log)
    assert [check.code for check in found] == codes


def test_outliers_in_words_the_farthest_first():
    units = Units(np.array([f"r{i}" for i in range(12)]), np.array([0.0] * 8 + [0.1, -0.4, 0.2, 0.3]), {})
    (found,) = outlier_checks(units, np.zeros(12), 12, 0.01, True)
    assert "outliers: 4 rows (r9, r11, r10, ...) of 12, up to 40 sigma from the law" in found.text
    (one,) = outlier_checks(Units(units.names, np.array([0.0] * 11 + [0.1]), {}), np.zeros(99), 99, 0.01, True)
    assert "outliers: 1 run (r11) of 12" in one.text


def test_the_tail_of_the_residuals_sets_what_is_an_outlier():
    """90 % of the residuals lie within 0.0164: as for a normal noise of 0.01, of which eight are 0.08."""
    residuals = np.r_[np.full(95, 0.0164485), np.full(5, 1.0)]

    def found(largest):
        units = Units(np.array(["a", "b"]), np.array([largest, 0.0164]), {})
        return [check.text for check in outlier_checks(units, residuals, 2, 0.001, True)]

    assert "1 row (a) of 2" in found(0.0801)[0]
    assert found(0.0799) == []


@pytest.mark.parametrize(
    ("others", "count"),
    [
        ([0.06, 0.035, 0.02, 0.01], 0),  # each run lies a little further off than the next: the law's own tail
        ([0.034, 0.01, 0.01, 0.01], 1),
        ([0.044, 0.01, 0.01, 0.01], 2),  # three and a half times as far as the next is apart, and both are far
        ([0.12, 0.1, 0.01, 0.01], 3),
    ],
)
def test_outliers_stand_apart_from_all_other_runs(others, count):
    size = np.array([0.15, *others, *[0.004] * 60])
    found = outlier_checks(Units(np.arange(65).astype(str), size, {}), size, 65, 0.0043, True)
    assert ([check.text.partition(" row")[0] for check in found] or ["outliers: 0"]) == [f"outliers: {count}"]


# --- columns that the law does not read -------------------------------------------------------------------------------


def told(law, table, **variables):
    runs = Runs(None, pd.DataFrame(table).assign(run=[f"r{i}" for i in range(len(next(iter(table.values()))))]))
    return [check.text for check in unread(law, rows_of(np.ones(len(runs.table)), **variables), runs)]


def test_the_other_scale_of_a_law_in_one_variable():
    size = [1e6, 1e7, 1e8] * 2
    (said,) = told(POWER, {"N": size, "D": [1e9] * 3 + [1e10] * 3}, x=size)
    assert said.startswith("D varies at the same N, and the law does not read it: keep runs of one D ")
    assert '(--where "D == 10000000000")' in said
    assert said.endswith(", or fit a law of both, such as chinchilla")
    assert told(POWER, {"N": size, "D": [20 * n for n in size]}, x=size) == []
    assert told(POWER, {"N": size[:2], "D": [1e9, 1e10]}, x=size[:2]) == []
    two = told(POWER, {"N": [1e6, 1e7] * 2, "D": [1e9, 1e9, 1e11, 1e11]}, x=[1e6, 1e7] * 2)
    assert "--where" not in two[0]  # two values of N at each D are too few
    compute = find_law("power:over=C")
    C = [1e15, 1e16, 1e17] * 2
    (said,) = [t for t in told(compute, {"C": C, "N": [1e6] * 3 + [1e8] * 3}, x=C) if "varies" in t]
    assert said.endswith(
        "N varies at the same C, and the law does not read it: keep the run with the lowest loss of each C"
    )


def test_sweeps_at_the_same_sizes():
    size, data = [1e6, 1e6, 1e7, 1e7], [1e9, 1e9, 1e10, 1e10]
    (said,) = told(CHINCHILLA, {"N": size, "D": data, "peak_lr": [1e-3, 2e-3, 1e-3, 2e-3]}, N=size, D=data)
    assert said.startswith(
        "runs with the same N and D differ in peak_lr (up to 2 values of peak_lr), which the law does"
    )
    assert (
        "keep the run with the lowest loss of each N and D (--best-of peak_lr; in Python sf.best_of), or runs of one "
        in said
    )
    assert told(CHINCHILLA, {"N": size, "D": data, "peak_lr": [1e-3] * 4}, N=size, D=data) == []


@pytest.mark.parametrize(("swept", "told_of"), [(2, False), (4, True), (6, True)])
def test_sweeps_of_a_third_of_the_runs(swept, told_of):
    """Ten runs: the first so many stand in pairs at one size, with two peak learning rates each."""
    size = np.array([10.0 ** (6 + i // 2) if i < swept else 10.0 ** (7 + i) for i in range(10)])
    table = {"N": size, "D": 20 * size, "peak_lr": np.where(np.arange(10) % 2, 1e-3, 2e-3)}
    assert bool(told(CHINCHILLA, table, N=size, D=20 * size)) == told_of


def test_curves_of_several_sizes_under_a_law_of_the_schedule():
    rows = [
        {"run": r, "step": s, "lr": 1 - s / 20, "loss": 4 - s / 10, "N": n}
        for r, n in (("a", 1e6), ("b", 2e6))
        for s in range(9)
    ]
    runs = read_runs(pd.DataFrame(rows))
    law = find_law("annealing")
    (check,) = unread(law, gather(law, runs), runs)
    assert check.code == "mixed-runs"
    assert check.text.startswith("the runs differ in N (N: 1000000.0, 2000000.0), which the law does not read")


# --- influence --------------------------------------------------------------------------------------------------------

LINE = Estimate(find_law("A * N**-1 + B"), {"A": 2.0, "B": 1.0}, log=False, sigma=0.1)


def linear(values, counts=None):
    """The same from ordinary least squares of y = A/N + B, refitted without each run."""
    x = np.array([1.0, 0.5, 0.25, 0.2, 0.125, 0.1])
    X = np.stack([x, np.ones(6)], axis=1)
    found = {}
    for i in range(6):
        keep = np.arange(6) != i
        found[f"r{i}"] = tuple(np.linalg.lstsq(X[keep], values[keep], rcond=None)[0])
    return X, found


def test_the_usual_change_of_a_line_without_each_row():
    """Noise of size 1 in all rows moves a least-squares line at x by its own weights, with and without each row."""
    rng = np.random.default_rng(0)
    values = 1 + 2 * np.array([1.0, 0.5, 0.25, 0.2, 0.125, 0.1]) + 0.1 * rng.standard_normal(6)
    X, without = linear(values)
    order = list(LINE.law.parameters)
    columns = {"A": 0, "B": 1}
    without = {run: tuple(theta[columns[name]] for name in order) for run, theta in without.items()}
    points = Points(tuple(without), None, {"N": tuple(1 / X[:, 0])}, tuple(values))
    at = np.array([0.05, 1.0])
    found = expected_changes(LINE, without, points, {"N": np.array([20.0])})
    whole = at @ np.linalg.inv(X.T @ X) @ X.T
    for i in range(6):
        rest = np.delete(X, i, axis=0)
        part = np.insert(at @ np.linalg.inv(rest.T @ rest) @ rest.T, i, 0.0)
        assert found[i] == pytest.approx(np.linalg.norm(whole - part), rel=1e-6)
    made = Influence(LINE, without, points, 2, None).changes({"N": np.array([20.0])})
    here = 1 + 2 / 20
    for run, theta in without.items():
        value = dict(zip(order, theta, strict=True))
        assert made.loc[run, "prediction"] == pytest.approx(value["A"] / 20 + value["B"])
        assert made.loc[run, "change"] == pytest.approx(value["A"] / 20 + value["B"] - here)
    assert (np.diff(made["change"].abs()) <= 0).all()
    missing = Influence(LINE, {**without, "r2": ()}, points, 2, None).changes({"N": np.array([20.0])})
    assert missing.index[0] == "r2"
    assert np.isnan(missing.loc["r2", "change"])


@pytest.mark.parametrize(
    ("log", "here", "sigma", "ends", "wanted"),
    [
        (True, 2.0, 1e-4, None, 0.003),
        (True, 2.0, 0.01, None, 0.01645),
        (False, 2.0, 1e-4, None, 0.006),
        (True, 2.0, 1e-4, (1.9, 2.3), 0.5 * 0.2 / 2),
        (False, 2.0, 1e-4, (1.9, 2.3), 0.5 * 0.2),
        (True, 2.0, 0.1, (1.9, 2.3), 0.1645),
    ],
)
def test_the_least_change_that_can_be_influential(log, here, sigma, ends, wanted):
    told = SimpleNamespace(at=lambda fit, point, level, kind: ends) if ends else None
    made = Influence(SimpleNamespace(log=log, sigma=sigma), {}, None, 2, told)
    assert made._least({"N": [1.0]}, here) == pytest.approx(wanted)
    assert made.checks({"N": np.array([1.0])}) == []


@pytest.mark.parametrize(("count", "named"), [(1, "one run: "), (3, "3 single runs: "), (5, "5 single runs: ")])
def test_influential_runs_in_words(monkeypatch, count, named):
    table = pd.DataFrame(
        {
            "prediction": 2.5, "change": 0.25, "by_chance": 0.01, "alone": [True] + [False] * (count - 1),
            "influential": True, "run": [f"r{i}" for i in range(count)],
        }
    ).set_index("run")  # fmt: skip
    monkeypatch.setattr(Influence, "changes", lambda self, variables: table)
    law = find_law("power:over=N")
    fit = Estimate(law, {"A": 2.0, "alpha": 0.0}, log=True, sigma=0.1)
    (check,) = Influence(fit, {"r0": (1.0, 1.0)}, None, 2, None).checks({"x": np.array([1e9])})
    assert check.text.startswith(
        f"the prediction 2 at N = 1e+09 depends on {named}without r0 it is 2.5 (+25 %; no other run"
    )
    assert (f" and {count - 3} more, see Fit.influence" in check.text) == (count > 3)
    assert ("without r1 it is 2.5 (+25 %; usual change 1 %)" in check.text) == (count > 1)


def test_what_stands_out_by_the_numbers():
    """Six runs with expected changes 1: the limit is Student's t at one in 600 with 4 degrees of freedom."""
    limit = stats.t.ppf(1 - 0.01 / 12, 4)
    for factor, found in ((0.99, False), (1.01, True)):
        change = np.array([0.1, -0.1, 0.1, -0.1, 0.1, factor * limit])
        noise, alone, far = standing_out(change, np.ones(6), 1.0, 0.5, 2)
        assert far.tolist() == [False] * 5 + [found]
        assert noise.tolist() == [1.0] * 6
        assert not alone.any()
    noise, _, _ = standing_out(np.full(6, 2.0), np.ones(6), 1.0, 0.5, 2)
    assert noise == pytest.approx(2 * MAD_TO_SIGMA)
    for share, middle in ((0.09, 2.0), (0.11, 50.0)):  # runs below a tenth of the largest do not enter the noise
        several = np.repeat([1.0, share], [5, 6])
        noise, _, _ = standing_out(several * np.repeat([2.0, 50.0], [5, 6]), several, 1.0, 0.5)
        assert noise == pytest.approx(middle * MAD_TO_SIGMA * several)
    expected = np.array([1.0, 0.1, 0.1, 0.1, 0.1])  # one run has 1/1.04 of the variance
    _, alone, far = standing_out(np.array([3.1, 0, 0, 0, 0]), expected, 1.0, 0.5)
    assert (alone.tolist(), far.tolist()) == ([True] + [False] * 4, [True] + [False] * 4)
    assert not standing_out(np.array([2.9, 0, 0, 0, 0]), expected, 1.0, 0.5)[2].any()
    assert not standing_out(np.full(4, 9.0), np.ones(4), 1.0, 0.5)[2].any()


def test_where_influence_is_judged():
    root = 10**0.5
    rows = rows_of([3.0, 2.0, 2.5], N=[1e6, 1e8, 1e7], D=[1e9, 1e9, 1e10])
    point = usual_target(CHINCHILLA, rows)
    assert {name: value.tolist() for name, value in point.items()} == {"N": [1e8 * root], "D": [1e9 * root]}
    compute = usual_target(find_law("power:over=C"), rows_of([3.0, 2.0], x=[1e15, 1e16]))
    assert compute["x"].tolist() == [1e17]
    other = usual_target(find_law("power:over=width"), rows_of([3.0, 2.0, 2.5], x=[9.0, 7.0, 8.0]))
    assert other["x"].tolist() == [7.0]


def test_refits_without_each_run_are_fits_without_it():
    law = find_law("power:over=N")
    size = np.geomspace(1e6, 1e9, 7)
    loss = 20 * size**-0.1 * np.exp(0.01 * np.random.default_rng(2).standard_normal(7))
    rows, model = rows_of(loss, x=size), bind(law, {"x": size})
    settings = Settings(loss="squared")
    found = without_each(law, model, rows, None, solve(model, loss, None, settings))
    assert list(found) == [f"r{i}" for i in range(7)]
    for i in range(7):
        keep = np.arange(7) != i
        slope, height = np.polyfit(np.log(size[keep]), np.log(loss[keep]), 1)
        named = dict(zip(law.parameters, found[f"r{i}"], strict=True))
        assert (named["alpha"], np.log(named["A"])) == pytest.approx((-slope, height), rel=1e-4)
    assert (
        without_each(law, model.take(slice(3)), rows_of(loss[:3], x=size[:3]), None, solve(model, loss, None, settings))
        == {}
    )
    one = rows_of(loss, names=["a"] * 7, x=size)
    assert without_each(law, model, one, None, solve(model, loss, None, settings)) == {}
    assert influence._needed(law, rows_of(loss[:3], x=[1.0, 1.0, 2.0]), 2, 3)
    assert not influence._needed(law, rows_of(loss[:3], x=[1.0, 1.0, 2.0]), 0, 3)


# --- an end of the domain that these rows do not press against --------------------------------------------------------


class Fading(Law):
    """A power that becomes an exponential where its exponent is large.

    L(t) = A (1 + c t)^-b
    """

    name = "fading-power"
    t = Variable("1", "time", span=(0.1, 10.0))
    A = Parameter("nats/token", "size", linear=True)
    b = Parameter("1", "exponent", high=5.0, starts=(0.05, 2.0))
    c = Parameter("1", "rate", starts=(0.01, 10.0))

    @staticmethod
    def formula(t, A, b, c):
        return A * (1 + c * t) ** -b


@pytest.mark.parametrize(("longest", "pressed"), [(0.2, False), (5.0, True)])
def test_an_upper_end_is_told_only_where_the_rows_press_against_it(longest, pressed):
    """Rows of an exponential: over a fifth of its decay time b = 2.5 fits as well as 5, over five times it does not."""
    t = np.linspace(0.01, longest, 40)
    wobble = 0.01 * np.cos(7 * np.arange(40))
    fit = sf.fit(pd.DataFrame({"t": t, "loss": 3 * np.exp(-t + wobble - 0.05 * t**2)}), Fading)
    assert fit["b"] == pytest.approx(5.0, rel=1e-3)
    assert ("at-bound" in {check.code for check in fit.warnings}) == pressed


@pytest.mark.parametrize(("end", "said"), [("low", "its lower bound 0.02"), ("high", "its upper bound 5")])
def test_the_end_of_a_logarithmic_coordinate_is_told_as_the_parameter_itself(end, said):
    model = bind(CHINCHILLA, {"N": N, "D": D}, starts={"alpha": (0.05, 4.0)}, bounds={"alpha": (0.02, 5.0)})
    j = [coordinate.name for coordinate in model.coordinates].index("alpha")
    assert model.coordinates[j].log
    theta = theta_of()
    theta[j] = getattr(model, end)[j]
    assert at_bounds(model, theta)["alpha"] == (said, False)
