"""Units of parameters follow what is explained; bounds cut intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

N = np.repeat(10.0 ** np.arange(6, 11), 3)
Y = (0.3 + 60 * N**-0.3) * np.exp(0.02 * np.random.default_rng(0).standard_normal(15))


def fitted(target, **options):
    return sf.fit(
        sf.read_runs(pd.DataFrame({"N": N, target: Y}), need=()), "power-floor:over=N", target=target, **options
    )


def test_the_unit_is_that_of_the_target():
    """An error rate has no unit; of a column that is not known its own name is all that can be said."""
    law = fitted("loss")
    floor = next(name for name, each in law.law.parameters.items() if each.unit == law.law.target_unit)
    assert fitted("error").unit_of(floor) == "1"
    assert fitted("regret").unit_of(floor) == "unit of regret"


def test_an_interval_ends_where_a_bound_that_was_given_ends():
    free = fitted("loss", draws=200)
    (name,) = [each for each in free.parameters if each.startswith("alpha") or each == "alpha"][:1]
    low, high = (free.draws[name].quantile(share) for share in (0.05, 0.95))
    assert low < free[name] < high
    bound = (free[name] + high) / 2
    cut = fitted("loss", draws=200, bounds={name: (None, bound)})
    assert cut.table.loc[name, "high"] == pytest.approx(bound)
    other = fitted("loss", draws=200, bounds={name: (0.0, 10.0)})
    assert other.table.loc[name, "high"] == pytest.approx(free.table.loc[name, "high"], rel=0.02)


def test_a_formula_is_shown_with_the_column_that_it_explains():
    C = np.geomspace(1e18, 1e20, 8)
    table = pd.DataFrame({"C": C, "loss": 2 + 300 * C**-0.13, "acc": 0.2 + 1e-3 * np.log(C)})
    shown = sf.fit(table, "a + b*log(C)", target="acc", residuals="linear").summary()
    assert "fitted: acc = " in shown
    assert "loss = " not in shown
    assert "fitted: loss = " in sf.fit(table, "a + b*C**-0.13").summary()
