"""Curves as JSON: lists x and y of each metric, and the points of one tag."""

from __future__ import annotations

import json

import pytest

import scalefit as sf

STEPS = list(range(0, 300, 10))
TRAIN, RATES = [3 - step / 512 for step in STEPS], [step / 65536 for step in STEPS]
VALID = {step: 3.125 - step / 512 for step in STEPS if step % 50 == 0}


def curve(x, y, **more):
    return {**more, "x": list(x), "y": list(y)}


CLEARML = {
    "loss": {"train": curve(STEPS, TRAIN, name="train"), "validation": curve(VALID, VALID.values(), name="validation")},
    "lr": {"lr": curve(STEPS, RATES, name="lr")},
    ":monitor:gpu": {"utilization": curve([0, 1, 2], [90, 91, 92], name="utilization")},
}
PLOTLY = {
    "data": [curve(STEPS, TRAIN, name="loss/train", type="scatter"), curve(STEPS, RATES, name="lr"),
             curve(VALID, VALID.values(), name="loss/validation")],
    "layout": {"xaxis": {"title": {"text": "Iterations"}}},
}  # fmt: skip


@pytest.fixture
def read(tmp_path):
    def of(content, name="scalars.json", **options):
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
        return sf.read_runs(tmp_path / name, **options)

    return of


@pytest.mark.parametrize("content", [CLEARML, PLOTLY, PLOTLY["data"]], ids=["clearml", "plotly", "traces"])
def test_curves_of_several_metrics_are_one_table(read, content):
    runs = read(content, rename={"loss/train": "loss"})
    assert runs.curves["step"].tolist() == STEPS and runs.curves["loss"].tolist() == TRAIN
    assert runs.curves["lr"].tolist() == RATES
    judged = runs.curves.set_index("step")["loss/validation"].dropna()
    assert judged.to_dict() == VALID
    assert not any("utilization" in str(name) for name in runs.curves.columns)


@pytest.mark.parametrize("title", [{"text": "loss"}, "loss"])
def test_curves_named_by_runs_in_a_chart_of_one_metric(read, title):
    data = [curve(STEPS, TRAIN, name="small"), curve(STEPS, [x / 2 for x in TRAIN], name="large")]
    runs = read({"data": data, "layout": {"yaxis": {"title": title}}})
    assert runs.names == ["small", "large"]
    assert runs.curves["loss"].tolist() == [*TRAIN, *(x / 2 for x in TRAIN)]


@pytest.mark.parametrize(
    "content",
    [
        {"data": [curve(STEPS, TRAIN, name="loss")], "layout": {"xaxis": {"title": {"text": "Wall time (s)"}}}},
        {"loss": {"train": curve([step / 7 for step in STEPS], TRAIN)}},
    ],
)
def test_a_chart_over_time_is_refused(read, content):
    with pytest.raises(sf.InputError, match=r"the x axis of the chart is .*, which is no step"):
        read(content)


def test_a_value_that_was_not_logged_and_lists_of_unequal_length(read):
    runs = read({"loss": {"train": curve([0, 10, 20], [3.0, None, 2.0])}})
    assert runs.curves["loss"].dropna().tolist() == [3.0, 2.0]
    with pytest.raises(sf.InputError):
        read({"loss": {"train": curve([0, 10, 20], [3.0, 2.0])}})
    with pytest.raises(sf.InputError):
        read({"loss": {"train": curve(["a", None, 20], [3.0, 2.0, 1.0])}})


def test_the_points_of_a_tag_of_tensorboard(read):
    points = [[1.7e9 + step, step, value] for step, value in zip(STEPS, TRAIN, strict=True)]
    runs = read(points, "run-small_train-tag-loss.json")
    assert runs.names == ["small_train"]
    assert runs.curves["step"].tolist() == STEPS and runs.curves["loss"].tolist() == TRAIN
    assert read(points, "points.json", rename={"value": "loss"}).curves["loss"].tolist() == TRAIN


def test_lists_of_losses_and_rates_along_a_run_and_of_a_sweep(read):
    long = read({"train_loss": TRAIN, "lr": RATES}, "metrics.json")
    assert long.curves["loss"].tolist() == TRAIN and long.curves["lr"].tolist() == RATES
    sweep = read({"loss": [3.0, 2.5, 2.75], "lr": [1e-3, 2e-3, 4e-3]}, "sweep.json")
    assert sweep.curves is None and sweep.table["peak_lr"].tolist() == [1e-3, 2e-3, 4e-3]


def test_values_along_time_alone_are_no_runs(tmp_path):
    rows = "".join(f"{step * 6.0},{name}:loss,{value}\n" for name in ("train", "validation")
                   for step, value in zip(STEPS, TRAIN, strict=True))  # fmt: skip
    (tmp_path / "metrics.csv").write_text(f"timestamp,metric_name,value\n{rows}", encoding="utf-8")
    with pytest.raises(sf.InputError, match="the x axis of the chart is 'timestamp', which is no step"):
        sf.read_runs(tmp_path / "metrics.csv", rename={"train:loss": "loss"})
    renames = {"train:loss": "loss", "timestamp": "step"}
    runs = sf.read_runs(tmp_path / "metrics.csv", rename=renames)
    assert len(runs) == 1 and runs.curves["loss"].tolist() == TRAIN


def test_names_of_metrics_beside_columns_without_values(tmp_path):
    """As Comet gives them: values as text, and an epoch and a context that were never logged."""
    records = [
        {"metricName": name, "metricValue": str(value), "step": step, "epoch": None, "runContext": None}
        for name, values in (("train_loss", TRAIN), ("lr", RATES))
        for step, value in zip(STEPS, values, strict=True)
    ]
    (tmp_path / "metrics.json").write_text(json.dumps(records), encoding="utf-8")
    runs = sf.read_runs(tmp_path / "metrics.json")
    assert len(runs) == 1 and runs.curves["loss"].tolist() == TRAIN and runs.curves["lr"].tolist() == RATES


def test_measures_and_records_by_step(read):
    measures = {
        "loss": {str(s): v for s, v in zip(STEPS, TRAIN, strict=True)},
        "val_loss": {str(s): VALID[s] for s in VALID},
    }
    runs = read(measures)
    assert runs.curves["step"].tolist() == STEPS and runs.curves["loss"].tolist() == TRAIN
    assert runs.curves.set_index("step")["val_loss"].dropna().to_dict() == VALID
    records = {str(s): {"loss": v, "lr": r} for s, v, r in zip(STEPS, TRAIN, RATES, strict=True)}
    assert read(records).curves["lr"].tolist() == RATES
    for few in (
        {str(n): {"loss": 3 - n / 9} for n in range(1, 12)},
        {"64": {"loss": 3}, "128": {"loss": 2.5}, "192": {"loss": 2}},
    ):
        assert read(few).curves is None  # runs by a number, or by their width


def test_lists_by_split_and_measure(read):
    lists = {"train": {"mlogloss": TRAIN}, "eval": {"mlogloss": [v + 0.125 for v in TRAIN]}}
    runs = read(lists, rename={"train/mlogloss": "loss"})
    assert len(runs) == 1 and runs.curves["loss"].tolist() == TRAIN
    assert runs.curves["step"].tolist() == [*range(len(STEPS))]
