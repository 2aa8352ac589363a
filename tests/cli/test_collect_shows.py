"""What `scalefit sweep collect` prints of many runs, and writes of all."""

from __future__ import annotations

import json

import commands
import pandas as pd
import pytest

pytest.importorskip("torch")


def test_the_first_forty_runs_are_printed_and_all_are_written(monkeypatch, tmp_path):
    table = pd.DataFrame({"run": [f"r{i:02d}" for i in range(60)], "loss": 3.0})
    monkeypatch.setattr("scalefit.proxy.collect_sweep", lambda out, curves=False: table)
    told = commands.run(f"scalefit sweep collect --out {tmp_path}/none --save {tmp_path}/all.csv")
    assert told.exit_code == 0, told.output
    assert [word for word in told.output.split() if word.startswith("r") and word[1:].isdigit()] == table["run"][
        :40
    ].tolist()
    assert pd.read_csv(tmp_path / "all.csv")["run"].tolist() == table["run"].tolist()
    answer = json.loads(commands.run(f"scalefit sweep collect --out {tmp_path}/none --json").stdout)
    assert len(answer["runs"]) == 60


@pytest.mark.parametrize("count", [1, 2])
def test_columns_that_are_the_same_in_every_row_are_counted_and_left_to_the_file(monkeypatch, tmp_path, count):
    """Of a single run every column is one, and shown."""
    table = pd.DataFrame({"run": ["r0", "r1"], "loss": 3.0, "width": [64, 128], "depth": 7, "gate": "none"})
    monkeypatch.setattr("scalefit.proxy.collect_sweep", lambda out, curves=False: table.head(count))
    told = commands.run(f"scalefit sweep collect --out {tmp_path}/none").output
    assert ("(2 columns that are the same in every row" in told) == (count == 2)
    assert all((name in told.splitlines()[0]) == (count == 1) for name in ("depth", "gate"))
    assert {"run", "loss", "width"} <= {*told.splitlines()[0].split()}


def test_the_status_of_a_sweep_leaves_out_what_no_run_has_and_shows_no_word_for_what_one_lacks(monkeypatch):
    rows = [{"id": "a", "status": "finished", "step": 9, "val_loss": 2.5, "mixture": {"code": 0.8, "prose": 0.2}}]
    rows.append({"id": "b", "status": "planned", "step": 0, "val_loss": None, "mixture": {"code": 0.5, "prose": 0.5}})
    for known in (rows, rows[1:]):
        monkeypatch.setattr("scalefit.proxy.sweep_status", lambda out, known=known: known)
        told = commands.run("scalefit sweep status").output
        assert "None" not in told and "nan" not in told and "code=0.5 prose=0.5" in told
        assert ("val_loss" in told) == (len(known) == 2)
    assert json.loads(commands.run("scalefit sweep status --json").stdout)["runs"][0]["val_loss"] is None
