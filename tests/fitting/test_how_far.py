"""How far a point lies outside the fitted range, and from where on that is said."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import IdentificationError
from scalefit.schedules.gaps import gaps_at


def fitted(low, high):
    x = np.geomspace(low, high, 9)
    return sf.fit(pd.DataFrame({"x": x, "loss": 2 + x**-0.3}), "power-floor:over=x")


def test_a_range_below_one_has_a_lower_end_too():
    fit = fitted(0.1, 1.0)
    assert fit.predict(x=0.01)["decades_beyond"].item() == pytest.approx(1.0)
    assert fit.predict(x=0.3)["decades_beyond"].item() <= 0
    assert fit.predict(x=100.0)["decades_beyond"].item() == pytest.approx(2.0)


def test_two_decades_are_far_however_wide_the_range_and_a_third_of_one_never_is():
    wide = fitted(1.0, 1e4)
    assert not wide.cautions(x=1e4 * 10**1.9)
    assert [check.code for check in wide.cautions(x=1e4 * 10**2.1)] == ["far-beyond"]
    narrow = fitted(1.0, 1.3)
    assert not narrow.cautions(x=1.3 * 10**0.29)
    assert [check.code for check in narrow.cautions(x=1.3 * 10**0.31)] == ["far-beyond"]


def test_a_variable_that_is_constant_below_zero_but_for_rounding_is_constant():
    x = -2 + 4e-11 * np.arange(8)
    table = pd.DataFrame({"x": x, "y": 3.0 + np.arange(8)})
    with pytest.raises(IdentificationError, match="have x = -2"):
        sf.fit(table, "y = a + b*x", residuals="linear")


def test_a_step_outside_a_schedule_is_named():
    with pytest.raises(sf.InputError, match="step 9 lies outside a schedule of 3 steps"):
        gaps_at([1.0, 1.0, 0.5, 0.25], [1, 9])
