"""Ends of a fit's parameters inside their domains, and the names that saved fits had."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import numpy as np
import pytest

from scalefit.fitting import saved
from scalefit.fitting.fit import fit
from scalefit.fitting.result import Fit

DOMAIN = {"E": SimpleNamespace(low=0.0, high=np.inf), "alpha": SimpleNamespace(low=-1.0, high=2.0)}


def ends(pair, value=0.5, bounds=None, name="alpha"):
    told = SimpleNamespace(parameter_intervals=lambda values: {name: pair})
    made = SimpleNamespace(
        intervals=told, parameters={name: value}, law=SimpleNamespace(parameters=DOMAIN), bounds=bounds or {}
    )
    return Fit._ends(made)[name]


def test_intervals_of_parameters_stay_inside_their_domain_or_the_bounds_given():
    assert ends((0.1, 0.9)) == (0.1, 0.9)
    assert ends((-3.0, 3.0)) == (-1.0, 2.0)
    assert ends((-3.0, 3.0), bounds={"alpha": (0.0, None)}) == (0.0, 2.0)
    assert ends((-3.0, 3.0), bounds={"alpha": (None, 1.0)}) == (-1.0, 1.0)
    assert ends((-3.0, 3.0), name="E") == (0.0, 3.0)


def test_a_held_value_outside_its_domain_is_inside_its_interval():
    assert ends((2.5, 2.5), value=2.5) == (2.5, 2.5)
    assert ends((-3.0, -1.5), value=-1.5) == (-1.5, -1.5)
    bare = SimpleNamespace(intervals=None, parameters={"alpha": 1.0})
    assert np.isnan(Fit._ends(bare)["alpha"]).all()


@pytest.mark.parametrize(
    ("spec", "parameters", "today"),
    [
        ("multi-power", ["fade"], "multi-power-fading"),
        ("multi-power:shape=paper", ["fade"], "multi-power-fading:shape=unfaded"),
        ("multi-power", ["beta"], "multi-power"),
        ("annealing", ["fade"], "annealing"),
    ],
)
def test_a_law_that_has_another_name_today(spec, parameters, today):
    assert saved._renamed({"law": spec, "parameters": dict.fromkeys(parameters, 1.0)}) == today


def test_a_fit_is_calibrated_and_makes_no_draws_unless_asked():
    defaults = {name: each.default for name, each in inspect.signature(fit).parameters.items()}
    assert (defaults["calibrated"], defaults["draws"]) == (True, 0)
