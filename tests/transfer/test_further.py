"""Which further sweeps would decide a verdict: chances on planted optima, rates and costs of plans, the command."""

from __future__ import annotations

import json

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.transfer.further import LIKELY, next_sweeps


def sweeps(drift, noise=0.002, sizes=(64, 128, 256), seeds=2, seed=0, curvature=0.02):
    """Sweeps whose optimum drifts by so many octaves per doubling."""
    rng = np.random.default_rng(seed)
    rows = [
        (size, lr, k, 2.5 * np.exp(curvature * (np.log2(lr) + 6 - drift * np.log2(size / 64)) ** 2 + noise * e))
        for size in sizes
        for lr in 2.0 ** np.arange(-10.0, -1.0)
        for k, e in enumerate(rng.standard_normal(seeds))
    ]
    return pd.DataFrame(rows, columns=["d_model", "lr", "seed", "loss"])


@pytest.fixture(scope="module")
def depth():
    return next_sweeps(sf.load("lr_depth"))


def test_a_decided_verdict_needs_no_plan():
    found = next_sweeps(sweeps(-1.0, noise=1e-4))
    assert not len(found.table)
    assert found.ok
    assert not found.stop
    assert str(found).startswith("decided already: does not transfer: the best learning rate falls to 0.25 times")
    assert "cost" not in str(found)
    with pytest.raises(sf.InputError, match="every verdict is decided"):
        found.plot()


def test_sizes_further_apart_decide_a_drift_that_two_near_sizes_leave_open():
    """A drift of 0.8 octaves per doubling is clear over six doublings; over one it is not."""
    near = sweeps(0.8, sizes=(64, 128))
    found = next_sweeps(near, theory=False)
    assert found.transfer.arms[0].verdict.startswith("undecided")
    chance = found.table.set_index("plan")["chance"]
    assert chance["a sweep at d_model 1024"] > chance["a sweep at d_model 256"] - 0.1
    assert chance["a sweep at d_model 1024"] >= LIKELY
    truth = sf.lr_transfer(pd.concat([near, sweeps(0.8, sizes=(1024,), seed=1)]), theory=False)
    assert truth.arms[0].verdict.startswith("does not transfer")


def test_the_cheapest_likely_plan_is_advised(depth):
    rows = depth.table
    assert set(rows["arm"]) == {"depth-mup"}
    assert rows["cost"].is_monotonic_increasing
    likely = rows[rows["chance"] >= LIKELY]
    assert list(depth.advised["plan"]) == [likely.iloc[0]["plan"]]
    alone = rows.set_index("plan").loc["a sweep at n_layer 64"]
    assert alone["cost"] == pytest.approx(alone["runs"] * 64 / 8)  # the largest depth of the sweep is 8
    assert f"{100 * alone['chance']:.0f} %" in str(depth)


def test_rates_at_a_new_size_lie_around_the_law_of_the_optimum():
    runs = sweeps(0.4, noise=0.01, sizes=(64, 128))
    found = next_sweeps(runs, theory=False)
    row = found.table.set_index("plan").loc["a sweep at d_model 512"]
    best = found.transfer.arms[0].at(512).value
    assert np.sqrt(row["lr_low"] * row["lr_high"]) == pytest.approx(best)
    assert row["lr_high"] / row["lr_low"] == pytest.approx(16)
    # 18 runs at 64 and at 128, of which those at 64 cost a quarter: all of them again cost 22.5 of the largest
    alone = {32: 18 / 16, 256: 18 * 4, 512: 18 * 16, 1024: 18 * 64}
    wanted = {f"{k} times the runs at every d_model (further seeds)": (36 * (k - 1), 22.5 * (k - 1)) for k in (2, 4)}
    wanted |= {f"a sweep at d_model {size}": (18, cost) for size, cost in alone.items()}
    both = "a sweep at d_model {}, 2 times the runs at the others"
    wanted |= {both.format(size): (18 + 36, cost + 22.5) for size, cost in alone.items()}
    rows = found.table.set_index("plan")
    assert {plan: (rows.loc[plan, "runs"], rows.loc[plan, "cost"]) for plan in rows.index} == wanted


def test_a_size_whose_optimum_lies_below_its_rates_asks_for_lower_ones():
    runs = sweeps(-0.2, noise=0.02, curvature=0.01)
    cut = runs[(runs["d_model"] != 256) | (runs["lr"] >= 2.0**-6)]
    found = next_sweeps(cut, theory=False)
    row = found.table.set_index("plan").loc["other learning rates at d_model 256"]
    assert row["lr_high"] <= 2.0**-5
    assert row["lr_low"] < 2.0**-7


def test_the_command_says_what_python_says(depth, tmp_path, monkeypatch):
    commands.once(monkeypatch, "scalefit.transfer.further.next_sweeps")
    monkeypatch.chdir(commands.workspace(tmp_path))
    line = "scalefit next data/lr_depth/runs.csv --sweep"
    result = commands.run(line)
    assert result.exit_code == 0
    assert str(depth) in result.stdout
    content = json.loads(commands.run(f"{line} --json").stdout)
    assert [row["chance"] for row in content["plans"]] == pytest.approx(list(depth.table["chance"]))
    assert "no --budget" in commands.run("scalefit next data/size_data/runs.csv --at N=1e6,D=1e7").stderr
    assert "no --at" in commands.run("scalefit next data/size_data/runs.csv --budget 1e12").stderr
    for given in ("--budget 1e12", "--runs 4", "--failure 0.05", "--active 0.5", "--law kaplan", "--draws 200"):
        refused = commands.run(f"{line} {given}")
        assert refused.exit_code == 2
        assert f"{given.split()[0]} beside --sweep, which does not read it" in refused.stderr
    assert "--arms without --sweep" in commands.run("scalefit next data/lr_depth/runs.csv --arms seed").stderr


def test_the_figure_rings_the_advised_plan(depth):
    ax = depth.plot()
    (ring,) = [line for line in ax.lines if line.get_markersize() == 12]
    row = depth.advised.iloc[0]
    assert [float(ring.get_xdata()[0]), float(ring.get_ydata()[0])] == pytest.approx([row["cost"], 100 * row["chance"]])
    assert [text.get_text() for text in ax.texts] == [row["plan"]]
