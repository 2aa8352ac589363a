"""Recipes compared, gains of compute, and two stages of prediction joined: worked out on straight lines."""

from __future__ import annotations

from statistics import NormalDist
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError
from scalefit.fitting import stages
from scalefit.laws import find_law
from scalefit.planning.downstream import answer, ladder, translate
from scalefit.planning.downstream.chain import chained, spread_out
from scalefit.planning.recipes import compare
from scalefit.planning.recipes import structure as structures
from scalefit.planning.recipes.gain import compute_gain, factor_to, kind_of, scaled

TAIL = NormalDist().inv_cdf(0.95)
BY_TEXT = {each.text: each for each in structures.STRUCTURES}


# --- gains ------------------------------------------------------------------------------------------------------------


def test_what_a_target_gives():
    assert kind_of({"C": 1.0}) == "C"
    assert kind_of({"D": 1.0, "N": 2.0}) == "ND"
    for wrong in ({}, {"N": 1.0}, {"C": 1.0, "N": 1.0}):
        with pytest.raises(InputError, match="the target gives"):
            kind_of(wrong)


def test_compute_grows_by_size_and_data_alike():
    log = np.log(np.array([1.0, 4.0]))
    assert scaled({"C": 3.0}, log)["C"] == pytest.approx([3, 12])
    found = scaled({"N": 3.0, "D": 5.0}, log)
    assert (found["N"].tolist(), found["D"].tolist()) == (pytest.approx([3, 6]), pytest.approx([5, 10]))


def test_where_falling_lines_cross_nothing():
    """1 - x crosses at a factor of e; lines that stay above or below throughout do not."""
    starts = np.array([[1.0], [-2.0], [17.0], [-17.0]])
    found = factor_to(lambda x: starts - x, 4)
    assert found == pytest.approx([np.e, np.exp(-2), np.inf, 0.0])


def test_the_gain_of_a_run_in_size_and_data():
    """A baseline 2 + (N D)^-.1 without noise: ten times the compute lowers the rest to 10^-.1 of it."""
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e6, 1e9, 5), np.geomspace(1e8, 1e11, 5)))
    baseline = sf.fit(pd.DataFrame({"N": N, "D": D, "loss": 1.7 + 400 * N**-0.34 + 410 * D**-0.28}), "chinchilla")
    at = {"N": 1e9, "D": 2e10}
    larger = {name: value * 10**0.5 for name, value in at.items()}
    loss = float(baseline.predict(**larger)["loss"][0])
    assert compute_gain(baseline, loss, **at)[0] == pytest.approx(10, rel=1e-6)
    assert compute_gain(baseline, f"{loss:.12f}", **at)[0] == pytest.approx(10, rel=1e-6)
    with pytest.raises(InputError, match="law chinchilla reads D, N, the run gives C"):
        compute_gain(baseline, 2.0, C=1e20)


# --- recipes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "formula"),
    [
        ("one curve for all", "C", "E + A*C**-alpha"),
        ("shared floor", "C", "E + A_0*is_0*C**-alpha_0 + A_1*is_1*C**-alpha_1"),
        ("shared exponents", "C", "E_0*is_0 + E_1*is_1 + A_0*is_0*C**-alpha + A_1*is_1*C**-alpha"),
        ("one curve for all", "ND", "E + A*N**-alpha + B*D**-beta"),
    ],
)
def test_what_each_recipe_has_of_its_own(text, kind, formula):
    law = structures.formula(BY_TEXT[text], 2, kind)
    assert law.spec == formula
    for name, parameter in law.parameters.items():
        assert parameter.low == 0.0
        assert parameter.high == (3.0 if name.startswith(("alpha", "beta")) else np.inf)


@pytest.mark.parametrize(
    ("kind", "counts", "rows", "tried"),
    [
        ("C", (3, 9), 12, 4),  # floor, size and exponent of its own need four runs
        ("C", (4, 9), 13, 5),
        ("C", (2, 9), 11, 2),
        ("C", (1, 9), 10, 1),
        ("C", (4, 4), 6, 4),  # six constants need seven rows
        ("ND", (6, 6), 12, 5),
        ("ND", (5, 6), 11, 4),
        ("ND", (3, 9), 12, 2),
    ],
)
def test_structures_that_few_runs_identify(monkeypatch, kind, counts, rows, tried):
    made = []

    def fitted(table, structure, names, kind, **settings):
        made.append(structure)
        return SimpleNamespace(structure=structure)

    monkeypatch.setattr(structures, "fitted", fitted)
    monkeypatch.setattr(structures, "criterion", lambda joint: -structures.STRUCTURES.index(joint.structure))
    if tried == 1:
        with pytest.raises(InputError, match="too few runs to compare"):
            structures.candidates(range(rows), ("a", "b"), kind, counts)
        return
    found = structures.candidates(range(rows), ("a", "b"), kind, counts)
    assert len(found) == len(made) == tried
    assert [score for score, _ in found] == sorted(score for score, _ in found)
    assert structures.STRUCTURES[0] in made


@pytest.mark.parametrize(
    ("scores", "wanted"),
    [
        ({0: -20.0, 1: -12.0, 2: -17.9}, 1),  # a difference of 5.9 may be luck
        ({0: -20.0, 1: -12.0, 2: -18.1}, 2),
        ({0: -20.0, 2: -1.0, 3: -2.0}, 2),  # the second was not identified
        ({1: -12.0, 3: -19.0, 4: -30.0}, 4),
    ],
)
def test_the_structure_of_a_comparison_needs_strong_evidence(scores, wanted):
    order = sorted(scores, key=lambda k: scores[k])
    tried = [(scores[k], SimpleNamespace(structure=structures.STRUCTURES[k])) for k in order]
    assert structures.chosen_structure(tried) is structures.STRUCTURES[wanted]


def test_the_criterion_and_its_penalty_for_few_rows():
    """One constant more than those that are free, for the noise; at least half a row is spare."""
    fit = SimpleNamespace(parameters=dict.fromkeys("abc"), fixed={"c": 1.0})
    for count, spare in ((10, 6), (4, 0.5), (5, 1)):
        joint = SimpleNamespace(residuals=np.full(count, 0.1), fit=fit)
        wanted = count * np.log(0.01) + 3 * np.log(count) * count / spare
        assert structures.criterion(joint) == pytest.approx(wanted)
    exact = SimpleNamespace(residuals=np.zeros(10), fit=fit)
    assert structures.criterion(exact) == pytest.approx(10 * np.log(1e-20) + 3 * np.log(10) * 10 / 6)


def lines(*slopes, names=("a", "b")):
    """Recipes whose losses are straight lines in the logarithm of compute over the target's, one a draw for b."""

    def losses(recipe, values):
        x = np.ones((len(slopes), 1)) * np.log(values["C"] / 1e20)
        return 3 - 0.1 * x if recipe == 0 else 3 - np.array(slopes)[:, None] * (x - 2)

    return SimpleNamespace(losses=losses, names=names, fit=SimpleNamespace(intervals=None))


ROWS = pd.DataFrame({"C": np.array([1e18, 1e19])})


def test_where_two_curves_cross():
    """3 - .1 x and 3 - s (x - 2): at x = 2 s / (s - .1), within a factor of ten around runs and target."""
    slopes = (1.1, 0.1, 0.05, 0.3)
    found = compare._crossings(lines(*slopes), 0, 1, {"C": 1e20}, ROWS)
    assert found[0] == pytest.approx(np.exp(2.2), rel=1e-6)
    assert np.isnan(found[1])
    assert found[2] == pytest.approx(np.exp(-2.0), rel=1e-6)
    assert np.isnan(found[3])  # at x = 3, beyond ten times the target


@pytest.mark.parametrize(
    ("at", "found"), [(np.log(9.9), True), (np.log(10.1), False), (-np.log(990), True), (-np.log(1010), False)]
)
def test_crossings_are_looked_for_from_a_tenth_of_the_runs_to_ten_times_the_target(at, found):
    """Runs from a hundredth of the target's compute."""
    joint = SimpleNamespace(losses=lambda recipe, values: recipe * (np.log(values["C"] / 1e20) - at)[None])
    crossing = compare._crossings(joint, 0, 1, {"C": 1e20}, ROWS)
    assert np.isfinite(crossing[0]) == found
    if found:
        assert crossing[0] == pytest.approx(np.exp(at))


def test_of_several_crossings_the_one_nearest_to_the_target_counts():
    joint = SimpleNamespace(
        losses=lambda recipe, values: (
            recipe * ((np.log(values["C"] / 1e20) + 3) * (np.log(values["C"] / 1e20) - 1))[None]
        )
    )
    assert compare._crossings(joint, 0, 1, {"C": 1e20}, ROWS)[0] == pytest.approx(np.e, rel=1e-3)


def test_a_pair_of_recipes_in_numbers():
    """At the target b lies .1, .2 and -.1 above a; a takes e^x more compute to be as good."""
    joint = lines(0.05, 0.1, -0.05)
    losses = np.array([[3.0, 3.1], [3.0, 3.2], [3.0, 2.9]])
    found = compare._pair(joint, 0, 1, losses, {"C": 1e20}, ROWS)
    assert (found["recipe"], found["difference"], found["chance"]) == ("b", pytest.approx(0.1), 0.5)
    tails = {share: -NormalDist().inv_cdf(share) for share in (0.05, 0.1, 0.16, 0.25)}
    sides = [np.mean([(away - 0.3 * share) / z for share, z in tails.items()]) * tails[0.05] for away in (0.2, 0.1)]
    assert (found["difference_low"], found["difference_high"]) == pytest.approx((0.1 - sides[0], 0.1 + sides[1]))
    assert found["gain"] == pytest.approx(np.exp(2))
    assert found["crossing"] == pytest.approx(1e20 * np.exp(-2), rel=1e-6)
    assert found["cross_share"] == 0.5
    alone = compare._pair(lines(0.05), 0, 1, losses[:1], {"C": 1e20}, ROWS)
    assert np.isnan(alone["chance"])
    assert alone["cross_share"] == 0.0


def test_compute_of_size_and_data():
    assert compare._compute({"N": 2.0, "D": 5.0}) == 60
    assert compare._compute({"C": 7.0, "N": 2.0, "D": 5.0}) == 7


def test_runs_without_a_recipe_a_loss_or_compute_do_not_count():
    table = pd.DataFrame(
        {
            "run": list("abcde"),
            "recipe": ["x", None, "y", "y", "x"],
            "C": [1e18, 1e18, 1e18, 0.0, 1e19],
            "loss": [3.0, 3.0, np.nan, 3.0, 2.5],
        }
    )
    runs = sf.read_runs(table, need=())
    assert compare._table(runs, "recipe", "C")[0]["C"].tolist() == [1e18, 1e19]
    for by, kind, lacking in (("corpus", "C", "corpus"), ("recipe", "ND", "N")):
        with pytest.raises(InputError, match=f'no column "{lacking}"'):
            compare._table(runs, by, kind)


# --- stages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", [False, True])
def test_values_that_stand_for_a_prediction(log):
    """199 quantiles of two half normal distributions."""
    made = spread_out((2.0, 1.9, 2.2), log)
    assert len(made) == 199
    z = np.array([NormalDist().inv_cdf((k + 0.5) / 199) for k in (0, 99, 198)])
    low, high = (np.log(2 / 1.9), np.log(2.2 / 2)) if log else (0.1, 0.2)
    away = np.array([low * z[0], 0.0, high * z[2]]) / TAIL
    wanted = 2 * np.exp(away) if log else 2 + away
    assert made[[0, 99, 198]] == pytest.approx(wanted)


def test_two_stages_are_joined_by_all_pairs():
    low, high = chained(np.array([1.0, 2.0, 3.0]), lambda x: 10 * x, np.array([-1.0, 1.0]))
    assert (low, high) == pytest.approx(tuple(np.quantile([9, 11, 19, 21, 29, 31], [0.05, 0.95])))


def test_a_target_of_a_ladder_is_a_size_and_data():
    for at in ({}, {"N": 1e9}, {"N": 1e9, "D": 1e9, "C": 1e20}):
        with pytest.raises(InputError, match="a target in"):
            ladder.task_ladder(pd.DataFrame(), **at)


def test_checkpoints_of_run_logs_know_their_tokens_and_the_size_of_their_run():
    step = np.array([10, 20])
    logs = [
        pd.DataFrame({"run": run, "step": step, "tokens": 1e3 * step, "loss": 3.0, "N": N})
        for run, N in (("a", 1e6), ("b", 2e6))
    ]
    names = {"loss": "loss"}
    table = ladder._table(sf.read_runs(pd.concat(logs), need=()), names)
    assert sorted(zip(table["N"], table["D"], strict=True)) == [(N, d) for N in (1e6, 2e6) for d in (1e4, 2e4)]
    assert "tokens" not in table
    assert names == {"loss": "loss"}


def test_a_family_has_one_loss_for_each_size_and_data():
    table = pd.DataFrame({"N": [1e6, 1e6, 2e6], "D": [1e8, 1e8, 1e8], "loss": [3.0, 3.2, np.nan], "run": list("abc")})
    assert translate._family(table, "loss").to_dict("list") == {"N": [1e6], "D": [1e8], "loss": [pytest.approx(3.1)]}
    with pytest.raises(InputError, match='no column "D"'):
        translate._family(table.drop(columns="D"), "loss")
    for at in ({}, {"N": 1e9}, {"loss_source": 2.0, "N": 1e9}):
        with pytest.raises(InputError, match="a target in"):
            translate.translate(table, table, **at)


@pytest.mark.parametrize(
    ("count", "procedure", "asked"), [(7, "stages", "loss-to-loss"), (6, "stages", "free"), (7, "joint", "free")]
)
def test_fewer_than_seven_pairs_have_the_floor_of_the_target_with_the_map(monkeypatch, count, procedure, asked):
    """Which map is fitted to how many pairs; the laws and the choice of the floors are another matter."""
    seen = []

    class Law(dict):
        law, choice = find_law("chinchilla"), "chosen"

    monkeypatch.setattr(translate, "fit", lambda table, law, **given: seen.append(str(law)) or Law(E=1.0))
    monkeypatch.setattr(translate, "chosen", lambda table, law, **given: seen.append(law) or Law(E0=1.0))
    table = pd.DataFrame({"N": np.geomspace(1e6, 1e8, count), "D": 1e9, "loss": 3.0})
    monkeypatch.setattr(translate, "_whose", lambda last: None)
    made = translate._mapped(table, table, None, procedure, {"loss_source": 2.0}, {})
    assert f"{count} pairs" in made.how
    assert any(asked in name for name in seen)
    assert (made.target is None) == (asked == "free")


def test_a_source_loss_and_its_image_come_from_the_laws_that_forecast_the_source(monkeypatch):
    """Not from the law whose floors happen to suit the pairs: that may miss the source loss it is asked for."""
    asked = []

    class Law(dict):
        law, choice = find_law("skaling"), "chosen"

    base = Law(E=1.5)
    monkeypatch.setattr(translate, "automatic", lambda runs, laws, at, **given: asked.append((laws, at)) or base)
    monkeypatch.setattr(translate, "fit", lambda table, law, **given: asked.append((law, given)) or Law(E=1.2))
    N, D = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 1e11, 4)))
    table = pd.DataFrame({"N": N, "D": D, "loss": 1.7 + 400 * N**-0.34 + 410 * D**-0.28})
    made = translate._mapped(table, table, None, "stages", {"N": 1e10, "D": 1e12}, {})
    (laws, at), (own, _), (name, given) = asked
    assert at == {"N": 1e10, "D": 1e12}
    assert {"chinchilla", "kaplan-floor", "over-training", "skaling"} <= {law.name for law in laws}
    assert made.source is base and own.name == "skaling"
    assert name.endswith("floors_of=free") and given["fix"] == {"E0": 1.5, "E1": 1.2}
    assert made.how.endswith("source loss by chosen")


@pytest.mark.parametrize("extra", [0.0, 0.3])
def test_the_interval_of_two_stages_joins_that_of_the_way_and_that_of_the_map(monkeypatch, extra):
    """The map is the loss itself, known to .1 below and .2 above; a further error adds in quadrature."""
    monkeypatch.setattr(
        answer, "ends_of", lambda fit, at: (at["loss_source"], at["loss_source"] - 0.1, at["loss_source"] + 0.2)
    )
    law = SimpleNamespace(variables={"x": None}, columns={"x": "loss_source"})
    second = SimpleNamespace(law=law, evaluate=lambda values: values["x"])
    errors = spread_out((0.0, -np.hypot(0.1, extra), np.hypot(0.2, extra)), log=False)
    joined = spread_out((2.0, 1.7, 2.5), log=True)[:, None] + errors
    found = answer.through((2.0, 1.7, 2.5), second, (extra, extra))
    assert found == pytest.approx((2.0, *np.quantile(joined, [0.05, 0.95])))
    alone = answer.through((2.0, np.nan, np.nan), second, (extra, extra))
    assert alone == pytest.approx((2.0, *np.quantile(2 + errors, [0.05, 0.95])))
    assert alone[2] - alone[1] < 0.8 * (found[2] - found[1])
    capped = answer.through((2.0, 1.7, 2.5), second, (extra, extra), most=2.1)
    assert capped[2] == 2.1


@pytest.mark.parametrize("noise", [0.002, 0.01])
def test_the_scatter_of_an_evaluation_is_not_its_rise(noise):
    """Thirty runs whose accuracy rises by .03 a step; about a mean of five one scatters by sqrt(4/5) of the noise."""
    rng = np.random.default_rng(3)
    accuracy = np.tile(0.2 + 0.03 * np.arange(20), 30) + noise * rng.standard_normal(600)
    table = pd.DataFrame({"run": np.repeat(np.arange(30), 20), "accuracy": accuracy})
    assert stages._scatter(table, 5) == pytest.approx(noise * np.sqrt(0.8), rel=0.1)
    assert stages._scatter(table, 1) == 0.0
    assert stages._scatter(table.groupby("run").head(2), 5) == 0.0  # two neighbours show no bend
