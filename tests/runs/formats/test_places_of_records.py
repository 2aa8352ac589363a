"""Records of consoles that say their epoch alone: their steps, or their places in the epoch; none is a result."""

from __future__ import annotations

import json

import numpy as np
import pytest

import scalefit as sf
from scalefit.errors import InputError


def losses(count):
    return (2 + 3 * (np.arange(1, count + 1)) ** -0.4).round(4)


def records(epochs, quotes="'"):
    rates = 1e-3 * (1 - np.arange(len(epochs)) / (2 * len(epochs)))
    rows = [
        {"loss": float(loss), "learning_rate": float(rate), "epoch": epoch}
        for loss, rate, epoch in zip(losses(len(epochs)), rates, epochs, strict=True)
    ]
    return [json.dumps(row).replace('"', quotes) for row in rows]


def read(folder, lines, name="train.log"):
    (folder / name).write_text("\n".join(lines) + "\n")
    return sf.read_runs(folder / name)


@pytest.mark.parametrize("epochs, each, every", [(2, 500, 10), (3, 291, 7), (1, 1500, 25)])
@pytest.mark.parametrize("closed", [False, True])
def test_steps_by_the_number_that_the_log_states(tmp_path, epochs, each, every, closed):
    total = epochs * each
    steps = np.arange(every, total + 1, every)
    head = ["***** Running training *****", f"  Num Epochs = {epochs}", f"  Total optimization steps = {total:,}"]
    end = [f"{{'train_runtime': 9.0, 'train_loss': 3.0, 'epoch': {float(epochs)}}}"] * closed
    runs = read(tmp_path, [*head, *records([round(float(step / each), 2) for step in steps]), *end])
    assert len(runs) == 1
    assert runs.curves["step"].tolist() == steps.tolist()
    assert runs.table["steps"].tolist() == [total]
    np.testing.assert_array_equal(runs.curves["loss"], losses(len(steps)))


def test_steps_that_the_epochs_contradict_are_not_taken(tmp_path):
    lines = ["  Num Epochs = 2", "  Total optimization steps = 1000"]
    runs = read(tmp_path, [*lines, *records([round(0.013 * at, 2) for at in range(1, 81)])])
    assert "step" not in runs.curves.columns


@pytest.mark.parametrize("name, quotes", [("train.log", "'"), ("log.jsonl", '"')])
@pytest.mark.parametrize("each", [0.0017, 0.004, 0.0069])
def test_records_that_share_an_epoch_are_one_curve(tmp_path, name, quotes, each):
    epochs = [round(each * at, 2) for at in range(1, 201)]
    runs = read(tmp_path, records(epochs, quotes), name)
    assert len(runs) == 1
    np.testing.assert_array_equal(runs.curves["loss"], losses(200))
    assert (np.diff(runs.curves["epoch"]) > 0).all()
    np.testing.assert_allclose(runs.curves["epoch"], each * np.arange(1, 201), atol=0.006)


def test_records_that_cannot_be_placed_in_their_epoch_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"row 3.*trainer_state\.json"):
        read(tmp_path, records([0.5, 1.0, 1.0, 1.0, 2.0, 3.0]))


@pytest.mark.parametrize("digits", [4, 5])
def test_neighbours_that_are_nearly_the_same_are_two_records(tmp_path, digits):
    """Within the rounding of the epoch and .2 % of the loss, but not the same number with fewer digits."""
    values = [2.5, 2.4987, 2.4975, 2.4962] if digits == 4 else [2.50012, 2.49991, 2.4975, 2.4962]
    lines = [f"{{'loss': {value}, 'learning_rate': 0.001, 'epoch': 0.01}}" for value in values]
    lines += [f"{{'loss': {value - 0.01:.4f}, 'learning_rate': 0.001, 'epoch': 0.02}}" for value in values]
    assert read(tmp_path, lines).curves["loss"].size == 8
