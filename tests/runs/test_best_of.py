"""Of a sweep at every size, the runs of the best setting."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scalefit.errors import InputError
from scalefit.runs import read_runs
from scalefit.runs.final import best_of

BEST = {1e6: 4e-3, 2e6: 2e-3, 4e6: 2e-3}


def sweep(**more):
    rows = [
        {
            "N": size,
            "D": 20 * size,
            "lr": lr,
            "seed": seed,
            "loss": 3 - np.log10(size) / 10 + 0.05 * np.log(lr / best) ** 2,
        }
        for size, best in BEST.items()
        for lr in (5e-4, 1e-3, 2e-3, 4e-3, 8e-3)
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows).assign(**more)


def kept(table, *settings):
    runs = best_of(read_runs(table), *(settings or ("lr",)))
    return runs, sorted({(row.N, row.peak_lr) for row in runs.table.itertuples()})


def texts(runs, kind):
    return [note.text for note in runs.notes if note.kind == kind]


def test_each_size_keeps_the_seeds_of_its_best_rate():
    runs, found = kept(sweep())
    assert found == sorted(BEST.items()) and len(runs) == 6
    assert (
        "6 of 30 runs: those whose lr reached the lowest loss, for each size (and other settings), 3 in all"
        in texts(runs, "selected")
    )
    assert not texts(runs, "suspect")


def test_seeds_are_averaged_and_a_rate_at_which_one_is_lost_is_not_chosen():
    table = sweep()
    lucky = table["lr"].eq(8e-3) & table["seed"].eq(0)
    table.loc[lucky, "loss"] -= 0.04  # the mean of its seeds is still above that of the best
    assert kept(table)[1] == sorted(BEST.items())
    table.loc[lucky, "loss"] -= 1  # now the mean is below
    assert {rate for _, rate in kept(table)[1]} == {8e-3}
    table.loc[table["lr"].eq(8e-3) & table["seed"].eq(1), "loss"] = np.nan
    assert kept(table)[1] == sorted(BEST.items())
    status = np.where(table["lr"].eq(8e-3) & table["seed"].eq(1), "running", "finished")
    assert kept(table.assign(status=status, loss=table["loss"].fillna(0.1)))[1] == sorted(BEST.items())


def test_other_settings_part_the_runs_and_what_follows_from_the_swept_ones_does_not():
    both = pd.concat([sweep(recipe="old"), sweep(recipe="new").assign(lr=lambda rows: rows["lr"] * 2)])
    runs, found = kept(both)
    assert len(runs) == 12 and found == sorted([*BEST.items(), *((size, 2 * rate) for size, rate in BEST.items())])
    follows = sweep().assign(warmup_lr=lambda rows: rows["lr"] / 10)
    assert len(kept(follows)[0]) == 6
    batches = sweep().drop(columns="seed").drop_duplicates(["N", "lr"])
    batches = batches.assign(batch=batches["lr"] * 1e6, lr=1e-3, steps=batches["D"] / batches["lr"] / 1e6)
    assert sorted(best_of(read_runs(batches), "batch").table["batch"]) == [2e3, 2e3, 4e3]


def test_a_grid_of_two_settings():
    grid = pd.concat([sweep(batch=float(batch)).assign(loss=lambda rows, b=batch: rows["loss"] + abs(b - 64) / 1e3)
                      for batch in (32, 64, 128)])  # fmt: skip
    runs, found = kept(grid, "lr", "batch")
    assert found == sorted(BEST.items()) and set(runs.table["batch"]) == {64.0}
    assert not texts(runs, "suspect")
    assert len(kept(grid)[0]) == 18  # each batch apart


def test_a_best_setting_at_the_end_of_the_sweep_is_told():
    low = best_of(read_runs(sweep()).where("peak_lr >= 2e-3"), "peak_lr")
    assert [text.split(":")[0] for text in texts(low, "suspect")] == [
        "the best peak_lr is the smallest or largest tried in 2 of 3"
    ]
    high = best_of(read_runs(sweep()).where("peak_lr <= 2e-3"), "peak_lr")
    assert "in 3 of 3" in texts(high, "suspect")[0]
    assert not texts(best_of(read_runs(sweep()).where("peak_lr == 2e-3"), "peak_lr"), "suspect")  # nothing was swept
    assert not texts(best_of(read_runs(sweep().rename(columns={"seed": "rng"})), "lr", "rng"), "suspect")  # no scale


def test_the_best_size_of_each_budget():
    rows = [
        (size, budget / (6 * size), 3 + np.log(size / best) ** 2 / 10)
        for budget, best in ((6e16, 2e6), (6e17, 4e6))
        for size in (1e6, 2e6, 4e6, 8e6)
    ]
    runs = read_runs(pd.DataFrame(rows, columns=["N", "D", "loss"])).with_compute()
    assert best_of(runs, "N").table["N"].tolist() == [2e6, 4e6]


def test_curves_stay_whole():
    finals = sweep().drop(columns="seed").drop_duplicates(["N", "lr"]).reset_index(drop=True)
    rows = [
        {**row, "run": f"r{i}", "step": step, "loss": row["loss"] + 10 / step}
        for i, row in enumerate(finals.rename(columns={"lr": "peak_lr"}).to_dict("records"))
        for step in (10, 100, 1000)
    ]
    runs = best_of(read_runs(pd.DataFrame(rows)), "peak_lr")
    assert sorted(zip(runs.table["N"], runs.table["peak_lr"], strict=True)) == sorted(BEST.items())
    assert len(runs.curves) == 9 and list(runs.curves["run"].cat.categories) == runs.names


def test_what_is_not_there():
    runs = read_runs(sweep())
    with pytest.raises(InputError, match="there is no setting 'dropout' of whole runs"):
        best_of(runs, "dropout")
    with pytest.raises(InputError, match="no run has a final loss"):
        best_of(read_runs(sweep(status="running")), "lr")


def test_tokens_that_differ_by_rounding_are_one_amount():
    """Whole numbers of steps times the batch: nearly equal, whether integers, or floats around a round fourth digit."""
    table = sweep()
    for unit in (1, 1.0):
        for low, high in ((99_999_744, 100_000_256), (100_049_000, 100_051_000)):
            data = np.where(table.index % 4 < 2, low * unit, high * unit)
            assert kept(table.assign(D=data.astype(type(unit))))[1] == sorted(BEST.items())


def test_a_setting_of_words():
    table = sweep().query("lr == 2e-3 and seed == 0")
    both = pd.concat([table.assign(optimizer="adam"), table.assign(optimizer="muon", loss=table["loss"] - 0.1)])
    assert best_of(read_runs(both), "optimizer").table["optimizer"].tolist() == ["muon"] * 3


def test_the_peak_of_curves_is_that_of_their_learning_rates():
    table, steps = sweep().query("seed == 0").reset_index(drop=True), np.arange(0, 100, 10)
    curves = [
        pd.DataFrame({"run": f"r{at}", "N": row.N, "step": steps, "lr": row.lr * (1 - steps / 200), "loss": row.loss})
        for at, row in enumerate(table.itertuples())
    ]
    assert kept(pd.concat(curves), "peak_lr")[1] == kept(pd.concat(curves), "lr")[1] == sorted(BEST.items())
