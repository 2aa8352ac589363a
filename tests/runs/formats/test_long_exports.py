"""One value a row, as trackers export it: Neptune, Comet, Aim, MLflow; and a chart of W&B over time."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

STEPS = np.arange(0, 300, 10)
LOSS = 2.5 + 3.0 / (1.0 + STEPS / 40.0)
RATE = 1e-3 * (1 - STEPS / 400.0)


def points(*names, runs=("a", "b")):
    """run, step, name and value of each point; the losses of the second run lie 0.1 higher."""
    made = {"loss": LOSS, "val": LOSS + 0.05, "lr": RATE}
    return [
        (run, int(step), name, value + 0.1 * at * (name != "lr"))
        for at, run in enumerate(runs)
        for name in names
        for step, value in zip(STEPS, made[name], strict=True)
    ]


def assert_planted(runs, loss="loss", rates=True):
    assert len(runs) == 2
    assert len(runs.curves) == 2 * len(STEPS)
    for at, (_, part) in enumerate(runs.curves.groupby("run", observed=True)):
        np.testing.assert_allclose(part[loss], LOSS + 0.1 * at)
        if rates:
            np.testing.assert_allclose(part["lr"], RATE)


@pytest.mark.parametrize("order", ["by name", "shuffled"])
def test_neptune(tmp_path, order):
    names = {"loss": "train/loss", "lr": "train/lr"}
    rows = [
        (run, names[name], "float_series", f"{step}.0", "2024-05-01 10:00:00", value)
        for run, step, name, value in points("loss", "lr")
    ]
    table = pd.DataFrame(
        rows, columns=["run_id", "attribute_path", "attribute_type", "step", "timestamp", "float_value"]
    )
    table = table.sample(frac=1, random_state=2) if order == "shuffled" else table
    table.to_csv(tmp_path / "export.csv", index=False)
    assert_planted(sf.read_runs(tmp_path / "export.csv"))


@pytest.mark.parametrize("as_text", [True, False])
def test_comet(tmp_path, as_text):
    rows = [(run, name, f"{y:.12g}" if as_text else y, step, None) for run, step, name, y in points("loss", "lr")]
    names = ("experimentKey", "metricName", "metricValue", "step", "epoch")
    records = [dict(zip(names, row, strict=True)) for row in rows]
    (tmp_path / "metrics.json").write_text(json.dumps(records))
    assert_planted(sf.read_runs(tmp_path / "metrics.json"))
    one = [record for record in records if record["experimentKey"] == "a" and record["metricName"] == "loss"]
    (tmp_path / "loss.json").write_text(json.dumps(one))
    np.testing.assert_allclose(sf.read_runs(tmp_path / "loss.json").curves["loss"], LOSS)


def test_aim(tmp_path):
    rows = [
        (
            f"h{run}",
            1e-3 if run == "a" else 2e-3,
            "loss",
            "train" if name == "loss" else "val",
            step // 10,
            step,
            value,
            0,
            1.7e9 + step,
        )
        for run, step, name, value in points("loss", "val")
    ]
    columns = [
        "run.hash",
        "run.hparams.lr",
        "metric.name",
        "metric.context.subset",
        "idx",
        "step",
        "value",
        "epoch",
        "time",
    ]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "aim.csv", index=False)
    runs = sf.read_runs(tmp_path / "aim.csv", rename={"train/loss": "loss"})
    assert_planted(runs, rates=False)
    assert runs.table["peak_lr"].tolist() == [1e-3, 2e-3]


def test_counters_and_times_name_no_runs(tmp_path):
    rows = [(step // 10, step, name, value, 1.7e9 + step) for _, step, name, value in points("loss", "lr", runs=("a",))]
    pd.DataFrame(rows, columns=["idx", "step", "metric", "value", "wall_time"]).to_csv(tmp_path / "m.csv", index=False)
    runs = sf.read_runs(tmp_path / "m.csv")
    assert len(runs) == 1
    np.testing.assert_allclose(runs.curves["loss"], LOSS)


def chart(path, axis, *metrics):
    """A chart as the page of W&B exports it."""
    table = pd.DataFrame({axis: STEPS * 1.7 + 0.25})
    for metric, values in metrics:
        for end in ("", "__MIN", "__MAX"):
            table[f"run-a - {metric}{end}"] = values
    table.to_csv(path, index=False)


@pytest.mark.parametrize("axis", ["Relative Time (Process)", "Wall Time", "_runtime"])
def test_a_chart_over_time_needs_a_column_of_steps(tmp_path, axis):
    chart(tmp_path / "chart.csv", axis, ("train/loss", LOSS), ("trainer/count", STEPS))
    with pytest.raises(sf.InputError, match="which is no step") as error:
        sf.read_runs(tmp_path / "chart.csv")
    assert 'rename={"COLUMN": "step"}' in str(error.value)
    runs = sf.read_runs(tmp_path / "chart.csv", rename={"trainer/count": "step"})
    assert runs.curves["step"].tolist() == STEPS.tolist()
    np.testing.assert_allclose(runs.curves["loss"], LOSS)


def test_a_chart_of_several_short_runs_is_read(tmp_path):
    names = [f"{run} - train/loss{part}" for run in "ab" for part in ("", "__MIN", "__MAX")]
    rows = [",".join(map(str, (step, *[4 - step / 100] * 3, *[5 - step / 100] * 3))) for step in range(10, 60, 10)]
    (tmp_path / "chart.csv").write_text("\n".join([",".join(["Step", *names]), *rows]))
    runs = sf.read_runs(tmp_path / "chart.csv", need=())
    assert runs.table["run"].tolist() == ["a", "b"] and runs.table["loss"].tolist() == [3.5, 4.5]
