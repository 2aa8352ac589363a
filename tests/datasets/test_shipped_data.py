"""What the shipped runs are worth: laws fitted to part of them are held against truth and against the rest."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest

import scalefit as sf
from scalefit.datasets.registry import root
from scalefit.planning.optimum.encoder_share import encoder_share, share_interval, split_parameters


@pytest.fixture(scope="module")
def language():
    """Runs on the Zipf–Markov language, its entropy rate, and the least loss on windows of its length."""
    pytest.importorskip("torch")
    from scalefit.proxy.tasks.synthetic import ZipfMarkov

    base = tomllib.loads((root() / "zipf_markov" / "grid.toml").read_text(encoding="utf-8"))["base"]
    truth = ZipfMarkov(base["data_options"]["vocab"], base["data_options"]["order"])
    return sf.load("zipf_markov"), truth.entropy_rate, truth.floor(base["seq_len"])


def test_the_table_holds_the_exact_floor_and_every_run_lies_above_it(language):
    runs, rate, floor = language
    assert rate < floor
    assert runs.table["loss_floor"].to_numpy() == pytest.approx(floor, rel=1e-6)
    assert (runs.table["loss"] > floor).all()


@pytest.mark.parametrize("part", ["d_model <= 64", "d_model <= 48"])
def test_the_floor_of_growing_runs_is_the_entropy_rate_within_two_percent(language, part):
    runs, rate, floor = language
    found = sf.fit(runs.where(part), "power-floor:over=C")
    assert found["L_inf"] == pytest.approx(rate, rel=0.02)
    assert found["L_inf"] == pytest.approx(floor, rel=0.02)


@pytest.mark.parametrize("part", ["d_model <= 64", "d_model <= 32"])
def test_the_interval_holds_the_floor_even_where_three_sizes_miss_it(language, part):
    runs, _, floor = language
    limits = sf.fit(runs.where(part), "power-floor:over=C", draws=200, seed=0).table.loc["L_inf"]
    assert limits["low"] < floor < limits["high"]


@pytest.fixture(scope="module")
def translation():
    """Encoder-decoders: the loss of each pair of widths, the mean over seeds."""
    table = sf.load("encoder_decoder").table
    return table.groupby(["encoder_width", "d_model", "N_enc", "N_dec"], as_index=False)["loss"].mean()


def explained(loss, predicted):
    """Share of the variance that a prediction explains."""
    return 1 - ((loss - predicted) ** 2).sum() / ((loss - loss.mean()) ** 2).sum()


def foretold(table, held):
    """Losses of held-out rows, and what the law fitted to the others says of them, in nats and in logarithms."""
    loss = table.loc[held, "loss"].to_numpy()
    predicted = sf.fit(table[~held], "encoder-decoder").predict(table[held])["loss"].to_numpy()
    return explained(loss, predicted), explained(np.log(loss), np.log(predicted)), loss, predicted


def test_one_side_grows_without_the_other(translation):
    assert (translation.groupby("encoder_width")["N_enc"].nunique() == 1).all()
    assert (translation.groupby("d_model")["N_dec"].nunique() == 1).all()


def test_the_bivariate_law_explains_each_third_of_the_grid_from_the_others(translation):
    place = translation["encoder_width"].rank(method="dense") + translation["d_model"].rank(method="dense")
    thirds = [foretold(translation, place % 3 == third)[2:] for third in range(3)]
    loss, predicted = (np.concatenate(part) for part in zip(*thirds, strict=True))
    assert len(loss) == len(translation) == 35
    assert explained(loss, predicted) > 0.99
    assert explained(np.log(loss), np.log(predicted)) > 0.99


@pytest.mark.parametrize(
    ("held", "least"), [("encoder_width == 32", 0.99), ("encoder_width == 32 or d_model == 20", 0.97)]
)
def test_the_bivariate_law_explains_the_largest_sizes_below_the_widest_decoders(translation, held, least):
    table = translation[translation["d_model"] <= 20]
    assert min(foretold(table, table.eval(held))[:2]) > least


def test_the_widest_decoders_are_above_the_law(translation):
    narrow = translation["d_model"] <= 20
    *_, loss, predicted = foretold(translation, ~narrow)
    assert 1.0 < np.median(loss / predicted) < 1.15


def test_the_best_encoder_share_has_an_interval(translation):
    found = sf.fit(translation[translation["d_model"] <= 20], "encoder-decoder", draws=200, seed=0)
    share = encoder_share(found["p_enc"], found["p_dec"])
    low, high = share_interval(found.draws)
    assert 0.2 < low < share < high < 0.6
    best = split_parameters(found.parameters, 10_000)
    assert best.N_enc == pytest.approx(share * 10_000)
    for other in (low, high):
        N_enc = other * 10_000
        there = found.predict(N_enc=N_enc, N_dec=10_000 - N_enc)["loss"].iloc[0]
        assert best.loss <= there + 1e-12


@pytest.mark.parametrize("parametrization", ["mup", "ntk"])
def test_scaled_sharpness_stays_within_five_percent_of_two_over_lr_once_it_got_there(parametrization):
    """Geometric means over the seeds from where a run first reaches it; the Hessian alone lies elsewhere in mup."""
    curves = sf.load("sharpness").curves
    rows = curves[(curves["parametrization"] == parametrization) & (curves["lr"] == 0.4)]
    reached = (rows["sharpness"] >= 2 / rows["lr"]).groupby(rows["run"]).cummax()
    edge = (
        rows[reached].merge(sf.load("sharpness").table[["run", "d_model"]]) if "d_model" not in rows else rows[reached]
    )
    assert edge["run"].nunique() == 9
    for _, each in edge.groupby("d_model"):
        scaled, raw = (float(np.exp(np.log(each[name] * each["lr"]).mean())) for name in ("sharpness", "hessian_max"))
        assert scaled == pytest.approx(2, rel=0.05)
        assert (raw == pytest.approx(2, rel=0.05)) == (parametrization == "ntk")
