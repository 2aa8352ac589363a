"""Other forms of a law: the minimum that the docstring states, and which laws have which."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import logit

import scalefit as sf
from scalefit.fitting.prepare import Options, prepare
from scalefit.runs import read_runs
from scalefit.selection.judging import form_shares, weigh
from scalefit.selection.trials import Form, Trial
from scalefit.solver.solve import solve
from scalefit.uncertainty.forms import BOTH, DRAWN, LARGEST, Search, other_forms

C = np.geomspace(1e16, 1e19, 10)
NOISE = np.random.default_rng(3).standard_normal(10)


def forms(law, table, scale=None):
    """The other forms of a law by name, each as its parameters, and what they start from."""
    ready = prepare(read_runs(table, need=()), law, Options())
    solution = solve(ready.model, ready.values, ready.weights, ready.settings)
    scale = np.log(C) if scale is None else scale
    found = other_forms(ready.model, solution.objective, ready.values, ready.weights, solution.theta, scale)
    names = list(ready.law.parameters)
    return (
        {name: dict(zip(names, ready.model.vector(theta[None])[0], strict=True)) for name, theta in found.items()},
        ready,
        solution,
    )


def robust_of(solution):
    return np.minimum(1.0, solution.objective.delta / np.abs(solution.residuals))


@pytest.mark.parametrize("name", [DRAWN, BOTH])
def test_the_minimum_is_that_of_the_stated_objective(name):
    loss = (1.5 + 2e3 * C**-0.18) * np.exp(0.01 * NOISE)
    found, _, solution = forms("power-floor:over=C", pd.DataFrame({"C": C, "loss": loss}))
    near = np.exp(3 * np.log(C / C.max()) / np.log(C.max() / C.min())) if name == BOTH else np.ones(10)
    weights = robust_of(solution) * near / near.mean()
    scatter = np.sum(weights * solution.residuals**2) / (10 - 3)

    def stated(at):
        log_a, log_size, floor = at
        alpha, floor = np.exp(log_a), loss.min() / (1 + np.exp(-floor))
        missed = np.log(floor + np.exp(log_size) * (C / 1e17) ** -alpha) - np.log(loss)
        far = ((log_a - np.log(0.25)) / 0.7) ** 2 + (np.log(floor / (loss.min() - floor)) - logit(0.75)) ** 2
        return np.sum(weights * missed**2) / scatter + far

    best = minimize(
        stated, [-1.5, 0.5, 1.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-10, "maxiter": 9999}
    )
    expected = np.exp(best.x[0]), loss.min() / (1 + np.exp(-best.x[2]))
    assert (found[name]["alpha"], found[name]["L_inf"]) == pytest.approx(expected, rel=1e-4)


def test_the_largest_rows_count_most():
    """A power law over rows whose weights fall by e in a third of their range: a weighted line in the logarithms."""
    loss = 30 * C**-0.08 * np.exp(0.03 * NOISE)
    found, _, solution = forms("power:over=C", pd.DataFrame({"C": C, "loss": loss}))
    weights = robust_of(solution) * np.exp(-3 * np.linspace(1, 0, 10))
    slope, _ = np.polyfit(np.log(C), np.log(loss), 1, w=np.sqrt(weights))
    assert found.keys() == {LARGEST}
    assert found[LARGEST]["alpha"] == pytest.approx(-slope, rel=1e-6)


def test_where_the_law_does_not_hold_for_small_runs_the_largest_forecast_better():
    """Runs whose slope changes in the middle: errors beyond them of a law fitted to all and to the largest."""
    loss = 30 * C**-0.05 * np.minimum(1.0, (C / 10**17.5) ** -0.03)
    table, far = pd.DataFrame({"C": C, "loss": loss}), 1e20
    found, ready, solution = forms("power:over=C", table)
    fitted = dict(zip(ready.law.parameters, ready.model.vector(solution.theta[None])[0], strict=True))
    truth = 30 * far**-0.05 * (far / 10**17.5) ** -0.03
    errors = [abs(each["A"] * far ** -each["alpha"] / truth - 1) for each in (fitted, found[LARGEST])]
    assert errors[1] < 0.6 * errors[0]


def test_rows_of_one_scale_have_no_largest():
    found, *_ = forms("power-floor:over=C", pd.DataFrame({"C": C, "loss": 1.5 + 2e3 * C**-0.18}), np.zeros(10))
    assert LARGEST not in found and BOTH not in found


def test_a_search_begins_a_hundredth_inside_the_range_of_the_floor_and_above_no_coordinate():
    model = SimpleNamespace(log=np.array([False, False, True]), low=np.array([0.0, 0.0, -5.0]))
    drawn = np.array([True, False])
    one = Search(model, None, np.array([2.0, 3.0]), np.ones((2, 2)), drawn, 0, np.array([1]))
    for floor, share in ((0.0, 0.01), (0.5, 0.25), (1.9, 0.95), (2.5, 0.99)):
        found = one.outward(np.tile([floor, 0.0, -3.0], (2, 1)))
        assert found[0] == pytest.approx([logit(share), np.log(1e-12), -3.0])
        assert found[1] == pytest.approx([np.log(max(floor, 1e-12)), np.log(1e-12), -3.0])


def test_a_floor_that_the_fit_lost_is_found_again():
    """Of these noisy runs the best fit has a floor of 2.42, not the planted 1.9."""
    loss = (1.9 + 4e2 * C**-0.15) * np.exp(0.02 * NOISE)
    found, ready, solution = forms("power-floor:over=C", pd.DataFrame({"C": C, "loss": loss}))
    fitted = dict(zip(ready.law.parameters, ready.model.vector(solution.theta[None])[0], strict=True))
    assert abs(found[DRAWN]["L_inf"] - 1.9) < abs(fitted["L_inf"] - 1.9)


@pytest.mark.parametrize(
    ("law", "columns", "names"),
    [
        ("power:over=C", {"C": C}, {LARGEST}),
        ("loss-to-loss:floors_of=free", {"loss_source": 2 + 3 / np.arange(1, 11)}, set()),
    ],
)
def test_a_law_without_floor_is_not_drawn_and_one_of_losses_has_no_other_form(law, columns, names):
    assert forms(law, pd.DataFrame({**columns, "loss": 2 + 3 / np.arange(1, 11) ** 0.9}))[0].keys() == names


def trial(errors, **forms):
    return Trial(None, 3, 20, 20, 0.01, 1.0, errors, {name: Form((1.0,), made) for name, made in forms.items()})


def test_forms_have_the_weights_of_their_scores():
    """Errors of 2 and 1 % on two folds: the scores lie two thirds of ln 2 apart, weights are 1 and 4."""
    tried = {"a": trial({"x": 0.02, "y": 0.02}, near={"x": 0.01, "y": 0.01}), "b": trial({"x": 0.02, "y": 0.02})}
    assert form_shares(tried) == {"a": {"near": pytest.approx(4 / 5)}, "b": {}}
    assert weigh(tried)[0] == {"a": pytest.approx(5 / 6), "b": pytest.approx(1 / 6)}


def test_a_form_that_hardly_matters_has_no_share_and_a_fit_that_does_not_leaves_all_to_the_other():
    assert form_shares({"a": trial({"x": 0.02}, near={"x": 0.22})}) == {"a": {}}
    assert form_shares({"a": trial({"x": 0.22}, near={"x": 0.02})}) == {"a": {"near": 1.0}}


def test_a_forecast_leans_as_far_as_held_out_runs_say():
    loss = (1.9 + 4e2 * C**-0.15) * np.exp(0.02 * NOISE)
    fit = sf.automatic(pd.DataFrame({"C": C, "loss": loss}), ["power-floor:over=C"], draws=20)
    ((law, others),) = fit.choice.forms.items()
    made = [float(fit.law.evaluate({"x": 1e21}, each)) for each in (fit.parameters, *(f.parameters for f in others))]
    weights = [1 - sum(form.share for form in others), *(form.share for form in others)]
    row = fit.predict(C=1e21).iloc[0]
    assert law == "power-floor:over=C"
    assert {form.name for form in others} <= {LARGEST, DRAWN, BOTH}
    # a mean of which a tenth of the weight is cut off at either end, from ten thousand equal parts
    parts = np.repeat(np.sort(made), np.round(1e4 * np.array(weights)[np.argsort(made)]).astype(int))
    assert row["loss"] == pytest.approx(np.mean(parts[1000:9000]), rel=1e-4)
    assert row["low"] < min(made) and row["high"] > max(made)
    assert "towards published ones" in str(fit.choice)
