"""Losses in several columns that state a size, a horizon, a step or a seed are rows with that value."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

SIZES, LENGTHS = {"14M": 1.4e7, "60M": 6e7, "0.2B": 2e8}, {"1B": 1e9, "4B": 4e9, "20B": 2e10, "0.1T": 1e11}


def loss(N, D):
    return 1.7 + 400 * N**-0.34 + 410 * D**-0.28


def by_length(name, first="N"):
    """A row a size, a column a length."""
    table = pd.DataFrame({first: list(SIZES)})
    for text, D in LENGTHS.items():
        table[name.format(text)] = [loss(N, D) for N in SIZES.values()]
    return table


def by_size(name, first="tokens"):
    table = pd.DataFrame({first: list(LENGTHS)})
    for text, N in SIZES.items():
        table[name.format(text)] = [loss(N, D) for D in LENGTHS.values()]
    return table


def assert_planted(table, rows=12):
    assert len(table) == rows
    np.testing.assert_allclose(table["loss"], loss(table["N"].astype(float), table["D"].astype(float)), rtol=1e-9)


@pytest.mark.parametrize(
    "name", ["loss@{}", "val_loss@{}", "loss @ {}", "loss_{}", "val loss at {} tokens", "{}", "loss (D={})"]
)
def test_a_column_a_horizon_beside_sizes(tmp_path, name):
    by_length(name).to_csv(tmp_path / "grid.csv", index=False)
    runs = sf.read_runs(tmp_path / "grid.csv")
    assert_planted(runs.table)
    assert any("at several values of" in note.text for note in runs.notes)


@pytest.mark.parametrize("name", ["{}", "{} loss", "loss_{}", "loss (N={})"])
def test_a_column_a_size_beside_lengths(tmp_path, name):
    by_size(name).to_csv(tmp_path / "grid.csv", index=False)
    assert_planted(sf.read_runs(tmp_path / "grid.csv").table)


def test_an_empty_cell_is_no_run_and_a_nan_is_one(tmp_path):
    text = by_length("loss@{}").astype(object)
    text.iloc[0, 1], text.iloc[2, 4] = "", "nan"
    text.to_csv(tmp_path / "grid.csv", index=False)
    table = sf.read_runs(tmp_path / "grid.csv").table
    assert len(table) == 11
    lost = table[table["loss"].isna()]
    assert lost[["N", "D"]].to_numpy(float).tolist() == [[2e8, 1e11]]


def test_steps_of_one_run_are_its_curve():
    table = pd.DataFrame({"run": ["a", "b"], "lr": [1e-3, 2e-3], "loss@1000": [3.9, 3.8], "loss@5000": [3.5, 3.4]})
    runs = sf.read_runs(table)
    assert runs.curves[["run", "step", "loss"]].astype({"run": str}).values.tolist() == [
        ["a", 1000, 3.9], ["a", 5000, 3.5], ["b", 1000, 3.8], ["b", 5000, 3.4]
    ]  # fmt: skip


def test_curves_of_several_sizes_know_their_size():
    steps = np.arange(0, 500, 10)
    table = pd.DataFrame({"step": steps, **{f"loss_{text}": loss(N, 1e6 * (steps + 1)) for text, N in SIZES.items()}})
    runs = sf.read_runs(table)
    assert runs.table["N"].tolist() == list(SIZES.values())
    assert len(runs.curves) == 150


@pytest.mark.parametrize("name", ["loss_seed{}", "loss (seed {})", "loss_s{}"])
def test_a_column_a_seed(name):
    rates = [1e-3, 2e-3, 4e-3]
    table = pd.DataFrame(
        {"lr": rates, **{name.format(seed): [3.0 + seed / 10 + r for r in rates] for seed in (0, 1, 2)}}
    )
    found = sf.read_runs(table).table
    assert len(found) == 9
    np.testing.assert_allclose(found["loss"], 3.0 + found["seed"].astype(float) / 10 + found["lr"])


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"N": [1e6, 4e6], "loss": [3.0, 2.9], "loss@1B": [3.2, 3.1], "loss@2B": [3.1, 3.0]}),
        pd.DataFrame({"model": ["a", "b"], "acc@1": [0.3, 0.4], "acc@5": [0.5, 0.6], "loss": [3.0, 2.9]}),
        pd.DataFrame({"N": [1e6, 4e6], "loss_1": [3.0, 2.9], "loss_2": [0.1, 0.2]}),
    ],
    ids=["beside a loss", "no losses", "parts of a loss"],
)
def test_other_columns_stay(table):
    assert [name for name in table if name in sf.read_runs(table, need=(), tell_ties=True).table] == list(table)


def test_values_that_rise_with_the_length_are_no_losses(tmp_path):
    table = by_length("{}")
    table.iloc[:, 1:] = 1 / table.iloc[:, 1:]  # an accuracy
    table.to_csv(tmp_path / "grid.csv", index=False)
    with pytest.raises(sf.InputError, match="no column loss"):
        sf.read_runs(tmp_path / "grid.csv")


MULTIPLES = {"loss@1x": 1.0, "loss@10x": 10.0, "loss@0.5x": 0.5}


@pytest.mark.parametrize("names", [["loss@1x", "loss@10x"], ["loss_0.5x", "loss_1x", "loss_2x"], ["1x", "10x"]])
def test_multiples_of_a_budget_that_the_table_gives(names):
    size, budget = np.array([1e6, 4e6, 1.6e7]), np.array([2e7, 8e7, 3.2e8])
    times = [float(name.rstrip("x").removeprefix("loss")[-3:].strip("@_")) for name in names]
    made = {name: 1.7 + 400 * size**-0.34 + 410 * (k * budget) ** -0.28 for name, k in zip(names, times, strict=True)}
    runs = sf.read_runs(pd.DataFrame({"N": size, "tokens (M)": budget / 1e6, **made}))
    assert len(runs.table) == 3 * len(names)
    expected = 1.7 + 400 * runs.table["N"] ** -0.34 + 410 * runs.table["D"] ** -0.28
    np.testing.assert_allclose(runs.table["loss"], expected, rtol=1e-12)
    assert any("are those of the multiple 1, times it" in note.text for note in runs.notes)


@pytest.mark.parametrize(("form", "data"), [("loss@{}x", None), ("loss@{}xC", 20.0), ("{}xChinchilla", 20.0)])
def test_multiples_of_a_budget_that_the_name_gives_or_nothing_does(form, data):
    size = np.array([1e6, 4e6, 1.6e7])
    made = {form.format(k): 3 - k / 16 + 1e5 / size for k in (1, 2, 5)}
    table = sf.read_runs(pd.DataFrame({"N": size, **made})).table
    assert table["loss"].tolist() == [x for k in (1, 2, 5) for x in 3 - k / 16 + 1e5 / size]
    assert table["multiple"].tolist() == [1.0] * 3 + [2.0] * 3 + [5.0] * 3
    assert ("D" in table.columns) is (data is not None)
    assert data is None or table["D"].tolist() == (data * table["multiple"] * table["N"]).tolist()


@pytest.mark.parametrize(
    "head", ["lr \\ width,128,256,512", "lr,w128,w256,w512", "lr,loss@d=128,loss@d=256,loss@d=512"]
)
def test_a_table_of_losses_holds_words_for_runs_that_diverged_and_dashes_for_none(tmp_path, head):
    """Of a whole row of such words each column was text, and the table was said to hold no loss."""
    rows = ["1e-3,3.2,3.0,2.8", "2e-3,3.1,2.9,2.75", "4e-3,3.15,diverged,div.", "8e-3,NaN (diverged),-,-"]
    path = tmp_path / "sweep.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    runs = sf.read_runs(path)
    assert len(runs) == 10
    known = runs.table[["d_model", "peak_lr", "loss"]]
    assert known.dropna().sort_values(["d_model", "peak_lr"])["loss"].tolist() == [3.2, 3.1, 3.15, 3.0, 2.9, 2.8, 2.75]
    lost = {tuple(pair) for pair in known.loc[known.loss.isna(), ["d_model", "peak_lr"]].to_numpy().tolist()}
    assert lost == {(128, 8e-3), (256, 4e-3), (512, 4e-3)}
    assert any("or the like instead of a loss: read as NaN, diverged" in note.text for note in runs.notes)


@pytest.mark.parametrize("head", ["lr \\ width,128,128,256,256", "lr,w128,w128,w256,w256"])
def test_two_columns_of_one_number_are_runs_of_that_number(tmp_path, head):
    """The second column of width 128 was read as one of width 128.1."""
    rows = ["1e-3,3.2,3.25,3.0,nan", "2e-3,3.1,3.15,2.9,2.95", "4e-3,3.2,nan,3.0,3.05"]
    (tmp_path / "sweep.csv").write_text("\n".join([head, *rows]) + "\n")
    table = sf.read_runs(tmp_path / "sweep.csv").table
    assert sorted(table["d_model"]) == [128] * 6 + [256] * 6
    assert sorted(table.loc[table.d_model == 128, "loss"].dropna()) == [3.1, 3.15, 3.2, 3.2, 3.25]
    assert int(table["loss"].isna().sum()) == 2


def test_a_size_that_stands_above_several_columns_is_that_size(tmp_path):
    """In a table that stands on its side the second size of 1 M was 1.1 M."""
    text = "params (M),1,1,30,30\ntokens (B),1,2,1,2\nloss,4,3.8,3.5,3.3\n"
    (tmp_path / "runs.csv").write_text(text)
    table = sf.read_runs(tmp_path / "runs.csv").table
    assert table[["N", "D", "loss"]].to_numpy().tolist() == [
        [1e6, 1e9, 4.0],
        [1e6, 2e9, 3.8],
        [3e7, 1e9, 3.5],
        [3e7, 2e9, 3.3],
    ]
