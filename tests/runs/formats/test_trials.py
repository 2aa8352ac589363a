"""Folders that sweeps leave: trials of Ray Tune, jobs of Hydra, summaries of W&B; written here as they write them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scalefit.errors import InputError
from scalefit.runs.reading.read import read_runs


def told(runs, kind):
    return "; ".join(note.text for note in runs.notes if note.kind == kind)


@pytest.fixture
def put(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return path

    return write


# --- Ray Tune ---------------------------------------------------------------------------------------------------------

TRIAL = "train_0a1b2_0000{number}_{number}_width={width}_2026-01-02_03-04-0{number}"


def result(number, count, **reported):
    own = {"trial_id": f"0a1b2_0000{number}", "training_iteration": count, "timestamp": 9, "pid": 3, "done": False}
    return json.dumps({**reported, **own, "config": {"width": 8 << number, "lr": 0.5}}) + "\n"


def trials(put, step="step", rows=5):
    for number in range(2):
        folder = TRIAL.format(number=number, width=8 << number)
        lines = []
        for k in range(1, rows + 1):
            reported = {step: 100 * k, "loss": None if k == 3 else 4 / k, "lr": 0.1 / k}
            lines.append(result(number, k, **({"val_loss": 9.0} if k == 3 else {}), **reported))
        put(f"results/sweep/{folder}/result.json", "".join(lines))
        put(f"results/sweep/{folder}/params.json", {"width": 8 << number, "lr": 0.5})
        put(f"results/sweep/{folder}/progress.csv", "loss,trial_id,training_iteration\n9,0a1b2,1\n")
        put(f"results/sweep/{folder}/events.out.tfevents.1.host", "no event file")


def test_results_of_trials_rather_than_what_lies_beside(put, tmp_path):
    trials(put)
    for source in (tmp_path, tmp_path / "results", tmp_path / "results" / "sweep"):
        runs = read_runs(source)
        assert runs.names == ["0_width=8", "1_width=16"]
        assert runs.curves["step"].tolist() == [100, 200, 300, 400, 500] * 2
        np.testing.assert_array_equal(runs.curves["loss"], [4, 2, np.nan, 1, 4 / 5] * 2)
        assert runs.curves["val_loss"].dropna().tolist() == [9.0] * 2
        assert runs.table["d_model"].tolist() == [8, 16]
        assert runs.table["peak_lr"].tolist() == [0.5, 0.5]
        assert not {"pid", "timestamp", "config/lr", "training_iteration"} & {*runs.curves.columns}
    one = read_runs(tmp_path / "results" / "sweep" / TRIAL.format(number=1, width=16) / "result.json")
    assert one.names == ["1_width=16"]


def test_results_that_report_no_step_are_counted(put, tmp_path):
    trials(put, step="tokens_done")
    runs = read_runs(tmp_path)
    assert runs.curves["step"].tolist() == [1, 2, 3, 4, 5] * 2
    assert "step is training_iteration" in told(runs, "unknown")


def test_a_result_that_is_cut_off_is_told(put, tmp_path):
    trials(put)
    place = next(tmp_path.rglob("*_0_width=8*/result.json"))
    place.write_text(place.read_text()[:-9])
    assert read_runs(tmp_path).curves["step"].tolist() == [100, 200, 300, 400, 100, 200, 300, 400, 500]
    assert "incomplete" in told(read_runs(tmp_path), "dropped")
    place.write_text("{" + place.read_text())
    with pytest.raises(InputError, match=r"result.json, row 1: not JSON"):
        read_runs(tmp_path)


def test_the_table_of_progress_where_there_is_nothing_else(put, tmp_path):
    folder = TRIAL.format(number=0, width=8)
    rows = "".join(f"{100 * k},{'nan' if k == 2 else 5 - k},0a1b2_00000,{k},0.5\n" for k in (1, 2, 3))
    put(f"{folder}/progress.csv", "step,loss,trial_id,training_iteration,config/lr\n" + rows)
    put(f"{folder}/params.json", {"width": 8, "lr": 0.5})
    put(f"{folder}/result.json", "")
    runs = read_runs(tmp_path)
    np.testing.assert_array_equal(runs.curves["loss"], [4, np.nan, 2])
    assert "lacks what was not in the first result" in told(runs, "unknown")


def test_the_peak_of_a_table_of_trials_is_the_setting_and_not_the_last_rate(put):
    head = "step,loss,lr,trial_id,training_iteration,config/lr,config/width\n"
    path = put("frame.csv", head + "500,2.5,0.001,a,5,0.5,8\n500,2.25,0.0002,b,5,0.1,16\n")
    runs = read_runs(path)
    assert runs.kind == "runs"
    assert runs.table["peak_lr"].tolist() == [0.5, 0.1]
    assert runs.table["d_model"].tolist() == [8, 16]


# --- Hydra ------------------------------------------------------------------------------------------------------------

LOG = "step,train_loss,lr\n" + "".join(f"{s},{5 - s / 100},{s / 1000}\n" for s in (10, 20, 30))


def job(put, at, overrides, log="metrics.csv"):
    put(f"{at}/.hydra/config.yaml", "model:\n  d_model: 64\noptimizer:\n  lr: 0.25\n")
    put(f"{at}/.hydra/overrides.yaml", "".join(f"- {each}\n" for each in overrides) or "[]\n")
    put(f"{at}/train.log", "[2026-01-02 03:04:05,678][__main__][INFO] - training\n")
    put(f"{at}/{log}", LOG)


def test_jobs_of_a_multirun_get_settings_and_the_names_of_their_overrides(put, tmp_path):
    job(put, "multirun/2026-01-02/03-04-05/0", ["seed=0", "model=small"])
    job(put, "multirun/2026-01-02/03-04-05/1", ["seed=1", "model=small"])
    put("multirun/2026-01-02/03-04-05/multirun.yaml", "hydra: {}\n")
    runs = read_runs(tmp_path / "multirun")
    assert runs.names == ["seed=0,model=small", "seed=1,model=small"]
    assert runs.table["d_model"].tolist() == [64, 64]
    assert runs.table["peak_lr"].tolist() == [0.25, 0.25]
    assert runs.curves["lr"].tolist() == [0.01, 0.02, 0.03] * 2
    assert "train.log" in told(runs, "dropped")


@pytest.mark.parametrize("log", ["metrics.csv", "logs/metrics.csv", "logs/csv/version_0/metrics.csv", "log.jsonl"])
def test_a_log_below_the_folder_of_its_job(put, tmp_path, log):
    job(put, "outputs/a", ["+x=1"], log)
    if log.endswith("jsonl"):
        put(f"outputs/a/{log}", "".join(json.dumps({"step": s, "loss": 5.0, "lr": s / 1000}) + "\n" for s in (10, 20)))
    runs = read_runs(tmp_path / "outputs" / "a" / log)
    assert runs.names == ["+x=1"]
    assert runs.table["d_model"].tolist() == [64]


def test_jobs_without_overrides_keep_the_names_of_their_folders(put, tmp_path):
    for name in ("first", "second"):
        job(put, f"outputs/{name}", [])
    assert read_runs(tmp_path / "outputs").names == ["first", "second"]


def test_two_multiruns_of_the_same_overrides_stay_apart(put, tmp_path):
    for number, level in enumerate((0.0, 1.0)):
        job(put, f"m/{number}/0", ["seed=0"])
        put(f"m/{number}/0/metrics.csv", f"step,loss\n10,{5 + level}\n20,{4 + level}\n")
    assert len(read_runs(tmp_path)) == 2


def test_a_folder_of_texts_alone_is_refused(put, tmp_path):
    put("a/notes.txt", "nothing to see\n")
    with pytest.raises(InputError):
        read_runs(tmp_path)


# --- summaries of W&B -------------------------------------------------------------------------------------------------


def test_a_summary_of_wandb_is_the_result_of_a_run_with_its_configuration(put, tmp_path):
    for run, width in (("run-20260102_030405-ab12", 64), ("run-20260102_030406-cd34", 128)):
        last = {
            "_step": 900,
            "_runtime": 3.5,
            "_timestamp": 1.7e9,
            "_wandb": {"runtime": 3},
            "val/loss": 300 / width,
            "lr": 1e-5,
        }
        put(f"wandb/{run}/files/wandb-summary.json", last)
        config = "wandb_version: 1\n_wandb:\n  value:\n    cli: 1\nlr:\n  desc: null\n  value: 0.01\n"
        put(f"wandb/{run}/files/config.yaml", f"{config}model:\n  value:\n    d_model: {width}\n")
    runs = read_runs(tmp_path)
    assert runs.kind == "runs"
    assert runs.names == ["run-20260102_030405-ab12", "run-20260102_030406-cd34"]
    assert runs.table["loss"].tolist() == [300 / 64, 300 / 128]
    assert runs.table["steps"].tolist() == [900, 900]
    assert runs.table["d_model"].tolist() == [64, 128]
    assert runs.table["peak_lr"].tolist() == [0.01, 0.01]
    assert not [name for name in runs.table.columns if "_wandb" in name or "_runtime" in name]
