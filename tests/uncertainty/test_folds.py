"""Refits of the back-test: those that leave open what they predict do not count."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.laws import find_law
from scalefit.solver.model import bind
from scalefit.uncertainty.folds import MOVED, left_open

TOKENS = (1e9, 2e9, 4e9, 8e9, 16e9)


def surface(noise=0.003, seed=4):
    """A grid in which more tokens always mean more compute, so that the smallest rows have few values of D."""
    N, D = (x.ravel() for x in np.meshgrid(np.geomspace(1e8, 1.8e8, 7), TOKENS))
    errors = np.exp(noise * np.random.default_rng(seed).standard_normal(N.size))
    return pd.DataFrame({"N": N, "D": D, "loss": (1.69 + 406.4 * N**-0.34 + 410.7 * D**-0.28) * errors})


def model(rows):
    return bind(find_law("chinchilla"), {"N": rows["N"].to_numpy(), "D": rows["D"].to_numpy()})


def start(bound):
    """Coordinates of the planted constants."""
    planted = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
    return np.array([np.log(planted[c.name]) if c.log else planted[c.name] for c in bound.coordinates])


def test_two_values_of_a_variable_leave_a_third_open_and_three_do_not():
    """E + B D^-beta has three constants: through two points runs one such curve for every beta."""
    rows = surface(noise=0.0)
    for count, open_ahead in ((2, True), (3, False)):
        small = rows["D"] <= TOKENS[count - 1]
        part, ahead = model(rows[small]), model(rows[~small])
        assert left_open(part, ahead, start(part)) is open_ahead
        again = rows[small].assign(N=1.3 * rows["N"])  # predictions at the values that were fitted are not open
        assert not left_open(part, model(again), start(part))


def test_a_term_that_is_zero_leaves_nothing_open():
    """Its exponent changes no row, neither of those fitted nor of those ahead."""
    rows = surface(noise=0.0)
    small = rows["D"] <= TOKENS[2]
    part, ahead = model(rows[small]), model(rows[~small])
    theta = start(part)
    theta[[c.name for c in part.coordinates].index("B")] = 0.0
    assert not left_open(part, ahead, theta)


def test_rounding_of_the_losses_does_not_move_the_backtest():
    rows, rng = surface(), np.random.default_rng(0)
    found = sf.backtest(rows, "chinchilla", starts=2)
    assert found.table["fitted"].min() > 2 * 7  # never the two smallest amounts of tokens alone
    moved = rows.assign(loss=rows["loss"] * (1 + 1e-15 * rng.integers(-3, 4, len(rows))))
    np.testing.assert_allclose(sf.backtest(moved, "chinchilla", starts=2).error, found.error, rtol=1e-6)


def test_what_moves_by_less_than_the_stated_share_of_the_largest_slope_is_not_open():
    """Two parameters that the fitted rows see alike, and a row ahead that tells them apart a little."""
    for share, wanted in ((0.9, False), (1.1, True)):
        apart = share * MOVED * np.sqrt(2)
        fitted = np.ones((1, 2, 2))
        asked = np.array([[[1.0, 0.01], [1.0 - apart, 0.01]]])  # (1, parameters, rows)
        part, ahead = (
            SimpleNamespace(jacobian=lambda _, s=s: (None, s), low=np.full(2, -9.0), high=np.full(2, 9.0))
            for s in (fitted, asked)
        )
        assert left_open(part, ahead, np.zeros(2)) is wanted
