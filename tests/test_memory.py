"""What is computed once is what would have been computed again, and only where the input is the same."""

from __future__ import annotations

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit import memory
from scalefit.laws import find_law
from scalefit.solver import descent
from scalefit.solver.many import solve_each
from scalefit.solver.model import bind
from scalefit.solver.objective import Objective
from scalefit.solver.solve import Settings


def counting(calls, result):
    def compute():
        calls.append(1)
        return result

    return compute


@pytest.mark.parametrize(
    "other",
    [
        np.array([1.0, 2.0000000001]),
        np.array([[1.0, 2.0]]),
        np.array([1.0, 2.0], dtype=np.float32),
        {"a": np.array([1.0, 2.0])},
        (1.0, 2.0),
    ],
)
def test_another_input_is_computed_anew_and_the_same_is_not(nothing_kept, other):
    calls, first = [], np.array([1.0, 2.0])
    with memory.remembering():
        for told in (first, other, first.copy(), other):
            memory.once(counting(calls, 3), told, None)
    assert len(calls) == 2
    memory.once(counting(calls, 3), first, None)
    memory.once(counting(calls, 3), first, None)
    assert len(calls) == 4, "outside nothing is kept"


def test_what_a_caller_changes_is_its_own_and_the_outermost_ends_it(nothing_kept):
    calls = []
    with memory.remembering():
        with memory.remembering():
            memory.once(counting(calls, np.zeros(2)), "zeros")[:] = 7
        assert memory.once(counting(calls, np.zeros(2)), "zeros").tolist() == [0, 0]
        assert len(calls) == 1
    with memory.remembering():
        memory.once(counting(calls, np.zeros(2)), "zeros")
    assert len(calls) == 2


def test_the_oldest_go_first_and_large_arrays_are_not_kept(nothing_kept, monkeypatch):
    monkeypatch.setattr(memory, "MOST", 2)
    calls = []
    with memory.remembering():
        for told in (1, 2, 3, 3, 2, 1):
            memory.once(counting(calls, told), told)
        assert len(calls) == 4
        large = np.zeros(memory.MOST_BYTES)
        assert [memory.once(counting(calls, k), large) for k in (1, 2)] == [1, 2]


def test_a_choice_of_law_descends_less_often_and_answers_to_the_last_digit_the_same(nothing_kept, monkeypatch):
    C = np.geomspace(1e17, 1e20, 8)
    noise = np.exp(0.003 * np.random.default_rng(0).standard_normal(8))
    runs = pd.DataFrame({"C": C, "loss": (1.7 + 50 * C**-0.08) * noise})
    calls, real = [], descent._descend
    monkeypatch.setattr(descent, "_descend", lambda *given: calls.append(1) or real(*given))
    kept = sf.fit(runs, draws=20, starts=2)
    fewer = len(calls)
    monkeypatch.setattr(descent, "once", lambda compute, *told: compute())
    fresh = sf.fit(runs, draws=20, starts=2)
    assert fewer < len(calls) - fewer
    assert fresh.parameters == kept.parameters
    assert fresh.choice.weights == kept.choice.weights
    assert fresh.intervals == kept.intervals


def test_what_holds_arrays_is_compared_by_them(nothing_kept):
    calls, first = [], Objective(own=np.array([[0.1], [0.2]]))
    others = [Objective(own=np.array([[0.1], [0.3]])), Objective(loss="soft_l1", own=first.own), Objective()]
    with memory.remembering():
        for told in (first, *others, Objective(own=first.own.copy()), *others):
            memory.once(counting(calls, 3), told)
    assert len(calls) == 4


def test_fits_of_one_batch_descend_once_and_as_they_would_anew(nothing_kept, monkeypatch):
    D = np.geomspace(1e6, 1e9, 12)
    models = [bind(find_law("power-floor:over=D"), {"x": D[:count]}) for count in (10, 11, 12)]
    losses = [1.7 + 400 * D[:count] ** -0.34 * (1 + 0.01 * np.cos(np.arange(count))) for count in (10, 11, 12)]
    calls, real = [], descent._descend
    monkeypatch.setattr(descent, "_descend", lambda *given: calls.append(1) or real(*given))

    def costs(losses):
        return [each.cost for each in solve_each(models, losses, [None] * 3, Settings(starts=2))]

    fresh = costs(losses)
    needed = len(calls)
    with memory.remembering():
        assert costs(losses) == costs(losses) == fresh
        assert len(calls) == 2 * needed
        assert costs([losses[0] * 1.01, *losses[1:]])[0] != fresh[0]
        assert len(calls) > 2 * needed


def test_a_data_set_that_ships_is_read_as_anew_and_belongs_to_its_reader(monkeypatch):
    monkeypatch.chdir(commands.ROOT)
    first = sf.read_runs("data/size_data/runs.csv")
    expected, notes = first.table.copy(), first.notes
    first.table.loc[:, "loss"] = 0.0
    again = sf.read_runs("data/size_data/runs.csv")
    pd.testing.assert_frame_equal(again.table, expected)
    mapped = sf.read_runs("data/size_data/runs.csv", rename={"N_total": "N"})
    assert (mapped.table["N"] > expected["N"]).all()
    token = memory._KEPT.set(None)
    fresh = sf.read_runs("data/size_data/runs.csv")
    memory._KEPT.reset(token)
    pd.testing.assert_frame_equal(fresh.table, expected)
    assert (fresh.notes, fresh.origin) == (notes, first.origin)
