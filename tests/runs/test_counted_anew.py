"""Logs whose steps are counted anew in each epoch or after a resume: no rows are dropped, none becomes a run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

STEPS = np.arange(10, 1010, 10)
LOSS = 2 + 6 * (STEPS + 20.0) ** -0.3 + 0.01 * np.random.default_rng(1).standard_normal(100)


def log(step, **columns):
    return pd.DataFrame({"step": step, "loss": LOSS, **columns})


@pytest.mark.parametrize(
    ("step", "times"), [((STEPS - 10) % 200 + 10, 4), (np.where(STEPS > 600, STEPS - 600, STEPS), 1)]
)
def test_steps_that_begin_again_while_the_loss_goes_on_are_no_restart(step, times):
    """80 of 100 rows were dropped as logged again, and the others stood at steps 10 to 200."""
    with pytest.raises(sf.InputError, match=rf"step begins again from its first value \(times: {times}\)"):
        sf.read_runs(log(step))


def test_a_training_that_was_started_again_is_read_as_before():
    again = pd.concat([log(STEPS)[:40], log(STEPS)])
    runs = sf.read_runs(again)
    assert runs.curves.step.tolist() == STEPS.tolist()
    assert [note.kind for note in runs.notes if note.kind in ("dropped", "suspect")] == ["dropped", "suspect"]


@pytest.mark.parametrize("each", [4, 5, 10])
def test_short_epochs_of_a_steep_loss_are_seen(each):
    """Medians of three rows lie apart where an epoch has four: 96 of 100 rows were dropped."""
    steep = 2 + 6 * STEPS**-0.5
    with pytest.raises(sf.InputError, match="although the loss goes on"):
        sf.read_runs(pd.DataFrame({"step": (STEPS - 10) % (10 * each), "loss": steep}))


def test_a_restart_of_a_loss_that_hardly_falls_is_read():
    """Fine-tuning: the first losses of the second start lie as near to the last ones as to those of the first start."""
    refused = 0
    for seed in range(20):
        noise = 0.1 * np.random.default_rng(seed).standard_normal(100)
        starts = pd.DataFrame({"step": np.r_[STEPS[:30], STEPS[:70]], "loss": 2.3 + noise})
        try:
            assert len(sf.read_runs(starts).curves) == 70
        except sf.InputError:
            refused += 1
    assert refused <= 1


@pytest.mark.parametrize("counter", ["batch", "i", "batch_idx", "frac"])
@pytest.mark.parametrize("first", [0, 1])
def test_a_counter_inside_each_epoch_makes_no_run_of_each_row(counter, first):
    epoch, inside = (STEPS - 10) // 250, (STEPS - 10) % 250 / (500 if counter == "frac" else 1)
    table = pd.DataFrame({"epoch": epoch + first, counter: inside + first, "loss": LOSS})
    with pytest.raises(sf.InputError, match=f"'{counter}' begins again with every epoch"):
        sf.read_runs(table)


@pytest.mark.parametrize("effect", [0.0, 0.02, 1.0])
def test_a_setting_with_a_row_in_each_epoch_is_no_counter(effect):
    epoch, dropout = np.repeat(np.arange(10), 4), np.tile([0.0, 0.1, 0.2, 0.3], 10)
    table = pd.DataFrame({"epoch": epoch, "dropout": dropout, "loss": 2 + 3 / (epoch + 1.0) - effect * dropout})
    assert len(sf.read_runs(table)) == 4


@pytest.mark.parametrize("fresh", [250, 255, 299])
def test_a_restart_between_logged_steps_replaces_the_rows_after_it(fresh):
    steps = [*range(0, 301, 10), *range(fresh, 500, 10)]
    log = pd.DataFrame({"step": steps, "loss": 10 / (1 + np.arange(len(steps))) + 3})
    runs = sf.read_runs(log)
    assert runs.curves["step"].tolist() == [*range(0, fresh, 10), *range(fresh, 500, 10)]
    assert any(note.kind == "dropped" and "after a restart" in note.text for note in runs.notes)


@pytest.mark.parametrize("how", ["by text", "swapped", "shuffled", "evaluations last"])
def test_rows_out_of_order_are_all_kept(how):
    steps = np.arange(0, 1200, 40)
    order = np.random.default_rng(3).permutation(len(steps))
    late = {"by text": sorted(steps, key=str), "swapped": [*steps[:9], steps[10], steps[9], *steps[11:]]}
    late |= {"shuffled": steps[order], "evaluations last": sorted(steps, key=lambda step: (step % 280 == 0, step))}
    log = pd.DataFrame({"step": late[how]}).assign(loss=lambda rows: 3 + 10 / (1 + rows["step"]))
    assert sf.read_runs(log).curves["step"].tolist() == steps.tolist()


@pytest.mark.parametrize("first", [0, 100])
def test_few_rows_of_each_seed_are_doubted_where_they_may_be_results(first):
    steps = np.tile(np.arange(4) * 100 + first, 2)
    log = pd.DataFrame({"seed": np.repeat([0, 1], 4), "step": steps, "loss": 6 - np.sqrt(steps) / 20})
    doubts = [note.text for note in sf.read_runs(log).notes if note.kind == "suspect"]
    assert len(doubts) == (first > 0)
