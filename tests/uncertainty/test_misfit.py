"""How much of what laws usually miss a law misses: little where residuals are noise, all where neighbours err alike."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.fitting.prepare import Options, prepare
from scalefit.solver.solve import solve
from scalefit.uncertainty.misfit import BEFOREHAND, ENOUGH, quieter, shares_missed
from scalefit.uncertainty.pieces import distinct


def table(n=60, noise=0.01, seed=0, bend=0.0):
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7, 9, n), 10 ** rng.uniform(8.5, 10.5, n)
    loss = (1.69 + 406.4 * N**-0.34 + 410.7 * D**-0.28) * np.exp(noise * rng.standard_normal(n))
    return pd.DataFrame({"N": N, "D": D, "loss": loss * np.exp(bend * np.sin(3 * np.log10(N)))})


def missed(runs, law="chinchilla", residuals=None):
    ready = prepare(sf.read_runs(runs, need=()), law)
    solution = solve(ready.model, ready.values, None, ready.settings)
    return mean(shares_missed(ready.law, ready.model, ready.rows, solution, ready.settings.residuals == "log"))


def mean(shares):
    """The mean share."""
    assert sum(chance for _, chance in shares) == pytest.approx(1)
    return sum(share * chance for share, chance in shares)


def test_a_right_law_is_believed():
    found = [missed(table(seed=seed)) for seed in range(8)]
    assert np.median(found) < 0.3
    assert sum(p < BEFOREHAND for p in found) >= 7


@pytest.mark.parametrize(("bend", "low", "high"), [(0.02, 0.4, 0.8), (0.1, 0.95, 1.0)])
def test_neighbours_that_err_alike_show_how_much_it_misses(bend, low, high):
    """A wave of 2 % of the loss is less than laws usually miss, one of 10 % as much and more."""
    for seed in range(2):
        assert low < missed(table(noise=0.003, bend=bend, seed=seed)) <= high


def test_few_rows_leave_the_matter_open():
    assert 0.3 < np.median([missed(table(9, seed=seed)) for seed in range(6)]) < 0.97


def test_a_law_of_another_form_is_found_out():
    """A power law without a floor, where there is one."""
    C = np.geomspace(1e16, 1e20, 40)
    loss = (1.7 + 2e3 * C**-0.18) * np.exp(0.005 * np.random.default_rng(0).standard_normal(40))
    runs = pd.DataFrame({"C": C, "loss": loss})
    assert missed(runs, "power:over=C") > 0.999
    assert missed(runs, "power-floor:over=C") < 0.5


def test_the_unit_of_linear_residuals_does_not_matter():
    x = np.geomspace(1, 100, 40)
    y = 2 + 3 * x**-0.5 + 0.01 * np.random.default_rng(0).standard_normal(40)
    small, large = (pd.DataFrame({"x": x, "score": scale * y}) for scale in (1.0, 1e4))
    found = []
    for runs in (small, large):
        ready = prepare(sf.read_runs(runs, need=()), "score = E + A*x**-b", Options(residuals="linear"))
        solution = solve(ready.model, ready.values, None, ready.settings)
        found.append(mean(shares_missed(ready.law, ready.model, ready.rows, solution, False)))
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_clean_rows_make_a_law_no_more_certain_than_their_noise_and_number_allow():
    """Of a size whose power falls from .34 to .2, which twelve clean rows do not show: the loss 16 times beyond.

    Taken for right, the law's interval ends above it every time; its own ends at it, or below, to .1 %.
    """
    N = np.repeat(np.geomspace(2e7, 1e9, 6), 2)
    D = N * np.tile([10.0, 40.0], 6)

    def truth(N, D):
        bend = (N / 2e8) ** -0.34 * ((1 + (N / 2e8) ** 3) / 2) ** (0.14 / 3)
        return 1.69 + 406.4 / 2e8**0.34 * bend + 410.7 * D**-0.28

    for seed in range(3):
        loss = truth(N, D) * np.exp(0.001 * np.random.default_rng(seed).standard_normal(12))
        runs, point = pd.DataFrame({"N": N, "D": D, "loss": loss}), {"N": 4.5e9, "D": 2e11}
        found = sf.fit(runs, "chinchilla", draws=40).predict(**point).iloc[0]
        right = sf.fit(runs, "chinchilla", draws=40, calibrated=False).predict(**point).iloc[0]
        assert 0.999 * found["low"] < truth(4.5e9, 2e11) < min(0.998 * right["low"], found["high"])
        assert found["high"] < 1.03 * found["low"]


def test_copies_are_no_evidence():
    once = table()
    twice = pd.concat([once, once], ignore_index=True)
    assert missed(twice) == pytest.approx(missed(once), abs=0.02)


def test_copies_leave_the_interval_as_it_was_and_replicates_narrow_it():
    far = {"N": 5e9, "D": 2e11}
    once, copied, again = table(), pd.concat([table()] * 3, ignore_index=True), table(180)
    again[["N", "D"]] = copied[["N", "D"]]
    truth = 1.69 + 406.4 * again["N"] ** -0.34 + 410.7 * again["D"] ** -0.28
    again["loss"] = truth * np.exp(0.01 * np.random.default_rng(5).standard_normal(180))
    widths = [
        float(np.ptp(np.log(sf.fit(runs, "chinchilla", draws=100).predict(interval="mean", **far)[["low", "high"]])))
        for runs in (once, copied, again)
    ]
    assert widths[1] == pytest.approx(widths[0], rel=0.05)
    assert widths[2] < 0.75 * widths[0]


def rows_of(**columns):
    return prepare(sf.read_runs(pd.DataFrame(columns), need=()), "power:over=C").rows


def test_which_rows_are_copies():
    C = [1e18, 1e18, 1e19, 1e19, 1e20]
    assert distinct(rows_of(C=C, loss=[3.12345, 3.12345, 2.9, 2.9, 2.5])).tolist() == [0, 0, 1, 2, 3]
    assert distinct(rows_of(C=C, loss=[3.12345, 3.12346, 2.9123, 2.9123, 2.5])).tolist() == [0, 1, 2, 2, 3]


def quiet(size, law="power:over=C", copies=1):
    """The noise ahead for rows of these absolute residuals, from the smallest run to the largest."""
    n, size = len(size), np.asarray(size, float)
    C = np.geomspace(1e17, 1e20, n)
    loss = 3.123456789 - 1e-3 * np.arange(n)
    signs = np.where(np.arange(n) % 2, 1.0, -1.0)
    rows = rows_of(C=np.tile(C, copies), loss=np.tile(loss, copies))
    return quieter(sf.find_law(law), rows, np.tile(loss, copies), np.tile(signs * size, copies))


def test_the_noise_of_the_lowest_half_by_hand():
    """Twelve residuals of 3, then twelve of 1: the median is 2 over all rows and 1 over the lowest half."""
    assert quiet([3.0] * 12 + [1.0] * 12) == pytest.approx(0.5)
    assert quiet([3.0] * 5 + [1.0] * 5, copies=2) == 1.0  # ten runs, not twenty
    assert quiet([3.0] * 4 + [2.0] * 4 + [1.0] * 16) == 1.0  # the median of all is 1 as well
    assert quiet([1.0] * 12 + [3.0] * 12) == 1.0  # noise that grows is never trusted to be less
    assert quiet([0.0] * 24) == 1.0


def test_few_rows_and_what_is_no_loss_tell_no_noise_ahead():
    """At most ENOUGH rows are all of them; with a few more, ENOUGH of them count; critical batches may rise."""
    assert quiet([3.0] * 5 + [1.0] * (ENOUGH - 5)) == 1.0
    assert quiet(range(13, 0, -1)) == pytest.approx(5.5 / 7)  # the lowest ten of thirteen, not seven
    for law in ("critical-batch", "annealing"):
        assert quiet([3.0] * 12 + [1.0] * 12, law) == 1.0


def test_large_runs_that_scatter_less_have_the_interval_of_their_own_noise():
    """Noise of 4 % below a compute and of .5 % above it: inside the fitted range the interval is that of the large."""
    runs = table(noise=0.0)
    small = runs["N"] * runs["D"] < np.median(runs["N"] * runs["D"])
    kick = np.random.default_rng(3).standard_normal(len(runs))
    sure, point = {}, {"N": 8e8, "D": 2e10}
    for name, noise in (("falls", np.where(small, 0.04, 0.005)), ("constant", np.full(len(runs), 0.02))):
        fit = sf.fit(runs.assign(loss=runs["loss"] * np.exp(noise * kick)), "chinchilla", draws=40)
        found = fit.predict(**point).iloc[0]
        sure[name] = fit.intervals.calibration.quiet, np.log(found["high"] / found["low"]), fit.sigma
    assert sure["falls"][0] < 0.6 < 0.75 < sure["constant"][0] <= 1.0
    assert sure["falls"][1] < 2 * 1.645 * sure["falls"][2]  # narrower than the noise of all rows alone
    assert sure["constant"][1] > 2 * 1.645 * sure["constant"][0] * sure["constant"][2]
