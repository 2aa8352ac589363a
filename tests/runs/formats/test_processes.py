"""What several processes wrote at the same steps is one run: the first process is read, nothing is averaged."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

STEPS = np.arange(0, 400, 10)
LOSS = 2.5 + 3.0 / (1.0 + STEPS / 40.0)


def rows(count, name="rank", apart=0.003):
    """The losses of several processes, in the order in which these write: each step once for every process."""
    return pd.DataFrame(
        [(rank, step, loss + apart * rank) for step, loss in zip(STEPS, LOSS, strict=True) for rank in range(count)],
        columns=[name, "step", "loss"],
    )


def assert_first(runs):
    assert len(runs) == 1
    assert runs.curves["step"].tolist() == STEPS.tolist()
    np.testing.assert_allclose(runs.curves["loss"], LOSS, atol=1e-4)


@pytest.mark.parametrize("name", ["rank", "local_rank", "process_index", "gpu", "dp_rank"])
@pytest.mark.parametrize("order", ["as written", "one after another", "shuffled"])
def test_a_column_that_names_the_process(tmp_path, name, order):
    table = rows(3, name)
    if order != "as written":
        table = table.sort_values(name) if order == "one after another" else table.sample(frac=1, random_state=3)
    table.to_csv(tmp_path / "log.csv", index=False)
    runs = sf.read_runs(tmp_path / "log.csv")
    assert_first(runs)
    assert any("3 processes" in note.text and "80 others are left out" in note.text for note in runs.notes)


def test_a_device_on_which_each_run_of_a_sweep_stood_is_no_process():
    table = pd.concat([rows(1).assign(gpu=at, run=f"r{at}", loss=LOSS + at).drop(columns="rank") for at in (0, 1)])
    runs = sf.read_runs(table)
    assert runs.names == ["r0", "r1"]
    assert len(runs.curves) == 2 * len(STEPS)


def test_an_evaluation_that_only_another_process_wrote_is_kept():
    table = rows(2).assign(val_loss=np.nan)
    table = pd.concat([table, pd.DataFrame({"rank": [1], "step": [400], "loss": [2.7], "val_loss": [2.9]})])
    runs = sf.read_runs(table.reset_index(drop=True), rename={"loss": "loss"})
    assert runs.curves["val_loss"].dropna().tolist() == [2.9]


@pytest.mark.parametrize("count", [2, 4])
def test_steps_that_stand_several_times_in_a_row_without_a_name_are_told(tmp_path, count):
    text = "".join(json.dumps(row) + "\n" for row in rows(count).drop(columns="rank").to_dict("records"))
    (tmp_path / "log.jsonl").write_text(text)
    runs = sf.read_runs(tmp_path / "log.jsonl")
    assert_first(runs)
    told = [note.text for note in runs.notes if note.kind == "suspect"]
    assert any("40 of 40 steps stand several times in a row" in text for text in told)
    assert not any("restart" in note.text for note in runs.notes)


def test_parts_of_a_step_are_told_in_the_same_way():
    micro = pd.DataFrame({"micro_step": range(160), "global_step": np.repeat(STEPS, 4), "loss": np.repeat(LOSS, 4)})
    runs = sf.read_runs(micro.assign(loss=micro["loss"] + 0.01 * (micro["micro_step"] % 4)))
    assert_first(runs)
    assert any("parts of a step" in note.text for note in runs.notes)


@pytest.mark.parametrize("setting", ["dropout", "N", "data"])
def test_steps_that_stand_several_times_beside_a_setting_are_no_copies(setting):
    values = {"dropout": [0.0, 0.1], "N": [1e6, 4e6], "data": ["en", "de"]}[setting]
    table = rows(2, apart=0.4).drop(columns="rank").assign(**{setting: values * len(STEPS)})
    runs = sf.read_runs(table)
    assert not any("in a row" in note.text for note in runs.notes)
    assert len(runs) == 2
    assert len(runs.curves) == 2 * len(STEPS)


def test_a_restart_stays_a_restart():
    steps = np.r_[STEPS[:20], STEPS[15:]]
    runs = sf.read_runs(pd.DataFrame({"step": steps, "loss": np.r_[LOSS[:20] + 0.5, LOSS[15:]]}))
    assert runs.curves["step"].tolist() == STEPS.tolist()
    np.testing.assert_allclose(runs.curves["loss"].iloc[15:], LOSS[15:])
    assert any("5 rows were logged again after a restart" in note.text for note in runs.notes)


@pytest.mark.parametrize(
    "form",
    [
        "[rank{rank}]: step: {step}  loss: {loss:.4f}",
        "[Rank {rank}] step {step}/390 | loss {loss:.4f}",
        "{rank}: step {step} loss {loss:.4f}",
        "[1,{rank}]<stdout>: step {step} loss {loss:.4f}",
        "[default{rank}]:iteration: {step} loss: {loss:.4f}",
        "INFO rank={rank} step={step} loss={loss:.4f}",
    ],
)
@pytest.mark.parametrize("order", ["in turn", "in blocks"])
def test_lines_that_name_their_process(tmp_path, form, order):
    table = rows(2, apart=0.02)
    if order == "in blocks":  # as buffers are emptied: ten steps of one process, then these of the other
        table = table.assign(block=table["step"] // 100).sort_values(["block", "rank", "step"])
    (tmp_path / "job.log").write_text(
        "".join(form.format(**row) + "\n" for row in table.astype({"rank": int, "step": int}).to_dict("records"))
    )
    runs = sf.read_runs(tmp_path / "job.log")
    assert_first(runs)
    assert any("lines of 2 processes (0, 1): those of 0 are read, 40 others not" in note.text for note in runs.notes)


def test_lines_of_which_one_process_prints_each_step_are_all_read(tmp_path):
    lines = [
        f"[rank{at % 2}]: step {step} loss {loss:.4f}\n"
        for at, (step, loss) in enumerate(zip(STEPS, LOSS, strict=True))
    ]
    (tmp_path / "job.log").write_text("".join(lines))
    assert_first(sf.read_runs(tmp_path / "job.log"))


@pytest.mark.parametrize("mapped", ["_step", "trainer/global_step", "count"])
def test_epochs_are_no_axis_where_the_step_is_mapped(mapped):
    """W&B beside Lightning logs two counters and the epoch: all rows of an epoch are read."""
    table = pd.DataFrame({"_step": range(40), "trainer/global_step": STEPS, "epoch": STEPS // 100, "loss": LOSS})
    if mapped == "count":
        table = table[["_step", "epoch", "loss"]].rename(columns={"_step": "count"})
    runs = sf.read_runs(table, rename={mapped: "step"})
    assert len(runs.curves) == 40
    np.testing.assert_allclose(runs.curves["loss"], LOSS)
    assert not any("in a row" in note.text for note in sf.read_runs(table, tell_ties=True, need=()).notes)


@pytest.mark.parametrize(
    ("name", "told"), [("log_rank{}.csv", True), ("rank_{}/metrics.csv", True), ("seed{}.csv", False)]
)
def test_files_of_the_processes_of_a_run_are_told(tmp_path, name, told):
    for rank in range(3):
        path = tmp_path / name.format(rank)
        path.parent.mkdir(exist_ok=True)
        pd.DataFrame({"step": STEPS, "loss": LOSS + 0.003 * rank}).to_csv(path, index=False)
    notes = [note.text for note in sf.read_runs(tmp_path).notes]
    assert any("may be those of the processes of one run" in text for text in notes) == told


def test_files_named_by_a_setting_called_rank_are_runs(tmp_path):
    for rank in (8, 16, 32):
        pd.DataFrame({"step": STEPS, "loss": LOSS + rank / 1e3}).to_csv(tmp_path / f"lora_rank{rank}.csv", index=False)
    assert not any("processes" in note.text for note in sf.read_runs(tmp_path).notes)
