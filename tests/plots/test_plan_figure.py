"""What the figure of a plan shows: valleys that follow the law, bottoms on the path, targets where the plan says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.plots.colours import TARGET, WARNING
from scalefit.plots.plan import plot_plan


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(5)
    N, D = np.repeat(np.geomspace(1e7, 1e9, 5), 4), np.tile(np.geomspace(1e9, 3e10, 4), 5)
    loss = (1.8 + 480 * N**-0.35 + 2000 * D**-0.36) * np.exp(0.002 * rng.standard_normal(20))
    return sf.fit(pd.DataFrame({"N": N, "D": D, "loss": loss}), "chinchilla", draws=40)


@pytest.fixture
def figure(fit):
    import matplotlib.pyplot as plt

    plan = fit.plan(compute=1e22, loss=1.7)
    yield plan, plot_plan(plan)
    plt.close("all")


def lines(ax, colour=None):
    return [line for line in ax.lines if len(line.get_xdata()) > 5 and (colour is None or line.get_color() == colour)]


def test_valleys_lie_on_the_law_at_one_compute(fit, figure):
    _, ax = figure
    valleys = [line for line in lines(ax) if line.get_color() != TARGET]
    assert len(valleys) == 4
    for line in valleys:
        N, loss = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        reducible = loss - fit["E"] - fit["A"] * N ** -fit["alpha"]
        C = 6 * N * (fit["B"] / reducible) ** (1 / fit["beta"])
        np.testing.assert_allclose(C, C[0], rtol=1e-8)


def test_what_lies_beyond_the_runs_is_dashed(fit, figure):
    _, ax = figure
    dashed = [line for line in lines(ax) if line.get_linestyle() == "--"]
    assert len(dashed) == 2  # the valley of the target and the path that leads to it
    assert lines(ax, TARGET)[0].get_linestyle() == "-"


def test_the_path_passes_the_bottoms_and_the_star(fit, figure):
    plan, ax = figure
    row = plan.table.iloc[0]
    last = lines(ax, TARGET)[-1]
    assert (last.get_xdata()[-1], last.get_ydata()[-1]) == pytest.approx((row["N"], row["loss"]))
    (star,) = [line for line in ax.lines if line.get_marker() == "*"]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (row["N"], row["loss"])


def test_a_loss_that_is_not_reached_and_the_floor(fit, figure):
    _, ax = figure
    heights = {line.get_color(): line.get_ydata()[0] for line in ax.lines if len(set(line.get_ydata())) == 1}
    assert heights[WARNING] == 1.7
    assert "loss 1.7: unreachable" in [text.get_text() for text in ax.texts]


def test_a_plan_at_a_held_size_is_drawn_among_free_valleys(fit):
    import matplotlib.pyplot as plt

    plan = fit.plan(compute=1e22, N=1e9)
    ax = plan.plot()
    (star,) = [line for line in ax.lines if line.get_marker() == "*"]
    assert star.get_xdata()[0] == 1e9
    plt.close("all")


def test_a_law_without_a_budget_has_no_figure():
    C = np.geomspace(1e18, 1e21, 8)
    found = sf.fit(pd.DataFrame({"C": C, "loss": 1.7 + 20 * C**-0.08}), "power-floor:over=C").plan(loss=1.9)
    with pytest.raises(sf.InputError, match="no budget to draw"):
        found.plot()


def test_with_inference_dots_and_budgets_count_the_same(fit):
    """A run of N and D costs 6 N D + 2 N I: valleys inside the fitted range are at such costs of the fitted runs."""
    import matplotlib.pyplot as plt

    tokens = 1e12
    ax = plot_plan(fit.plan(compute=1e22, inference_tokens=tokens))
    N, D = np.repeat(np.geomspace(1e7, 1e9, 5), 4), np.tile(np.geomspace(1e9, 3e10, 4), 5)
    spent = 6 * N * D + 2 * N * tokens
    for line in (line for line in lines(ax) if line.get_color() != TARGET and line.get_linestyle() == "-"):
        N, loss = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        reducible = loss - fit["E"] - fit["A"] * N ** -fit["alpha"]
        C = 6 * N * (fit["B"] / reducible) ** (1 / fit["beta"]) + 2 * N * tokens
        np.testing.assert_allclose(C, C[0], rtol=1e-6)
        assert spent.min() * (1 - 1e-6) <= C[0] <= spent.max() * (1 + 1e-6)
    assert ax.get_legend().get_title().get_text() == "training and inference (FLOP)"
    plt.close("all")
