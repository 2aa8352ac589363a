"""Tables of other shapes give the same runs as the table that is read: wide, long, a matrix, n/m, multiples."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.runs.formats.matrices import matrix
from scalefit.runs.formats.raw import RawTable
from scalefit.runs.reading.shapes import shaped

STEPS = np.arange(0, 500, 50)


def curve(start, drop=0.9):
    return start - drop * STEPS / 500


def noted(runs, word):
    return any(word in note.text for note in runs.notes)


@pytest.mark.parametrize("axis", ["step", "Step", "global_step"])
@pytest.mark.parametrize(
    "names", [("tiny", "mid", "big"), ("N=1e6", "N=4e6"), ("lr 1e-3", "lr 3e-3", "lr 1e-2", "lr 3e-2")]
)
def test_one_column_a_run(axis, names):
    table = pd.DataFrame({axis: STEPS} | {name: curve(3 + i / 4) for i, name in enumerate(names)})
    table.loc[1::2, names[0]] = np.nan
    runs = sf.read_runs(table)
    assert runs.names == list(names)
    first = runs.curves[runs.curves["run"] == names[0]]
    assert first["step"].tolist() == STEPS[::2].tolist()
    last = runs.curves[runs.curves["run"] == names[-1]]
    np.testing.assert_allclose(last["loss"], curve(3 + (len(names) - 1) / 4))
    assert noted(runs, "each of the columns")


@pytest.mark.parametrize(
    "others",
    [
        {"train_loss": curve(3), "val_loss": curve(3.1)},  # two losses of one run
        {"tiny": curve(3), "grad_norm": curve(3)},  # a measure of one run
        {"tiny": curve(3), "tokens_per_second": 1e5 - STEPS},  # of another size
        {"tiny": curve(3), "mid": -curve(3)},
        {"tiny": curve(3), "mid": curve(3, -0.5)},  # rises
    ],
)
def test_what_may_be_one_run_is_not_taken_apart(others):
    raw = RawTable("x.csv", pd.DataFrame({"step": STEPS} | others))
    assert shaped(raw) is raw
    with pytest.raises(sf.InputError):
        sf.read_runs(raw.frame)


@pytest.mark.parametrize("header", ["lr \\ weight_decay", "lr/wd", "LR | WD", "lr × weight decay", "lr vs wd"])
def test_a_matrix_of_two_settings(header):
    rates, decays = [1e-3, 2e-3, 4e-3], [0.0, 0.1]
    loss = np.array([[3.0, 2.9], [2.8, 2.75], [3.1, 3.05]])
    table = pd.DataFrame({header: rates} | {str(decay): loss[:, j] for j, decay in enumerate(decays)})
    runs = sf.read_runs(table).table
    assert len(runs) == 6
    for i, rate in enumerate(rates):
        for j, decay in enumerate(decays):
            chosen = (runs["peak_lr"] == rate) & (runs["weight_decay"] == decay)
            assert runs["loss"][chosen].tolist() == [loss[i, j]]


@pytest.mark.parametrize("header", ["lr \\ lr", ".. / ..", "loss \\ lr", "lr vs loss"])
def test_a_matrix_of_one_setting_or_of_the_loss_is_none(header):
    table = pd.DataFrame({header: [0.1, 0.2], "0.3": [3.0, 2.9], "0.4": [2.8, 2.7]})
    assert matrix(RawTable(Path("runs.csv"), table)) is None


def test_an_empty_cell_of_a_matrix_is_no_run():
    table = pd.DataFrame({"lr \\ d_model": [1e-3, 2e-3], "64": [3.0, np.nan], "128": [2.8, 2.7]})
    assert len(sf.read_runs(table).table) == 3


@pytest.mark.parametrize("header", [("metric", "value"), ("name", "data/value"), ("tag", "scalar"), ("key", "value")])
def test_one_value_a_row_with_the_name_of_its_metric(header):
    key, value = header
    step = "data/step" if "/" in value else "step"
    rows = [{key: "train/loss", step: s, value: v} for s, v in zip(STEPS, curve(3), strict=True)]
    rows += [{key: "eval/loss", step: s, value: v + 0.1} for s, v in zip(STEPS[::5], curve(3)[::5], strict=True)]
    runs = sf.read_runs(pd.DataFrame(rows), rename={"train/loss": "loss"})
    np.testing.assert_allclose(runs.curves["loss"], curve(3))
    assert runs.curves["eval/loss"].notna().sum() == 2
    assert len(runs) == 1


def test_a_long_table_of_several_runs_and_a_nan_that_was_logged():
    rows = [
        {"run": run, "step": s, "metric": "loss", "value": np.nan if (run, s) == ("b", 100) else v}
        for run in "ab"
        for s, v in zip(STEPS, curve(3), strict=True)
    ]
    runs = sf.read_runs(pd.DataFrame(rows))
    assert runs.names == ["a", "b"]
    assert runs.curves["loss"].isna().sum() == 1


@pytest.mark.parametrize("name", ["step", "iter", "global_step/max_steps", "step/total"])
def test_steps_written_n_of_m(name):
    table = pd.DataFrame({name: [f"{s} / 500" for s in STEPS], "loss": curve(3)})
    runs = sf.read_runs(table)
    assert runs.curves["step"].tolist() == STEPS.tolist()
    assert noted(runs, "n/m")


@pytest.mark.parametrize("sign", ["x", "×", " x"])
def test_multiples(sign):
    table = pd.DataFrame(
        {"width": [64] * 3 + [128] * 3, "lr": [f"{m}{sign}" for m in (0.5, 1, 2)] * 2, "loss": [3, 2.9, 3.2] * 2}
    )
    runs = sf.read_runs(table)
    assert sorted(set(runs.table["peak_lr"])) == [0.5, 1.0, 2.0]
    assert noted(runs, "multiples")


def test_a_column_that_is_mapped_stays():
    table = pd.DataFrame({"step": STEPS, "tiny": curve(3), "mid": curve(3.2)})
    runs = sf.read_runs(table, rename={"mid": "loss"})
    assert len(runs) == 1
    np.testing.assert_allclose(runs.curves["loss"], curve(3.2))


@pytest.mark.parametrize("word", ["NaN", "nan"])
def test_a_nan_in_a_wide_table_is_a_run_that_diverged_and_an_empty_cell_is_not(word, tmp_path):
    values = {name: [f"{v}" for v in curve(3 + i / 4)] for i, name in enumerate(("tiny", "mid", "big"))}
    values["tiny"][-2:] = ["", ""]
    values["big"][-2:] = [word, word]
    table = pd.DataFrame({"step": STEPS} | values)
    table.to_csv(tmp_path / "losses.csv", index=False)
    runs = sf.read_runs(tmp_path / "losses.csv")
    counts = runs.curves.groupby("run")["step"].count()
    assert (counts["tiny"], counts["mid"], counts["big"]) == (len(STEPS) - 2, len(STEPS), len(STEPS))
    assert noted(runs, "not logged: 2")
    assert runs.curves["loss"].isna().groupby(runs.curves["run"]).sum().to_dict() == {"tiny": 0, "mid": 0, "big": 2}


def test_a_nan_in_a_matrix_is_a_run_that_diverged_and_an_empty_cell_is_none(tmp_path):
    (tmp_path / "sweep.csv").write_text("lr \\ wd,0.0,0.1\n1e-3,3.0,2.9\n2e-3,2.8,\n4e-3,NaN,3.2\n")
    runs = sf.read_runs(tmp_path / "sweep.csv")
    lost = runs.table[runs.table["loss"].isna()]
    assert len(runs.table) == 5
    assert lost[["peak_lr", "weight_decay"]].to_numpy().tolist() == [[4e-3, 0.0]]
    assert noted(runs, "no runs: 1")


def test_an_empty_value_of_a_long_table_was_not_logged_and_a_nan_was(tmp_path):
    values = [f"{v}" for v in curve(3)]
    values[2], values[-1] = "", "nan"
    lines = [f"{s},loss,{v}\n{s},lr,0.001" for s, v in zip(STEPS, values, strict=True)]
    (tmp_path / "log.csv").write_text("\n".join(["step,metric,value", *lines, ""]))
    runs = sf.read_runs(tmp_path / "log.csv")
    assert runs.curves.loc[runs.curves["loss"].isna(), "step"].tolist() == [STEPS[-1]]
    assert noted(runs, "not logged: 1")


def test_losses_on_several_sets_are_those_of_one_run():
    steps = np.arange(0, 100, 10)
    table = pd.DataFrame({"step": steps, "eval/c4/loss": 4 - steps / 100, "eval/pile/loss": 4.2 - steps / 100})
    with pytest.raises(sf.InputError, match="'eval/c4/loss' and 'eval/pile/loss' could both be loss"):
        sf.read_runs(table)
    assert len(sf.read_runs(table, rename={"eval/pile/loss": "loss"})) == 1


def test_a_nan_in_a_matrix_on_a_page_is_a_run_that_diverged(tmp_path):
    page = "| lr | d=128 | d=256 |\n|---|---|---|\n| 1e-3 | 3.4 | **3.3** |\n| 2e-3 | 3.5 | NaN |\n"
    (tmp_path / "page.md").write_text(page)
    table = sf.read_runs(tmp_path / "page.md").table
    assert table["loss"].fillna(-1).tolist() == [3.4, 3.5, 3.3, -1]
    assert table["d_model"].tolist() == [128, 128, 256, 256]


def test_one_column_a_run_over_epochs():
    epochs = np.arange(12)
    table = pd.DataFrame({"epoch": epochs, "small": 4 - epochs / 12, "base": 3.8 - epochs / 12})
    runs = sf.read_runs(table)
    assert runs.names == ["small", "base"]
    np.testing.assert_allclose(runs.curves["loss"], np.r_[table["small"], table["base"]])
