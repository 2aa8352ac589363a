"""Logs of no known trainer whose lines give a step and a loss, and several trainings in one log."""

from pathlib import Path

import numpy as np
import pytest

import scalefit as sf
from scalefit.runs.formats.within_text import table_within


def lines(form, start=3.0, steps=range(0, 101, 10)):
    return [form.format(s=s, loss=start - s / 100, lr=1e-3 * (1 - s / 200)) for s in steps]


@pytest.mark.parametrize(
    "form",
    [
        "step {s}/100 | loss {loss:.4f} | lr {lr:.6f} | 610 ms",
        "[rank0] Step: {s} loss: {loss:.4f} lr: {lr:.6f} grad_norm: 0.5",
        "2026-01-01 INFO iteration {s} - loss = {loss:.4f}, learning rate = {lr:.6e}",
        "global_step={s} loss={loss:.4f} learning_rate={lr:.6e}",
    ],
)
def test_a_step_a_loss_and_a_rate_on_each_line(tmp_path, form):
    (tmp_path / "train.log").write_text("\n".join(["model built", *lines(form), "done in step by step fashion"]) + "\n")
    runs = sf.read_runs(tmp_path / "train.log")
    assert runs.curves["step"].tolist() == list(range(0, 101, 10))
    np.testing.assert_allclose(runs.curves["loss"], 3 - np.arange(0, 1.01, 0.1), atol=1e-9)
    np.testing.assert_allclose(runs.curves["lr"], 1e-3 * (1 - np.arange(0, 101, 10) / 200), atol=1e-6)


def test_losses_of_splits_are_columns_of_their_own(tmp_path):
    text = [*lines("step {s} loss {loss:.3f}"), "[EVAL] step 100: train loss 2.11, val loss 2.72"]
    (tmp_path / "a.txt").write_text("\n".join(text))
    curves = sf.read_runs(tmp_path / "a.txt").curves
    assert curves["val_loss"].dropna().tolist() == [2.72]
    assert curves["train_loss"].dropna().tolist() == [2.11]
    assert curves["loss"].iloc[-1] == 2.0


def test_trainings_that_begin_again_are_runs_and_a_restart_is_not(tmp_path):
    form = "step {s} | loss {loss:.4f}"
    (tmp_path / "two.log").write_text("\n".join([*lines(form), "next", *lines(form, 2.5), "next", *lines(form, 2.0)]))
    runs = sf.read_runs(tmp_path / "two.log")
    assert runs.names == [f"two, training {i}" for i in (1, 2, 3)]
    assert runs.table["loss"].tolist() == pytest.approx([2.0, 1.5, 1.0])
    again = [*lines(form, steps=range(0, 61, 10)), "resumed", *lines(form, steps=range(40, 101, 10))]
    (tmp_path / "one.log").write_text("\n".join(again))
    assert len(sf.read_runs(tmp_path / "one.log")) == 1


def test_prose_is_no_log(tmp_path):
    (tmp_path / "notes.txt").write_text("at step 5 the loss 3 was odd\nwe stopped\nat step 9 the loss 2\n")
    with pytest.raises(sf.InputError):
        sf.read_runs(tmp_path / "notes.txt")


@pytest.mark.parametrize("name", ["train_loss", "loss", "training_loss"])
@pytest.mark.parametrize("before", ["", "2026-01-01 00:00:00.123 | INFO | __main__:train:45 - ", "[rank0] "])
def test_the_name_of_a_loss_may_have_a_word_before_it(tmp_path, name, before):
    texts = lines(f"{before}step={{s}} {name}={{loss:.4f}} lr={{lr:.6f}}")
    texts += [f"{before}step=50 val_loss=2.75"] if name == "loss" else []
    (tmp_path / "train.log").write_text("\n".join(texts))
    runs = sf.read_runs(tmp_path / "train.log")
    np.testing.assert_allclose(runs.curves["loss"], 3 - np.arange(0, 1.01, 0.1), atol=1e-9)


@pytest.mark.parametrize("each", [640, 1000])
@pytest.mark.parametrize("first", [0, 1])
def test_lines_that_say_how_much_of_an_epoch_is_done_are_one_curve_over_epochs(tmp_path, each, first):
    rows = [(epoch, part) for epoch in range(3) for part in range(0, each, each // 5)]
    texts = [
        f"Train Epoch: {epoch + first} [{part}/{each} ({100 * part / each:.0f}%)]\tLoss: {3 - epoch - part / each:.6f}"
        for epoch, part in rows
    ]
    (tmp_path / "mnist.log").write_text("\n".join(texts))
    runs = sf.read_runs(tmp_path / "mnist.log")
    assert len(runs) == 1
    np.testing.assert_allclose(runs.curves["epoch"], [epoch + part / each for epoch, part in rows])
    np.testing.assert_allclose(runs.curves["loss"], 3 - runs.curves["epoch"], atol=1e-6)


def test_several_losses_of_one_epoch_without_a_step_are_refused_by_row(tmp_path):
    texts = [f"epoch {epoch} loss {3 - epoch - part / 5:.3f}" for epoch in range(3) for part in range(4)]
    (tmp_path / "train.log").write_text("\n".join(texts))
    with pytest.raises(sf.InputError, match="row 2: several lines of one epoch have different losses"):
        sf.read_runs(tmp_path / "train.log")


@pytest.mark.parametrize(
    ("below", "rows"),
    [
        (["10  3.5", "20  3.0"], 2),
        (["10  3.5", "20  3.0", "30  2.5  x"], 2),  # another number of cells
        (["10  3.5", "20  3.0", "30"], 2),
        (["10  3.5", "20  3.0", "end  2.5"], 2),  # no step
        (["10  3.5", "20  3.0", "30  2,5"], 2),  # a comma may be a decimal mark
        (["10  3.5", "20  -", "30  2.5"], 3),  # a loss that was not logged
        (["10  3.5"], 0),
    ],
    ids=str,
)
def test_a_table_within_a_text_ends_where_its_rows_do(below, rows):
    found = table_within(Path("log.txt"), ["some words", "step  loss", *below, "more words"])
    if not rows:
        assert found is None
        return
    assert found.frame["step"].tolist() == [10 * (i + 1) for i in range(rows)]
    assert found.frame.index.tolist() == [3 + i for i in range(rows)]
    assert found.frame["loss"].iloc[0] == 3.5


BAR = "training:  {at:>3}%|█▏        | {s}/1000 [00:01<01:02,  1.23it/s]"


def test_losses_without_steps_are_refused_though_bars_stand_above_them(tmp_path):
    shown = [(BAR.format(at=s // 10, s=s), f"training loss: {3 - s / 1000:.4f}") for s in range(0, 1001, 20)]
    (tmp_path / "job.log").write_text("\n".join(line for pair in shown for line in pair))
    with pytest.raises(sf.InputError, match="no loss with its step is printed") as error:
        sf.read_runs(tmp_path / "job.log")
    assert "print the step in the line of the loss" in str(error.value)


@pytest.mark.parametrize("unit, scale", [("", 1), ("k", 1000)])
def test_the_bar_of_levanter(tmp_path, unit, scale):
    form = "10:11:12 - levanter - INFO :: Progress on:train {s}{u}it/9.00{u}it rate:3.4it/s postfix:loss={v}"
    steps = (1.25, 2.5, 3.75) if unit else (1, 2, 3)
    losses = [round(4 - s / 10, 3) for s in steps]
    rows = [form.format(s=s, u=unit, v=v) for s, v in zip(steps, losses, strict=True)]
    (tmp_path / "job.log").write_text("\n".join(rows))
    curves = sf.read_runs(tmp_path / "job.log").curves
    assert curves["step"].tolist() == [s * scale for s in steps]
    assert curves["loss"].tolist() == losses


def test_a_header_of_words_above_a_log_makes_it_no_table(tmp_path):
    rows = [f"iter  {s:6d} train_loss {3 - s / 1000:.4f} lr 1e-3 tok/s 12345" for s in range(0, 99, 8)]
    (tmp_path / "job.log").write_text("\n".join(["Using device cuda", "model has 12.3M params", *rows]))
    assert sf.read_runs(tmp_path / "job.log").curves["step"].tolist() == list(range(0, 99, 8))
