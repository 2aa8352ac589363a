"""Errors of single rows as all others predict them, against fits without each of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scalefit.fitting.prepare import Options, prepare
from scalefit.runs import read_runs
from scalefit.selection.left_out import left_out_residuals
from scalefit.solver.solve import solve

RNG = np.random.default_rng(5)


def left_out(law, table, **options):
    ready = prepare(read_runs(table, need=()), law, Options(**options))
    solution = solve(ready.model, ready.values, ready.weights, ready.settings)
    return left_out_residuals(ready.model, solution.objective, ready.values, ready.weights, solution.theta)


def test_of_a_line_they_are_those_of_fits_without_each_row():
    x = np.array([1.0, 2, 3, 4, 6, 9])
    y = 2 + 0.5 * x + 0.1 * RNG.standard_normal(6)
    found = left_out("y = a + b*x", pd.DataFrame({"x": x, "y": y}), residuals="linear", loss="squared")
    without = [np.polyval(np.polyfit(np.delete(x, i), np.delete(y, i), 1), x[i]) - y[i] for i in range(6)]
    assert found == pytest.approx(without, rel=1e-6)


def test_of_a_law_they_are_near_those_of_refits():
    C = np.geomspace(1e16, 1e20, 12)
    table = pd.DataFrame({"C": C, "loss": (1.7 + 2e3 * C**-0.18) * np.exp(0.004 * RNG.standard_normal(12))})
    found = left_out("power-floor:over=C", table)
    refits = []
    for i in range(12):
        ready = prepare(read_runs(table.drop(index=i), need=()), "power-floor:over=C", Options())
        theta = solve(ready.model, ready.values, None, ready.settings).theta
        constants = dict(zip(ready.law.parameters, ready.model.vector(theta[None])[0], strict=True))
        refits.append(np.log(ready.law.evaluate({"x": C[i]}, constants)) - np.log(table["loss"][i]))
    assert np.abs(found).mean() == pytest.approx(np.abs(refits).mean(), rel=0.15)


def test_a_row_that_decides_a_constant_alone_counts_fifty_times():
    x = np.array([1.0, 1, 1, 1, 2])
    y = np.array([1.0, 1.1, 0.9, 1.0, 3.0])
    found = left_out("y = a + b*x", pd.DataFrame({"x": x, "y": y}), residuals="linear", loss="squared")
    assert found[:4] == pytest.approx((1.0 - y[:4]) * 4 / 3)
    assert abs(found[4]) < 1e-6
