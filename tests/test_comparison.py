"""Laws judged by extrapolation: back-tests on planted truths, comparisons whose answer is known, and their figures."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from matplotlib.colors import to_rgb

import scalefit as sf
from scalefit import plots
from scalefit.cli import main
from scalefit.comparison import _reason, backtest, compare
from scalefit.errors import InputError
from scalefit.plots import colours
from scalefit.rows.scale import scale_of
from scalefit.schedules import areas, parse_schedule

STEPS = "peak_lr=1e-3,steps=1000"
PLANS = {
    "constant": f"constant:{STEPS}",
    "cosine": f"cosine:{STEPS},final=1e-4",
    "linear": f"linear:{STEPS},final=1e-5",
    "wsd": f"wsd:{STEPS},decay_steps=300,final=1e-5",
}


def grid(noise=0.003, seed=0):
    rng = np.random.default_rng(seed)
    N, D = np.repeat(np.geomspace(1e7, 1e9, 7), 7), np.tile(np.geomspace(5e8, 5e10, 7), 7)
    loss = 1.69 + 406.4 * N**-0.34 + 410.7 * D**-0.28
    return pd.DataFrame({"N": N, "D": D, "loss": loss * np.exp(noise * rng.standard_normal(49))})


def ladder(noise=0.002, floor=1.7):
    """Runs along one variable, over a floor that a plain power law cannot bend to."""
    C = np.geomspace(1e17, 1e21, 30)
    rng = np.random.default_rng(0)
    return pd.DataFrame({"C": C, "loss": (floor + 2e3 * C**-0.18) * np.exp(noise * rng.standard_normal(30))})


def curves():
    rng, logs, steps = np.random.default_rng(1), [], np.arange(20, 1001, 20)
    for name, text in PLANS.items():
        S1, S2 = areas(parse_schedule(text).per_step())
        loss = (2.5 + 0.5 * S1[steps] ** -0.5 - 0.3 * S2[steps]) * np.exp(0.001 * rng.standard_normal(50))
        logs.append(pd.DataFrame({"run": name, "step": steps, "loss": loss}))
    return sf.read_runs(pd.concat(logs), schedule=PLANS)


@pytest.fixture(scope="module")
def tested():
    return backtest(grid(), "chinchilla")


@pytest.fixture(scope="module")
def laddered():
    return compare(ladder(), ["power:over=C", "power-floor:over=C"])


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


# --- back-tests -------------------------------------------------------------------------------------------------------


def test_every_prediction_is_of_a_larger_run(tested):
    """Its numbers again by hand: fit the rows below a cut, predict the others."""
    runs = grid()
    scale = scale_of(sf.find_law("chinchilla"), {name: runs[name].to_numpy() for name in ("N", "D")})
    part = tested.table[tested.table["fold"] == tested.table["fold"].iloc[0]]
    small = np.sort(scale)[int(part["fitted"].iloc[0]) - 1] + 1e-9
    fit = sf.fit(runs[scale <= small], "chinchilla")
    predicted = fit.predict(runs[scale > small])
    assert part["error"].to_numpy() == pytest.approx(predicted["measured"] / predicted["loss"] - 1, abs=1e-9)
    assert part["decades"].to_numpy() == pytest.approx(scale[scale > small] - scale[scale <= small].max())


def test_summary_by_distance(tested):
    summary = tested.summary
    assert summary["predictions"].sum() == len(tested.table)
    assert (summary["median_error"] <= summary["worst_tenth"]).all()
    assert summary["coverage"].between(0, 1).all()
    assert tested.error < 0.02


def test_intervals_know_smaller_folds_only(tested):
    """The first fold has no earlier one: its interval rests on the prior, whatever the later ones say."""
    bent = grid()
    scale = np.log10(6 * bent["N"] * bent["D"])
    bent.loc[scale > np.quantile(scale, 0.7), "loss"] *= 1.1
    first = tested.table["fold"].iloc[0]
    before, after = (
        t[t["fold"] == first]["high"].to_numpy() for t in (tested.table, backtest(bent, "chinchilla").table)
    )
    assert before == pytest.approx(after, rel=1e-9)


def test_curves_are_judged_on_the_run_left_out():
    table = backtest(curves(), "annealing").table
    assert set(table["fold"]) == {f"without {name}" for name in PLANS}
    assert all(table["fold"] == "without " + table["run"])
    assert table["error"].abs().median() < 0.003


def test_no_two_folds_are_the_same(tested):
    counts = tested.table.groupby("fold")["fitted"].first()
    assert counts.is_unique and (np.diff(counts.sort_values()) > 0).all()


def test_runs_that_allow_no_fold():
    with pytest.raises(InputError, match="no part of these 7 rows"):
        backtest(grid().sample(7, random_state=0), "chinchilla")


# --- comparison -------------------------------------------------------------------------------------------------------


def test_the_true_law_predicts_best(laddered):
    assert laddered.best.law.name == "power-floor"
    assert "that of power:over=C, the next best, is" in laddered.recommendation
    assert laddered.alike == ["power-floor:over=C"]
    assert laddered.table["bic"].idxmin() == "power-floor:over=C"
    assert laddered.table["parameters"].to_dict() == {"power-floor:over=C": 3, "power:over=C": 2}


def test_a_judge_has_the_last_runs():
    runs = ladder()
    found = compare(runs.iloc[:22], ["power:over=C", "power-floor:over=C"], judge=runs.iloc[22:])
    by_hand = sf.fit(runs.iloc[:22], "power:over=C").score(runs.iloc[22:])["mean_relative"].iloc[0]
    assert found.table.loc["power:over=C", "judge_error"] == pytest.approx(by_hand)
    assert found.table["judge_error"].idxmin() == "power-floor:over=C"


def test_laws_that_cannot_be_fitted_are_refused_with_the_reason(laddered):
    found = compare(ladder(), ["chinchilla", "power:over=C"])
    assert list(found.refused) == ["chinchilla"] and "N" in found.refused["chinchilla"]
    with pytest.raises(InputError, match="none of the laws"):
        compare(ladder(), ["chinchilla", "annealing"])


def test_a_back_test_and_a_comparison_fit_on_one_screen(tested):
    """The headline, then the table in percent; in a notebook the same as HTML."""
    text = repr(tested)
    assert text.startswith("chinchilla: median error ")
    assert f"median error {100 * tested.error:.3g} % on held-out runs" in text
    assert f"of {len(tested.table)} predictions" in text
    assert f"{100 * tested.summary['worst_tenth'].iloc[0]:.3g} %" in text
    assert len(text.splitlines()) <= 8 and max(map(len, text.splitlines())) <= 120
    assert "<table" in tested._repr_html_() and "chinchilla: median error" in tested._repr_html_()


def test_a_comparison_lists_each_reason_of_refused_laws_once():
    found = compare(ladder(), ["power:over=C", "annealing", "annealing-size"])
    text, html = repr(found), found._repr_html_()
    assert text.startswith(found.recommendation) and html.startswith(f"<p>{found.recommendation}")
    assert text.splitlines()[-1].startswith("not compared: annealing, annealing-size: ")
    assert text.count("needs loss curves") == html.count("needs loss curves") == 1
    assert f"{100 * found.table['backtest_error'].iloc[0]:.3g} %" in text and "<table" in html


# --- figures and commands ---------------------------------------------------------------------------------------------


def drawn(ax, colour):
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    return sum(len(line.get_xdata()) for line in dots if to_rgb(line.get_markeredgecolor()) == to_rgb(colour))


def test_figure_of_a_back_test(tested):
    ax = tested.plot()
    outside = int((~tested.table["inside"]).sum())
    rows = tested.table
    assert (rows["inside"] == rows["error"].between(rows["low"], rows["high"])).all()
    assert drawn(ax, colours.WARNING) == outside
    assert drawn(ax, colours.FITTED) == len(tested.table) - outside
    assert "×" in ax.get_xticklabels()[0].get_text() and "%" in ax.get_ylabel()
    given = plt.subplots()[1]
    assert plots.plot_backtest(tested, ax=given) is given


def test_figure_of_schedules_names_the_runs_left_out():
    ax = backtest(curves(), "annealing").plot()
    assert [text.get_text() for text in ax.get_xticklabels()] == list(PLANS)
    assert ax.get_xlabel() == "run left out"


def test_figure_of_a_comparison(laddered):
    ax = laddered.plot()
    assert [text.get_text() for text in ax.get_yticklabels()] == list(laddered.table.index)
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "the best law stands on top"
    ranked = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    tables = [laddered.backtests[name].table for name in laddered.table.index]
    by_hand = [np.mean([each["error"].abs().median() for _, each in table.groupby("fold")]) for table in tables]
    assert ranked == pytest.approx(100 * np.array(by_hand))
    assert ranked == sorted(ranked), "the figure and the answer rank alike"


def run(*arguments):
    found = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert found.exit_code in (0, 1), found.output
    return found


def test_commands(tmp_path):
    table = tmp_path / "runs.csv"
    ladder().to_csv(table, index=False)
    figure = tmp_path / "compared.png"
    found = run("compare", table, "--law", "power:over=C", "--law", "power-floor:over=C", "--plot", figure, "--json")
    content = json.loads(found.stdout)
    assert [law["law"] for law in content["laws"]] == ["power-floor:over=C", "power:over=C"]
    assert figure.read_bytes().startswith(b"\x89PNG")
    figure = tmp_path / "backtest.png"
    content = json.loads(run("backtest", table, "--law", "power-floor:over=C", "--plot", figure, "--json").stdout)
    assert content["error"] < 0.01 and figure.exists()
    ladder().iloc[::2].to_csv(table, index=False)
    found = run("fit", table, "--law", "auto", "--draws", 20, "--starts", 2, "--at", "C=1e22", "--json")
    content = json.loads(found.stdout)
    assert next(iter(content["automatic"]["weights"])) == "power-floor:over=C"
    assert content["prediction"][0]["low"] < content["prediction"][0]["high"]
    assert content["automatic"]["recommendation"].startswith("power-floor")


def test_a_judge_that_speaks_for_another_law_is_heard():
    table = pd.DataFrame({"backtest_error": [0.02, 0.05], "judge_error": [0.04, 0.03]}, index=["kaplan", "chinchilla"])
    assert _reason(table).endswith(
        "but on the held-out runs chinchilla has the smaller error (3 %, kaplan 4 %): compare both"
    )
    assert "but" not in _reason(table.assign(judge_error=[0.031, 0.03]))
    assert "but" not in _reason(table.drop(columns="judge_error"))


def test_a_command_that_recommends_a_doubtful_fit_says_so(tmp_path):
    rng = np.random.default_rng(0)
    N = np.geomspace(1e6, 1e9, 16)
    path = tmp_path / "runs.csv"
    runs = pd.DataFrame({"N": N, "loss": (5 * N**-0.05 - 1) * np.exp(0.001 * rng.standard_normal(16))})
    runs.to_csv(path, index=False)
    done = CliRunner().invoke(main, ["compare", str(path), "--law", "power-floor:over=N", "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["warnings"][0]["code"] == "at-bound"


def test_diverged_runs_are_left_out_when_asked_for_and_refused_once(tmp_path):
    path = tmp_path / "runs.csv"
    runs = ladder()
    runs.loc[3, "loss"] = np.nan
    runs.to_csv(path, index=False, na_rep="nan")
    words = ["compare", str(path), "--law", "power:over=C", "--law", "power-floor:over=C"]
    refused = CliRunner().invoke(main, words)
    assert (refused.exit_code, refused.stderr.count("loss is nan")) == (2, 1)
    assert CliRunner().invoke(main, [*words, "--drop-diverged"]).exit_code == 0
    assert CliRunner().invoke(main, ["backtest", *words[1:4], "--drop-diverged"]).exit_code == 0


def test_refused_laws_are_named_with_their_options_and_share_a_reason():
    table = pd.DataFrame({"run": np.repeat(["a", "b"], 20), "step": np.tile(np.arange(1, 21), 2), "lr": 1e-3})
    curves = table.assign(loss=3 - 0.01 * table["step"], N=1e6)
    law = sf.find_law("annealing:decay=0.99")
    with pytest.raises(InputError) as found:
        compare(curves, [law, "annealing"], draws=0)
    assert "<law" not in str(found.value)
    assert "annealing:decay=0.99" in str(found.value)
