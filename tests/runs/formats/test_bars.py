"""Losses beside progress bars, and the lines of further trainers."""

from __future__ import annotations

import numpy as np
import pytest

import scalefit as sf
from scalefit.runs.formats.places_of_records import _beside_each

STEPS = np.arange(10, 210, 10)
LOSS = 2.5 + 3.0 / (1.0 + STEPS / 40.0)
RATE = 1e-3 * (1 - STEPS / 400.0)


def bar(step, of=200, text=""):
    return f" {100 * step // of:3d}%|{'█' * (step * 9 // of):9s}| {step}/{of} [00:31<44:02,  3.06s/it{text}]\n"


def record(at):
    return f"{{'loss': {LOSS[at]:.4f}, 'learning_rate': {RATE[at]:.6g}, 'epoch': {STEPS[at] / 100:.2f}}}\n"


def printed(every, redrawn):
    """What a Trainer prints: a bar at every so many steps, a record at each tenth, drawn anew below it or not."""
    text = ""
    for step in range(1, 201):
        text += bar(step) if step % every == 0 else ""
        if step in STEPS:
            text += record(step // 10 - 1) + (bar(step) if redrawn else "")
    return text + "{'train_runtime': 900.0, 'train_loss': 3.1, 'epoch': 2.0}\n"


@pytest.mark.parametrize("every", [1, 2, 10])
@pytest.mark.parametrize("redrawn", [False, True])
def test_steps_are_those_of_bars_above_or_below(tmp_path, every, redrawn):
    (tmp_path / "train.log").write_text(printed(every, redrawn))
    runs = sf.read_runs(tmp_path / "train.log")
    assert runs.curves["step"].tolist() == STEPS.tolist()
    np.testing.assert_allclose(runs.curves["loss"], LOSS, atol=6e-5)


def test_a_last_bar_below_the_last_record_does_not_shift_the_others(tmp_path):
    text = printed(1, False).replace("{'train_runtime'", bar(200) + "{'train_runtime'")
    (tmp_path / "train.log").write_text(text)
    assert sf.read_runs(tmp_path / "train.log").curves["step"].tolist() == STEPS.tolist()


@pytest.mark.parametrize("late", [1, 3])
def test_bars_above_that_come_late_give_no_steps(tmp_path, late):
    text = "".join(bar(step - late) + record(at) for at, step in enumerate(STEPS))
    (tmp_path / "train.log").write_text(text)
    assert "step" not in sf.read_runs(tmp_path / "train.log").curves.columns


def test_bars_that_come_late_in_one_of_two_trainings_give_steps_to_none(tmp_path):
    """Nor are the records of a log that begins anew the results of forty runs, as they were: it is told."""
    text = "".join(bar(step - late) + record(at) for late in (0, 1) for at, step in enumerate(STEPS))
    (tmp_path / "train.log").write_text(text)
    runs = sf.read_runs(tmp_path / "train.log")
    assert "step" not in runs.curves.columns
    assert any(note.kind == "suspect" and "1 run starts again" in note.text for note in runs.notes)


def test_bars_of_evaluations_between_do_not_count(tmp_path):
    text = "".join(bar(step) + bar(7, of=32) + record(at) for at, step in enumerate(STEPS))
    (tmp_path / "train.log").write_text(text)
    assert sf.read_runs(tmp_path / "train.log").curves["step"].tolist() == STEPS.tolist()


@pytest.mark.parametrize("between", ["\n", "\r"])
def test_a_loss_beside_a_bar(tmp_path, between):
    lines = [
        f"train: {bar(step, text=f', loss={y:.3f}, lr={lr:.2e}').strip()}"
        for step, y, lr in zip(STEPS, LOSS, RATE, strict=True)
    ]
    (tmp_path / "job.log").write_text(between.join(lines) + "\n")
    runs = sf.read_runs(tmp_path / "job.log")
    assert runs.curves["step"].tolist() == STEPS.tolist()
    np.testing.assert_allclose(runs.curves["loss"], LOSS, atol=6e-4)
    np.testing.assert_allclose(runs.curves["lr"], RATE, rtol=6e-3)


def test_bars_that_begin_again_in_each_epoch_are_counted_through(tmp_path):
    text = "".join(
        f"Epoch {(step - 1) // 100}: " + bar((step - 1) % 100 + 1, 100, f", loss={y:.3f}").strip() + "\n"
        for step, y in zip(STEPS, LOSS, strict=True)
    )
    (tmp_path / "job.log").write_text(text)
    runs = sf.read_runs(tmp_path / "job.log")
    assert runs.curves["step"].tolist() == STEPS.tolist()
    np.testing.assert_allclose(runs.curves["loss"], LOSS, atol=6e-4)


LINES = {
    "maxtext": "I0811 21:55:44.9 metric_logger.py:226] completed step: {step}, seconds: 0.6, loss: {loss:.4f}",
    "mmengine": "05/01 10:00:00 - mmengine - INFO - Iter(train) [{step:4d}/200]  lr: {lr:.4e}  loss: {loss:.4f}",
    "paddle": "[2024-05-01] [    INFO] - loss: {loss:.4f}, learning_rate: {lr:.4e}, global_step: {step}, runtime: 1",
    "deepspeed": "[logging.py:96:log_dist] [Rank 0] step={step}, skipped=0, lr=[{lr:.4e}, {lr:.4e}], mom=[[0.9]]\n"
    "steps: {step} loss: {loss:.4f} iter time (s): 0.5 samples/sec: 64.1",
}


@pytest.mark.parametrize("trainer", LINES)
def test_lines_of_further_trainers(tmp_path, trainer):
    form = LINES[trainer]
    text = "".join(form.format(step=s, loss=y, lr=lr) + "\n" for s, y, lr in zip(STEPS, LOSS, RATE, strict=True))
    (tmp_path / "job.log").write_text("starting\n" + text)
    runs = sf.read_runs(tmp_path / "job.log")
    assert runs.curves["step"].tolist() == STEPS.tolist()
    np.testing.assert_allclose(runs.curves["loss"], LOSS, atol=6e-5)
    if "{lr" in form:
        np.testing.assert_allclose(runs.curves["lr"], RATE, rtol=6e-5)


def test_a_total_of_several_losses_is_proposed_and_not_taken(tmp_path):
    form = "d2.utils.events:  eta: 1:00:00  iter: {}  total_loss: {:.4f}  loss_cls: 0.3  lr: 0.01\n"
    (tmp_path / "job.log").write_text("".join(form.format(s, y) for s, y in zip(STEPS, LOSS, strict=True)))
    with pytest.raises(sf.InputError, match="no column loss"):
        sf.read_runs(tmp_path / "job.log")
    runs = sf.read_runs(tmp_path / "job.log", rename={"total_loss": "loss"})
    np.testing.assert_allclose(runs.curves["loss"], LOSS, atol=6e-5)


def log(tmp_path, form, **more):
    rows = zip(STEPS, LOSS, RATE, strict=True)
    text = "".join(
        form.format(step=s, thousands=s / 1000, comma=f"{s * 1000:,}", loss=y, lr=lr, bits=y / np.log(2)) + "\n"
        for s, y, lr in rows
    )
    (tmp_path / "job.log").write_text(text)
    return sf.read_runs(tmp_path / "job.log", **more)


@pytest.mark.parametrize(
    ("form", "scale"),
    [
        ("step {thousands:g}k | loss {loss:.4f}", 1),
        ("iter: {thousands}K loss: {loss:.4f}", 1),
        ("step {comma} loss {loss:.4f}", 1000),
    ],
)
def test_steps_in_thousands_and_with_commas(tmp_path, form, scale):
    assert log(tmp_path, form).curves["step"].tolist() == (scale * STEPS).tolist()


@pytest.mark.parametrize(
    "form",
    [
        "step {step} | lm loss {loss:.4f} | moe aux loss 0.0123 | total loss 9.0",
        "step {step} | aux_loss 0.0123 | loss {loss:.4f} | z-loss 0.5",
        "step {step}, balancing loss: 0.01, loss: {loss:.4f}, KL loss: 0.2, best_val_loss: 1.0",
        "train step={step} loss={loss:.4f} router_z_loss=0.1",
        "step={step} loss_lm={loss:.4f} loss_aux=0.1 loss_scale=65536.0",
        "step {step} loss tensor({loss:.4f}, device='cuda:0') aux_loss 0.2",
        "step {step} loss_sum 503.0 loss {loss:.4f}",
    ],
)
def test_of_several_losses_in_a_line_the_one_of_the_model_counts(tmp_path, form):
    np.testing.assert_allclose(log(tmp_path, form).curves["loss"], LOSS, atol=6e-5)


@pytest.mark.parametrize("form", ["step {step} loss {bits:.5f} bits", "step {step} | loss: {bits:.5f} (bpb) lr 1"])
def test_a_unit_behind_a_loss(tmp_path, form):
    runs = log(tmp_path, form)
    np.testing.assert_allclose(runs.curves["loss"], LOSS, atol=6e-5)
    assert any("from bits to nats" in note.text for note in runs.notes)


@pytest.mark.parametrize(
    "pair",
    [
        ("train step {} loss {:.4f}", "val step {} loss {:.4f}"),
        ("step {} | loss: {:.4f}", "[eval] step {} | loss: {:.4f}"),
        ("INFO train | step={} loss={:.4f}", "INFO valid | step={} loss={:.4f}"),
    ],
)
def test_lines_of_evaluations_are_no_restart(tmp_path, pair):
    text = "".join(
        pair[0].format(s, y) + "\n" + (pair[1].format(s, y + 0.2) + "\n" if s % 50 == 0 else "")
        for s, y in zip(STEPS, LOSS, strict=True)
    )
    (tmp_path / "job.log").write_text(text)
    runs = sf.read_runs(tmp_path / "job.log", rename={"loss": "loss"})
    np.testing.assert_allclose(runs.curves["loss"], LOSS, atol=6e-5)
    np.testing.assert_allclose(runs.curves["val_loss"].dropna(), LOSS[4::5] + 0.2, atol=6e-5)


def test_the_example_of_word_language_models(tmp_path):
    form = "| epoch {:3d} | {:5d}/  100 batches | lr 5.00 | ms/batch 11.2 | loss {:5.2f} | ppl {:8.2f}\n"
    text = "".join(
        form.format((s - 1) // 100 + 1, (s - 1) % 100 + 1, y, np.exp(y)) for s, y in zip(STEPS, LOSS, strict=True)
    )
    (tmp_path / "job.log").write_text(text)
    runs = sf.read_runs(tmp_path / "job.log")
    assert runs.curves["step"].tolist() == STEPS.tolist()
    np.testing.assert_allclose(runs.curves["loss"], LOSS, atol=6e-3)


def test_splits_behind_the_word(tmp_path):
    runs = log(tmp_path, "step={step} | loss_train={loss:.4f} | loss_val=9.5", rename={"train_loss": "loss"})
    np.testing.assert_allclose(runs.curves["loss"], LOSS, atol=6e-5)
    assert set(runs.curves["val_loss"]) == {9.5}


@pytest.mark.parametrize("logged", [[100], [50, 100], [25, 50, 75, 100]])
def test_the_bar_of_each_epoch_ends_at_the_same_step(tmp_path, logged):
    """As Lightning draws it: the bars of all epochs end at 100 of 100."""
    places = [(epoch, done) for epoch in range(6) for done in logged]
    losses = [round(3 / (1 + epoch + done / 100), 4) for epoch, done in places]
    text = "".join(
        f"Epoch {epoch}: {done}%|████| {done}/100 [00:10<00:00,  9.5it/s, v_num=0, train_loss={loss}]\n"
        for (epoch, done), loss in zip(places, losses, strict=True)
    )
    (tmp_path / "job.log").write_text(text, encoding="utf-8")
    runs = sf.read_runs(tmp_path / "job.log")
    assert len(runs) == 1 and runs.curves["loss"].tolist() == losses
    assert runs.curves["step"].tolist() == [100 * epoch + done for epoch, done in places]


@pytest.mark.parametrize(
    ("numbers", "drawn", "where", "found"),
    [
        ([1, 3], [[], [(1, 5)], [(2, 5)], []], "below", [(1, 5), (0, 0)]),
        ([1, 2], [[], [], [(2, 5), (3, 5)]], "below", [(0, 0), (2, 5)]),  # the first one below
        ([1, 3], [[], [(1, 5), (2, 5)], [(9, 9)]], "above", [(0, 0), (2, 5)]),  # the last one above
        ([2, 4], [[(1, 5)], [], [(2, 5), (1, 3)], []], "above", [(1, 5), (2, 5)]),  # that of an evaluation is shorter
        ([2, 4], [[], [], [], []], "above", [(0, 0), (0, 0)]),
    ],
)
def test_which_bar_lies_beside_a_record(numbers, drawn, where, found):
    """Records at these lines, from 1, and the bars of every line."""
    assert _beside_each(numbers, drawn, where) == found
