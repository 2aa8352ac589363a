"""A file for each split of one run: one run with a loss for each split; other files stay runs of their own."""

import json

import numpy as np
import pytest

import scalefit as sf

STEPS, JUDGED = list(range(10, 210, 10)), list(range(50, 210, 50))


def table(steps, more=0.0, name="loss", ending="csv"):
    rows = [{"step": step, name: 4 - step / 64 + more} for step in steps]
    if ending == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows)
    return f"step,{name}\n" + "".join(f"{row['step']},{row[name]}\n" for row in rows)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("train", "judged"), [("train", "eval"), ("train_log", "val_log"), ("training", "test-metrics")]
)
@pytest.mark.parametrize("name", ["loss", "own"])
def test_the_files_of_the_splits_are_one_run(tmp_path, train, judged, ending, name):
    folder, word = tmp_path / "small", judged.split("_")[0].split("-")[0]
    folder.mkdir()
    own = f"{word}_loss" if name == "own" else "loss"
    (folder / f"{train}.{ending}").write_text(table(STEPS, ending=ending))
    (folder / f"{judged}.{ending}").write_text(table(JUDGED, 0.25, own, ending))
    (folder / "config.json").write_text('{"n_params": 1000000}')
    runs = sf.read_runs(folder)
    assert runs.names == ["small"] and runs.curves["step"].tolist() == STEPS
    assert runs.curves["loss"].tolist() == [4 - step / 64 for step in STEPS]
    judged_loss = runs.curves[f"{word}_loss"].dropna()
    assert judged_loss.tolist() == [4.25 - step / 64 for step in JUDGED]
    assert runs.table["N"].tolist() == [1e6]
    other = sf.read_runs(folder, rename={f"{word}_loss": "loss"})
    assert other.curves["loss"].dropna().tolist() == judged_loss.tolist()


@pytest.mark.parametrize("names", [("a", "b"), ("train_a", "val_b"), ("train1", "train2"), ("val", "test")])
def test_files_of_other_names_are_runs_of_their_own(tmp_path, names):
    for at, name in enumerate(names):
        (tmp_path / f"{name}.csv").write_text(table(STEPS, at / 8))
    runs = sf.read_runs(tmp_path)
    assert len(runs) == 2 and len(runs.curves) == 2 * len(STEPS)


def test_each_folder_has_its_own_run(tmp_path):
    for at, run in enumerate(("a", "b")):
        (tmp_path / run).mkdir()
        (tmp_path / run / "train.csv").write_text(table(STEPS, at / 8))
        (tmp_path / run / "val.csv").write_text(table(JUDGED, at / 8 + 0.25))
    runs = sf.read_runs(tmp_path)
    assert runs.names == ["a", "b"]
    np.testing.assert_allclose(runs.table["loss"], [4 - 200 / 64, 4 - 200 / 64 + 1 / 8])


@pytest.mark.parametrize("name", ["n_params_non_emb", "params_no_embeddings", "num_params_nonemb"])
def test_of_two_counts_of_parameters_the_one_without_embeddings_is_N(tmp_path, name):
    (tmp_path / "t.csv").write_text(f"n_params,{name},loss\n2e6,1e6,3\n2e7,1.5e7,2\n")
    assert sf.read_runs(tmp_path / "t.csv").table["N"].tolist() == [1e6, 1.5e7]


@pytest.mark.parametrize("name", ["did_diverge", "is_diverged", "has_diverged", "diverged"])
def test_a_column_that_says_which_runs_diverged_is_heeded(tmp_path, name):
    rows = [(1e6, 3.0, False), (3e6, 2.75, False), (1e7, 2.5, False), (3e7, 9.5, True), (1e8, 2.25, False)]
    (tmp_path / "t.csv").write_text(f"N,loss,{name}\n" + "".join(f"{n},{x},{lost}\n" for n, x, lost in rows))
    fit = sf.fit(tmp_path / "t.csv", "power:over=N")
    assert any("1 of 5 runs is marked as diverged: left out" in note for note in fit.notes)


@pytest.mark.parametrize(("train", "judged"), [("train_step", "validation"), ("train", "eval"), ("training", "test")])
def test_records_of_a_start_and_an_end_name_no_split(tmp_path, train, judged):
    """An event log was read as two runs, train_step and validation, because start and end are no splits."""
    rows = [{"event": "start", "config": {"lr": 1e-3, "d_model": 64}}]
    for step in range(10, 210, 10):
        rows.append({"event": train, "step": step, "loss": 4 - step / 100, "lr": 1e-3})
        rows += [{"event": judged, "step": step, "loss": 4.5 - step / 100}] if step % 50 == 0 else []
    rows.append({"event": "end", "final_loss": 1.75})
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    runs = sf.read_runs(tmp_path / "log.jsonl")
    assert len(runs.names) == 1
    assert runs.curves["loss"].tolist() == [4 - step / 100 for step in range(10, 210, 10)]
    assert runs.curves[f"{judged}_loss"].dropna().tolist() == [4.0, 3.5, 3.0, 2.5]
    assert runs.table["d_model"].tolist() == [64]
