"""Formulas whose letters are numbers, logarithms or exponents, and bounds that are not zero."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError


def grid():
    size, data = np.repeat(10 ** np.linspace(6.5, 9, 6), 6), np.tile(10 ** np.linspace(8.5, 11, 6), 6)
    return pd.DataFrame({"N": size, "D": data, "loss": 1.7 + 400 * size**-0.34 + 410 * data**-0.28})


@pytest.mark.parametrize("text", ["e + A*N**-alpha", "exp(e) + A*N**-alpha", "A*N**-e", "A*N**(e - 1)"])
def test_a_bare_e_is_refused(text):
    with pytest.raises(InputError, match=r"e is the number 2\.718, not a parameter"):
        sf.fit(grid(), text)


def test_a_quoted_e_is_a_parameter_and_a_power_of_e_is_one_of_the_number():
    assert sf.fit(grid(), "`e` + A*N**-alpha + B*D**-beta")["e"] == pytest.approx(1.7, rel=1e-4)
    assert sf.fit(grid(), "E + A*N**-alpha + B*e**(-beta*log(D))")["E"] == pytest.approx(1.7, rel=1e-4)


@pytest.mark.parametrize(
    "text", ["exp(e0) + exp(a - alpha*log(N)) + exp(b - beta*log(D))", "exp(e0) + exp(a)*N**-alpha + exp(b)*D**-beta"]
)
def test_logarithms_of_factors_are_found(text):
    fit = sf.fit(grid(), text)
    assert fit.status == "converged"
    found = [np.exp(fit["e0"]), np.exp(fit["a"]), np.exp(fit["b"]), fit["alpha"], fit["beta"]]
    assert found == pytest.approx([1.7, 400, 410, 0.34, 0.28], rel=1e-3)


def test_a_bound_of_ones_own_is_not_called_zero():
    (said,) = [
        str(each)
        for each in sf.fit(grid(), "chinchilla", bounds={"E": (1.75, None)}).warnings
        if "E ended" in str(each)
    ]
    assert said == "E ended at its lower bound 1.75; widen its bounds, or add runs over a wider range"
