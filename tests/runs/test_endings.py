"""How runs end: diverged, stopped before the others, or short for a reason."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scalefit.runs import read_runs
from scalefit.runs.endings import unfinished


def curves(ends, lost=(), **more):
    rows = [
        {"run": run, "step": step, "loss": np.nan if run in lost and step > 5 else 5 - step / 100, **more}
        for run, end in ends.items()
        for step in range(end + 1)
    ]
    return pd.DataFrame(rows)


def texts(runs, kind):
    return [note.text for note in runs.notes if note.kind == kind]


def test_a_run_that_is_not_finite_to_its_end_has_the_steps_of_its_rows():
    runs = read_runs(curves({"a": 20, "b": 20}, lost="b"))
    assert runs.table["steps"].tolist() == [20, 20] and runs.table["loss"].tolist() == [4.8, 4.95]
    told = "1 run diverged, with no finite loss at the end: b from step 6 to 20"
    assert told in texts(runs, "diverged") and not texts(runs, "suspect")
    assert runs.table["diverged"].tolist() == [False, True] and runs.where("not diverged").names == ["a"]
    assert unfinished(runs, every_row=False)[0].startswith("1 run diverged (b): its last finite loss is not final")
    assert "diverged" not in read_runs(curves({"a": 20, "b": 20})).table
    whole = read_runs(curves({"a": 20, "b": 20}).assign(loss=lambda rows: rows["loss"].where(rows["run"] == "a")))
    assert "b from step 0 to 20" in texts(whole, "diverged")[1]


def test_a_loss_on_few_rows_is_not_lost_at_its_end():
    rows = curves({"a": 20}).assign(loss=lambda rows: rows["loss"].where(rows["step"] % 5 == 1))
    assert not texts(read_runs(rows), "diverged")
    assert "diverged" not in read_runs(rows).table
    long = curves({"a": 60}).assign(loss=lambda rows: rows["loss"].where((rows["step"] % 5 == 1) & (rows["step"] < 30)))
    assert "a from step 27 to 60" in texts(read_runs(long), "diverged")[-1]
    assert read_runs(long).table["diverged"].item()


def test_a_run_that_stops_before_the_others_is_told():
    runs = read_runs(curves({"a": 20, "b": 12, "c": 20}))
    (text,) = texts(runs, "suspect")
    assert "b at step 12 of 20; perhaps killed" in text and """--where "run != 'b'\"""" in text
    assert runs.where("run != 'b'").names == ["a", "c"]


@pytest.mark.parametrize(
    "frame",
    [
        curves({"a": 20, "b": 12}),  # no end that several share
        curves({"a": 20, "b": 20, "c": 12, "d": 12}),  # two lengths, on purpose
        curves({"a": 20, "b": 20, "c": 12}, lost="c"),  # diverged
        curves({"a": 20, "b": 20, "c": 19}),
        pd.concat([curves({"a": 20, "b": 20}, steps=20), curves({"c": 12}, steps=12)]),
        pd.concat([curves({"a": 20, "b": 20}, lr=1.0), curves({"c": 12}).assign(lr=np.linspace(1, 0, 13))]),
        pd.concat([curves({"a": 20, "b": 20}), curves({"c": 12}, status="finished")]),
    ],
)
def test_runs_that_are_short_for_a_reason_are_not_told(frame):
    assert not texts(read_runs(frame), "suspect")


@pytest.mark.parametrize("name", ["State", "state", "Status", "status", "STATE"])
def test_runs_that_say_that_they_did_not_finish_are_told(name):
    table = pd.DataFrame({"Name": list("abc"), name: ["finished", "Crashed", "running"], "loss": [3.0, 4, 5]})
    runs = read_runs(table)
    assert runs.table["status"].tolist() == ["finished", "Crashed", "running"]
    (text,) = texts(runs, "dropped")
    assert "2 runs did not finish (Crashed: b; running: c)" in text
    assert runs.where("status != 'Crashed' and status != 'running'").names == ["a"]
