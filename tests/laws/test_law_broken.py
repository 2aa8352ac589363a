"""The broken law with several breaks: planted breaks come back, numbered in the order of their places."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.laws import find_law
from scalefit.solver.model import bind
from scalefit.solver.solve import _arranged

X = np.geomspace(1e2, 1e7, 60)
TWO = {"a": 0.3, "b": 5.0, "c0": 0.05, "c1": 0.9, "d1": 5e3, "f1": 0.15, "c2": -0.6, "d2": 2e5, "f2": 0.3}
#: the search by an even cover alone ends elsewhere for these
HARD = [
    {"a": 0.0, "b": 18.0, "c0": 0.32, "c1": 0.43, "d1": 1300.0, "f1": 0.24, "c2": -1.7, "d2": 1.1e4, "f2": 0.3},
    {"a": 0.0, "b": 3.6, "c0": 0.16, "c1": -1.6, "d1": 9800.0, "f1": 0.13, "c2": 0.84, "d2": 9.4e4, "f2": 0.32},
]


def curve(truth, noise=0.0):
    law = find_law("broken:breaks=2")
    spread = np.exp(noise * np.random.default_rng(0).standard_normal(len(X)))
    return pd.DataFrame({"x": X, "loss": law.evaluate({"x": X}, truth) * spread})


@pytest.mark.parametrize("truth", [TWO, *HARD])
def test_two_breaks_come_back_in_order(truth):
    found = sf.fit(curve(truth), "broken:breaks=2", loss="squared")
    for name, value in truth.items():
        assert found[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name


def test_no_curve_is_closer_to_noisy_points_than_the_one_found():
    truth = HARD[0]
    noisy = curve(truth, 1e-3)
    found = sf.fit(noisy, "broken:breaks=2", loss="squared")
    planted = np.log(find_law("broken:breaks=2").evaluate({"x": X}, truth) / noisy["loss"].to_numpy())
    assert found.cost <= 0.5 * np.sum(planted**2)


def test_breaks_keep_the_numbers_that_the_user_gave_them():
    law = find_law("broken:breaks=2")
    swapped = {name.translate(str.maketrans("12", "21")): value for name, value in TWO.items()}
    assert law.arranged(swapped) == TWO
    found = sf.fit(curve(TWO), law, fix={"d2": 5e3}, start=swapped, loss="squared")
    assert (found["d1"], found["d2"]) == (pytest.approx(2e5, rel=1e-5), 5e3)


@pytest.mark.parametrize(
    ("fix", "swapped"), [({}, True), ({"a": 0.3}, True), ({"d1": 2e5}, False), ({"c2": 0.9}, False)]
)
def test_breaks_change_places_only_where_none_of_their_parameters_is_held(fix, swapped):
    named = TWO | {f"{letter}{i}": TWO[f"{letter}{3 - i}"] for letter in "cdf" for i in (1, 2)}
    model = bind(find_law("broken:breaks=2"), {"x": X}, fix=fix)
    theta = np.array([np.log(named[c.name]) if c.log else named[c.name] for c in model.coordinates])
    found = dict(zip(model.law.parameters, model.vector(_arranged(model, theta)[None])[0], strict=True))
    assert found == pytest.approx(TWO if swapped else named | fix)
