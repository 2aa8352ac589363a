"""Schedules by a law along the run: published shares of the decay, paired differences, refusals, steps to a loss."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.planning.schedules import choice
from scalefit.planning.schedules.candidates import Budget, candidates_of, complete
from scalefit.planning.schedules.final import final_losses, resolution
from scalefit.planning.schedules.length import steps_for_loss
from scalefit.planning.schedules.ranking import rank_schedules
from scalefit.schedules import areas, parse_schedule

TISSUE = {"L0": 2.627797, "A": 0.429665, "C": 0.410772, "alpha": 0.549846}


@pytest.fixture(scope="module")
def curves():
    return sf.load("schedules").where("d_model == 96")


@pytest.fixture(scope="module")
def fit(curves):
    return sf.fit(curves, "annealing:decay=0.99", draws=40)


@pytest.fixture(scope="module")
def published(curves):
    """The law of arXiv:2408.11029 with the constants of its data."""
    found = sf.fit(curves, "annealing:warmup=peak", force=True)
    return replace(found, parameters=TISSUE, intervals=None, recipe={"peak_lr": (2e-4, 2e-4)})


class TestShares:
    @pytest.mark.parametrize(
        ("shape", "wanted"),
        [("wsd-cosine", (25, 19, 14, 9)), ("wsd", (25, 20, 18, 14)), ("1-sqrt", (18, 14, 12, 9))],
    )
    def test_the_best_share_of_the_decay_shrinks_with_the_run(self, published, shape, wanted):
        """For 20k, 50k, 100k and 300k steps, annealed to 0; found by another search on the same law, to a percent."""
        for steps, percent in zip((20_000, 50_000, 100_000, 300_000), wanted, strict=True):
            found = rank_schedules(published, f"{shape}:decay=4%..59%", steps=steps, warmup=500)
            assert 100 * found.shares["share"][0] == pytest.approx(percent, abs=1.01)

    def test_a_share_at_the_end_of_its_range_is_no_optimum(self, fit):
        found = rank_schedules(fit, "wsd:decay=2%..8%")
        assert found.shares["edge"][0] == "longest"
        assert "the longest share that was allowed, so no optimum" in str(found)

    def test_shares_that_the_ranking_cannot_tell_from_the_best_are_in_its_interval(self, fit):
        """Ranked as schedules of their own, shares at its ends cannot be told from the best, and those beyond can."""
        found = rank_schedules(fit, "wsd:decay=1%..90%", warmup=100)
        share, low, high = (100 * float(found.shares[name][0]) for name in ("share", "low", "high"))
        bare = replace(fit, intervals=replace(fit.intervals, calibration=None))
        drawn = rank_schedules(bare, "wsd:decay=1%..90%", warmup=100).shares
        assert 100 * (drawn["high"][0] - drawn["low"][0]) < high - low
        asked = [f"wsd:decay={each:.9g}%" for each in (share, low, high)]
        table = rank_schedules(fit, asked, warmup=100).table.set_index("schedule")
        beyond = [f"wsd:decay={each:.9g}%" for each in (share, low - 4, high + 4) if 1 < each < 90]
        far = rank_schedules(fit, beyond, warmup=100).table.set_index("schedule")
        assert (table["difference_low"][[name for name in asked if name != asked[0]]] <= 1e-12).all()
        told = far["difference_low"][[name for name in beyond if name != beyond[0]]]
        assert len(told)
        assert (told > 0).all()


class TestRanking:
    def test_losses_are_those_of_the_formula(self, fit):
        found = rank_schedules(fit, ["cosine", "wsd:decay=20%", "constant"], warmup=100).table
        for _, row in found.iterrows():
            plan = complete(row["schedule"], Budget(2400, 8e-3, 100))
            S1, S2 = areas(plan.per_step(), decay=0.99)
            assert row["loss"] == pytest.approx(fit["L0"] + fit["A"] * S1[-1] ** -fit["alpha"] - fit["C"] * S2[-1])
        assert list(found["loss"]) == sorted(found["loss"])

    def test_differences_are_paired(self, fit):
        """Those of a law that is taken for true; else its error counts too (test_schedules_and_designs_by_hand)."""
        wider = rank_schedules(fit, ["cosine", "wsd:decay=20%"], warmup=100)
        fit = replace(fit, intervals=replace(fit.intervals, calibration=None))
        found = rank_schedules(fit, ["cosine", "wsd:decay=20%"], warmup=100)
        plans = [found.plans[name] for name in found.table["schedule"]]
        made = final_losses(fit, plans, {})
        apart = made[:, 1] - made[:, 0]
        assert found.table["difference"][1] == pytest.approx(apart[0])
        low, high = np.quantile(apart[1:], [0.05, 0.95])
        few = fit.intervals.few
        assert found.table["difference_low"][1] == pytest.approx(apart[0] + few * min(low - apart[0], 0))
        assert found.table["difference_high"][1] == pytest.approx(apart[0] + few * max(high - apart[0], 0))
        assert found.table["difference_high"][1] - found.table["difference_low"][1] < np.ptp(made[1:, 0])
        assert found.table["worse"][1] == np.mean(apart[1:] > 0)
        assert wider.table["difference_low"][1] < found.table["difference_low"][1] - 1e-3
        table = rank_schedules(wider.fit, "all", steps=2400, warmup=100).table[1:]
        assert ((table["worse"] > 0.95) == (table["difference_low"] > 0)).all()  # the interval holds 90 %

    def test_a_law_that_misjudges_its_own_runs_does_not_tell_small_differences_apart(self, fit):
        found = rank_schedules(fit, ["1-sqrt:decay=20%", "1-sqrt:decay=25%", "constant"], warmup=100)
        assert found.resolution == resolution(fit)
        assert list(found.alike["schedule"]) == list(found.table["schedule"][:2])
        assert "1 other cannot be told from it" in str(found)
        sharp = replace(found, resolution=0.0)
        assert len(sharp.alike) <= 2

    def test_the_resolution_is_the_scatter_of_left_out_ends_within_a_length(self, fit):
        ends = {}
        for run, constants in fit.without.items():
            rows = [i for i, name in enumerate(fit.points.runs) if name == run]
            S1, S2 = (fit.points.variables[name][rows[-1]] for name in ("S1", "S2"))
            L0, A, C, alpha = constants
            ends[run] = (fit.points.steps[rows[-1]], fit.points.values[rows[-1]] - (L0 + A * S1**-alpha - C * S2))
        table = pd.DataFrame(ends.values(), columns=["steps", "error"])
        inside = table["error"] - table.groupby("steps")["error"].transform("mean")
        scatter = np.sqrt((inside**2).sum() / (len(table) - table["steps"].nunique()))
        assert resolution(fit) == pytest.approx(1.6449 * np.sqrt(2) * scatter)

    def test_every_candidate_of_all_has_the_budget(self):
        found, families = candidates_of(["all", "wsd:decay=10%..30%"], Budget(1000, 0.01, 50))
        assert {plan.steps for plan in found.values()} == {1000}
        assert {plan.warmup for plan in found.values()} == {50}
        assert all(plan.per_step().max() == pytest.approx(0.01) for plan in found.values())
        assert len(found) >= 10
        assert families[0].shares[[0, -1]].tolist() == pytest.approx([0.1, 0.3])

    @pytest.mark.parametrize(
        ("text", "whole"),
        [
            ("wsd:decay=0.25", "wsd:peak_lr=0.5,steps=1000,decay_steps=250"),
            ("wsd:decay=linear,decay_steps=99", "wsd:peak_lr=0.5,steps=1000,decay_steps=99,decay=linear"),
            ("wsd-cosine:decay=10%,final=1%", "wsd:peak_lr=0.5,steps=1000,decay_steps=100,decay=cosine,final=0.005"),
            ("cosine", "cosine:peak_lr=0.5,steps=1000"),
            ("multi_step:at=80%/90%,factor=0.3", "multi_step:peak_lr=0.5,steps=1000,at=800/900,factor=0.3"),
            ("linear:steps=500,final=0.1", "linear:peak_lr=0.5,steps=500,final=0.1"),
        ],
    )
    def test_shares_stand_for_steps_and_rates(self, text, whole):
        found, wanted = complete(text, Budget(1000, 0.5)), parse_schedule(whole)
        np.testing.assert_allclose(found.per_step(), wanted.per_step())

    def test_schedules_of_a_file(self, fit, tmp_path):
        step = np.arange(2401)
        rows = [
            pd.DataFrame({"schedule": name, "step": step, "lr": 8e-3 * np.minimum(1, (2401 - step) / width)})
            for name, width in (("short", 200.0), ("long", 1200.0))
        ]
        pd.concat(rows).to_csv(tmp_path / "mine.csv", index=False)
        found = rank_schedules(fit, str(tmp_path / "mine.csv"))
        assert set(found.table["schedule"]) == {"short", "long"}


class TestRefusals:
    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            ({"schedules": ["cosine", "cosine:peak_lr=4e-2"]}, "prefers any higher peak, without bound"),
            ({"schedules": "cosine:steps=999"}, "999, 2400 steps are not of one budget"),
            ({"schedules": "piecewise:at=0/1200/1300/2400,lr=8e-3/8e-3/0/0"}, "at a learning rate of zero for 4"),
            ({"schedules": "wsd:decay=5%..99%"}, "decays of 0.05 to 0.99"),
            ({"schedules": "wsd:decay=..5%"}, "a family is a range"),
            ({"schedules": "foo"}, "unknown schedule 'foo'"),
            ({"schedules": "cosine:final"}, "not of the form key=value"),
            ({"schedules": []}, "no schedules"),
            ({"schedules": "cosine", "steps": 0}, "steps is 0"),
        ],
    )
    def test_what_no_law_can_rank(self, fit, asked, message):
        with pytest.raises(sf.InputError, match=message):
            rank_schedules(fit, **asked)

    def test_a_law_of_sizes(self):
        N, D = np.repeat([1e7, 1e8, 1e9], 3), np.tile([1e9, 1e10, 1e11], 3)
        sizes = sf.fit(pd.DataFrame({"N": N, "D": D, "loss": 1.7 + 400 * N**-0.34 + 410 * D**-0.28}), "chinchilla")
        with pytest.raises(sf.InputError, match="does not read the schedule"):
            rank_schedules(sizes)
        with pytest.raises(sf.InputError, match="does not read the schedule"):
            steps_for_loss(sizes, 2.0, "cosine:peak_lr=1e-3,steps=100")

    def test_another_peak_than_the_fitted_one_is_a_caution(self, fit):
        codes = [check.code for check in rank_schedules(fit, ["cosine", "constant"]).cautions]
        assert "another-recipe" not in codes
        assert "another-recipe" in [check.code for check in rank_schedules(fit, "cosine", lr=4e-3).cautions]
        own = str(rank_schedules(fit, ["cosine:peak_lr=2e-3,warmup=50", "constant:peak_lr=2e-3,warmup=200"]))
        assert "steps, peak 0.002, warmup 50 to 200" in own


class TestLength:
    SHAPE = "wsd:peak_lr=8e-3,steps=1600,warmup=100,decay_steps=320"

    def test_the_schedule_of_that_length_ends_at_the_loss(self, fit):
        found = steps_for_loss(fit, [1.5, 1.3], self.SHAPE).table
        assert found["loss"].tolist() == [1.5, 1.3]
        for _, row in found.iterrows():
            steps = round(row["steps"])
            text = f"wsd:peak_lr=8e-3,steps={steps},warmup=100,decay_steps={round(steps / 5)}"
            assert fit.predict(schedule=text)["loss"].iloc[-1] == pytest.approx(row["loss"], rel=2e-3)
            assert row["low"] < row["steps"] < row["high"]

    def test_a_loss_below_the_reach_is_an_answer(self, fit):
        found = steps_for_loss(fit, 0.5, self.SHAPE)
        assert str(found).startswith("loss 0.5: not reached in")
        assert np.isnan(found.table["steps"][0])

    def test_what_has_one_length_or_is_reached_at_once_is_refused(self, fit, tmp_path):
        pd.DataFrame({"step": range(100), "lr": 1e-3}).to_csv(tmp_path / "lr.csv", index=False)
        with pytest.raises(sf.InputError, match="has one length"):
            steps_for_loss(fit, 2.0, str(tmp_path / "lr.csv"))
        with pytest.raises(sf.InputError, match="below a loss of 40 already"):
            steps_for_loss(fit, 40, self.SHAPE)


def test_the_command_says_what_python_says(fit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit.save("fit.json")
    found = rank_schedules(fit, ["cosine", "wsd:decay=5%..60%"], warmup=100)
    line = "scalefit plan fit.json --schedules cosine --schedules wsd:decay=5%..60% --warmup 100"
    assert str(found) in commands.run(line).stdout
    content = json.loads(commands.run(f"{line} --json").stdout)
    assert [row["loss"] for row in content["ranking"]] == pytest.approx(list(found.table["loss"]))
    assert content["resolution"] == pytest.approx(found.resolution)
    steps = commands.run(f"scalefit plan fit.json --loss 1.3 --schedule {TestLength.SHAPE}")
    assert str(steps_for_loss(fit, 1.3, TestLength.SHAPE)) in steps.stdout
    assert "ranked by a saved fit" in commands.run("scalefit plan runs.csv --schedules all").stderr
    assert "without --schedules" in commands.run("scalefit plan fit.json --compute 1e20 --steps 10").stderr
    assert "without --loss" in commands.run("scalefit plan fit.json --schedule cosine:peak_lr=1,steps=10").stderr


def test_the_figure_has_a_row_for_each_schedule(fit):
    import matplotlib.pyplot as plt

    found = rank_schedules(fit, ["cosine", "wsd:decay=20%", "constant"], warmup=100)
    ax = found.plot(ax=plt.subplots(figsize=(7.2, 2.0), layout="constrained")[1])
    assert [text.get_text() for text in ax.get_yticklabels()] == list(found.table["schedule"])
    ax.figure.draw_without_rendering()
    (caption,) = [text for text in ax.texts if text.get_text() == "learning\nrate"]
    ax.set_title("a warning above the axes, of which there may be two lines\nthat go on to the right", loc="left")
    ax.figure.draw_without_rendering()
    assert not caption.get_window_extent().overlaps(ax._left_title.get_window_extent())
    dots = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    assert dots == pytest.approx(list(found.table["difference"]))
    plt.close("all")


class TestChoice:
    """The law of choice, where curves are given. Refits of multi-power take seconds, so two others stand in for it."""

    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch):
        monkeypatch.setattr(choice, "LAWS", ("annealing", "annealing:decay=0.99"))
        monkeypatch.setattr(choice, "MOST_DRAWS", 20)

    def test_of_several_laws_the_one_that_misjudges_these_curves_least(self, curves):
        found = rank_schedules(curves, ["cosine", "wsd:decay=20%"], warmup=100)
        widths = {name: resolution(sf.fit(curves, name)) for name in choice.LAWS}
        assert found.fit.law.spec == min(widths, key=lambda name: widths[name]) == "annealing:decay=0.99"
        assert len(found.fit.draws) == 20
        assert f"misjudges these curves least: by up to annealing {widths['annealing']:.2g}" in str(found)
        assert found.resolution == pytest.approx(widths["annealing:decay=0.99"])

    def test_of_too_few_runs_of_one_length_the_order_on_public_curves_decides(self, curves):
        """Both laws are of one name; the noise tells its options apart."""
        two = curves.where(f"run in {tuple(curves.names[:2])}")
        found = rank_schedules(two, ["cosine", "wsd:decay=20%"], steps=1600, lr=8e-3, draws=0)
        noise = {name: sf.fit(two, name).sigma for name in choice.LAWS}
        assert found.fit.law.spec == min(noise, key=lambda name: noise[name])
        assert "on public ones it misjudges least" in str(found)

    def test_a_named_law_is_taken_as_it_is(self, curves, tmp_path, monkeypatch):
        monkeypatch.chdir(commands.workspace(tmp_path))
        line = 'scalefit plan data/schedules/curves.csv --where "d_model == 96" --schedules wsd:decay=20% --draws 0'
        named = json.loads(commands.run(f"{line} --law annealing --json").stdout)
        assert (named["law"], named["choice"]) == ("annealing", "")
        chosen = json.loads(commands.run(f"{line} --json").stdout)
        assert chosen["law"] == "annealing:decay=0.99"
        assert "of 2 laws" in chosen["choice"]

    def test_curves_under_one_schedule_are_refused(self, curves):
        one = curves.where(f"run == {curves.names[0]!r}")
        with pytest.raises(sf.InputError, match="no law along the run can be fitted"):
            rank_schedules(one, "all")
        with pytest.raises(sf.InputError, match="needs loss curves with a step"):
            rank_schedules(pd.DataFrame({"N": [1e7, 1e8], "D": [1e9, 1e9], "loss": [3.0, 2.8]}), "all")


def test_a_warning_names_the_best_schedule_that_has_it(curves):
    two = curves.where("schedule in ('cosine-1600', 'constant-2400')")
    found = rank_schedules(
        two, ["multi_step:at=80%/90%,factor=0.316", "cosine", "wsd:decay=20%"], warmup=100, steps=1600
    )
    (told,) = [check.text for check in found.cautions if check.code == "another-schedule"]
    first = next(name for name in found.table["schedule"] if name != "cosine")
    assert told.startswith(f"{first} (and 1 other schedule): the learning rate falls")
    assert "last 0 %" not in str(found)


def test_rows_of_a_narrow_figure_do_not_touch_and_its_warning_stays_inside(fit):
    import matplotlib.pyplot as plt

    from scalefit.plots import styled

    found = rank_schedules(fit, "all", peak_lr=8e-3, steps=3000, warmup=100)
    with styled("paper", 3.25):
        ax = found.plot()
        figure = ax.figure
        figure.draw_without_rendering()
        rows = [label.get_window_extent() for label in ax.get_yticklabels()]
        assert all(upper.y0 > lower.y1 for upper, lower in pairwise(rows))
        assert max(row.width for row in rows) < 0.4 * figure.bbox.width
        warning = figure._suptitle
        assert warning.get_text().startswith("multi_step") and warning.get_window_extent().x1 <= figure.bbox.x1
    plt.close(figure)


def test_a_loss_below_zero_is_no_optimum(fit):
    """A peak of a hundred times the fitted one: the law takes off more than the whole loss for the decay."""
    with pytest.raises(sf.InputError, match="which no training has"):
        rank_schedules(fit, ["cosine:peak_lr=1"])
