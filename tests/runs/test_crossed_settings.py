"""Settings of no known name distinguish runs where nearly every step has every combination of them, once."""

from __future__ import annotations

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.runs.reading.naming import _crossed

NAMES = ["twist", "shade"]


def grid(*more):
    rows = [(s, t, c) for s in range(1, 11) for t in (1, 2) for c in ("a", "b")]
    return pd.DataFrame([*rows, *more], columns=["step", *NAMES])


def test_every_combination_at_every_step():
    assert _crossed(grid(), "step", NAMES) == NAMES


def test_one_step_that_a_combination_has_twice_is_no_such_log():
    assert _crossed(grid((3, 1, "a")), "step", NAMES) == []


def test_steps_that_repeat_are_those_of_several_runs_where_settings_tell_them_apart():
    rows = grid()
    loss = 4 - rows["step"] / 16 - rows["twist"] / 64 - (rows["shade"] == "b") / 128
    runs = sf.read_runs(rows.assign(loss=loss))
    assert runs.names == ["twist=1, shade=a", "twist=1, shade=b", "twist=2, shade=a", "twist=2, shade=b"]
    np.testing.assert_allclose(runs.curves.groupby("run", observed=True)["loss"].first(), loss[:4])
