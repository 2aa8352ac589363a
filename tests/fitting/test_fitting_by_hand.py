"""What a fit starts from, what it says, and its predictions and errors, from fits written by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from scalefit import numerics
from scalefit.diagnosis.checks import Check, Outlier
from scalefit.errors import InputError
from scalefit.fitting import cautions, prediction, streaming, summary
from scalefit.fitting.prepare import Options, prepare
from scalefit.fitting.recipe import another_recipe, asked_recipe, recipe_of
from scalefit.laws import find_law
from scalefit.rows.gather import gather
from scalefit.runs import read_runs
from scalefit.solver.derivatives import curvatures, measure
from scalefit.solver.objective import Objective
from scalefit.uncertainty.calibration import Calibration, EarlierCalibration

CHINCHILLA = find_law("chinchilla")
TRUE = {"E": 1.7, "A": 400.0, "B": 410.0, "alpha": 0.34, "beta": 0.28}
N, D = (grid.ravel() for grid in np.meshgrid([1e6, 1e7, 1e8], [1e8, 1e9, 1e10]))
TABLE = pd.DataFrame({"N": N, "D": D, "loss": CHINCHILLA.evaluate({"N": N, "D": D}, TRUE)})


def ready(table=TABLE, **options):
    return prepare(read_runs(table, need=()), "chinchilla", Options(**options))


# --- what a fit starts from -------------------------------------------------------------------------------------------


def test_rows_of_weight_zero_are_left_out():
    made = ready(TABLE.assign(w=[0, 1, 2, 3, 1, 1, 1, 1, 1]), weights="w")
    assert made.weights.tolist() == [1, 2, 3, 1, 1, 1, 1, 1]
    assert len(made.rows) == 8
    assert re.fullmatch("1 rows? of weight 0 left out", made.rows.notes[-1])
    assert ready(TABLE.assign(w=2.0), weights="w").weights.tolist() == [2.0] * 9
    assert ready().weights is None


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_weights_that_are_none(weight):
    with pytest.raises(InputError, match="give weights >= 0, one of them positive"):
        ready(TABLE.assign(w=[1.0] * 8 + [weight]), weights="w")
    with pytest.raises(InputError, match="give weights >= 0"):
        ready(TABLE.assign(w=0.0), weights="w")
    with pytest.raises(InputError, match='no column "v" for the weights'):
        ready(weights="v")


def test_settings_of_a_fit():
    assert ready().settings.residuals == "log"
    assert ready(residuals="linear").settings.residuals == "linear"
    assert ready().settings.starts == 8
    assert ready().free == 5
    assert ready(fix={"E": 1.7}).free == 4
    assert ready(target="loss").target == "loss"
    assert ready().start is None


def test_starts_by_name():
    start = ready(start={"alpha": 0.4, "A": 300.0}).start
    model = ready().model
    for j, coordinate in enumerate(model.coordinates):
        wanted = {"alpha": 0.4, "A": 300.0}.get(coordinate.name)
        if wanted is None:
            wanted = sum(coordinate.start) / 2
        elif coordinate.log:
            wanted = np.log(wanted)
        assert start[0, j] == pytest.approx(wanted)
    table = ready(start=pd.DataFrame({"alpha": [0.2, 0.3, 0.4]})).start
    assert len(table) == 3
    with pytest.raises(InputError, match="not a finite number"):
        ready(start=pd.DataFrame({"alpha": [0.2, np.nan]}))
    with pytest.raises(InputError, match='has no parameter "gamma"'):
        ready(start={"gamma": 1.0})


def parameter(value, vary=True, low=-np.inf, high=np.inf, expr=None):
    return SimpleNamespace(value=value, vary=vary, min=low, max=high, expr=expr)


def test_settings_from_parameters_of_lmfit():
    made = ready(
        parameters={
            "E": parameter(1.5, vary=False),
            "alpha": parameter(0.3, low=0.1),
            "beta": parameter(0.3, expr="alpha"),
            "A": parameter(np.inf),
        }
    )
    assert made.given["fix"]["E"] == 1.5
    assert made.given["tie"] == {"beta": "alpha"}
    assert made.given["bounds"] == {"alpha": (0.1, None)}
    assert made.given["start"] == {"alpha": 0.3}
    own = ready(
        parameters={"E": parameter(1.5, vary=False), "alpha": parameter(0.3)}, fix={"E": 2.0}, start={"alpha": 0.2}
    )
    assert own.given["fix"]["E"] == 2.0
    assert own.given["start"] == {"alpha": 0.2}


def test_rows_that_identify_too_little_are_fitted_by_force():
    few = TABLE[TABLE["N"] == 1e6].assign(D=[1e8, 1e9, 1e10])
    wide = pd.concat([few, few.assign(loss=few["loss"] + 0.01)], ignore_index=True)
    with pytest.raises(InputError):
        ready(wide)
    assert len(ready(wide, force=True).doubts) == 1
    with pytest.raises(InputError):
        ready(few, force=True)  # fewer rows than parameters
    assert ready().doubts == ()


# --- predictions ------------------------------------------------------------------------------------------------------


def fit_of(law=CHINCHILLA, ranges=None, **more):
    given = {
        "law": law,
        "ranges": ranges or {"N": (1e6, 1e8), "D": (1e8, 1e10)},
        "target": "loss",
        "recipe": {},
        "parameters": {},
        "points": SimpleNamespace(variables=ranges or {}),
    }
    return SimpleNamespace(**(given | more))


@pytest.mark.parametrize(
    ("ranges", "at", "said"),
    [
        ({"N": (1e6, 1e7)}, {"N": 0.99e8}, ""),
        ({"N": (1e6, 1e7)}, {"N": 1.1e8}, "N lies 1 decade beyond the fitted runs, which span 1"),
        ({"N": (1e6, 1e7)}, {"N": 0.9e5}, "N lies 1 decade below the fitted runs, which span 1"),
        ({"N": (1e6, 1e6)}, {"N": 1.9e6}, ""),  # up to 0.3 decades
        ({"N": (1e6, 1e6)}, {"N": 2.1e6}, "N lies 0.32 decades beyond the fitted runs, which span 0"),
        ({"N": (1e2, 1e8)}, {"N": 0.99e10}, ""),
        ({"N": (1e2, 1e8)}, {"N": 1.1e10}, "N lies 2 decades beyond"),
        ({"N": (0.0, 1e8)}, {"N": 1.1e10}, "N lies 2 decades beyond the fitted runs, which begin at 0"),
        ({"N": (0.0, 1e8)}, {"N": 0.0}, ""),
        ({"N": (1e6, 1e7), "D": (1e8, 1e9)}, {"N": 1e9, "D": 1e12}, "D lies 3 decades beyond"),
        ({"N": (1e6, 1e7), "D": (1e8, 1e9)}, {"N": 1e11, "D": 1e12}, "N lies 4 decades beyond"),
    ],
)
def test_how_far_beyond_the_fitted_runs(ranges, at, said):
    found = cautions.far_beyond(fit_of(ranges=ranges), {name: np.array([1e6, v]) for name, v in at.items()})
    assert bool(found) == bool(said)
    if said:
        assert found[0].text.startswith(said)


def test_single_values_by_name():
    single = prediction._single(fit_of(), {"N": "1B", "D": [1e9, 2e9]})
    assert {name: values.tolist() for name, values in single.items()} == {"N": [1e9, 1e9], "D": [1e9, 2e9]}
    assert prediction._single(fit_of(), {"N": 1e9, "C": 6e18})["D"].tolist() == [1e9]
    assert prediction._single(fit_of(), {"D": 1e9, "C": 6e18})["N"].tolist() == [1e9]
    compute = fit_of(law=find_law("power:over=C"))
    assert prediction._single(compute, {"N": 2.0, "D": 3.0})["x"].tolist() == [36.0]
    assert prediction._single(compute, {"x": 5.0})["x"].tolist() == [5.0]
    for at, said in (
        ({"N": [1, 2], "D": [1, 2, 3]}, "N has 2 values, others 3; give 1 or 3 values of each variable"),
        ({"N": 1e9}, "D is not given"),
        ({"N": 1e9, "D": 1e9, "mood": 3}, 'the law has no variable "mood"'),
        ({"N": [0.0, 1.0], "D": 1e9}, "N = 0 is not positive"),
        ({"N": "many", "D": 1e9}, "'many' is not a number|many"),
    ):
        with pytest.raises(InputError, match=said):
            prediction._single(fit_of(), at)


def test_errors_of_predictions():
    """Off by 1, -1 and 0 where 2, 4 and 3 were measured, whose squared spread is 2."""
    found = numerics.errors(np.array([3.0, 3.0, 3.0]), np.array([2.0, 4.0, 3.0]))
    assert found == pytest.approx(
        {"points": 3, "r2": 0.0, "mae": 2 / 3, "rmse": (2 / 3) ** 0.5, "mean_relative": 0.25, "worst_relative": 0.5}
    )
    assert np.isnan(numerics.errors(np.array([3.0]), np.array([3.0]))["r2"])


CURVE = find_law("annealing")


def curve_fit(value=3.0):
    return fit_of(
        law=CURVE, points=SimpleNamespace(steps=(1,)), evaluate=lambda variables: np.full(len(variables["S1"]), value)
    )


def log_of(**losses):
    rows = [
        {"run": run, "step": step, "lr": 1.0, "loss": loss}
        for run, some in losses.items()
        for step, loss in enumerate(some)
    ]
    return pd.DataFrame(rows)


def test_scores_of_curves_by_run():
    table = prediction.score(curve_fit(), log_of(a=[9, 2, 4, 3], b=[9, 3, 3, 2.5]))
    assert table.index.tolist() == ["a", "b", "mean"]
    assert table.loc["a", "mae"] == pytest.approx((1 + 1 + 0) / 3)  # the law begins after step 0
    assert table["final"].tolist() == pytest.approx([0.0, 0.2, 0.1])
    assert table["points"].tolist() == [3, 3, 3]
    one = prediction.score(curve_fit(), log_of(a=[9, 2, 4, 3.75]))
    assert one.index.tolist() == ["a"]
    assert one["final"].tolist() == pytest.approx([-0.2])
    final = fit_of(points=SimpleNamespace(steps=None), evaluate=lambda variables: np.full(9, 3.0))
    assert prediction.score(final, TABLE).index.tolist() == ["9 runs"]
    with pytest.raises(InputError, match="no row has a measured value"):
        prediction.score(final, TABLE.assign(loss=np.nan))


@pytest.mark.parametrize(
    ("plan", "every", "steps"),
    [
        ("linear:peak_lr=1,steps=10", None, list(range(1, 11))),
        ("linear:peak_lr=1,steps=10,warmup=4", None, list(range(5, 11))),
        ("linear:peak_lr=1,steps=10", 4, [2, 6, 10]),
        ("linear:peak_lr=1,steps=400", None, list(range(2, 401, 2))),
        ("linear:peak_lr=1,steps=399", None, list(range(1, 400))),
    ],
)
def test_rows_of_a_predicted_curve(plan, every, steps):
    asked = prediction._along_schedule(fit_of(law=CURVE), plan, every, {})
    assert asked.frame["step"].tolist() == steps
    assert len(asked.variables["S1"]) == len(steps)
    assert asked.states.shape == (len(steps), 5)
    with pytest.raises(InputError, match="predicts loss curves and needs the learning rate"):
        prediction._along_schedule(fit_of(law=CURVE), None, None, {})


def test_what_a_curve_needs_beside_its_schedule():
    law = find_law("annealing-size")
    asked = prediction._along_schedule(fit_of(law=law), "linear:peak_lr=1,steps=4", None, {"N": "2M"})
    assert asked.variables["N"].tolist() == [2e6] * 4
    with pytest.raises(InputError, match="N is not given"):
        prediction._along_schedule(fit_of(law=law), "linear:peak_lr=1,steps=4", None, {})
    with pytest.raises(InputError, match="both a table and single values"):
        prediction.asked_for(fit_of(), TABLE, None, None, {"N": 1e9})
    with pytest.raises(InputError, match="both a table and single values"):
        prediction.asked_for(fit_of(), TABLE, "linear:peak_lr=1,steps=4", None, {})


# --- recipes ----------------------------------------------------------------------------------------------------------


def test_the_recipe_of_fitted_runs():
    rows = [
        {"run": run, "step": step, "lr": peak * (1 - step / 20), "loss": 4 - step / 10, "batch": batch, "vocab": 256}
        for run, peak, batch in (("a", 1.0, 8), ("b", 2.0, 16))
        for step in range(9)
    ]
    runs = read_runs(pd.DataFrame(rows))
    found = recipe_of(CURVE, gather(CURVE, runs), runs)
    assert found["peak_lr"] == (1.0, 2.0)
    assert found["vocab"] == (256.0, 256.0)
    assert found["batch"] == (8.0, 16.0)
    assert asked_recipe(CURVE, runs, None)["peak_lr"] == (1.0, 2.0)
    assert asked_recipe(CURVE, None, "linear:peak_lr=3,steps=9") == {"peak_lr": (3.0,)}
    assert asked_recipe(CURVE, None, None) == {}
    assert asked_recipe(CHINCHILLA, None, "linear:peak_lr=3,steps=9") == {}
    words = read_runs(TABLE.assign(tokenizer=["b", "a"] * 4 + ["a"]), need=())
    assert recipe_of(CHINCHILLA, gather(CHINCHILLA, words), words) == {"tokenizer": ("a", "b")}
    assert recipe_of(CHINCHILLA, gather(CHINCHILLA, read_runs(TABLE, need=())), read_runs(TABLE, need=())) == {}


@pytest.mark.parametrize(
    ("name", "fitted", "asked", "said"),
    [
        ("batch", (8.0, 16.0), (16.3,), ""),
        ("batch", (8.0, 16.0), (16.4,), "batch 16.4 (fitted: 8 to 16)"),
        ("batch", (8.0, 16.0), (7.85,), ""),
        ("batch", (8.0, 16.0), (7.8,), "batch 7.8 (fitted: 8 to 16)"),
        ("batch", (8.0, 8.0), (8.0, 32.0), "batch 8 to 32 (fitted: 8)"),
        ("optimizer", ("adamw", "lion"), ("lion",), ""),
        ("optimizer", ("adamw",), ("lion", "sgd"), "optimizer lion, sgd (fitted: adamw)"),
        ("optimizer", ("a", "b", "c", "d"), ("e",), "optimizer e (fitted: a, b, c)"),
    ],
)
def test_another_recipe_than_the_fitted_one(name, fitted, asked, said):
    found = another_recipe(CURVE, {name: fitted}, {name: asked})
    assert bool(found) == bool(said)
    if said:
        assert said in found[0].text
    assert another_recipe(CURVE, {}, {name: asked}) == []


@pytest.mark.parametrize(("peak", "told"), [(1.9, False), (2.1, True), (0.6, False), (0.4, True)])
def test_laws_made_for_several_peaks_reach_twice_as_far(peak, told):
    law = find_law("annealing-transfer")
    assert bool(another_recipe(law, {"peak_lr": (1.0, 1.0)}, {"peak_lr": (peak,)})) == told
    assert another_recipe(CURVE, {"peak_lr": (1.0, 1.0)}, {"peak_lr": (peak,)})


# --- words ------------------------------------------------------------------------------------------------------------


def fitted(**more):
    given = {
        "law": CHINCHILLA,
        "parameters": TRUE,
        "status": "converged",
        "warnings": (),
        "sigma": 0.0123,
        "rows": 90,
        "runs": 90,
        "free": 5,
        "one_sided": "",
        "points": SimpleNamespace(steps=None),
        "choice": None,
        "settings": SimpleNamespace(residuals="log"),
        "starts": SimpleNamespace(agree=7, count=8, lost={}),
        "outliers": (),
        "intervals": None,
        "no_intervals": "none were asked for",
        "ok": True,
        "doubts": (),
        "target": "loss",
        "table": pd.DataFrame(
            {"value": [1.7], "low": [1.6], "high": [1.8], "state": "free", "unit": "nats", "meaning": "m"}, index=["E"]
        ),
    }
    return SimpleNamespace(**(given | more))


def test_the_verdict_in_one_line():
    assert summary.verdict(fitted()) == "converged: 7 of 8 starts reached this optimum; no warnings on the fit"
    one, two = Check("at-bound", "a"), Check("outliers", "b")
    said = summary.verdict(fitted(status="at a bound", warnings=(one,)))
    assert said == (
        "at a bound: a parameter ended at the end of its domain; 7 of 8 starts reached this optimum; 1 warning below"
    )
    assert summary.verdict(fitted(warnings=(one, two))).endswith("; 2 warnings below")


def test_numbers_of_a_fit():
    lines = summary.numbers(fitted())
    assert lines[-1] == "90 rows of 90 runs; noise (robust standard deviation of the residuals) 1.23 %"
    assert summary.numbers(fitted(runs=1))[-1].startswith("90 rows of 1 run; ")
    assert "from 8 degrees of freedom" in summary.numbers(fitted(rows=13))[-1]
    assert "degrees" not in summary.numbers(fitted(rows=14))[-1]
    assert "from 1 degree of freedom" in summary.numbers(fitted(rows=6))[-1]
    assert "degree" not in summary.numbers(fitted(rows=9, points=SimpleNamespace(steps=(1,))))[-1]
    few = summary.numbers(fitted(rows=9))[-1]  # the 10 % point of chi squared with 4 degrees of freedom is 1.064
    assert few.endswith(f"from 4 degrees of freedom: it may be off by a factor of {(4 / 1.064) ** 0.5:.2g}")
    assert summary.numbers(fitted(settings=SimpleNamespace(residuals="linear")))[-1].endswith(" 0.0123")
    assert "1.7" in lines[1] and "alpha" not in lines[1]
    power = fitted(law=find_law("power:over=N"), parameters={"A": 20.0, "alpha": 0.1})
    assert "N" in summary.formula_with_numbers(power) and "x" not in summary.formula_with_numbers(power)
    assert any(line.startswith("chosen, not fitted: over=N") for line in summary.numbers(power))
    assert summary.parameters(fitted())[1] == ["E", "1.7", "free", "nats", "m"]
    assert summary.parameters(fitted(intervals=1))[1] == ["E", "1.7", "[1.6, 1.8]", "free", "nats", "m"]


def test_where_intervals_come_from():
    def of(calibration):
        return summary.origin_of_intervals(fitted(intervals=SimpleNamespace(draws=[1] * 50, calibration=calibration)))

    assert summary.origin_of_intervals(fitted()) == ["no intervals: none were asked for"]
    drawn = "90 % intervals from 50 refits to resampled runs"
    assert of(None) == [f"{drawn}, as if the law were true: not calibrated by a back-test"]
    told = Calibration(1.26, 4, 20, 0.0, 1.0, 0.5, misfit=0.9, sizes=((1.0, 0.873), (0.5, 0.127)))
    seen = "20 held-out predictions from 4 refits to the other runs"
    allowed = "prediction intervals allow for noise, for the draws, and for what the law misses: 1.3 times what laws"
    likely = "with a probability of 87 %, less otherwise"
    assert of(told) == [drawn, f"{allowed} usually miss, {likely} (back-test: {seen})"]
    assert "probability" not in of(replace(told, misfit=1.0))[1]  # of curves: nothing in them could show it
    earlier = EarlierCalibration(1.26, 4, 20, 0.0, 1.0)
    assert of(earlier)[1] == f"prediction intervals are scaled by 1.3 (back-test: {seen})"
    assert of(replace(told, points=7))[1].endswith(
        "a back-test gave only 7 held-out predictions from 4 refits to the other runs"
    )
    assert of(replace(told, folds=0))[1] == "prediction intervals are not calibrated: these runs allow no back-test"


def test_remarks_on_a_fit():
    checks = (Check("a", "one"), Check("b", "two"), Check("a", "three"))
    outliers = [Outlier(f"row {i}", f"r{i}", 7.25 - 20 * (i == 1)) for i in range(6)]
    starts = SimpleNamespace(agree=5, count=8, lost={"without A": 2, "elsewhere": 1})
    lines = summary.remarks(fitted(warnings=checks, outliers=outliers, starts=starts))
    assert [*map(str, lines[:3])] == [
        "! one (and 1 more of this kind: three)",
        "! two",
        "3 of 8 starts ended at another point: 2 without A, 1 elsewhere",
    ]
    assert lines[3].startswith(
        "6 rows lie more than 5 sigma (noise) from the law: row 0 (r0) by +7.2 sigma; row 1 (r1) by -12.8"
    )
    assert lines[3].endswith("row 4 (r4) by +7.2 sigma; 1 more")
    assert summary.remarks(fitted(outliers=outliers[:5]))[0].endswith("+7.2 sigma")
    unnamed = [Outlier("runs.csv, row 14", "row 14", 6.0)]  # a run that is named after its row
    assert summary.remarks(fitted(outliers=unnamed))[0].endswith("from the law: runs.csv, row 14 by +6.0 sigma")
    assert summary.remarks(fitted()) == []
    text = summary.as_text(fitted(warnings=checks)).splitlines()
    assert text[-2:] == ["! one (and 1 more of this kind: three)", "! two"]
    assert "<li>two</li>" in summary.as_html(fitted(warnings=checks))
    assert "#2a7" in summary.as_html(fitted()) and "#c52" in summary.as_html(fitted(ok=False))
    assert "<ul>" not in summary.as_html(fitted())
    doubtful = fitted(doubts=("D is 9 times N",))
    assert summary.as_text(doubtful).endswith("\n! read: D is 9 times N")
    assert "<li>D is 9 times N</li>" in summary.as_html(doubtful) and "#c52" in summary.as_html(doubtful)


@pytest.mark.parametrize("space", ["log", "linear"])
def test_sums_over_blocks_of_rows_are_those_over_all_rows(space):
    made, objective = ready(), Objective(space, "huber", 0.01)
    theta = np.array([[{**TRUE, "alpha": 0.3}[c.name] for c in made.model.coordinates]])
    theta = np.where(made.model.log, np.log(theta), theta)

    def parts():
        return iter([(made.model.take(rows), made.values[rows]) for rows in (slice(2), slice(2, 6), slice(6, 9))])

    whole = measure(made.model, objective, objective.target(made.values), np.ones(9), theta)
    cost, slope = streaming._pass(parts, objective, theta)
    gradient, matrix, scale, _ = curvatures(made.model, objective, np.ones(9), theta, whole, streaming.NEAR)
    assert cost == pytest.approx(whole.cost[0])
    np.testing.assert_allclose(slope, gradient, rtol=1e-9)
    for summed, wanted in zip(streaming._curvature(parts, objective, theta), (matrix, scale), strict=True):
        np.testing.assert_allclose(summed, wanted, rtol=1e-9)
