"""Notes below a table, dictionaries in cells, signs for infinity, and a loss that JSON stores as null."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.notices import doubts_of

STEPS = np.arange(0, 300, 10)
LOSS = 2.5 + 3.0 / (1.0 + STEPS / 40.0)


@pytest.mark.parametrize(
    "notes",
    [["* trained with z-loss"], ["Note: the last run restarted twice", "", "source: our logs"], ["Notes:", "- AdamW"]],
)
def test_notes_below_a_table_are_left_out_and_told(tmp_path, notes):
    lines = ["N,D,loss", *(f"{n:g},{20 * n:g},{1.7 + 400 * n**-0.3:.5f}" for n in (1e7, 4e7, 1.6e8)), "", *notes]
    (tmp_path / "runs.csv").write_text("\n".join(lines) + "\n")
    runs = sf.read_runs(tmp_path / "runs.csv")
    assert runs.table["N"].tolist() == [1e7, 4e7, 1.6e8]
    assert any(f"rows at the end are notes: '{notes[0]}" in note.text for note in runs.notes)
    assert not doubts_of(note.notice for note in runs.notes)


@pytest.mark.parametrize("word", ["average of all", "Mean (all)", "geomean", "overall mean:", "count"])
def test_a_row_that_sums_up_the_others_is_no_run(tmp_path, word):
    rows = [f"{at:g},{20 * at:g},{1.7 + 400 * at**-0.3:.5f}" for at in (1e7, 4e7, 1.6e8)]
    named = [f"r{number},{row}" for number, row in enumerate(rows)]
    (tmp_path / "runs.csv").write_text("\n".join(["run,N,D,loss", *named, f"{word},,,3.4"]) + "\n")
    assert sf.read_runs(tmp_path / "runs.csv").table["run"].tolist() == ["r0", "r1", "r2"]


def test_a_row_of_words_among_the_rows_stays_an_error(tmp_path):
    (tmp_path / "runs.csv").write_text("N,D,loss\n1e7,1e9,3.9\nsome words here,,\n4e7,4e9,3.4\n")
    with pytest.raises(sf.InputError, match="'some words here' is not a number"):
        sf.read_runs(tmp_path / "runs.csv")


@pytest.mark.parametrize("form", [json.dumps, str])
def test_dictionaries_in_cells_are_columns(tmp_path, form):
    runs = [("a", 1e-3, 3.2), ("b", 2e-3, 3.1)]
    table = pd.DataFrame(
        {
            "name": [name for name, *_ in runs],
            "config": [form({"optim": {"lr": lr}, "d_model": 128, "tags": [1, 2]}) for _, lr, _ in runs],
            "summary": [form({"val_loss": loss, "_wandb": {"runtime": 9}}) for *_, loss in runs],
        }
    )
    table.to_csv(tmp_path / "project.csv")
    found = sf.read_runs(tmp_path / "project.csv").table
    assert found[["run", "peak_lr", "d_model", "loss"]].values.tolist() == [
        ["a", 1e-3, 128, 3.2],
        ["b", 2e-3, 128, 3.1],
    ]


def test_an_infinite_loss_on_a_page(tmp_path):
    (tmp_path / "page.md").write_text("| lr | loss |\n|---|---|\n| 2⁻¹⁰ | 3.4 |\n| 2⁻⁹ | 3.2 |\n| 2⁻⁸ | ∞ |\n")
    table = sf.read_runs(tmp_path / "page.md").table
    assert table["peak_lr"].tolist() == [2.0**-10, 2.0**-9, 2.0**-8]
    assert table["loss"].tolist() == [3.4, 3.2, np.inf]


@pytest.mark.parametrize("more", [{}, {"lr": 1e-3}, {"lr": 1e-3, "grad_norm": 1.5}])
@pytest.mark.parametrize("name", ["log.jsonl", "log.json"])
def test_a_loss_that_is_null_from_some_step_to_the_end_is_lost(tmp_path, more, name):
    rows = [{"step": int(s), "loss": y if s < 200 else None, **more} for s, y in zip(STEPS, LOSS, strict=True)]
    text = json.dumps(rows) if name == "log.json" else "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / name).write_text(text)
    runs = sf.read_runs(tmp_path / name)
    assert len(runs.curves) == len(STEPS)
    assert runs.table["diverged"].tolist() == [True]
    assert sf.watch(runs.curves).status == "diverged"


@pytest.mark.parametrize("kind", ["evaluations", "a closing record", "now and then"])
def test_other_nulls_are_no_losses(tmp_path, kind):
    rows = [{"step": int(s), "loss": y, "eval_loss": None, "lr": 1e-3} for s, y in zip(STEPS, LOSS, strict=True)]
    if kind == "evaluations":  # of four sets at the end
        rows += [{"step": 290, "loss": None, "eval_loss": 2.9 + at / 100, "lr": None} for at in range(4)]
    elif kind == "a closing record":
        rows += [{"step": 290, "loss": None, "eval_loss": None, "lr": None}]
    else:
        rows = [{**row, "loss": row["loss"] if at % 3 == 0 else None} for at, row in enumerate(rows)][:-2]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    runs = sf.read_runs(tmp_path / "log.jsonl", rename={"loss": "loss"})
    assert np.isfinite(runs.curves["loss"]).all()
    assert sf.watch(runs.curves).status != "diverged"


@pytest.mark.parametrize(
    "form",
    [
        "I0501 10:00:00.0 140 train.py:100] [{}] learning_rate=0.001, loss={:.5f}",
        "[{:05d}/00290] loss={:.5f} lr=1.000e-03 12.3ms",
    ],
)
def test_steps_in_brackets(tmp_path, form):
    (tmp_path / "job.log").write_text("".join(form.format(int(s), y) + "\n" for s, y in zip(STEPS, LOSS, strict=True)))
    runs = sf.read_runs(tmp_path / "job.log")
    assert runs.curves["step"].tolist() == STEPS.tolist()
    np.testing.assert_allclose(runs.curves["loss"], LOSS, atol=6e-6)
    assert set(runs.curves["lr"]) == {1e-3}


@pytest.mark.parametrize("cell", ["NaN*", "diverged†", "Diverged **", "inf‡"])
def test_a_footnote_behind_a_word_for_a_lost_loss_is_left_out(tmp_path, cell):
    (tmp_path / "runs.csv").write_text(f"N,D,loss\n1e6,1e8,3.5\n4e6,1e8,{cell}\n", encoding="utf-8")
    losses = sf.read_runs(tmp_path / "runs.csv").table["loss"]
    assert losses.iloc[0] == 3.5 and not np.isfinite(losses.iloc[1])


@pytest.mark.parametrize("cell", ["3.2/3.3", "3.2 / 3.3"])
def test_two_losses_in_one_cell_are_no_quotient(tmp_path, cell):
    """The loss was 0.97."""
    (tmp_path / "runs.csv").write_text(f"N,D,loss\n1e6,1e8,3.5\n4e6,1e8,{cell}\n")
    with pytest.raises(sf.InputError, match=r"row 3, column loss: .* may be two losses"):
        sf.read_runs(tmp_path / "runs.csv")


@pytest.mark.parametrize("name", ["N", "D", "tokens"])
def test_two_sizes_in_one_cell_are_no_quotient(tmp_path, name):
    (tmp_path / "runs.csv").write_text(f"{name},loss\n100/200,3.5\n4e8,3.25\n")
    with pytest.raises(sf.InputError, match=r"row 2, column .* may be two numbers"):
        sf.read_runs(tmp_path / "runs.csv")
