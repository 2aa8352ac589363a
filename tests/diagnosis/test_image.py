"""Where a law has no value: at and below its floors."""

from __future__ import annotations

import commands
import numpy as np

import scalefit as sf
from scalefit.diagnosis.image import floors, no_image, without_image
from scalefit.laws import find_law

MAP = {"K": 0.6, "E1": 1.3, "E0": 2.0, "kappa": 1.1}


def test_at_and_below_the_floor_there_is_no_value():
    law, x = find_law("loss-to-loss"), {"loss_source": np.array([1.9, 2.0, 2.1])}
    assert no_image(law, MAP, x).tolist() == [True, True, False]
    (check,) = without_image(law, MAP, x)
    assert check.code == "no-image" and check.text.startswith("2 of 3 rows")
    assert "loss_source must be above E0 = 2" in floors(law, MAP)
    assert without_image(law, MAP, {"loss_source": np.array([2.5])}) == []


@commands.cases("law", [sf.find_law(name) for name in sf.law_names()])
def test_every_floor_is_a_parameter_and_its_variable_is_one(law):
    assert law.floors.keys() <= law.parameters.keys()
    assert {*law.floors.values()} <= law.variables.keys()
