"""Where a law has no value: below its floors, and where a formula has none."""

from __future__ import annotations

import numpy as np
import pytest

import scalefit as sf
from scalefit.diagnosis.image import floors, no_image, without_image
from scalefit.laws import find_law
from scalefit.uncertainty.estimate import Estimate

MAP = {"K": 0.6, "E1": 1.3, "E0": 2.0, "kappa": 1.1}


def test_at_and_below_the_floor_there_is_no_value():
    fit = Estimate(find_law("loss-to-loss"), MAP, log=True, sigma=0.01)
    x = {"loss_source": np.array([1.9, 2.0, 2.1])}
    assert no_image(fit, x, 3).tolist() == [True, True, False]
    (check,) = without_image(fit, x)
    assert check.code == "no-image" and check.text.startswith("2 of 3 rows")
    assert "loss_source must be above E0 = 2" in floors(fit)
    assert without_image(fit, {"loss_source": np.array([2.5])}) == []


def test_a_formula_that_is_not_a_number_has_none():
    law = find_law("E + A*(x - 2)**k").with_columns(["x"])
    fit = Estimate(law, {"E": 1.0, "A": 1.0, "k": 0.5}, log=True, sigma=0.01)
    assert no_image(fit, {"x": np.array([1.0, 3.0])}, 2).tolist() == [True, False]


@pytest.mark.parametrize("law", [sf.find_law(name) for name in sf.law_names()], ids=sf.law_names())
def test_every_floor_is_a_parameter_and_its_variable_is_one(law):
    assert law.floors.keys() <= law.parameters.keys()
    assert {*law.floors.values()} <= law.variables.keys()
