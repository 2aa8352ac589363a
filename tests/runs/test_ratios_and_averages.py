"""Names that tell a ratio, a mean among others, or a setting of a tuner."""

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError

N = np.repeat([1e6, 4e6, 1.6e7], 2)
RATIO = np.tile([10.0, 40.0], 3)
LOSS = 1.7 + 400 * N**-0.34


def read(name, values, **others):
    return sf.read_runs(pd.DataFrame({"N": N, name: values, "loss": LOSS, **others}), need=())


def told(runs, kind):
    return " ".join(note.text for note in runs.notes if note.kind == kind)


@pytest.mark.parametrize(
    "name",
    [
        *("D (tokens/param)", "D (tokens per parameter)", "tokens (per param)", "data (x N)", "D (multiples of N)"),
        *("ratio (tok/param)", "D [toks / N]"),
    ],
)
def test_tokens_per_parameter_in_brackets_give_the_tokens(name):
    runs = read(name, RATIO)
    np.testing.assert_allclose(runs.table["D"], RATIO * N)
    assert "tokens per parameter" in told(runs, "derived")


@pytest.mark.parametrize("name", ["D (ratio)", "tokens (x)", "D (multiplier)", "D (relative)", "tokens (x Chinchilla)"])
def test_a_multiple_of_tokens_is_no_amount_and_may_be_mapped(name):
    runs = read(name, RATIO)
    assert "D" not in runs.table and runs.table[name].tolist() == RATIO.tolist()
    assert f"'{name}' may be tokens per parameter" in told(runs, "unknown")
    mapped = sf.read_runs(pd.DataFrame({"N": N, name: RATIO, "loss": LOSS}), rename={name: "tokens_per_param"})
    np.testing.assert_allclose(mapped.table["D"], RATIO * N)


@pytest.mark.parametrize(
    "name, column", [("lr (x)", "lr"), ("lr (x base)", "lr"), ("C (FLOPs/token)", "C"), ("width (ratio)", "d_model")]
)
def test_a_multiple_of_another_quantity_is_none_of_it(name, column):
    assert column not in read(name, RATIO).table


@pytest.mark.parametrize("name", ["loss (ratio)", "loss (relative)", "loss (per param)", "val loss (x baseline)"])
def test_a_ratio_of_losses_is_no_loss(name):
    with pytest.raises(InputError, match="no column loss"):
        sf.read_runs(pd.DataFrame({"N": N, name: LOSS}))


@pytest.mark.parametrize(
    "name, column", [("loss (nats per token)", "loss"), ("loss (nats/token)", "loss"), ("batch (tokens/step)", "batch")]
)
def test_what_a_quantity_is_counted_per_is_its_unit(name, column):
    assert column in sf.read_runs(pd.DataFrame({"N": N, name: LOSS}), need=()).table


@pytest.mark.parametrize(
    "one, other",
    [
        ("avg_loss", "cur_loss"),
        ("avg_loss", "running_loss"),
        ("loss_mean", "loss_batch"),
        ("smooth_loss", "avg_loss"),
        ("train/avg_loss", "train/step_loss"),
    ],
)
def test_of_two_means_of_the_loss_none_is_guessed(one, other):
    steps = np.arange(0, 400, 10)
    log = pd.DataFrame({"step": steps, one: 5 / (1 + steps) ** 0.2, other: 5 / (1 + steps) ** 0.21})
    with pytest.raises(InputError, match=f"'{one}' and '{other}' could both be loss|'{other}' and '{one}' could"):
        sf.read_runs(log)
    assert sf.read_runs(log, rename={other: "loss"}).table["loss"].tolist() == [log[other].iloc[-1]]
    assert sf.read_runs(log.rename(columns={other: f"val_{other}"}), rename={one: "loss"}).names == ["DataFrame"]


def test_means_named_by_their_window_are_no_runs():
    steps = np.arange(0, 400, 10)
    log = pd.DataFrame({"step": steps, "loss_batch": 5 - steps / 400, "loss_window": 5.1 - steps / 400})
    with pytest.raises(InputError, match="no column loss"):
        sf.read_runs(log)


@pytest.mark.parametrize("prefix", ["params_", "config_", "user_attrs_", "args_"])
def test_settings_as_tuners_name_them(prefix):
    rows = pd.DataFrame(
        {
            "number": range(8),
            "loss": 4 - np.arange(8) / 9,
            f"{prefix}lr": 2.0 ** -np.arange(8),
            f"{prefix}width": [64, 128] * 4,
        }
    )
    runs = sf.read_runs(rows)
    assert (
        runs.table["d_model"].tolist() == [64, 128] * 4
        and runs.table["peak_lr"].tolist() == rows[f"{prefix}lr"].tolist()
    )
    assert not told(runs, "suspect")


def test_losses_alone_are_doubted():
    runs = sf.read_runs(pd.DataFrame({"loss": 5 / np.arange(1, 30) ** 0.3}))
    assert "nothing stands beside the loss" in told(runs, "suspect")
