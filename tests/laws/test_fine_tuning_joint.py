"""Joint fine-tuning law: size and examples multiply."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.laws import find_law

PLANTED = {"E": 0.6, "A": 25.0, "alpha": 0.12, "beta": 0.08}


def table(**columns):
    sizes, examples = (a.ravel() for a in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e3, 1e6, 5)))
    loss = 0.6 + 25.0 * sizes**-0.12 * examples**-0.08
    return pd.DataFrame({columns.get("scale", "N"): sizes, "examples": examples, "loss": loss})


@pytest.mark.parametrize(("scale", "law"), [("N", ""), ("adapter", ":over=adapter"), ("D", ":over=D")])
def test_planted_constants_come_back_over_any_scale(scale, law):
    found = sf.fit(table(scale=scale), "fine-tuning-joint" + law)
    assert dict(found.parameters) == pytest.approx(PLANTED, rel=1e-6)


def test_ten_times_the_examples_gain_less_on_a_larger_model():
    law = find_law("fine-tuning-joint")
    gain = [
        law.evaluate({"x": N, "examples": 1e3}, PLANTED) - law.evaluate({"x": N, "examples": 1e4}, PLANTED)
        for N in (1e8, 1e9)
    ]
    assert gain[1] / gain[0] == pytest.approx(10**-0.12, rel=1e-12)


def test_examples_that_follow_the_size_are_refused():
    with pytest.raises(sf.InputError, match=r"move together.*another number of examples at one scale"):
        sf.fit(table().assign(examples=lambda frame: frame["N"] ** 0.5), "fine-tuning-joint")
