"""Constants drawn towards published ones: the minimum that the docstring states, and which laws have such a form."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import logit

import scalefit as sf
from scalefit.fitting.prepare import Options, prepare
from scalefit.runs import read_runs
from scalefit.selection.judging import drawn_shares, weigh
from scalefit.selection.published import drawn_to_published
from scalefit.selection.trials import Trial
from scalefit.solver.solve import solve

C = np.geomspace(1e16, 1e19, 10)
NOISE = np.random.default_rng(3).standard_normal(10)


def drawn(law, table):
    ready = prepare(read_runs(table, need=()), law, Options())
    solution = solve(ready.model, ready.values, ready.weights, ready.settings)
    theta = drawn_to_published(ready.model, solution.objective, ready.values, ready.weights, solution.theta)
    made = None if theta is None else dict(zip(ready.law.parameters, ready.model.vector(theta[None])[0], strict=True))
    return made, ready, solution


def test_the_minimum_is_that_of_the_stated_objective():
    loss = (1.5 + 2e3 * C**-0.18) * np.exp(0.01 * NOISE)
    found, _, solution = drawn("power-floor:over=C", pd.DataFrame({"C": C, "loss": loss}))
    robust = np.minimum(1.0, solution.objective.delta / np.abs(solution.residuals))
    scatter = np.sum(robust * solution.residuals**2) / (10 - 3)

    def stated(at):
        log_a, log_size, floor = at
        alpha, floor = np.exp(log_a), loss.min() / (1 + np.exp(-floor))
        missed = np.log(floor + np.exp(log_size) * (C / 1e17) ** -alpha) - np.log(loss)
        near = ((log_a - np.log(0.25)) / 0.7) ** 2 + (np.log(floor / (loss.min() - floor)) - logit(0.75)) ** 2
        return np.sum(robust * missed**2) / scatter + near

    best = minimize(
        stated, [-1.5, 0.5, 1.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-10, "maxiter": 9999}
    )
    expected = np.exp(best.x[0]), loss.min() / (1 + np.exp(-best.x[2]))
    assert (found["alpha"], found["L_inf"]) == pytest.approx(expected, rel=1e-4)


def test_a_floor_that_the_fit_lost_is_found_again():
    """Of these noisy runs the best fit has a floor of 2.42, not the planted 1.9."""
    loss = (1.9 + 4e2 * C**-0.15) * np.exp(0.02 * NOISE)
    found, ready, solution = drawn("power-floor:over=C", pd.DataFrame({"C": C, "loss": loss}))
    fitted = dict(zip(ready.law.parameters, ready.model.vector(solution.theta[None])[0], strict=True))
    assert abs(found["L_inf"] - 1.9) < abs(fitted["L_inf"] - 1.9)


@pytest.mark.parametrize(
    ("law", "columns"),
    [("power:over=C", {"C": C}), ("loss-to-loss:floors_of=free", {"loss_source": 2 + 3 / np.arange(1, 11)})],
)
def test_a_law_without_floor_or_of_losses_has_no_such_form(law, columns):
    assert drawn(law, pd.DataFrame({**columns, "loss": 2 + 3 / np.arange(1, 11) ** 0.9}))[0] is None


def trial(errors, drawn_errors=None):
    return Trial(None, 3, 20, 20, 0.01, 1.0, errors, (1.0,) if drawn_errors else (), drawn_errors or {})


def test_both_forms_have_the_weights_of_their_scores():
    """Errors of 2 and 1 % against the usual 2 %: scores 1 and 1/2, weights 1 and 4, beside another law's 1."""
    trials = {"a": trial({"x": 0.02, "y": 0.02}, {"x": 0.01, "y": 0.01}), "b": trial({"x": 0.02, "y": 0.02})}
    assert drawn_shares(trials) == {"a": pytest.approx(0.8)}
    assert weigh(trials)[0] == {"a": pytest.approx(5 / 6), "b": pytest.approx(1 / 6)}


def test_a_form_that_fails_in_a_fold_or_hardly_matters_has_no_share():
    assert drawn_shares({"a": trial({"x": 0.02, "y": 0.02}, {"x": 0.01})}) == {}
    assert drawn_shares({"a": trial({"x": 0.02}, {"x": 0.2})}) == {}


def test_a_forecast_leans_as_far_as_held_out_runs_say():
    loss = (1.9 + 4e2 * C**-0.15) * np.exp(0.02 * NOISE)
    fit = sf.automatic(pd.DataFrame({"C": C, "loss": loss}), ["power-floor:over=C"], draws=20)
    ((law, form),) = fit.choice.drawn.items()
    two = [float(fit.law.evaluate({"x": 1e21}, each)) for each in (fit.parameters, form.parameters)]
    row = fit.predict(C=1e21).iloc[0]
    assert law == "power-floor:over=C"
    assert row["loss"] == pytest.approx((1 - form.share) * two[0] + form.share * two[1], rel=1e-12)
    assert row["low"] < min(two) and row["high"] > max(two)
    assert "drawn towards published ones" in str(fit.choice)
