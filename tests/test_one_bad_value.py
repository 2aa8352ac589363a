"""One value among good ones that cannot be is refused, each kind by itself, and the last good values are not."""

from __future__ import annotations

from dataclasses import replace

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError
from scalefit.laws import find_law
from scalefit.laws.identification import refuse_no_shares
from scalefit.schedules.relaxation import _powered
from scalefit.schedules.shapes import multi_step, piecewise
from scalefit.schedules.theory import convex_bound, refine_schedule
from scalefit.solver import many
from scalefit.solver.model import bind
from scalefit.solver.solve import Settings
from scalefit.transfer.sweeps import _refuse_zero, refuse_unusable

MIXTURE = find_law("mixture-scale:over=a+b")


def shares(*first):
    values = np.asarray(first, dtype=float)
    given = {name: np.ones(values.size) for name in MIXTURE.variables}
    refuse_no_shares(MIXTURE, given | {"r1": values, "r2": 1 - values})


def target(law):
    return lambda *values: find_law(law).check_target({}, np.asarray(values, dtype=float))


def usable(*values):
    column = pd.Series(values, dtype=float)
    refuse_unusable(pd.DataFrame({"lr": column}), {"lr": column})


#: function of several values, values that it takes, and one by one those that it does not take beside them
KINDS = [
    (target("observational"), (0.0, 1.0), (-0.01, 1.01)),
    (target("repeated-sampling"), (0.0, 1.0), (-0.01, 1.01)),
    (shares, (0.0, 0.25, 1.0), (-0.2, 1.2)),
    (lambda *factor: multi_step([0], peak_lr=1.0, at=range(1, 1 + len(factor)), factor=factor), (0.1, 2.0), (0, -1)),
    (lambda *lr: piecewise([0], at=range(len(lr)), lr=lr), (0.0, 1.0), (-0.1, np.inf, np.nan)),
    (lambda *at: piecewise([0], at=at, lr=[1.0] * len(at)), (0.0, 1.0), (1.0, 0.5, np.inf, np.nan)),
    (lambda *norm: refine_schedule(norm), (0.1, 2.0), (0.0, -1.0, np.inf, np.nan)),
    (lambda *lr: convex_bound(lr), (0.0, 1.0), (-1.0, np.inf, np.nan, 0.0)),
    (lambda *lr: _powered(lr, 2.0), (0.0, 1.0), (-1.0, np.inf, np.nan)),
    (usable, (1e-9, 1.0), (0.0, -1.0, np.nan)),
    (lambda *batch: sf.fit_tradeoff(batch, 1 + 3 / np.maximum(np.nan_to_num(batch), 0.1)), (1, 2), (0, -1, np.nan)),
    (lambda *C: sf.compute_optimal("chinchilla", CONSTANTS, C), (1e-9, 1e21), (0.0, -1.0)),
]
CONSTANTS = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}


def test_one_bad_value_among_good_ones_is_refused():
    wrong = []
    for at, (function, good, bad) in enumerate(KINDS):
        function(*good)
        for one in bad:
            try:
                function(*good, one)
                wrong.append((at, one))
            except InputError:
                pass
    assert wrong == []


@commands.cases("losses, refused", [((0.0, 0.0), False), ((1.0, 2.0), False), ((1.0, 0.0), True)])
def test_losses_of_zero_are_refused_beside_others(losses, refused):
    table = pd.DataFrame({"run": ["a", "b"], "loss": losses})
    if refused:
        with pytest.raises(InputError, match=r"loss is 0 in b \(1 of 2 runs\)"):
            _refuse_zero(table)
    else:
        _refuse_zero(table)


def test_two_lists_of_one_length_make_a_trade_off_and_those_of_other_lengths_none():
    for batch, steps in (([1.0, 1.0], [4.0, 4.0]), ([1.0, 2.0, 4.0], [4.0, 3.0])):
        with pytest.raises(InputError, match="two or more batch sizes"):
            sf.fit_tradeoff(batch, steps)
    with pytest.raises(InputError, match=r"do not follow S_min"):
        sf.fit_tradeoff([1.0, 2.0], [3.0, 4.0])


def test_the_converged_start_is_that_of_the_best_end():
    """Of several fits as one batch: whether each converged is what became of its best start, not of another."""
    x, settings = np.geomspace(1.0, 100.0, 6), Settings(starts=3, delta=0.01)
    models = [bind(find_law("power:over=D"), {"x": x})] * 2
    losses, real = [1 + 2 * x**-0.5, 2 + 3 * x**-0.4], many.descend
    for only_best in (True, False):

        def told(*given, only_best=only_best, **options):
            found = real(*given, **options)
            costs = found.objective.reshape(2, -1)
            best = (np.arange(costs.shape[1]) == costs.argmin(axis=1)[:, None]).ravel()
            apart = found.objective + ~best  # the others end elsewhere
            return replace(found, objective=apart, converged=best if only_best else ~best)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(many, "descend", told)
            assert [each.converged for each in many.solve_each(models, losses, [None, None], settings)] == [
                only_best
            ] * 2
