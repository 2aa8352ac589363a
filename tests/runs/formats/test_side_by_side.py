"""Several measures of several runs side by side, and settings in the names of columns: never pooled as one loss."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.runs.formats.raw import RawTable
from scalefit.runs.formats.side_by_side import side_by_side

STEPS = np.arange(10, 110, 10)
FORMS = ["{run}/{measure}", "{run} - {measure}", "{run}_{measure}", "{measure}_{run}", "{measure}.{run}"]


def losses(run, measure):
    return 4 - STEPS / 64 - ("a", "b2").index(run) / 8 + (measure == "val_loss") / 16


@pytest.mark.parametrize("form", FORMS)
def test_the_measures_of_each_run_stay_apart(tmp_path, form):
    columns = {
        form.format(run=run, measure=measure): losses(run, measure)
        for run in ("a", "b2")
        for measure in ("train_loss", "val_loss")
    }
    pd.DataFrame({"step": STEPS, **columns}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(sf.InputError, match="could both be loss"):
        sf.read_runs(tmp_path / "t.csv")
    for measure in ("train_loss", "val_loss"):
        runs = sf.read_runs(tmp_path / "t.csv", rename={measure: "loss"})
        assert runs.names == ["a", "b2"]
        np.testing.assert_allclose(runs.curves["loss"], np.r_[losses("a", measure), losses("b2", measure)])


def test_a_rate_beside_the_loss_of_each_run_and_a_shorter_run(tmp_path):
    frame = pd.DataFrame(
        {"step": STEPS, "a/loss": losses("a", ""), "a/lr": 1e-3, "b2/loss": losses("b2", ""), "b2/lr": 2e-3}
    )
    frame.loc[6:, ["b2/loss", "b2/lr"]] = np.nan
    frame.to_csv(tmp_path / "t.csv", index=False)
    curves = sf.read_runs(tmp_path / "t.csv").curves
    assert curves["lr"].tolist() == [1e-3] * 10 + [2e-3] * 6
    np.testing.assert_allclose(curves["loss"], np.r_[losses("a", ""), losses("b2", "")[:6]])


MATRICES = {
    "lr,d=128,d=256,d=512": ("peak_lr", "d_model", [128, 256, 512]),
    "lr,width 128,width 256,width 512": ("peak_lr", "d_model", [128, 256, 512]),
    "width,lr=1e-3,lr=2e-3,lr=4e-3": ("d_model", "peak_lr", [1e-3, 2e-3, 4e-3]),
    "params,1B tokens,2B tokens,4B tokens": ("N", "D", [1e9, 2e9, 4e9]),
    "params,seed0,seed1,seed2": ("N", "seed", [0, 1, 2]),
}


@pytest.mark.parametrize("header", MATRICES)
def test_columns_named_by_a_setting_and_its_value_are_runs(tmp_path, header):
    down, across, values = MATRICES[header]
    rows = {64.0: [3.5, 3.25, 3.0], 256.0: [3.375, 3.125, 2.75]}
    body = "".join(f"{size:g},{','.join(map(str, row))}\n" for size, row in rows.items())
    (tmp_path / "t.csv").write_text(f"{header}\n{body}")
    table = sf.read_runs(tmp_path / "t.csv").table
    found = {(row[down], float(row[across])): row["loss"] for row in table.to_dict("records")}
    assert found == {(size, value): row[at] for size, row in rows.items() for at, value in enumerate(values)}


def test_a_long_table_of_final_results_is_a_row_a_run(tmp_path):
    rows = [
        (f"r{i}", 10.0**i, name, value) for i in (6, 7, 8) for name, value in (("loss", 4 - i / 4), ("acc", i / 10))
    ]
    pd.DataFrame(rows, columns=["run", "N", "metric", "value"]).to_csv(tmp_path / "t.csv", index=False)
    table = sf.read_runs(tmp_path / "t.csv").table
    assert table["N"].tolist() == [1e6, 1e7, 1e8] and table["loss"].tolist() == [2.5, 2.25, 2.0]


@pytest.mark.parametrize("first", ["", "metric", "Model", "quantity"])
@pytest.mark.parametrize("ending", ["csv", "md"])
def test_a_table_on_its_side_with_the_names_of_runs_above(tmp_path, first, ending):
    rows = [(first, "Small", "Medium", "Large"), ("Params", "14M", "70M", "410M"), ("Tokens", "0.28B", "1.4B", "8.2B")]
    rows += [("Val loss", "3.25", "2.875", "2.5")]
    lines = [",".join(row) if ending == "csv" else f"| {' | '.join(row)} |" for row in rows]
    lines = lines if ending == "csv" else [lines[0], "|--|--|--|--|", *lines[1:]]
    (tmp_path / f"t.{ending}").write_text("\n".join(lines) + "\n")
    table = sf.read_runs(tmp_path / f"t.{ending}").table
    assert table["run"].tolist() == ["Small", "Medium", "Large"]
    np.testing.assert_allclose(
        table[["N", "D", "loss"]], [[14e6, 0.28e9, 3.25], [70e6, 1.4e9, 2.875], [410e6, 8.2e9, 2.5]]
    )


def test_the_runs_of_a_matrix_are_named_by_their_row_and_column(tmp_path):
    (tmp_path / "t.csv").write_text("width \\ lr,1e-3,2e-3\n64,3.5,nan\n128,,3.0\n")
    table = sf.read_runs(tmp_path / "t.csv").table
    assert table["run"].tolist() == ["row 2, column 1e-3", "row 2, column 2e-3", "row 3, column 2e-3"]


@pytest.mark.parametrize(
    "form", ["{} (train)|{} (val)", "{}/train|{}/val", "train {}|val {}", "{}_training|{}_validation"]
)
def test_the_splits_of_each_run_without_the_word_of_a_measure(form):
    names = [each.format(run) for run in ("a", "b") for each in form.split("|")]
    steps = np.arange(0, 300, 10)
    table = pd.DataFrame({"step": steps, **{name: 4 + at / 10 - steps / 300 for at, name in enumerate(names)}})
    losses = {"a": 4.1 - steps / 300, "b": 4.3 - steps / 300}
    word = "validation_loss" if "validation" in form else "val_loss"
    runs = sf.read_runs(table, rename={word: "loss"})
    assert runs.names == ["a", "b"]
    for name, part in runs.curves.groupby("run", observed=True):
        np.testing.assert_allclose(part["loss"], losses[name])


def test_two_runs_of_two_measures_are_the_fewest_and_rows_that_were_not_numbers_move_along():
    frame = pd.DataFrame({"step": [10, 20], "a/loss": [3.0, 2.0], "a/lr": [1e-3, 1e-3], "b2/loss": [2.5, np.nan]})
    frame.index = [1, 2]
    assert side_by_side(RawTable(Path("t.csv"), frame)) is None
    four = RawTable(Path("t.csv"), frame.assign(**{"b2/lr": 2e-3}), nans={"b2/loss": [2]})
    found = side_by_side(four)
    assert found.frame.to_dict("list") == {
        "run": ["a", "a", "b2", "b2"], "step": [10, 20, 10, 20],
        "loss": [3.0, 2.0, 2.5, pytest.approx(np.nan, nan_ok=True)], "lr": [1e-3, 1e-3, 2e-3, 2e-3],
    }  # fmt: skip
    assert (found.frame.index.tolist(), found.nans) == ([1, 2, 3, 4], {"loss": [4], "lr": []})
    assert side_by_side(RawTable(Path("t.csv"), four.frame.assign(tokens=[1, 2]))) is None
