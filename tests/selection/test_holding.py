"""What is held out: along training, along what the target extends, downwards for losses, each run of curves."""

from __future__ import annotations

import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.laws import find_law
from scalefit.rows.gather import gather
from scalefit.rows.resolve import resolve
from scalefit.selection.holding import NEXT, axes_for, beyond_scales, left_out_runs

N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e6, 1e9, 4), np.geomspace(1e8, 1e11, 4)))
U = D / np.tile([1, 4], 8)
TABLE = pd.DataFrame({"N": N, "D": D, "U": U, "loss": 1.7 + 400 * N**-0.34 + 410 * D**-0.28})


def folds(table, name, target=(), curves=False):
    runs = sf.read_runs(table)
    law = resolve(find_law(name), runs)
    rows = gather(law, runs)
    found = left_out_runs(rows) if curves else beyond_scales(axes_for([law], rows, runs, dict(target)), rows, runs)
    assert found, "nothing is held out"
    return {fold.label: fold.held(rows, runs) for fold in found}


def test_the_larger_runs_are_held_out_by_size_times_data():
    for held in folds(TABLE, "chinchilla").values():
        assert (N * D)[held].min() > (N * D)[~held].max()


def test_a_law_of_size_alone_is_judged_on_the_same_rows():
    ours, theirs = folds(TABLE, "power:over=N"), folds(TABLE, "chinchilla")
    assert ours.keys() == theirs.keys()
    assert all((ours[label] == theirs[label]).all() for label in ours)


def test_the_walk_goes_along_every_variable_that_the_target_extends():
    inside = folds(TABLE, "data-constrained", {"N": 1e8, "D": 1e10, "U": 1e9})
    beyond = folds(TABLE, "data-constrained", {"N": 1e8, "D": 1e10, "U": 1e13})
    added = [held for label, held in beyond.items() if label not in inside]
    assert added
    assert all(label.endswith("training") for label in inside)
    for held in added:
        assert U[held].min() > U[~held].max()


def test_below_the_runs_the_walk_goes_down():
    found = folds(TABLE, "data-constrained", {"U": 1e5})
    down = [held for label, held in found.items() if "lower U" in label]
    assert down
    assert all(U[held].max() < U[~held].min() for held in down)


def test_losses_are_walked_downwards():
    x = np.linspace(2.5, 4, 30)
    for held in folds(pd.DataFrame({"loss_source": x, "loss": 0.9 * x}), "loss-to-loss").values():
        assert x[held].max() < x[~held].min()


def test_one_fold_holds_out_the_largest_rows_alone():
    held = folds(TABLE, "chinchilla")[NEXT]
    assert (N * D)[held].min() == (N * D).max()
    assert (N * D)[~held].max() < (N * D).max()


def test_no_two_folds_hold_out_the_same_rows():
    masks = [tuple(held) for held in folds(TABLE, "chinchilla").values()]
    assert len({*masks}) == len(masks) > 1


def test_each_run_of_curves_is_held_out_and_the_longer_ones_together():
    logs = []
    for run, steps, final in (("a", 400, 1.0), ("b", 800, 0.1), ("c", 1600, 0.1), ("d", 3200, 0.1)):
        step = np.arange(20, steps + 1, 20)
        lr = 1e-3 * (1 - (1 - final) * step / steps)
        logs.append(pd.DataFrame({"run": run, "step": step, "lr": lr, "loss": 2 + 3 * step**-0.5}))
    table = pd.concat(logs)
    runs = sf.read_runs(table, warmup=0)
    rows = gather(find_law("annealing"), runs)
    found = {fold.label: fold.held(rows, runs) for fold in left_out_runs(rows)}
    names = rows.frame["run"].astype(str).to_numpy()
    for run in "abcd":
        assert {*names[found[f"without {run}"]]} == {run}
    longer = [held for label, held in found.items() if "more than" in label]
    assert [{*names[held]} for held in longer] == [{"c", "d"}, {"d"}]
    assert left_out_runs(rows.keep(np.isin(names, ["a", "b"]))) == []
