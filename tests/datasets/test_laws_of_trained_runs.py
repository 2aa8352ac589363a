"""Laws fitted to the runs that the trainer made for them, and held against runs that were left out.

Each law must predict them within a few per cent, and better than what does without its variable: the law of size
and data alone, the mean of the runs, or the loss of the student without a teacher.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf

STARTS = 2  #: that are refined; the fits of these tests are small
PLAIN = "chinchilla"


def error(table: pd.DataFrame, held: pd.Series, law: str, target: str = "loss", **options: object) -> float:
    """Median relative error of the law on the held-out runs, fitted to the others."""
    fit = sf.fit(table[~held], law, target=target, **(options or {"starts": STARTS, "loss": "squared"}))
    predicted = np.asarray(fit.predict(table[held])[target], dtype=float)
    return float(np.median(np.abs(predicted / table.loc[held, target] - 1)))


def columns(name: str) -> pd.DataFrame:
    return sf.load(name).table


def test_experts_count_beside_size_and_data() -> None:
    runs = columns("experts")
    longest = runs["steps"] == 800
    held = longest & (runs["d_model"] == 32)  # without all of the longest, two lengths would not identify a floor
    assert error(runs, held, "expert-count") < min(0.04, 0.9 * error(runs, held, PLAIN))
    longest = runs[longest]
    assert error(longest, longest["d_model"] == 32, "routed") < 0.04


@pytest.mark.parametrize("source", ["code", "prose", "chain"])
def test_a_mixture_says_the_loss_of_another_on_each_source(source: str) -> None:
    runs = columns("mixture")
    one = runs[(runs["d_model"] == 32) & (runs["steps"] == 400)].reset_index(drop=True)
    held = pd.Series((one.index // 2).isin([0, 4, 8]))  # both seeds of three mixtures
    target = f"loss_{source}"
    mean = np.median(np.abs(one.loc[~held, target].mean() / one.loc[held, target] - 1))
    assert error(one, held, "mixture:over=share_code+share_prose", target) < min(0.05, 0.6 * mean)


def test_a_mixture_says_the_loss_of_a_larger_and_longer_run() -> None:
    runs = columns("mixture")
    held = (runs["d_model"] == 32) & (runs["steps"] == 400)
    law = "mixture-scale:over=share_code+share_prose+share_chain"
    assert error(runs, held, law, "loss_code") < min(0.04, 0.5 * error(runs, held, PLAIN, "loss_code"))


def test_the_teacher_and_the_student_alone_say_the_loss_of_the_student() -> None:
    runs = columns("distillation")
    held = runs["d_model"] == 32
    alone = {
        name: np.median(np.abs(runs[name] / runs["loss"] - 1)[held]) for name in ("loss_supervised", "loss_teacher")
    }
    assert error(runs, held, "distillation") < 0.3 * min(alone.values())


def test_bits_of_the_weights_count_beside_size_and_data() -> None:
    """The longest runs of each width in turn: without those of all widths, two lengths would not identify a floor."""
    runs = columns("weight_bits")
    longest = runs["steps"] == 600
    for width in (16, 24, 32):
        held = longest & (runs["d_model"] == width)
        errors = [error(runs, held, law, seed=0) for law in ("precision:parts=weights", PLAIN)]  # as by default
        assert errors[0] < min(0.04, 0.9 * errors[1])
    longest = runs[longest].pivot_table(index="d_model", columns="precision_w", values="loss")
    assert (longest[2] > longest[[4, 6, 32]].max(axis=1)).all()


def test_a_repeated_token_is_worth_less_than_a_new_one() -> None:
    runs = columns("repeated")
    held = (runs["d_model"] == 32) & (runs["steps"] == 1024)
    assert error(runs, held, "data-constrained") < min(0.04, 0.8 * error(runs, held, PLAIN))


def test_a_law_of_encoder_and_decoder_holds_for_a_task_that_was_not_built_for_it() -> None:
    """Thirds of the grid of widths, cut along its diagonals, each from the other two; then both sides larger."""
    runs = (
        columns("infix_postfix").groupby(["encoder_width", "d_model", "N_enc", "N_dec"], as_index=False)["loss"].mean()
    )
    place = sum(runs[name].rank(method="dense") for name in ("encoder_width", "d_model"))
    spread = np.median(np.abs(runs["loss"] / runs["loss"].mean() - 1))
    for third in range(3):
        assert error(runs, place % 3 == third, "encoder-decoder") < min(0.04, 0.3 * spread)
    assert error(runs, (runs["encoder_width"] == 24) & (runs["d_model"] == 24), "encoder-decoder") < 0.1


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_three_widths_say_the_best_rate_of_the_fourth_within_an_octave(optimizer: str) -> None:
    runs = columns("muon_width")
    runs = runs[runs["optimizer"] == optimizer]
    small = sf.lr_transfer(runs[runs["d_model"] < 128], target=128, draws=20)
    own = runs[runs["d_model"] == 128].sort_values("loss")["lr"].iloc[0]
    assert abs(np.log2(small.arms[0].at(128).value / own)) <= 1


def test_muon_learns_more_in_as_many_steps_at_every_width() -> None:
    best = columns("muon_width").groupby(["optimizer", "d_model"])["loss"].min().unstack()
    assert (best.loc["muon"] < best.loc["adamw"]).all()
