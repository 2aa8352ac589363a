"""Logs that begin within their warmup, losses in other units, and logs that count epochs only."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.schedules.areas import rises_from_zero


def log(peak=2e-3, warmup=150, every=10, offset=0, end=1000):
    step = np.arange(every, end + 1, every)
    lr = peak * np.minimum((step + offset) / warmup, 1.0)
    return pd.DataFrame({"step": step, "lr": lr, "loss": 2 + step**-0.4})


@pytest.mark.parametrize("offset", [-1, 0, 1])
@pytest.mark.parametrize(("warmup", "every"), [(150, 10), (400, 50), (1000, 100)])
def test_a_log_that_begins_within_its_warmup_shows_it(offset, warmup, every):
    table = log(warmup=warmup, every=every, offset=offset)
    path = sf.read_runs(table).trajectory("DataFrame")
    assert "guessed" in path.how
    exact = 2e-3 * np.minimum(np.arange(1001) / warmup, 1.0)
    np.testing.assert_allclose(path.lr, exact, atol=2e-3 * 1.5 / warmup)
    assert abs(path.warmup - warmup) <= every
    told = [note.text for note in sf.read_runs(table).notes if "linear warmup from 0 over about" in note.text]
    assert len(told) == 1
    assert abs(int(told[0].split("about ")[1].split()[0]) - warmup) <= every
    assert not any("about" in note.text for note in sf.read_runs(table, warmup=warmup).notes)


@pytest.mark.parametrize(
    "lr",
    [
        np.full(40, 1e-3),  # constant, far from 0
        1e-3 + 1e-6 * np.arange(40),  # rises, but not from 0
        1e-3 * (1 - np.arange(40) / 80),  # falls
        np.r_[1e-5, 1e-3, np.full(38, 1e-3)],  # too few rows of the rise
    ],
)
@pytest.mark.parametrize("first", [10, 500])
def test_other_beginnings_stay_unknown(lr, first):
    step = first + np.arange(40) * (10 if first == 10 else 1)
    assert rises_from_zero(step, lr) == 0
    runs = sf.read_runs(pd.DataFrame({"step": step, "lr": lr, "loss": 2.0}))
    with pytest.raises(sf.InputError, match=rf"before step {first} is not known.*--warmup"):
        runs.trajectory("DataFrame")


def test_no_warmup_is_refused_where_the_log_shows_one():
    with pytest.raises(sf.InputError, match="begins within a warmup"):
        sf.read_runs(log(), warmup=0).trajectory("DataFrame")
    assert sf.read_runs(log(), warmup=150).trajectory("DataFrame").lr[5] == pytest.approx(2e-3 * 5 / 150)


@pytest.mark.parametrize("name", ["ppl", "val_ppl", "eval/perplexity", "Perplexity"])
def test_a_perplexity_becomes_a_loss(name):
    loss = np.array([3.2, 2.9, 2.7, 2.4])
    runs = sf.read_runs(pd.DataFrame({"N": [1e6, 1e7, 1e8, 1e9], name: np.exp(loss)}), rename={name: "loss"})
    np.testing.assert_allclose(runs.table["loss"], loss)
    assert any("a perplexity" in note.text for note in runs.notes)


@pytest.mark.parametrize("name", ["bits_per_byte", "eval/bpb", "loss (bits)"])
def test_bits_become_nats(name):
    bits = np.array([1.2, 1.1, 1.0, 0.9])
    runs = sf.read_runs(pd.DataFrame({"N": [1e6, 1e7, 1e8, 1e9], name: bits}), rename={name: "loss"})
    np.testing.assert_allclose(runs.table["loss"], bits * np.log(2))
    assert any("from bits to nats" in note.text for note in runs.notes)


def test_other_names_are_left_as_they_are():
    table = pd.DataFrame({"N": [1e6, 1e7], "val_loss": [3.0, 2.5], "applied": [1.0, 2.0]})
    assert sf.read_runs(table).table["loss"].tolist() == [3.0, 2.5]


@pytest.mark.parametrize("first", [0, 1, 0.25])
def test_an_epoch_that_counts_up_is_the_axis_of_one_run(first):
    epoch = first + np.arange(12) * (0.25 if first == 0.25 else 1)
    table = pd.DataFrame({"epoch": epoch, "lr": 1e-3 / (1 + epoch), "loss": 2 - 0.1 * np.arange(12), "val_loss": 2.0})
    runs = sf.read_runs(table)
    assert len(runs) == 1
    assert runs.curves["epoch"].tolist() == epoch.tolist()
    assert runs.table["loss"].item() == pytest.approx(0.9)
    assert "step" not in runs.curves.columns
    with pytest.raises(sf.InputError, match="step"):
        sf.fit(runs, "annealing")
    assert "12 rows" in str(sf.inspect(runs))


def test_results_of_several_sizes_at_their_epochs_stay_results():
    table = pd.DataFrame({"N": [1e6, 4e6, 1.6e7], "epoch": [1, 2, 4], "loss": [3.0, 2.8, 2.5]})
    assert len(sf.read_runs(table)) == 3
