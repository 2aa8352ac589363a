"""The next runs: expected variances against brute force, budgets, failures, and the errors of refits to them."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.laws import find_law
from scalefit.planning.next_runs.advice import next_runs
from scalefit.planning.next_runs.belief import _errors, believed, noise_of
from scalefit.planning.next_runs.design import Design, Known

TRUTH = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
TARGET = {"N": 7e9, "D": 2e11}


def planted(N, D, seed=0, noise=0.004):
    loss = find_law("chinchilla").evaluate({"N": N, "D": D}, TRUTH)
    return pd.DataFrame(
        {"N": N, "D": D, "loss": loss * np.exp(noise * np.random.default_rng(seed).standard_normal(len(N)))}
    )


@pytest.fixture(scope="module")
def runs():
    return planted(np.repeat(np.geomspace(5e7, 1e9, 5), 4), np.tile(np.geomspace(1e9, 2e10, 4), 5))


@pytest.fixture(scope="module")
def fit(runs):
    return sf.fit(runs, "chinchilla", draws=200)


PLACES = {"N": np.array([7e9, 5e9, 2e9, 5e9]), "D": np.array([2e11, 1.5e11, 2e10, 1e10])}
VARIANCE = 0.25


def places(seed=2, fitted=12):
    """Slopes of nine places and some fitted runs, and the covariance of the law's errors at them."""
    rng = np.random.default_rng(seed)
    slopes, root = rng.standard_normal((9 + fitted, 3)), rng.standard_normal((9 + fitted, 40))
    return slopes, 0.1 * root @ root.T / 40


def designed(**more):
    slopes, errors = places()
    known = Known.of(slopes[9:], errors[9:, 9:], errors[9:, :9], VARIANCE)
    costs = np.array([1.0, 2, 3, 4, 5, 6, 7, 8])
    return Design(slopes[:9], errors[:9, :9], known, np.sqrt(VARIANCE), costs, 1.645, **more)


@pytest.fixture
def design():
    return designed()


class TestDesign:
    def test_the_error_after_a_batch_is_that_of_simulated_fits(self, design):
        """Constants, errors of the law and noise drawn; the law fitted with its constants normal beforehand."""
        slopes, errors = places()
        runs, rng, draws = [2, 5, *range(9, 21)], np.random.default_rng(0), 100_000
        theta = rng.standard_normal((draws, 3))
        losses = theta @ slopes.T + rng.multivariate_normal(np.zeros(21), errors, draws)
        seen, own = losses[:, runs] + np.sqrt(VARIANCE) * rng.standard_normal((draws, 14)), slopes[runs]
        fitted = np.linalg.solve(own.T @ own / VARIANCE + np.eye(3), own.T @ seen.T / VARIANCE).T
        missed = np.sqrt(np.mean((fitted @ slopes[0] - losses[:, 0]) ** 2))
        assert design.half_width((1, 4)) == pytest.approx(1.645 * missed, rel=0.01)

    def test_one_more_is_the_batch_with_it(self, design):
        more = design.with_one_more((1,))
        for k in (0, 3, 7):
            assert more[k] == pytest.approx(design.half_width((1, k)))

    def test_the_best_pair_is_the_best_of_all_pairs(self, design):
        for budget in (5, 9, 15):
            pairs = [(i, j) for i, j in combinations(range(8), 2) if design.costs[i] + design.costs[j] <= budget]
            best = min(design.half_width(pair) for pair in pairs)
            found = design.best(budget, 2)
            assert design.costs[list(found)].sum() <= budget
            assert design.half_width(found) <= best * 1.02

    def test_failures_are_averaged(self, design):
        risky = designed(failure=0.2)
        none, first, second, both = (design.half_width(batch) for batch in ((), (1,), (4,), (1, 4)))
        by_hand = 0.64 * both + 0.16 * first + 0.16 * second + 0.04 * none
        assert risky.expected((1, 4)) == pytest.approx(by_hand)
        assert risky.with_one_more(())[1] == pytest.approx(0.8 * first + 0.2 * none)


class TestBelief:
    """What the fitted runs say of the losses at target and candidates."""

    @pytest.mark.parametrize(
        "options", [{}, {"fix": {"alpha": 0.3478}}, {"residuals": "linear"}, {"tie": {"beta": "1.05 * alpha"}}]
    )
    def test_without_an_error_of_the_law_it_is_that_of_a_regression_on_the_free_constants(self, runs, options):
        """Variances from the normal equations, slopes by finite differences; two standard deviations of each."""
        fit = sf.fit(runs, "chinchilla", draws=20, calibrated=False, **options)
        held = {*options.get("fix", {}), *options.get("tie", {})}
        names = [name for name in fit.parameters if name not in held]
        unit = 0.25  #: of a residual, where residuals are differences of losses

        def slopes(at):
            def residual(name, factor):
                moved = {**fit.parameters, name: fit[name] * factor}
                moved |= {"beta": 1.05 * moved["alpha"]} if "tie" in options else {}
                value = fit.law.evaluate(at, moved)
                return value / unit if "residuals" in options else np.log(value)

            moved = [residual(name, np.exp(1e-5)) - residual(name, np.exp(-1e-5)) for name in names]
            return np.stack(moved, axis=1) / 2e-5

        own, there = slopes({name: runs[name].to_numpy() for name in ("N", "D")}), slopes(PLACES)
        inverse = np.linalg.inv(own.T @ own / 0.004**2 + np.eye(len(names)) / 2.0**2)
        found = Design(*believed(fit, PLACES, 0.004, unit), 0.004, np.ones(3)).half_width(())
        assert found == pytest.approx(np.sqrt(there[0] @ inverse @ there[0]), rel=1e-4)

    @staticmethod
    def wrong(fit, noise):
        intervals = replace(
            fit.intervals, calibration=replace(fit.intervals.calibration, factor=3.0, sizes=((1.0, 1.0),))
        )
        return Design(*believed(replace(fit, intervals=intervals), PLACES, noise, 1.0), noise, np.ones(3))

    def test_the_error_of_a_law_falls_with_the_distance_in_decades(self, fit):
        """Of 0.1 of the range, times the root mean square of the shares; e^-1 of the square at 1.5 decades."""
        shares = ((1.0, 0.5), (7**0.5, 0.5))
        wrong = replace(fit.intervals, calibration=replace(fit.intervals.calibration, factor=3.0, sizes=shares))
        places = {"N": np.array([1e9, 1e10, 1e12]), "D": np.array([1e11, 1e11, 1e11])}
        apart = np.array([[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [3.0, 2.0, 0.0]])
        found = _errors(replace(fit, intervals=wrong), places, 0.7)
        np.testing.assert_allclose(found, (0.1 * 0.7 * 3.0 * 2.0) ** 2 * np.exp(-((apart / 1.5) ** 2)), rtol=1e-12)
        both = _errors(replace(fit, intervals=wrong), {"N": places["N"], "D": places["N"]}, 0.7)
        assert both[0, 1] == pytest.approx((0.1 * 0.7 * 6.0) ** 2 * np.exp(-((2**0.5 / 1.5) ** 2)))
        assert not _errors(replace(fit, intervals=None), places, 0.7).any()

    def test_under_a_law_with_an_error_a_run_says_more_the_nearer_it_is(self, fit):
        """The same compute nearer to the target's ratio of data to size leaves less."""
        near, small, lopsided = self.wrong(fit, 0.004).with_one_more(())
        assert near < min(small, lopsided)

    def test_a_run_that_pulls_a_wrong_law_away_from_the_target_does_harm(self):
        """One constant, a law that is right at the target and at the fitted run and off by 1 at the candidate."""
        slopes, off = np.ones((3, 1)), np.array([0.0, 1.0, 0.0])
        errors = np.outer(off, off)
        known = Known.of(slopes[2:], errors[2:, 2:], errors[2:, :2], 0.01)
        design = Design(slopes[:2], errors[:2, :2], known, 0.1, np.ones(1))
        assert design.half_width((0,)) == pytest.approx(0.5, rel=0.05)
        assert design.half_width(()) == pytest.approx(0.1, rel=0.01)
        assert design.best(1.0, 1) == ()


class TestAdvice:
    def test_it_keeps_the_budget_and_the_number_of_runs(self, fit):
        for budget, count in ((1e21, 2), (3e21, 4)):
            found = next_runs(fit, budget, runs=count, **TARGET)
            assert 0 < len(found.table) <= count
            assert found.table["C"].sum() <= budget * (1 + 1e-9)
            np.testing.assert_allclose(found.table["C"], 6 * found.table["N"] * found.table["D"])
            assert (np.diff(found.table["half_width"]) < 0).all()
            assert found.after < found.now

    def test_the_present_width_is_that_of_the_interval_of_the_law(self, fit):
        found = next_runs(fit, 1e21, **TARGET)
        row = fit.predict(interval="mean", **TARGET).iloc[0]
        assert found.now == pytest.approx(np.log(row["high"] / row["low"]) / 2, rel=1e-6)

    def test_more_budget_never_hurts_and_nothing_affordable_is_to_stop(self, fit):
        widths = [next_runs(fit, budget, **TARGET).after for budget in (1e18, 1e20, 1e21, 1e22)]
        assert (np.diff(widths) <= 1e-9).all()
        small = next_runs(fit, 1e18, **TARGET)
        assert small.stop
        assert "stop: no affordable run helps" in str(small)
        assert not next_runs(fit, 1e22, **TARGET).stop

    def test_what_halves_the_interval_does(self, fit):
        found = next_runs(fit, 1e21, **TARGET)
        assert found.halving > 0
        again = next_runs(fit, found.halving * 1.01, runs=12, failure=0.05, **TARGET)
        assert again.after <= 0.5 * found.now * 1.05

    @pytest.mark.parametrize("budget", [1e20, 1e21, 1e22])
    def test_no_run_and_no_advised_batch_halves_the_interval_for_less_than_is_said(self, fit, budget):
        found = next_runs(fit, budget, **TARGET)
        paid = found.table["C"].cumsum()[found.table["half_width"] <= 0.5 * found.now]
        alone = found.candidates["C"][found.candidates["half_width"] <= 0.5 * found.now]
        assert len(alone)
        assert found.halving <= min([*paid, *alone]) * (1 + 1e-12)

    def test_errors_shrink_by_about_what_was_expected(self, runs):
        """Errors at the target of fits to new noise, without and with the advised runs, against the expected spread."""
        plain = sf.fit(runs, "chinchilla", draws=200, calibrated=False)
        found = next_runs(plain, 2e21, runs=4, failure=0.0, **TARGET)
        truth = float(np.log(find_law("chinchilla").evaluate(TARGET, TRUTH)))
        N, D = runs["N"].to_numpy(), runs["D"].to_numpy()
        more = [np.concatenate([old, found.table[name]]) for name, old in (("N", N), ("D", D))]

        def errors(N, D):
            fits = [sf.fit(planted(N, D, seed), "chinchilla", starts=2) for seed in range(10, 26)]
            return np.array([np.log(each.predict(**TARGET)["loss"][0]) - truth for each in fits])

        before, after = (float(np.sqrt(np.mean(errors(*each) ** 2))) for each in ((N, D), more))
        assert 0.4 < 1.645 * after / found.after < 1.8
        assert after < 0.8 * before

    def test_candidates_of_ones_own_and_those_seen(self, fit):
        mine = pd.DataFrame({"N": [1e9, 3e9], "D": [1e11, 6e10]})
        found = next_runs(fit, 1e22, candidates=mine, **TARGET)
        assert set(found.table["N"]) <= {1e9, 3e9}
        seen = next_runs(fit, 1e22, candidates="seen", **TARGET)
        assert set(seen.candidates["N"].round(-3)) == set(np.round(np.geomspace(5e7, 1e9, 5), -3))


@pytest.mark.parametrize("size", ["yes", "no"])
def test_every_candidate_of_a_law_of_shapes_is_a_model_that_can_be_built(size):
    """Its size is that of its width and depth: candidates of the target's shape had any size, or there were none."""
    width, layers, D = (part.ravel() for part in np.meshgrid([256, 512, 1024], [4, 8, 16], [1e9, 4e9, 2e10]))
    N = 12 * layers * width**2
    loss = 1.5 + 8 * width**-0.4 + 1.2 * layers**-0.7 + 9e2 * N**-0.5 + 2000 * D**-0.38
    loss *= np.exp(0.002 * np.random.default_rng(1).standard_normal(len(D)))
    runs = pd.DataFrame({"d_model": width, "n_layer": layers, "N": N, "D": D, "loss": loss})
    fit = sf.fit(runs, f"width-depth:size={size}", draws=20, starts=4, calibrated=False)
    goal = {"d_model": 4096, "n_layer": 32, "D": 1e11} | ({"N": 12 * 32 * 4096**2} if size == "yes" else {})
    for candidates in (None, "seen"):
        made = next_runs(fit, 1e20, candidates=candidates, **goal).candidates
        shapes = set(zip(made["d_model"], made["n_layer"], strict=True))
        assert shapes == {*zip(width, layers, strict=True)} | (set() if candidates else {(4096, 32)})
        paid = 12 * made["n_layer"] * made["d_model"] ** 2
        np.testing.assert_allclose(made["C"], 6 * paid * made["D"])
        assert "N" not in made or np.allclose(made["N"], paid)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"budget": 1e21}, "N and D are not given; give N, D"),
        ({"budget": -1, **TARGET}, "budget is -1"),
        ({"budget": "1e20,1e21", **TARGET}, "2 budgets"),
        ({"budget": 1e21, "N": 3, "D": 2e11}, "N = 3 parameters is no run"),
        ({"budget": 1e21, "N": 7e9, "D": 1e30}, r"D = 1e\+30 tokens is no run"),
        ({"budget": 1e21, "at": TARGET}, "at is a dictionary; write N=7000000000.0, D=200000000000.0 without at="),
        ({"budget": 1e12, **TARGET}, "no candidate costs less"),
        ({"budget": 1e21, "runs": 0, **TARGET}, "0 runs"),
        ({"budget": 1e21, "failure": 1.0, **TARGET}, "failure 1"),
        ({"budget": 1e21, "candidates": "all", **TARGET}, 'no candidates "all"'),
        ({"budget": 1e21, "candidates": pd.DataFrame({"N": [1e9]}), **TARGET}, 'no column "D"'),
        ({"budget": 1e21, "candidates": pd.DataFrame({"N": [1e9, 0], "D": 1e10}), **TARGET}, "candidate 2: N is 0"),
        ({"budget": 1e21, "candidates": pd.DataFrame({"N": [-1e9], "D": 1e10}), **TARGET}, "candidate 1: N is -1e"),
        ({"budget": 1e21, "candidates": pd.DataFrame({"N": [1e9], "D": ["x"]}), **TARGET}, "candidate 1, D: 'x' is"),
        ({"budget": 1e21, "candidates": pd.DataFrame({"N": [], "D": []}), **TARGET}, "no candidates; give a table"),
    ],
)
def test_what_makes_no_sense_is_refused(fit, given, message):
    with pytest.raises(sf.InputError, match=message):
        next_runs(fit, given.pop("budget"), **given)


def test_a_fit_without_draws_or_of_compute_alone_is_refused(runs):
    with pytest.raises(sf.InputError, match="without intervals"):
        next_runs(sf.fit(runs, "chinchilla"), 1e21, **TARGET)
    alone = sf.fit(runs.assign(C=6 * runs["N"] * runs["D"]), "power:over=C", draws=20, force=True)
    with pytest.raises(sf.InputError, match="reads no size and data"):
        next_runs(alone, 1e21, C=1e22)
    with pytest.raises(sf.InputError, match="reads no size and data"):
        next_runs(sf.fit(runs, "power:over=D", draws=20, force=True), 1e21, D=1e12)


def test_the_command_says_what_python_says(fit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit.save("fit.json")
    found = next_runs(fit, 1e21, N="7B", D="200B")
    line = "scalefit next fit.json --budget 1e21 --at N=7B,D=200B"
    assert str(found) in commands.run(line).stdout
    content = json.loads(commands.run(f"{line} --json").stdout)
    assert [row["N"] for row in content["runs"]] == pytest.approx(list(found.table["N"]))
    pd.DataFrame({"N": [1e9], "D": [1e11]}).to_csv("mine.csv", index=False)
    mine = json.loads(commands.run(f"{line} --candidates mine.csv --json").stdout)
    assert {row["N"] for row in mine["runs"]} == {1e9}


def test_the_figure_shows_the_advised_runs_in_their_order(fit):
    import matplotlib.pyplot as plt

    found = next_runs(fit, 3e21, **TARGET)
    ax = found.plot()
    (rings,) = [line for line in ax.lines if line.get_markersize() == 12]
    np.testing.assert_allclose(rings.get_xdata(), found.table["N"])
    assert [text.get_text() for text in ax.texts] == [str(i + 1) for i in range(len(found.table))]
    told = {text.get_text(): entry for text, entry in zip(ax.legend_.texts, ax.legend_.legend_handles, strict=True)}
    assert (told["advised"].get_markerfacecolor(), rings.get_markerfacecolor()) == ("none", "none")
    assert told["fitted"].get_markerfacecolor() != "none"
    plt.close("all")


@pytest.mark.parametrize(
    ("rows", "sigma", "wanted"),
    [
        (7, 0.0, 0.01 * np.sqrt(7 / 2) * 2.919986 / 1.644854),  # the rest of two rows, and their t: 95 % quantile
        (7, 0.03, 0.03 * 2.919986 / 1.644854),
        (14, 0.0, 0.01 * np.sqrt(14 / 9) * 1.833113 / 1.644854),
        (15, 0.001, 0.001 * 1.812461 / 1.644854),  # of ten rows left over the median tells the noise
    ],
)
def test_the_noise_of_few_rows_is_reckoned_higher_than_their_median_residual(fit, rows, sigma, wanted):
    """Residuals of one per cent up and down beside a robust noise, for a law of five constants."""
    N, D = np.geomspace(5e7, 1e9, rows), np.geomspace(1e9, 2e10, rows)
    away = np.exp(0.01 * (-1.0) ** np.arange(rows))
    points = replace(
        fit.points,
        variables={"N": tuple(N), "D": tuple(D)},
        values=tuple(fit.evaluate({"N": N, "D": D}) * away),
    )
    assert noise_of(replace(fit, rows=rows, sigma=sigma, points=points)) == pytest.approx(wanted, rel=1e-6)


def test_a_target_that_the_advised_runs_leave_far_beyond_is_doubted(fit):
    """What is near enough once they are made is not: for that they are advised."""
    for target, doubts in ((TARGET, []), ({"N": 1e13, "D": 1e15}, ["far-beyond"])):
        found = next_runs(fit, 1e21, **target)
        assert [check.code for check in found.cautions] == doubts
        assert found.ok is (not doubts)


def test_an_answer_says_why_it_reckons_with_more_noise_than_the_fit(fit):
    """Twenty rows tell the noise of a law of five constants nearly as well as it is; eight do not."""
    wide = next_runs(fit, 1e21, **TARGET)
    said = f"noise of a run {100 * wide.noise:.2g} % (that of the fit is {100 * fit.sigma:.2g} %; as only 15 rows"
    assert said in str(wide)
    many = replace(wide, fit=replace(fit, rows=500), noise=1.005 * fit.sigma)
    assert "that of the fit" not in str(many)
