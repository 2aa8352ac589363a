"""Rows that are made block by block are those that are made at once, wherever a block ends."""

from __future__ import annotations

import commands
import numpy as np

from scalefit.laws import find_law
from scalefit.rows.streams import curve_of, run_blocks
from scalefit.runs import Trajectory


class Blocked:
    """A law of one feature, the sum of the learning rate so far, in blocks of a given size."""

    def __init__(self, size):
        self.size = size

    def along_blocks(self, lr, warmup):
        whole = np.cumsum(lr)
        for begin in range(0, len(lr), self.size):
            yield {"S1": whole[begin : begin + self.size]}


@commands.cases("size", [1, 2, 5, 7, 10, 100])
@commands.cases("steps", [np.arange(1, 41), np.arange(5, 41, 5), np.array([3, 4, 7, 20, 21, 22, 39, 40])])
@commands.cases("warmup", [0, 4, 20])
def test_rows_do_not_depend_on_blocks(size, steps, warmup):
    lr = 1e-3 * (1 + np.arange(41) % 7)
    found = list(run_blocks(Blocked(size), Trajectory("a", steps, lr, warmup, ""), {"N": 1e6}))
    rows = np.concatenate([np.arange(len(steps))[at] for at, _ in found])
    assert rows.tolist() == np.flatnonzero(steps > warmup).tolist()
    S1 = np.concatenate([variables["S1"] for _, variables in found])
    np.testing.assert_array_equal(S1, np.cumsum(lr)[steps[steps > warmup]])
    assert all(np.all(variables["N"] == 1e6) and len(variables["N"]) == at.stop - at.start for at, variables in found)


def test_the_curve_of_a_run_begins_after_the_last_step_of_its_warmup():
    path = Trajectory("a", np.arange(5, 41, 5), np.full(41, 1e-3), 10, "")
    found = curve_of(find_law("annealing"), path, np.arange(8.0), {})
    assert found.steps.tolist() == [15, 20, 25, 30, 35, 40] and found.values.tolist() == [2, 3, 4, 5, 6, 7]
