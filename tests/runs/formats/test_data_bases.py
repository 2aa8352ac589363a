"""Data bases of trackio and Optuna, with the tables and the encodings that trackio 0.43 and Optuna 5.0 write."""

import json
import math
import sqlite3

import numpy as np
import pytest

import scalefit as sf
from scalefit.runs.formats import read_raw
from scalefit.runs.formats.data_base import tables


def trackio(path, runs):
    """A project: runs of (identifier, name, configuration, [(step, row)])."""
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE metrics (id INTEGER PRIMARY KEY, run_id, timestamp, run_name, step, metrics)")
        base.execute("CREATE TABLE configs (id INTEGER PRIMARY KEY, run_id, run_name, config, created_at)")
        base.execute("CREATE TABLE system_metrics (id INTEGER PRIMARY KEY, run_id, timestamp, run_name, metrics)")
        for identity, name, config, rows in runs:
            base.execute(
                "INSERT INTO configs VALUES (NULL, ?, ?, ?, '')", (identity, name, json.dumps(config).encode())
            )
            for step, row in rows:
                text = json.dumps(row) if isinstance(row, dict) else row
                base.execute("INSERT INTO metrics VALUES (NULL, ?, '', ?, ?, ?)", (identity, name, step, text.encode()))
    return path


def optuna(path, trials, reported=0):
    """A study: trials of (state, {name: (stored value, distribution)}, value, kind of value, user attributes)."""
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE studies (study_id INTEGER, study_name)")
        base.execute("CREATE TABLE trials (trial_id INTEGER, number, study_id, state)")
        base.execute(
            "CREATE TABLE trial_params"
            " (param_id INTEGER PRIMARY KEY, trial_id, param_name, param_value, distribution_json)"
        )
        base.execute("CREATE TABLE trial_values (trial_id, objective, value, value_type)")
        base.execute("CREATE TABLE trial_intermediate_values (trial_id, step, intermediate_value)")
        base.execute("CREATE TABLE trial_user_attributes (trial_id, key, value_json)")
        base.execute("INSERT INTO studies VALUES (1, 'widths')")
        for number, (state, params, value, kind, facts) in enumerate(trials):
            trial = 10 + number
            base.execute("INSERT INTO trials VALUES (?, ?, 1, ?)", (trial, number, state))
            for name, (stored, distribution) in params.items():
                base.execute(
                    "INSERT INTO trial_params VALUES (NULL, ?, ?, ?, ?)",
                    (trial, name, stored, json.dumps(distribution)),
                )
            if kind:
                base.execute("INSERT INTO trial_values VALUES (?, 0, ?, ?)", (trial, value, kind))
            for key, fact in facts.items():
                base.execute("INSERT INTO trial_user_attributes VALUES (?, ?, ?)", (trial, key, json.dumps(fact)))
        for step in range(reported):
            base.execute("INSERT INTO trial_intermediate_values VALUES (10, ?, 1.0)", (step,))
    return path


FLOAT = {"name": "FloatDistribution", "attributes": {"low": 1e-4, "high": 0.1, "log": True}}
INT = {"name": "IntDistribution", "attributes": {"low": 1, "high": 9}}
WIDTHS = {"name": "CategoricalDistribution", "attributes": {"choices": [64, 128, 256]}}


def test_every_row_step_and_rate_of_trackio(tmp_path):
    steps = range(20, 201, 20)
    one = [(s, {"train/loss": 5 - s / 100, "lr": 1e-3 * (1 - s / 400)}) for s in steps]
    one[3] = (80, {"train/loss": "NaN", "lr": 8e-4, "val/loss": 4.4})
    two = [(s, {"train/loss": 4 - s / 200, "lr": 2e-3}) for s in steps]
    place = trackio(
        tmp_path / "p.db", [("a" * 32, "first", {"N": 2e6, "_Group": None}, one), ("b" * 32, "second", {}, two)]
    )
    runs = sf.read_runs(tmp_path, rename={"train/loss": "loss"})
    assert runs.names == ["first", "second"]
    first = runs.curves[runs.curves["run"] == "first"]
    assert first["step"].tolist() == list(steps)
    assert [s for s, loss in zip(first["step"], first["loss"], strict=True) if math.isnan(loss)] == [80]
    np.testing.assert_allclose(first["loss"].dropna(), [5 - s / 100 for s in steps if s != 80])
    assert runs.table.set_index("run")["N"]["first"] == 2e6
    assert tables(place) == {"metrics", "configs", "system_metrics"}


def test_runs_of_one_name_stay_apart(tmp_path):
    rows = [(s, {"loss": 3 - s / 100}) for s in (10, 20)]
    later = [(s, {"loss": 3 - s / 100}) for s in (30, 40)]
    trackio(tmp_path / "p.db", [("a" * 32, "same", {}, rows), ("b" * 32, "same", {}, later)])
    assert sf.read_runs(tmp_path / "p.db").names == ["same (aaaaaaaa)", "same (bbbbbbbb)"]


def test_trials_of_a_study_are_final_results(tmp_path):
    trials = [
        ("COMPLETE", {"lr": (0.01, FLOAT), "d_model": (1.0, WIDTHS), "n_layer": (4.0, INT)}, 2.5, "FINITE", {"N": 9e5}),
        ("COMPLETE", {"lr": (0.02, FLOAT), "d_model": (2.0, WIDTHS), "n_layer": (6.0, INT)}, None, "INF_POS", {}),
        ("FAIL", {"lr": (0.04, FLOAT), "d_model": (0.0, WIDTHS), "n_layer": (6.0, INT)}, None, "", {}),
    ]
    place = optuna(tmp_path / "study.db", trials, reported=7)
    frame = read_raw(place).frame
    assert frame["run"].tolist() == ["widths/0", "widths/1", "widths/2"]
    assert frame["status"].tolist() == ["finished", "finished", "failed"]
    assert frame["d_model"].tolist() == [128, 256, 64]
    assert frame["n_layer"].tolist() == [4, 6, 6]
    assert frame["lr"].tolist() == [0.01, 0.02, 0.04]
    assert frame["value"].tolist()[:2] == [2.5, math.inf]
    assert math.isnan(frame["value"].iloc[2])
    assert any(remark.count == 7 for remark in read_raw(place).remarks)
    runs = sf.read_runs(place, rename={"value": "loss"})
    assert runs.table["peak_lr"].tolist() == [0.01, 0.02, 0.04]


@pytest.mark.parametrize(
    "make",
    [
        lambda path: trackio(path, []),
        lambda path: trackio(path, [("a", "x", {}, [(1, "{")])]),
        lambda path: trackio(path, [("a", "x", {}, [(1, "[1]")])]),
        lambda path: optuna(path, []),
        lambda path: optuna(path, [("COMPLETE", {"d": (7.0, WIDTHS)}, 1.0, "FINITE", {})]),
        lambda path: optuna(path, [("COMPLETE", {"d": (1.0, {"attributes": {}})}, 1.0, "FINITE", {})]),
    ],
)
def test_damaged_and_empty_data_bases_are_refused_in_one_line(tmp_path, make):
    place = make(tmp_path / "x.db")
    with pytest.raises(sf.InputError) as said:
        sf.read_runs(place)
    assert "\n" not in str(said.value)
    assert str(place) in str(said.value)


def test_a_file_that_is_no_data_base_has_no_tables(tmp_path):
    (tmp_path / "x.db").write_text("step,loss\n1,2\n")
    assert tables(tmp_path / "x.db") == set()
