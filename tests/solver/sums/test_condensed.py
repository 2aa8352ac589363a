"""Few values a row that stand for many: the same sums at parameters that were not asked, and the same optimum."""

from __future__ import annotations

import numpy as np
import pytest

from scalefit.laws import find_law
from scalefit.numerics import spread_points
from scalefit.schedules import cosine
from scalefit.solver import model as bound
from scalefit.solver.model import bind
from scalefit.solver.solve import Settings, solve
from scalefit.solver.sums import condensed

LAWS = {
    "multi-power": {"L0": 2.5, "A": 0.5, "B": 400.0, "alpha": 0.5, "C": 2.0, "beta": 0.6, "gamma": 0.6},
    "functional": {"L0": 2.5, "c1": 0.5, "c2": 500.0, "c3": 0.5, "c4": 100.0, "s": 0.5, "gamma": 0.5},
    "multi-power-fading": {"L0": 2.5, "A": 0.5, "B": 400.0, "alpha": 0.5},
}


@pytest.fixture(scope="module")
def rows():
    """Rows of two runs: one without a drop at all, and a cosine to zero."""
    steps = np.arange(4001)
    curves = [np.minimum(steps / 100, 1) * 3e-4, cosine(steps, peak_lr=3e-4, steps=4000, warmup=100)]
    at = np.arange(200, 4001, 200)

    def of(name):
        law = find_law(name)
        parts = [law.at_steps(lr, 100, at) for lr in curves]
        width = max(part["gap"].shape[1] for part in parts)
        joined = {}
        for key, variable in law.variables.items():
            wide = [
                np.pad(part[key], ((0, 0), (0, width - part[key].shape[1])), constant_values=variable.absent)
                if variable.many
                else part[key]
                for part in parts
            ]
            joined[key] = np.concatenate(wide)
        return bind(law, joined, fix=law.held)

    return of


def vectors(model, planted, near=0.3, count=40):
    """Points around the planted ones, (count, p), no two with a value in common."""
    centre = np.array([planted[c.name] for c in model.coordinates])
    spread = np.exp(near * (2 * spread_points(count, len(centre)) - 1))
    return np.where(model.log, np.log(centre * spread), centre * spread)


@pytest.mark.parametrize("name", LAWS)
def test_sums_are_the_same_at_parameters_that_were_not_asked(name, rows):
    model = rows(name)
    few = model.condensed
    many = [key for key, variable in model.law.variables.items() if variable.many]
    assert all(few.variables[key].shape[1] < model.variables[key].shape[1] / 2 for key in many)
    theta = vectors(model, LAWS[name])
    np.testing.assert_allclose(few.value(theta), model.value(theta), rtol=1e-7)
    wanted, found = model.jacobian(theta)[1], few.jacobian(theta)[1]
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max(axis=(0, 2))[:, None].max())
    assert few.condensed_at(theta[0]) is few


def test_each_value_that_is_kept_is_one_of_the_row(rows):
    model = rows("functional")
    few = model.condensed
    for i in (0, 19, 25, 39):
        kept = few.variables["gap"][i] != 0
        assert np.isin(few.variables["gap_area"][i][kept], model.variables["gap_area"][i]).all()
    assert not few.variables["gap"][:20].any()
    assert (few.variables["gap_lr"][0] == 1).all()


def test_the_same_rows_are_taken_of_both(rows):
    model = rows("multi-power")
    few = model.condensed
    chosen = np.array([1, 30, 39])
    np.testing.assert_array_equal(model.take(chosen).condensed.variables["gap"], few.variables["gap"][chosen])


def test_few_values_stay_as_they_are():
    law, at = find_law("multi-power"), np.arange(20, 60)
    for last, same in ((condensed.FEW, True), (condensed.FEW + 1, False)):
        lr = np.where(np.arange(60) <= 10, 3e-4, 3e-4 * 0.98 ** np.minimum(np.arange(60) - 10, last))
        found = law.at_steps(lr, 5, at)
        model = bind(law, found)
        assert (model.condensed is model) is (same or found["gap"].shape[1] <= condensed.FEW)
    chinchilla = bind(find_law("chinchilla"), {"N": np.geomspace(1e6, 1e8, 9), "D": np.geomspace(1e8, 1e9, 9)})
    assert chinchilla.condensed is chinchilla


def test_what_says_something_else_at_the_fit_is_not_used(rows, monkeypatch):
    model = rows("functional")
    theta = vectors(model, LAWS["functional"])[0]
    assert model.condensed_at(theta) is model.condensed
    monkeypatch.setattr(bound, "SAME", 1e-16)
    assert model.condensed_at(theta) is model


@pytest.mark.parametrize("name", ["functional", "multi-power-fading"])
def test_a_fit_ends_at_the_optimum_of_all_values(name, rows):
    """Without noise: what generated the losses comes back as exactly as from all of them."""
    model = rows(name)
    losses = model.value(vectors(model, LAWS[name], near=0.0, count=1))[0]
    found = solve(model, losses, settings=Settings(loss="squared", starts=3))
    assert found.converged
    assert np.abs(model.value(found.theta[None])[0] / losses - 1).max() < 1e-9


def test_points_at_which_the_terms_are_small_count_as_those_at_which_they_are_large():
    made = np.array([[1e6, 2e6, 3e6], [1e-6, 5e-6, -2e-6]])
    chosen, factor = condensed._spanning(made)
    assert made[:, chosen] @ factor == pytest.approx(made.sum(axis=1), rel=1e-9)
