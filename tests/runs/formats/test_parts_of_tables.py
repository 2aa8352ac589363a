"""Tables in parts: below repeated headers, below lines of a setting, by seeds and amounts in the names of columns."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError


def told(runs):
    return " ".join(note.text for note in runs.notes)


def log(steps, start=5.0):
    return [f"{s},{start / (1 + s) ** 0.2:.5f}" for s in steps]


def read(path, text):
    path.write_text(text if isinstance(text, str) else "\n".join(text) + "\n")
    return sf.read_runs(path)


@pytest.mark.parametrize("head", ["step,loss", "iteration,train_loss", "epoch,loss"])
def test_a_repeated_header_above_steps_that_begin_again_begins_a_training(tmp_path, head):
    first, second = log(range(0, 100, 5)), log(range(0, 150, 5), 4.0)
    runs = read(tmp_path / "log.csv", [head, *first, head, *second])
    assert runs.names == ["log, training 1", "log, training 2"]
    assert runs.curves.groupby("run", observed=True).size().tolist() == [20, 30]
    assert runs.table["loss"].tolist() == [float(rows[-1].split(",")[1]) for rows in (first, second)]


def test_a_repeated_header_above_steps_that_go_on_is_a_resumed_job(tmp_path):
    first, second = log(range(0, 100, 5)), log(range(60, 150, 5), 4.9)
    runs = read(tmp_path / "log.csv", ["step,loss", *first, "step,loss", *second])
    assert len(runs) == 1 and len(runs.curves) == 30
    assert runs.curves["loss"].tolist()[12:] == [float(row.split(",")[1]) for row in second]
    assert "8 rows were logged again after a restart" in told(runs)


@pytest.mark.parametrize("line", ["# width={}", "width = {}", "#width: {}"])
@pytest.mark.parametrize("header_again", [True, False])
def test_lines_of_a_setting_above_parts_of_a_table(tmp_path, line, header_again):
    rows = {128: ["0.001,3.2", "0.002,3.1"], 256: ["0.001,3.0", "0.002,2.9", "0.004,3.05"]}
    text = [
        line.format(128),
        "lr,loss",
        *rows[128],
        "",
        line.format(256),
        *["lr,loss"][: int(header_again)],
        *rows[256],
    ]
    runs = read(tmp_path / "sweep.csv", text)
    assert runs.table["d_model"].tolist() == [128, 128, 256, 256, 256]
    assert runs.table["loss"].tolist() == [3.2, 3.1, 3.0, 2.9, 3.05]
    assert not [note.text for note in runs.notes if note.kind == "suspect"]


@pytest.mark.parametrize("names", [["seed0", "seed1"], ["seed 3", "seed 4"], ["Seed_0", "Seed_1"]])
def test_columns_named_by_seeds_hold_losses(tmp_path, names):
    runs = read(tmp_path / "t.csv", [f"params,tokens,{','.join(names)}", "1e6,2e7,4.1,4.15", "4e6,8e7,3.6,3.58"])
    assert runs.table["loss"].tolist() == [4.1, 3.6, 4.15, 3.58]
    assert sorted(set(runs.table["seed"])) == [int(name[-1]) for name in names]
    with pytest.raises(InputError, match="no column loss"):  # shares of data, no losses
        read(tmp_path / "t.csv", [f"params,tokens,{','.join(names)}", "1e6,2e7,0.1,0.9", "4e6,8e7,0.5,0.5"])


@pytest.mark.parametrize("corner", ["N \\ D", "params \\ tokens", "N / tokens"])
@pytest.mark.parametrize("name", ["{} tokens", "D={}", "{}"])
def test_a_corner_says_what_amounts_in_the_names_are(tmp_path, corner, name):
    head = [corner, *(name.format(amount) for amount in ("1B", "4B"))]
    runs = read(tmp_path / "t.csv", [",".join(head), "1e7,4.0,3.7", "4e7,3.5,3.1"])
    assert runs.table["D"].tolist() == [1e9, 1e9, 4e9, 4e9] and runs.table["N"].tolist() == [1e7, 4e7] * 2
    assert runs.table["loss"].tolist() == [4.0, 3.5, 3.7, 3.1]


@pytest.mark.parametrize("step", ["train/global_step", "step"])
def test_sizes_beside_a_known_axis_are_runs(tmp_path, step):
    runs = read(
        tmp_path / "t.csv", [f"{step},10M,40M", *(f"{s},{4 - s / 90},{3.9 - s / 90}" for s in range(0, 90, 10))]
    )
    assert len(runs) == 2 and len(runs.curves) == 18


@pytest.mark.parametrize(
    "axis, run", [("steps", ""), ("iterations", ""), ("step", "experiment"), ("steps", "trial_name")]
)
def test_a_long_table_by_lengths_or_with_runs_of_another_name(axis, run):
    steps, parts = np.arange(10, 110, 10), []
    for name, start in (("a", 4.0), ("b", 4.5))[: 1 + bool(run)]:
        for metric, values in (("loss", start - steps / 100), ("lr", 1e-3 - steps * 1e-6)):
            parts.append(pd.DataFrame({run or "unit": name, axis: steps, "metric": metric, "value": values}))
    runs = sf.read_runs(pd.concat(parts, ignore_index=True))
    assert len(runs) == 1 + bool(run) and len(runs.curves) == 10 * len(runs)
    np.testing.assert_allclose(runs.curves["loss"].iloc[:10], 4.0 - steps / 100)


def test_a_table_of_results_in_a_text_file_is_no_log(tmp_path):
    rows = [(n, d, s, r, round(4 - i / 9, 3)) for i, (n, d, s, r) in enumerate(
        (n, d, d // 500, r) for r in ("base", "dedup") for n in (1000000, 4000000) for d in (8000000, 2000000, 4000000)
    )]  # fmt: skip
    text = ["N\tD\tstep\tdata_mix\tloss", *("\t".join(map(str, row)) for row in rows)]
    runs = read(tmp_path / "results.txt", text)
    assert runs.curves is None and runs.table["loss"].tolist() == [row[-1] for row in rows]
