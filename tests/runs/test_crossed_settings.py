"""Settings of no known name distinguish runs where nearly every step has every combination of them, once."""

from __future__ import annotations

import pandas as pd

from scalefit.runs.reading.naming import _crossed

NAMES = ["twist", "shade"]


def grid(*more):
    rows = [(s, t, c) for s in range(1, 11) for t in (1, 2) for c in ("a", "b")]
    return pd.DataFrame([*rows, *more], columns=["step", *NAMES])


def test_every_combination_at_every_step():
    assert _crossed(grid(), "step", NAMES) == NAMES


def test_one_step_that_a_combination_has_twice_is_no_such_log():
    assert _crossed(grid((3, 1, "a")), "step", NAMES) == []
