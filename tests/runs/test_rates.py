"""A setting is never a curve: which column is the learning rate at the step."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

STEPS = np.arange(0, 400, 40)
FALLING = 2e-3 * (1 - STEPS / 400)


def table(**columns):
    return pd.DataFrame({"run": "a", "step": STEPS, "loss": 3 - STEPS / 400, **columns})


@pytest.mark.parametrize("names", [("lr", "learning_rate"), ("lr", "optim/learning_rate")])
def test_the_column_that_changes_is_the_rate(names):
    setting, rate = names
    runs = sf.read_runs(table(**{setting: 2e-3, rate: FALLING}))
    np.testing.assert_allclose(runs.curves["lr"], FALLING)
    assert runs.table["peak_lr"].item() == 2e-3
    assert any("changes along the run" in note.text for note in runs.notes)


def test_each_run_counts_by_itself():
    both = pd.concat([table(lr=peak, learning_rate=FALLING * peak).assign(run=str(peak)) for peak in (1.0, 2.0)])
    runs = sf.read_runs(both.reset_index(drop=True))
    np.testing.assert_allclose(runs.curves["lr"], [*FALLING, *(2 * FALLING)])
    assert runs.table["peak_lr"].tolist() == [1.0, 2.0]


def test_a_column_that_was_mapped_stays_the_rate():
    runs = sf.read_runs(table(lr=2e-3, learning_rate=FALLING), rename={"lr": "lr"})
    assert set(runs.curves["lr"]) == {2e-3}


def test_two_columns_that_change_are_told():
    runs = sf.read_runs(table(lr=FALLING, learning_rate=FALLING / 2))
    np.testing.assert_allclose(runs.curves["lr"], FALLING)
    assert any("kept unchanged: 'learning_rate'" in note.text for note in runs.notes)


def test_a_record_without_a_loss_is_no_loss(tmp_path):
    rows = [f'{{"current_steps": {s}, "loss": {3 - s / 100}, "lr": 0.001}}' for s in range(10, 60, 10)]
    (tmp_path / "log.jsonl").write_text("\n".join([*rows, '{"current_steps": 53, "percentage": 100.0}']) + "\n")
    runs = sf.read_runs(tmp_path / "log.jsonl", rename={"current_steps": "step"})
    assert runs.curves["step"].tolist() == [10, 20, 30, 40, 50]
    assert not runs.curves["loss"].isna().any()
    (tmp_path / "log.jsonl").write_text("\n".join([*rows, '{"current_steps": 60, "loss": NaN, "lr": 0.001}']) + "\n")
    lost = sf.read_runs(tmp_path / "log.jsonl", rename={"current_steps": "step"})
    assert lost.curves["loss"].isna().tolist() == [False] * 5 + [True]
