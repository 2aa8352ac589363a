"""What is read of a folder that holds more than the logs of its trainer, and what is said of the rest."""

from __future__ import annotations

import json

import pytest

import scalefit as sf


@pytest.mark.parametrize("others", [(), ("a.csv",), ("a.csv", "c.csv")])
def test_logs_that_are_left_are_named_once_and_counted(tmp_path, others):
    history = [{"step": step, "loss": 3.0 - step / 10} for step in (1, 2, 3)]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    (tmp_path / "train.py").write_text("pass")  # no log at all
    for name in others:
        (tmp_path / name).write_text("step,loss\n1,9\n")
    runs = sf.read_runs(tmp_path)
    assert runs.curves["loss"].tolist() == [2.9, 2.8, 2.7]
    told = [note for note in runs.notes if note.kind == "dropped"]
    assert len(told) == bool(others)
    for note in told:
        assert note.count == len(others)
        assert all(name in note.text for name in others)
        assert "train.py" not in note.text
