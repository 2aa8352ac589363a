"""Missing is not NaN; what is in a folder is read or named; epochs, several axes, and settings of a run."""

from __future__ import annotations

import json
import sqlite3

import numpy as np
import pandas as pd
import pytest

from scalefit.errors import InputError
from scalefit.runs.reading.entries import entries_of_runs
from scalefit.runs.reading.read import read_runs
from scalefit.runs.reading.tidy import Tidy


def told(runs, kind):
    return "; ".join(note.text for note in runs.notes if note.kind == kind)


@pytest.fixture
def put(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("word", ["nan", "NaN", "NAN"])
@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_the_word_nan_in_a_table_stays_beside_an_evaluation(put, word, ending):
    mark = "\t" if ending == "tsv" else ","
    rows = ["step,loss,val_loss", "10,4,", f"20,{word},4.5", "25,,4.4", "30,3,", "40,2,3.5"]
    runs = read_runs(put(f"log.{ending}", "\n".join(rows).replace(",", mark)))
    assert runs.curves["step"].tolist() == [10, 20, 30, 40]
    np.testing.assert_array_equal(runs.curves["loss"], [4, np.nan, 3, 2])
    assert runs.curves["val_loss"].dropna().tolist() == [4.5, 3.5]
    assert "no finite loss: " in told(runs, "diverged")


def test_an_empty_end_without_anything_beside_it_may_be_a_nan(put):
    runs = read_runs(put("log.csv", "step,loss\n10,4\n20,3\n30,\n40,\n"))
    assert runs.table["diverged"].tolist() == [True]


def stored(path, rows):
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE runs (run_uuid TEXT, name TEXT, lifecycle_stage TEXT)")
        base.execute(
            "CREATE TABLE metrics (key TEXT, value REAL, timestamp INT, run_uuid TEXT, step INT, is_nan BOOLEAN)"
        )
        base.execute("CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT)")
        base.execute("INSERT INTO runs VALUES ('u', 'r', 'active')")
        base.executemany("INSERT INTO metrics VALUES (?, ?, ?, 'u', ?, ?)", rows)
    return path


def test_a_nan_of_mlflow_and_of_dvclive_stays_beside_an_evaluation(put, tmp_path):
    losses, evaluations = {10: 4.0, 20: float("nan"), 30: 3.0}, {20: 5.0, 40: 4.0}
    rows = [("loss", 0.0 if v != v else v, s, s, v != v) for s, v in losses.items()]
    rows += [("val_loss", v, s, s, False) for s, v in evaluations.items()]
    base = stored(tmp_path / "mlflow.db", rows)
    for key, values in (("loss", losses), ("val_loss", evaluations)):
        put(f"live/plots/metrics/{key}.tsv", f"step\t{key}\n" + "".join(f"{s}\t{v}\n" for s, v in values.items()))
    for source in (base, tmp_path / "live"):
        runs = read_runs(source)
        assert runs.curves["step"].tolist() == [10, 20, 30]
        np.testing.assert_array_equal(runs.curves["loss"], [4, np.nan, 3])
        assert runs.curves["val_loss"].dropna().tolist() == [5.0]


def test_metrics_that_end_at_very_different_steps_are_told(tmp_path):
    rows = [("T/loss", 5 - s / 1000, s, s, False) for s in range(0, 600, 20)]
    rows += [("V/loss", 5 - s / 10, s, s, False) for s in range(8)]
    runs = read_runs(stored(tmp_path / "mlflow.db", rows), rename={"V/loss": "loss"})
    assert "T/loss at 580; V/loss at 7" in told(runs, "suspect")
    near = [("T/loss", 5 - s / 1000, s, s, False) for s in range(0, 600, 20)]
    near += [("V/loss", 5 - s / 1000, s, s, False) for s in range(100, 600, 100)]
    (tmp_path / "b").mkdir()
    assert "very different steps" not in told(
        read_runs(stored(tmp_path / "b" / "mlflow.db", near), rename={"V/loss": "loss"}), "suspect"
    )


def test_metrics_of_the_system_are_no_rows_of_the_run(tmp_path):
    rows = [("loss", 5 - s / 100, s, s, False) for s in (10, 20)]
    rows += [("system/cpu_utilization_percentage", 50.0, s, s, False) for s in range(7)]
    runs = read_runs(stored(tmp_path / "mlflow.db", rows))
    assert runs.curves["step"].tolist() == [10, 20]
    assert "metrics of the system" in told(runs, "dropped")


@pytest.mark.parametrize("first", [0, 1])
def test_epochs_that_go_on_after_a_kill_are_one_run(put, first):
    epochs = [*range(first, first + 5), *range(first + 3, first + 8)]
    rows = [f"{e},{9 - k},{0.1},{8 - k}" for k, e in enumerate(epochs)]
    runs = read_runs(put("training.csv", "\n".join(["epoch,loss,learning_rate,val_loss", *rows])))
    assert runs.names == ["training"]
    assert runs.curves["epoch"].tolist() == list(range(first, first + 8))
    assert runs.curves["loss"].tolist() == [9, 8, 7, 4, 3, 2, 1, 0]


def test_best_epochs_of_several_runs_are_results(put):
    rows = ["epoch,loss", "12,3.5", "7,3.4", "12,3.3", "9,3.2", "7,3.1", "30,3.0"]
    runs = read_runs(put("table.csv", "\n".join(rows)))
    assert runs.kind == "runs"
    assert len(runs) == 6


def test_more_runs_of_the_same_kind_deeper_are_read_and_others_are_named(put, tmp_path):
    def state(run, loss):
        log = [{"step": s, "loss": loss - s / 100, "learning_rate": 0.1} for s in (10, 20)]
        put(f"{run}/trainer_state.json", json.dumps({"log_history": log}))

    for run, loss in (("a", 4.0), ("group/b", 5.0), ("group/more/c", 6.0)):
        state(run, loss)
    put("other/lightning_logs/version_0/metrics.csv", "epoch,step,loss\n0,1,2\n0,2,1\n")
    state("a/checkpoint-5", 4.0)
    runs = read_runs(tmp_path)
    assert runs.names == ["a", "b", "c"]
    assert "metrics.csv" in told(runs, "dropped")
    inside = read_runs(tmp_path / "a")
    assert len(inside) == 1


def test_checkpoints_name_no_run(put, tmp_path):
    log = json.dumps({"log_history": [{"step": s, "loss": 4.0 - s / 100} for s in (10, 20)]})
    for run in ("a", "b"):
        put(f"{run}/checkpoint-20/trainer_state.json", log)
    assert read_runs(tmp_path).names == ["a", "b"]


def test_settings_get_their_known_names_and_keep_the_others():
    frame = pd.DataFrame({"run": pd.Categorical(["r"]), "step": [1], "loss": [2.0]})
    scalars = {"n_params": 1e6, "model/hidden_size": 64, "learning_rate": 0.5, "mine": "x", "deep/mine": 3, "loss": 9.0}
    (entries,) = entries_of_runs([Tidy(frame, "step", "f", [], scalars)]).values()
    assert entries == {"N": 1e6, "d_model": 64, "peak_lr": 0.5, "mine": "x", "loss": 9.0}


def test_the_steps_that_a_trainer_logged_count_in_trackio(tmp_path):
    with sqlite3.connect(tmp_path / "p.db") as base:
        base.execute("CREATE TABLE metrics (id INTEGER PRIMARY KEY, run_id, timestamp, run_name, step, metrics)")
        base.execute("CREATE TABLE configs (id INTEGER PRIMARY KEY, run_id, run_name, config, created_at)")
        base.execute("CREATE TABLE system_metrics (id INTEGER PRIMARY KEY, run_id, timestamp, run_name, metrics)")
        calls = [("train/loss", 10), ("train/loss", 20), ("eval/loss", 20), ("train/loss", 30)]
        for count, (key, step) in enumerate(calls):
            row = json.dumps({key: 5 - step / 10, "train/global_step": step})
            base.execute("INSERT INTO metrics VALUES (NULL, 'a', '', 'r', ?, ?)", (count, row))
    runs = read_runs(tmp_path, rename={"train/loss": "loss"})
    assert runs.curves["step"].tolist() == [10, 20, 30]
    assert runs.curves["loss"].tolist() == [4, 3, 2]
    assert runs.curves["eval/loss"].dropna().tolist() == [3]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("m/1/r/params/note", b"\xe6\xff", "not UTF-8"),
        ("m/1/r/metrics/loss", b"1 2.0 \xe7", "not UTF-8"),
        ("m/plots/metrics/loss.tsv", b"step\tloss\n1\t3\ntwo\t2\n", "row 3.* 'two' is not a number"),
        ("m/train_a/params.json", b'{"lr": "\xce\xc4\xbc\xfe"}', "not UTF-8"),
        ("m/long.csv", b"step,metric,value\n1,loss,3\ntwo,loss,2\n3,loss,1\n", "row 3.* 'two' is not a number"),
    ],
)
def test_damaged_parts_are_refused_by_name(tmp_path, name, text, why):
    whole = {
        "m/1/r/meta.yaml": b"run_name: r\n",
        "m/1/r/metrics/loss": b"1 2.0 1\n",
        "m/train_a/result.json": b'{"trial_id": "a", "training_iteration": 1, "loss": 2.0}\n',
    }
    part = name.split("/")[1]
    for each, content in {**{k: v for k, v in whole.items() if k.split("/")[1] == part}, name: text}.items():
        place = tmp_path / each
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    with pytest.raises(InputError, match=why):
        read_runs(tmp_path / "m")


def test_words_for_epochs_are_no_curve(put):
    runs = read_runs(put("table.csv", "epoch,loss\n1,3.5\n17nan,3.4\n3,3.3\n"))
    assert runs.kind == "runs"


def test_a_length_of_minus_one_is_none(put):
    """Trainers that stop after epochs write so for the number of steps."""
    rows = "".join(json.dumps({"step": s, "loss": 5 - s / 100}) + "\n" for s in (10, 20, 30))
    put("a/log.jsonl", rows)
    put("a/run.json", json.dumps({"max_steps": -1}))
    put("b/log.jsonl", rows)
    put("b/run.json", json.dumps({"max_steps": 40}))
    runs = read_runs([put("a/log.jsonl", rows), put("b/log.jsonl", rows)])
    assert runs.table["steps"].tolist() == [30, 40]


def test_a_log_of_hydra_is_found_from_inside_its_folder(put, tmp_path, monkeypatch):
    put("job/.hydra/config.yaml", "d_model: 96\n")
    put("job/.hydra/overrides.yaml", "- d_model=96\n")
    put("job/logs/metrics.csv", "step,loss\n10,3\n20,2\n")
    monkeypatch.chdir(tmp_path / "job" / "logs")
    runs = read_runs("metrics.csv")
    assert runs.names == ["d_model=96"]
    assert runs.table["d_model"].tolist() == [96]
