"""Repeated data that overfit: both ends of the loss, what a larger model costs, the source's constants, refusals."""

import math

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.laws import find_law
from scalefit.laws.overfitting import Overfitting
from scalefit.planning.allocation.single import surface_from

CONSTANTS = {"E": 1.8, "L_0": math.log(50257), "N_0": 1e6, "D_0": 1e8, "U_1": 3e5}
CONSTANTS |= {"alpha": 0.45, "beta": 0.9, "gamma": 0.4, "delta": 0.5}


def loss(N, D, U, **other):
    at = {"N": np.float64(N), "D": np.float64(D), "U": np.float64(U)}
    return float(find_law("overfitting").evaluate(at, {**CONSTANTS, **other}))


def test_by_hand_in_the_symbols_of_the_source():
    N, D, U = 2e8, 5e10, 4e9
    source = Overfitting.constants_of_source(CONSTANTS)
    h = source["a"] / N**0.45 + source["b"] / D**0.9 + source["c"] * N**0.4 / U**0.5
    assert loss(N, D, U) == pytest.approx(1.8 + (math.log(50257) - 1.8) * h / (1 + h), rel=1e-13)


def test_the_loss_ends_at_that_of_a_model_that_knows_nothing_and_at_the_irreducible_one():
    assert loss(1e8, 1e-12, 1e-12) == pytest.approx(math.log(50257), rel=1e-6)
    assert loss(1e25, 1e60, 1e60) == pytest.approx(1.8, rel=1e-6)


def test_a_larger_model_is_worse_on_few_unique_tokens_and_better_on_many():
    sizes = np.geomspace(1e7, 1e11, 9)
    few, many = ([loss(N, 1e12, U) for N in sizes] for U in (1e7, 1e12))
    assert few[-1] > min(few)
    assert 0 < int(np.argmin(few)) < 8
    assert many[-1] < many[0]


def test_tokens_that_are_seen_are_all_that_can_be_unique():
    assert loss(1e8, 1e9, 1e11) == loss(1e8, 1e9, 1e9)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"U": lambda N, D: D}, "see their data once"),
        ({"U": lambda N, D: N * 10}, "N and U move together"),
        ({"D": lambda N, D: N * 20, "U": lambda N, D: D / 7}, "N and D move together"),
    ],
)
def test_runs_that_cannot_tell_overfitting_are_refused(columns, words):
    N, D = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 1e11, 4)))
    U = np.resize([1e8, 1e9], N.size)
    made = {"N": N, "D": D, "U": U} | {name: make(N, D) for name, make in columns.items()}
    table = pd.DataFrame({**made, "loss": 2 + 1e3 / N**0.5 + 1 / np.arange(1, 17)})
    with pytest.raises(sf.IdentificationError, match=words):
        sf.fit(table, "overfitting")


def test_the_best_size_with_few_unique_tokens_by_trying_many():
    """Of ten thousand sizes that cost the same, at 25e9 unique tokens."""
    best = surface_from(find_law("overfitting"), CONSTANTS, U=25e9).optimum(1e22)
    sizes = np.geomspace(1e8, 1e12, 10001)
    losses = find_law("overfitting").evaluate({"N": sizes, "D": 1e22 / 6 / sizes, "U": np.full(10001, 25e9)}, CONSTANTS)
    assert float(best["N"][0]) == pytest.approx(sizes[np.argmin(losses)], rel=1e-3)
    assert float(best["D"][0]) == pytest.approx(1e22 / 6 / float(best["N"][0]), rel=1e-9)
