"""The laws that runs identify, in order of use: those that can be fitted, without doubts before with, then the rest."""

from __future__ import annotations

import numpy as np
import pandas as pd

from scalefit.diagnosis.identifiable import _described, identify
from scalefit.laws import Variable
from scalefit.runs import read_runs


def test_laws_that_can_be_fitted_come_first_and_those_with_doubts_after_those_without():
    N, D = np.repeat([1e6, 1e7, 1e8, 1e9], 4), np.tile([1e8, 1e9, 1e10, 1e11], 4)
    loss = 1.7 + 400 * N**-0.34 + 410 * D**-0.28
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"N": N, "D": D, "weight_decay": rng.permutation(np.repeat([0.0, 0.1], 8)), "loss": loss})
    found = identify(read_runs(table))
    place = [(not one.can, bool(one.doubts)) for one in found]
    assert place == sorted(place)
    assert {one.can for one in found} == {True, False}
    assert "chinchilla" in [one.law for one in found if one.can]
    assert len({(one.can, bool(one.doubts)) for one in found}) == 3


def test_a_missing_column_is_named_with_its_unit_where_its_meaning_does_not_say_it():
    for unit, said in (("FLOP", "training compute, in FLOP"), ("1", "training compute"), ("any", "training compute")):
        assert _described(Variable(unit, "training compute")) == said
    assert _described(Variable("tokens", "training tokens")) == "training tokens"
