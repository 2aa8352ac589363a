"""A term that the law lacks shows in refits that all err on one side; a right law raises no such warning."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import scalefit as sf
from scalefit.diagnosis.one_sided import Bias, one_sided, refits
from scalefit.fitting.prepare import Options, prepare
from scalefit.fitting.result import Fit
from scalefit.solver.solve import solve


def biases(*sigmas, size=0.01):
    return [Bias(size * sigma, size) for sigma in sigmas]


@pytest.mark.parametrize(
    ("sigmas", "told"),
    [
        ((2, 2.5, 3, 2.1), "too low"),
        ((-2, -2.5, -3, -2.1), "too high"),
        ((2, 2.5, -0.1, 2), ""),
        ((0.5, 1, 2.5, 1), ""),
        ((3, 3, 3), ""),
    ],
)
def test_all_on_one_side_and_by_more_than_chance(sigmas, told):
    found = one_sided(biases(*sigmas), 1.0)
    assert found.startswith(f"predicts {told} at scale: in 4 of 4 refits") if told else not found


def test_an_error_too_small_to_matter_is_not_told():
    assert not one_sided(biases(3, 3, 3, 3, size=1e-4), 1.0)
    assert one_sided(biases(3, 3, 3, 3, size=1e-4), 0.01)  # in a unit in which it is large


def ladder(slower=0.0, seed=0):
    """Runs whose loss falls more slowly with scale than a power law with a floor."""
    C = np.geomspace(1e16, 1e20, 40)
    loss = 1.7 + 2e3 * C ** (-0.18 + slower * np.log10(C / 1e16))
    return pd.DataFrame({"C": C, "loss": loss * np.exp(0.002 * np.random.default_rng(seed).standard_normal(40))})


@pytest.mark.parametrize("draws", [0, 20])
def test_a_law_that_bends_is_named_with_and_without_draws(draws, tmp_path):
    fit = sf.fit(ladder(0.004), "power:over=C", draws=draws)
    assert "too low at scale" in fit.one_sided
    assert fit.one_sided in fit.summary()
    assert sf.load_fit(fit.save(tmp_path / "fit.json")).one_sided == fit.one_sided


def test_the_bias_of_a_refit_is_that_of_ordinary_least_squares():
    """A power law in logarithms is a straight line: the error ahead and its standard error by the textbook."""
    rows = ladder(0.004)
    ready = prepare(sf.read_runs(rows, need=()), "power:over=C", Options(loss="squared"))
    solution = solve(ready.model, ready.values, None, ready.settings, None)
    found = refits(ready.law, ready.model, ready.rows, None, solution)
    x, y = np.log(rows["C"].to_numpy()), np.log(rows["loss"].to_numpy())
    assert len(found) == 6
    for bias, count in zip(found, (16, 20, 24, 28, 32, 36), strict=True):
        line = np.polynomial.Polynomial.fit(x[:count], y[:count], 1)
        left, ahead = y[:count] - line(x[:count]), x[count:].mean()
        noise = 1.4826 * np.median(np.abs(left)) * np.sqrt(count / (count - 2))
        spread = 1 / count + (ahead - x[:count].mean()) ** 2 / np.sum((x[:count] - x[:count].mean()) ** 2)
        few = stats.t.ppf(0.95, count - 2) / stats.norm.ppf(0.95)
        assert bias.error == pytest.approx(np.mean(y[count:] - line(x[count:])), rel=1e-5)
        assert bias.standard_error == pytest.approx(few * noise * np.sqrt(spread + 1 / (40 - count)), rel=1e-5)


def test_one_refit_that_does_not_end_leaves_nothing_to_judge(monkeypatch):
    ready = prepare(sf.read_runs(ladder(0.004), need=()), "power:over=C", Options())
    solution = solve(ready.model, ready.values, None, ready.settings, None)
    for ended, count in ((np.ones(6, bool), 6), (np.arange(6) != 2, 0), (np.zeros(6, bool), 0)):
        made = lambda *_, ended=ended: SimpleNamespace(theta=np.repeat(solution.theta[None], 6, 0), converged=ended)  # noqa: E731
        monkeypatch.setattr("scalefit.diagnosis.one_sided.refit", made)
        assert len(refits(ready.law, ready.model, ready.rows, None, solution)) == count


def test_a_right_law_is_not():
    assert not any(sf.fit(ladder(seed=seed), "power-floor:over=C").one_sided for seed in range(5))


def test_few_runs_and_laws_along_the_schedule_have_no_biases():
    assert sf.fit(ladder().iloc[::8], "power:over=C").biases == ()


@pytest.mark.parametrize(("residuals", "told"), [("log", "by 6 % on average"), ("linear", "by 3 % on average")])
def test_errors_of_values_below_zero_are_in_units_of_their_size(residuals, told):
    given = (
        SimpleNamespace(residuals=residuals),
        SimpleNamespace(values=np.full(4, -2.0)),
        biases(3, 3, 3, 3, size=0.02),
    )
    assert told in Fit.one_sided.fget(SimpleNamespace(settings=given[0], points=given[1], biases=given[2]))
