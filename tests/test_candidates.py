"""Which laws are compared where none is named, and of which it is said why they are not."""

from __future__ import annotations

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.comparison import candidates, left_out
from scalefit.laws import find_law


def is_along_a_schedule(name):
    return find_law(name).is_trajectory


STEP = np.arange(1, 2002, 100)


def curve(run, lr, fall=0.0):
    return pd.DataFrame({"run": run, "step": STEP, "lr": lr, "loss": 2 + 9 * (STEP + 50) ** -0.5 - 0.1 * fall})


def test_of_curves_under_one_schedule_the_laws_along_a_schedule_are_those_left_out():
    one_schedule = sf.read_runs(pd.concat([curve("a", 1e-3), curve("b", 1e-3, 0.1)]))
    names = candidates(one_schedule)
    assert names
    assert not any(map(is_along_a_schedule, names))
    told = left_out(one_schedule)
    assert "annealing" in told
    assert all(map(is_along_a_schedule, told))
    assert not {*told} & {*names}


def test_nothing_is_said_of_schedules_where_there_are_no_curves():
    N = np.array([1e6, 1e7, 1e8, 1e9, 1e10])
    runs = sf.read_runs(pd.DataFrame({"N": N, "loss": 2 + 300 * N**-0.3}))
    assert left_out(runs) == {}
    assert {"power", "power-floor"} <= {*candidates(runs)}


def test_curves_under_several_schedules_are_left_to_the_laws_along_them():
    linear, late = STEP / 2002, np.maximum(0, STEP / 1001 - 1)
    falls = {"constant": 0 * linear, "linear": linear, "late": late}
    runs = sf.read_runs(pd.concat([curve(name, 1e-3 * (1 - fall), fall) for name, fall in falls.items()]))
    assert "annealing" in candidates(runs)
    assert left_out(runs) == {}
