"""What Keras, boosting, notebooks, MaxText and Levanter print: every row, step and loss as they were logged."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

import scalefit as sf

STEPS = list(range(10, 410, 10))
EVALUATED = [step for step in STEPS if step % 100 == 0]


def loss(step):
    return round(2 + 6 / (step + 40) ** 0.5, 4)


def judged(step):
    return round(loss(step) + 0.1, 4)


def rate(step):
    return round(1e-3 * (1 - step / 500), 9)


LOSSES = [loss(step) for step in STEPS]


@pytest.fixture
def read(tmp_path):
    def of(name, text, **options):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return sf.read_runs(tmp_path / name, **options)

    return of


def bar(done, of, look):
    """The line of Keras 2, with a bar or without (verbose=2), or of Keras 3, which colours it."""
    if look == "keras 2":
        return f"{done:4d}/{of} [{'=' * (20 * done // of):20s}] - "
    if look == "keras 3":
        return f"\x1b[1m{done:4d}/{of}\x1b[0m \x1b[32m{'━' * 20}\x1b[0m\x1b[37m\x1b[0m \x1b[1m"
    return f"{done}/{of} - "


def keras(look, epochs=range(1, 9), of=1875, judge=True, first=True):
    for epoch in epochs:
        yield f"Epoch {epoch}/8\n"
        if look != "verbose=2":
            for done in (1, 900, of):  # redrawn in place, the last one before the evaluation
                wait = "ETA: 3s - " if look == "keras 2" else "\x1b[0m2s 2ms/step - "
                yield f"{bar(done, of, look)}{wait}accuracy: 0.5000 - loss: {9 - done / of:.4f}\x08\x08\r"
        end = "5s 2ms/step - " if look == "keras 2" else "5s - " if look == "verbose=2" else "\x1b[0m5s 2ms/step - "
        val = f" - val_accuracy: 0.9 - val_loss: {judged(epoch)}" if judge else ""
        told = f"accuracy: 0.9151 - loss: {loss(epoch)}{val} - learning_rate: {rate(epoch):.4e}"
        yield f"{bar(of, of, look)}{end}{told}\n"
        if first and epoch == 3:
            yield "Epoch 3: ReduceLROnPlateau reducing learning rate to 0.0001.\n"


@pytest.mark.parametrize("look", ["keras 2", "keras 3", "verbose=2"])
def test_keras_by_epochs(read, look):
    text = "2026-01-01 tensorflow: ready\n" + "".join(keras(look)) + f"{bar(313, 313, look)}1s - loss: 0.77\n"
    runs = read("job.log", text)
    assert runs.curves["epoch"].tolist() == [*range(1, 9)] and runs.curves["step"].tolist() == [
        *range(1875, 15001, 1875)
    ]
    assert runs.curves["loss"].tolist() == [loss(epoch) for epoch in range(1, 9)]
    assert runs.curves["val_loss"].tolist() == [judged(epoch) for epoch in range(1, 9)]
    assert runs.curves["lr"].tolist() == [rate(epoch) for epoch in range(1, 9)]


def test_keras_stopped_within_an_epoch_resumed_and_trained_twice(read):
    cut = f"Epoch 5/8\n{bar(10, 1875, 'keras 2')}loss: 9.0\n"
    runs = read("a.log", "".join(keras("keras 2", range(1, 5), judge=False)) + cut)
    assert runs.curves["loss"].tolist() == [loss(1), loss(2), loss(3), loss(4)]
    assert any("1 epochs that did not end" in note.text for note in runs.notes)
    resumed = read("b.log", "".join(keras("verbose=2", range(5, 9))))
    assert resumed.curves["step"].tolist() == [9375, 11250, 13125, 15000]
    both = read("c.log", "".join([*keras("verbose=2"), *keras("verbose=2", of=900)]))
    assert len(both) == 2 and both.curves["loss"].tolist() == 2 * [loss(epoch) for epoch in range(1, 9)]


BOOSTED = {
    "xgboost": ("[{n}]\ttrain-mlogloss:{a}\teval-mlogloss:{b}", "train-mlogloss", "eval-mlogloss"),
    "xgboost, with the time": ("[10:00:01] [{n}]\ttrain-rmse:{a}\teval-rmse:{b}", "train-rmse", "eval-rmse"),
    "xgboost, cross-validated": ("[{n}]\ttrain-rmse:{a}+0.001\ttest-rmse:{b}+0.002", "train-rmse", "test-rmse"),
    "xgboost, fitted": ("[{n}]\tvalidation_0-auc:{a}\tvalidation_1-auc:{b}", "validation_0-auc", "validation_1-auc"),
    "lightgbm": ("[{n}]\ttraining's l2: {a}\tvalid_1's l2: {b}", "training's l2", "valid_1's l2"),
    "catboost": ("{n}:\tlearn: {a}\ttest: {b}\tbest: {b} ({n})\ttotal: 12ms\tremaining: 1s", "learn", "test"),
}


@pytest.mark.parametrize("kind", BOOSTED)
def test_rounds_of_boosting_are_one_run_of_which_a_measure_is_chosen(read, kind):
    form, train, other = BOOSTED[kind]
    rows = [form.format(n=n, a=loss(n + 1), b=judged(n + 1)) for n in range(30)]
    text = "\n".join(["[LightGBM] [Info] Start", *rows, "Did not meet early stopping. Best iteration is:", rows[0], ""])
    with pytest.raises(sf.InputError, match="there is no column loss"):
        read("boost.log", text)
    for name, truth in ((train, loss), (other, judged)):
        runs = read("boost.log", text, rename={name: "loss"})
        assert len(runs) == 1 and runs.curves["step"].tolist() == [*range(30)]
        assert runs.curves["loss"].tolist() == [truth(n + 1) for n in range(30)]


def test_measures_of_splits_side_by_side_are_no_runs(read):
    text = "iteration,train-mlogloss,eval-mlogloss\n" + "".join(f"{s},{loss(s)},{judged(s)}\n" for s in STEPS)
    assert len(read("evals.csv", text, need=())) == 1


@pytest.mark.parametrize("gap", ["\t", " \t", "    "])
@pytest.mark.parametrize("names", [("Step", "Training Loss"), ("epoch", "train_loss", "valid_loss", "time")])
def test_the_table_that_a_notebook_shows(read, gap, names):
    rows = [(s, loss(s), judged(s), "00:10")[: len(names)] for s in STEPS]
    lines = ["==((====))==  Unsloth 2024.8", " [40/40 03:42, Epoch 4/4]", gap.join(names)]
    lines += [gap.join(map(str, row)) for row in rows]
    runs = read("cell.txt", "\n".join([*lines, "Saved.", ""]), rename={names[1]: "loss"})
    assert runs.curves[names[0].lower()].tolist() == STEPS and runs.curves["loss"].tolist() == LOSSES
    assert [n for n in runs.notes if re.search("3 other lines|1 lines below the table", n.text)]


def test_a_training_loss_that_was_not_logged_yet(read):
    rows = [f"{e}\t{'No log' if e < 3 else loss(e)}\t{judged(e)}" for e in range(1, 9)]
    runs = read(
        "cell.txt", "\n".join(["Epoch\tTraining Loss\tValidation Loss", *rows]), rename={"Training Loss": "loss"}
    )
    assert runs.curves["loss"].tolist() == [loss(e) for e in range(3, 9)]


def test_an_evaluation_that_names_the_step_of_the_training(read):
    text = "".join(
        f"completed step: {s}, seconds: 1.1, TFLOP/s/device: 470.0, total_weights: 65536, loss: {loss(s)}\n"
        + f"Completed eval after train step {s}, loss={judged(s)}, total_weights=5000.0\n" * (s in EVALUATED)
        for s in STEPS
    )
    runs = read("job.log", text)
    assert runs.curves["step"].tolist() == STEPS and runs.curves["loss"].tolist() == LOSSES
    assert runs.curves["val_loss"].dropna().tolist() == [judged(s) for s in EVALUATED]


def test_the_metrics_that_maxtext_writes(read):
    records = [
        {
            "learning/loss": loss(s),
            "learning/current_learning_rate": rate(s),
            "learning/grad_norm": 0.5,
            "step": float(s),
        }
        for s in STEPS
    ]
    curves = read("metrics.jsonl", "".join(json.dumps(record) + "\n" for record in records)).curves
    assert curves["loss"].tolist() == LOSSES and curves["lr"].tolist() == [rate(s) for s in STEPS]
    assert curves["grad_norm"].tolist() == [0.5] * len(STEPS)


def test_the_json_logger_of_levanter(read):
    records = [{"tracker": "json_logger", "event": "hparams", "hparams": {"seed": 3, "model": {"hidden_dim": 512}}}]
    for s in STEPS:
        metrics = {"train/loss": loss(s), "optim/learning_rate": rate(s)}
        records.append({"tracker": "json_logger", "event": "log", "step": s, "metrics": metrics})
        if s in EVALUATED:
            records.append({"tracker": "json_logger", "event": "log", "step": s, "metrics": {"eval/loss": judged(s)}})
    records.append({"tracker": "json_logger", "event": "finish", "summary": {"train/loss": 9.9}})
    for name, head in (("log.jsonl", ""), ("job.log", "2026-01-01 INFO :: ")):
        text = "".join(head + json.dumps(record) + "\n" for record in records)
        runs = read(name, text, rename={"metrics/train/loss": "loss"})
        assert runs.curves["step"].tolist() == STEPS and runs.curves["loss"].tolist() == LOSSES
        assert runs.curves["lr"].tolist() == [rate(s) for s in STEPS]
        open_runs = read(name, text, need=(), tell_ties=True)
        assert len(open_runs.curves) == len(STEPS) and not any("restart" in note.text for note in open_runs.notes)


HISTORY = [{"_step": 2 * n, "train/loss": loss(s), "train/global_step": s, "lr": rate(s)} for n, s in enumerate(STEPS)]


@pytest.mark.parametrize("form", ["columns.json", "records.json", "lines.jsonl", "table.csv", "0000.parquet"])
def test_the_counter_of_wandb_gives_way_to_a_step_that_was_logged(read, tmp_path, form):
    frame = pd.DataFrame(HISTORY)
    if form == "0000.parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet(tmp_path / form)
        runs = sf.read_runs(tmp_path / form)
    else:
        orient = {"columns.json": "columns", "records.json": "records", "lines.jsonl": "records"}.get(form, "")
        text = frame.to_json(orient=orient, lines=form == "lines.jsonl") if orient else frame.to_csv(index=False)
        runs = read(form, text)
    assert runs.curves["step"].tolist() == STEPS and runs.curves["loss"].tolist() == LOSSES
    worded = sf.read_runs(frame.rename(columns={"train/global_step": "train/step"}))  # no alias, but words for it
    assert worded.curves["step"].tolist() == STEPS
    alone = sf.read_runs(frame.drop(columns="train/global_step"))
    assert alone.curves["step"].tolist() == frame["_step"].tolist()


@pytest.mark.parametrize("form", ["loss: {a}, lm_loss: {b}", "lm loss: {b} | loss: {a}", "lm_loss={b} loss={a}"])
def test_a_loss_beside_one_of_its_parts(read, form):
    text = "".join(f"step {s} | {form.format(a=judged(s), b=loss(s))}\n" for s in STEPS)
    assert read("job.log", text).curves["loss"].tolist() == [judged(s) for s in STEPS]
    assert read("job.log", text, rename={"lm_loss": "loss"}).curves["loss"].tolist() == LOSSES
