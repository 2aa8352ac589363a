"""What the shipped runs are worth: laws fitted to part of them are held against truth and against the rest."""

from __future__ import annotations

import tomllib

import pytest

import scalefit as sf
from scalefit.datasets.registry import root


@pytest.fixture(scope="module")
def language():
    """Runs on the Zipf–Markov language, its entropy rate, and the least loss on windows of its length."""
    pytest.importorskip("torch")
    from scalefit.proxy.synthetic import ZipfMarkov

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
