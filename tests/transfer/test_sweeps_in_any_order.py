"""One sweep has one answer, in whatever order its runs are read: from folders, or from a collected table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf


def sweep():
    rng = np.random.default_rng(4)
    rows = [
        (arm, width, lr, seed, 2.5 + 0.05 * (np.log2(lr * width) + 1) ** 2 + 0.01 * rng.standard_normal())
        for arm in ("sp", "mup")
        for width in (32, 64, 128)
        for lr in 2.0 ** np.arange(-10.0, -4.0)
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows, columns=["parametrization", "d_model", "lr", "seed", "loss"])


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_the_runs_changes_no_digit(seed):
    wanted = sf.lr_transfer(sweep(), draws=40)
    found = sf.lr_transfer(sweep().sample(frac=1, random_state=seed).reset_index(drop=True), draws=40)
    pd.testing.assert_frame_equal(found.table, wanted.table)
    for arm in ("sp", "mup"):
        assert found[arm].drift == wanted[arm].drift


def curves_of(table, held="val_loss", last=200):
    """Each run as a log: a training loss that says nothing of the rate, and evaluations every 50 steps to ``last``."""
    steps, rows = np.arange(10, 210, 10), []
    for at, run in table.iterrows():
        for step in steps:
            judged = {held: run["loss"] + (200 - step) / 100} if step % 50 == 0 and step <= last else {}
            trained = 2.0 + 1 / step + 0.02 * np.sin(at)
            rows.append({"run": f"r{at}", **run.drop("loss"), "step": step, "loss": trained, **judged})
    return pd.DataFrame(rows)


def test_a_log_of_each_run_gives_the_answer_of_the_table_of_its_held_out_losses():
    table = sweep().query("parametrization == 'mup' and seed == 0").reset_index(drop=True)
    wanted = sf.lr_transfer(table, draws=20).table
    found = sf.lr_transfer(sf.read_runs(curves_of(table)), draws=20).table
    pd.testing.assert_frame_equal(found, wanted)
    names = [f"a/{name}" for name in curves_of(table)["run"]]
    halves = [
        curves_of(table),
        curves_of(table).assign(run=names, seed=1),
    ]  # as two files, whose rows are numbered alike
    assert len(sf.lr_transfer(sf.read_runs(halves), draws=20).table) == len(wanted)


@pytest.mark.parametrize(("held", "last"), [("val_loss", 150), ("probe", 200)])
def test_an_evaluation_long_before_the_end_is_no_final_loss(held, last):
    from scalefit.runs.final import final_losses

    logs = curves_of(sweep().head(4), held, last)
    table, notes = final_losses(sf.read_runs(logs))
    ends = logs[logs["step"] == 200]["loss"].tolist()
    assert table["loss"].tolist() == ends and not any("held-out" in note for note in notes)
