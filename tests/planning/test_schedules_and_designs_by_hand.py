"""Candidates of one budget, lengths of schedules, next runs and what a plan is asked for: few numbers at each edge."""

from __future__ import annotations

from statistics import NormalDist
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from scalefit.errors import InputError
from scalefit.planning.allocation import targets
from scalefit.planning.allocation.cost import Rate
from scalefit.planning.next_runs import advice
from scalefit.planning.next_runs.design import Design, Known
from scalefit.planning.schedules import final, length, ranking
from scalefit.planning.schedules.candidates import Budget, Family, candidates_of, complete
from scalefit.schedules import parse_schedule
from scalefit.uncertainty.calibration import WITHIN, Calibration
from scalefit.uncertainty.unlike import SCHEDULE, UNLIKE

BUDGET = Budget(1000, 0.5)

# --- candidates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("wsd:decay=0.2", "wsd:peak_lr=0.5,steps=1000,decay_steps=200"),
        ("wsd:decay=.25,final=20%", "wsd:peak_lr=0.5,steps=1000,decay_steps=250,final=0.1"),
        ("wsd:decay=linear", "wsd:peak_lr=0.5,steps=1000,decay=linear"),
        ("wsd-cosine:decay=12.5%", "wsd:peak_lr=0.5,steps=1000,decay_steps=125,decay=cosine"),
        ("sqrt:decay=10%", "wsd:peak_lr=0.5,steps=1000,decay_steps=100,decay=sqrt"),
        ("multi_step:at=80%/90%,factor=0.3", "multi_step:peak_lr=0.5,steps=1000,at=800/900,factor=0.3"),
        ("cosine:peak_lr=2,final=10%", "cosine:peak_lr=2,steps=1000,final=0.2"),
        ("wsd:steps=2000,decay=10%", "wsd:peak_lr=0.5,steps=2000,decay_steps=200"),
    ],
)
def test_shares_are_of_the_steps_and_of_the_peak(text, whole):
    if text.startswith("sqrt"):
        with pytest.raises(InputError):
            complete("nothing:decay=10%", BUDGET)
        text = "square:decay=10%"
        whole = whole.replace("decay=sqrt", "decay=square")
    assert parse_schedule(whole) == complete(text, BUDGET)


def test_a_warmup_is_that_of_the_budget_unless_there_is_none():
    assert complete("cosine", Budget(1000, 0.5, 50)).warmup == 50
    assert complete("cosine:warmup=20", Budget(1000, 0.5, 50)).warmup == 20
    assert "warmup" not in complete("cosine", BUDGET).text


def test_a_family_has_fifty_six_shares_with_both_ends():
    _, (family,) = candidates_of(["wsd:decay=5%..60%"], BUDGET)
    assert len(family.members) == len(family.shares) == 56
    assert (family.shares[0], family.shares[-1]) == (0.05, 0.6)
    assert [complete(f"wsd:decay={share}%", BUDGET) for share in (5, 60)] == [family.members[0], family.members[-1]]
    assert family.named(0) == "wsd:decay=5%"
    assert candidates_of(["wsd:decay=0.05..0.6"], BUDGET)[1][0].members == family.members


@pytest.mark.parametrize(("ends", "can"), [("1%..95%", True), ("1%..96%", False), ("0%..9%", False), ("9%..9%", False)])
def test_shares_of_a_family_lie_between_nothing_and_nearly_all(ends, can):
    if can:
        assert candidates_of([f"wsd:decay={ends}"], BUDGET)[1]
        return
    with pytest.raises(InputError, match="of the run"):
        candidates_of([f"wsd:decay={ends}"], BUDGET)


def test_candidates_have_the_length_of_the_budget():
    assert list(candidates_of(["cosine", " linear "], BUDGET)[0]) == ["cosine", "linear"]
    with pytest.raises(InputError, match="schedules of 1000, 2000 steps are not of one budget"):
        candidates_of(["cosine", "linear:steps=2000"], BUDGET)
    with pytest.raises(InputError, match="no schedules"):
        candidates_of([], BUDGET)


# --- what no law can be asked -----------------------------------------------------------------------------------------


def law_of(*variables):
    return SimpleNamespace(law=SimpleNamespace(name="annealing", variables=dict.fromkeys(variables)))


def resting(zeros, steps=1000):
    """A schedule at a rate of zero for its last steps."""
    rate = np.r_[np.zeros(1), np.full(steps - zeros, 0.5), np.zeros(zeros)]
    return SimpleNamespace(per_step=lambda: rate)


def test_a_hundredth_of_a_run_may_rest_at_a_rate_of_zero():
    final.refuse_unphysical(law_of("S1"), {"a": resting(10)})
    with pytest.raises(InputError, match="a is at a learning rate of zero for 1 % of its steps"):
        final.refuse_unphysical(law_of("S1"), {"a": resting(11)})


@pytest.mark.parametrize(("ratio", "can"), [(1.019, True), (1.021, False)])
def test_peaks_within_a_fiftieth_are_one_peak(ratio, can):
    plans = {name: complete("cosine", Budget(1000, peak)) for name, peak in (("low", 0.5), ("high", 0.5 * ratio))}
    final.refuse_unphysical(law_of("S1", "R1"), plans)
    if can:
        final.refuse_unphysical(law_of("S1"), plans)
    else:
        with pytest.raises(InputError, match=r"from 0.5 \(low\) to 0.5105 \(high\)"):
            final.refuse_unphysical(law_of("S1"), plans)


def misjudged(errors, lengths):
    """Runs whose ends a refit without them misses by these amounts; the law gives its constant."""
    names = [f"r{i}" for i in range(len(errors))]
    points = SimpleNamespace(
        runs=tuple(np.repeat(names, 2)),
        variables={"x": np.arange(2.0 * len(names))},
        values=np.repeat(errors, 2) + np.tile([99.0, 1.0], len(names)),
        steps=tuple(np.ravel([(1, last) for last in lengths])),
    )
    law = SimpleNamespace(parameters=("a",), evaluate=lambda variables, constants: constants["a"] + 0 * variables["x"])
    return SimpleNamespace(points=points, law=law, without=dict.fromkeys(names, (1.0,)))


def test_the_resolution_is_the_scatter_of_errors_within_a_length():
    """Two runs of about 100 steps, three of about 200: three degrees of freedom; within a twentieth lengths are one."""
    errors = np.array([0.1, 0.3, 5.0, 5.1, 5.2])
    found = final.resolution(misjudged(errors, [100, 104, 206, 198, 200]))
    assert found == pytest.approx(1.6449 * np.sqrt(2 * (0.02 + 0.02) / 3))
    assert np.isnan(final.resolution(misjudged(errors[:3], [100, 100, 200])))
    assert final.resolution(misjudged(errors[:3], [100, 100, 100])) > 0
    assert np.isnan(final.resolution(misjudged(errors[:3], [100, 106, 100])))
    assert np.isnan(final.resolution(misjudged([], [])))


def test_the_budget_is_the_longest_fitted_run_at_the_fitted_peak():
    fit = SimpleNamespace(points=SimpleNamespace(steps=(10, 400, 30)), recipe={"peak_lr": (0.1, 0.1019)})
    assert final.budget_of(fit, None, None) == (400, 0.1019, 0)
    assert final.budget_of(fit, "2k", 0.3) == (2000, 0.3, 0)
    warm = SimpleNamespace(points=fit.points, recipe=fit.recipe | {"warmup": (20, 30)})
    assert [final.budget_of(warm, *given)[2] for given in ((None, None), (40, None), (None, None, 0))] == [30, 20, 0]
    for recipe in ({"peak_lr": (0.1, 0.1021)}, {}):
        with pytest.raises(InputError, match="no one peak"):
            final.budget_of(SimpleNamespace(points=fit.points, recipe=recipe), 5, None)


# --- lengths ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("aim", "wanted"),
    [(2.0, 200), (8**0.5, 100 * 2**0.5), (2**0.5, 200 * 2**0.5), (1.0, 400), (0.9, np.inf), (4, np.nan)],
)
def test_a_length_lies_on_a_line_in_logarithms(aim, wanted):
    lengths, losses = np.array([100.0, 200.0, 400.0]), np.array([4.0, 2.0, 1.0])
    assert length._crossing(lengths, losses, aim) == pytest.approx(wanted, nan_ok=True)


def test_a_loss_that_no_length_reaches_is_told_with_what_the_longest_ends_at(monkeypatch):
    """21 draws whose last losses lie evenly from 1.9 to 2.1: 5 and 95 % of them are 1.91 and 2.09."""

    def losses(fit, plans, where):
        own = np.linspace(4, 2, len(plans))
        return np.vstack([own, *(own + np.linspace(0, off, len(plans)) for off in np.linspace(-0.1, 0.1, 21))])

    monkeypatch.setattr(length, "final_losses", losses)
    monkeypatch.setattr(length, "refuse_other_laws", lambda fit: None)
    fit = SimpleNamespace(intervals=None, cautions=lambda **told: [])
    row = length.steps_for_loss(fit, 1.0, "cosine:peak_lr=1,steps=1000").table.iloc[0]
    longest = length._stretched("cosine:peak_lr=1,steps=1000")[0][-1]
    assert (row["floor"], row["longest"]) == (2.0, longest)
    assert (row["floor_low"], row["floor_high"]) == (pytest.approx(1.91), pytest.approx(2.09))
    assert np.isnan(row["steps"])
    with pytest.raises(InputError, match="below a loss of 4 already"):
        length.steps_for_loss(fit, 4.0, "cosine:peak_lr=1,steps=1000")


def test_positions_stretch_with_a_run_and_its_warmup_does_not():
    longer = length._at_length("wsd:peak_lr=1,steps=1000,warmup=100,decay_steps=200", 2500)
    assert longer == parse_schedule("wsd:peak_lr=1,steps=2500,warmup=100,decay_steps=500")
    steps = length._at_length("multi_step:peak_lr=1,steps=1000,at=800/900,factor=0.5", 500)
    assert steps == parse_schedule("multi_step:peak_lr=1,steps=500,at=400/450,factor=0.5")
    short = length._at_length("wsd:peak_lr=1,steps=1000,decay_steps=10", 20)
    assert short == parse_schedule("wsd:peak_lr=1,steps=20,decay_steps=1")


def test_lengths_from_a_sixty_fourth_to_sixty_four_times():
    """But no shorter than 20 steps, or than what a warmup and a decay of their shares need, and at most 3,000,000."""
    for steps, first, last in ((6400, 100, 409_600), (640, 20, 40_960), (64_000, 1000, 3_000_000)):
        lengths, plans = length._stretched(f"cosine:peak_lr=1,steps={steps}")
        assert lengths[0] == pytest.approx(first, rel=0.1)
        assert lengths[0] >= first
        assert last / 1.2 <= lengths[-1] <= last
        assert [plan.steps for plan in plans] == lengths.tolist()
        assert np.diff(np.log(lengths))[-1] == pytest.approx(np.log(4096) / 48, rel=0.02)
    lengths, _ = length._stretched("wsd:peak_lr=1,steps=1000,warmup=100,decay_steps=500")
    assert lengths[0] == min(each for each in np.round(1000 * np.geomspace(1 / 64, 64, 49)) if each >= 204)


# --- ranking ----------------------------------------------------------------------------------------------------------

NO_DRAWS = SimpleNamespace(intervals=None)


def test_schedules_are_ranked_by_paired_differences():
    losses = np.array([[3.0, 2.0, 2.5], [3.1, 2.3, 2.2], [3.2, 2.0, 2.4], [3.0, np.nan, 2.1]])
    found = ranking._ranked(NO_DRAWS, ["a", "b", "c"], losses, np.zeros((3, 5)))
    assert found["schedule"].tolist() == ["b", "c", "a"]
    assert found["difference"].tolist() == pytest.approx([0, 0.5, 1.0])
    assert found["worse"].tolist() == [0, 0.5, 1.0]
    assert found["difference_low"].tolist() == pytest.approx([0, -0.1 + 0.05 * 0.5, 0.8 + 0.05 * 0.4])
    assert found["difference_high"].tolist() == pytest.approx([0, 0.5, 1.2 - 0.05 * 0.4])
    alone = ranking._ranked(NO_DRAWS, ["a", "b"], losses[:1, :2], np.zeros((2, 5)))
    assert alone["worse"].isna().all() and alone["difference_low"].isna().all()


@pytest.mark.parametrize(("residuals", "unit"), [("log", 2.0), ("linear", 1.0)])
def test_a_difference_counts_the_error_of_the_law_as_far_as_it_differs(residuals, unit):
    """The best falls to zero as no fitted run did and is missed by S, half a fall like it, .5 away, by S / 2, one that
    does not fall by nothing; each of them by WITHIN as well. Of one that is the same, the difference has no error.
    """
    states = np.array([[1.0, 0.1, 0.5, -3.0, 2.0]] * 4)
    states[1, 0] = 0.5
    states[2] = [0.0, 0.0, 1.0, -3.0, 0.0]
    kept = ((0.0, 0.0, 1.0, -3.0, 0.0), (0.5, 0.9, 1.0, -3.0, 3.0))  # both far from a sudden fall
    calibration = Calibration(1.0, 3, 8, 0.0, 1.0, 1.0, states=kept)
    draws = SimpleNamespace(few=1.0, calibration=calibration)
    fit = SimpleNamespace(intervals=draws, settings=SimpleNamespace(residuals=residuals))
    losses = np.tile([2.0, 2.5, 3.0, 2.0], (21, 1))  # every draw is alike
    found = ranking._ranked(fit, list("abcd"), losses, states).set_index("schedule")
    a, b, c = np.hypot(SCHEDULE * np.array([1, 0.5, 0]), WITHIN)
    near = np.sqrt((a - b) ** 2 + 2 * a * b * 0.5 / UNLIKE)
    missed = {"a": 0, "b": unit * near, "c": unit * np.hypot(a, c), "d": 0}
    for name, error in missed.items():
        row = found.loc[name]
        reach = NormalDist().inv_cdf(0.95) * error
        assert row["difference_low"] == pytest.approx(row["difference"] - reach)
        assert row["difference_high"] == pytest.approx(row["difference"] + reach)
    taken = SimpleNamespace(intervals=SimpleNamespace(few=1.0, calibration=None), settings=fit.settings)
    true = ranking._ranked(taken, list("abcd"), losses, states)  # calibrated=False: the draws alone
    assert (true["difference_low"] == true["difference_high"]).all()


def test_what_cannot_be_told_from_the_best():
    table = pd.DataFrame(
        {
            "schedule": list("abcd"),
            "difference": [0.0, 0.01, 0.03, 0.05],
            "difference_low": [0.0, 0.0, 0.02, 0.04],
        }
    )
    for limit, names in ((np.nan, "ab"), (0.03, "ab"), (0.031, "abc")):
        found = ranking.ScheduleRanking(None, BUDGET, table, {}, limit, pd.DataFrame(), ())
        assert "".join(found.alike["schedule"]) == names


@pytest.mark.parametrize(("best", "edge"), [(0, "shortest"), (1, ""), (3, ""), (4, "longest")])
def test_the_best_share_of_a_family_and_whether_it_is_an_end(monkeypatch, best, edge):
    shares = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    losses = np.abs(np.arange(5) - np.array([best, 1, 3])[:, None])
    monkeypatch.setattr(ranking, "final_losses", lambda *told: losses)
    monkeypatch.setattr(ranking, "_end_states", lambda members: np.zeros((len(members), 5)))
    family = Family("wsd:decay=10%..50%", shares, tuple("abcde"))
    row, name, plan = ranking._searched(NO_DRAWS, family, {})
    assert (row["share"], row["edge"], plan) == (shares[best], edge, "abcde"[best])
    assert name == f"wsd:decay={10 * (best + 1)}%"
    assert (row["low"], row["high"]) == pytest.approx((min(0.21, shares[best]), max(0.39, shares[best])))


# --- next runs --------------------------------------------------------------------------------------------------------


def design(slopes, costs=None, **more):
    """A law without an error of its own and no fitted runs, so that the constants are as uncertain as beforehand."""
    count, size = np.shape(slopes)
    nothing, errors = np.zeros((size, size)), np.zeros((count, count))
    costs = np.ones(count - 1) if costs is None else costs
    known = Known(nothing, nothing, np.zeros((size, count)))
    return Design(np.array(slopes, float), errors, known, 1.0, np.asarray(costs, float), **more)


def apart(*gains):
    """Candidates that do not share anything; the variance of the target is 100, each takes off its gain.

    Each tells a constant of its own, nearly without noise: 1 / (1 + 1e-6) of it.
    """
    count, sure = len(gains), 1e3
    own = np.sqrt(np.array(gains) * (1 + sure**-2))
    return np.vstack([[*own, np.sqrt(100 - own @ own)], sure * np.eye(count, 1 + count)])


def test_one_run_takes_off_what_it_tells_of_the_target():
    one = design(apart(19.0, 36.0))
    assert one.half_width(()) == pytest.approx(10)
    assert one.half_width((0,)) == pytest.approx(9)
    assert one.with_one_more(()).tolist() == pytest.approx([9, 8])
    assert one.half_width((0, 1)) == pytest.approx(np.sqrt(45))
    assert design(apart(99.99)).half_width((0,)) == pytest.approx(0.1, rel=0.01)


def test_failures_are_averaged_over_up_to_eight_runs():
    one = design(apart(19.0, 36.0), failure=0.25)
    assert one.expected((0,)) == pytest.approx(0.75 * 9 + 0.25 * 10)
    assert one.with_one_more(()).tolist() == pytest.approx([9.25, 8.5])
    assert one.expected(()) == pytest.approx(10)
    many = design(apart(*[1.0] * 9), failure=0.5)
    assert many.expected(tuple(range(9))) == many.half_width(tuple(range(9)))
    assert many.expected(tuple(range(8))) > 1.02 * many.half_width(tuple(range(8)))


def test_what_the_rest_of_a_budget_pays():
    one = design(apart(1.0, 1.0, 1.0), costs=[1.0, 2.0, 3.0])
    assert one._able((), 2.0).tolist() == [True, True, False]
    assert one._able((0,), 3.0).tolist() == [False, True, False]
    assert one._able((1,), 2.5).tolist() == [False, False, False]


@pytest.mark.parametrize(("gain", "batch"), [(0.61, (0,)), (0.59, ())])
def test_a_run_is_taken_that_takes_three_in_a_thousand_off(gain, batch):
    """The root of 100 - g is 10 less g / 20: from about .6 on that is .3 percent."""
    assert design(apart(gain)).best(1.0, 4) == batch


def test_most_of_all_or_most_for_its_cost():
    one = design(apart(40.0, 19.0, 19.0, 19.0), costs=[3.0, 1.0, 1.0, 1.0])
    assert one._greedy(3.0, 4, per_cost=False) == (0,)
    assert set(one._greedy(3.0, 4, per_cost=True)) == {1, 2, 3}
    assert set(one.best(3.0, 4)) == {1, 2, 3}
    assert one.best(3.0, 1) == (0,)
    assert len(one.best(6.0, 2)) == 2


def test_runs_are_exchanged_for_better_ones_that_the_budget_pays():
    one = design(apart(9.0, 19.0, 36.0), costs=[1.0, 1.0, 2.0])
    assert one._exchanged((0,), 2.0) == (2,)
    assert one._exchanged((0,), 1.9) == (1,)
    assert one._exchanged((), 9.0) == ()


def advised(after, rows=1):
    told = dict.fromkeys(("fit", "target", "budget", "predicted", "halving", "candidates", "cost", "failure", "noise"))
    return advice.NextRuns(table=pd.DataFrame({"C": [1.0] * rows}), now=1.0, after=after, cautions=(), **told)


def test_advice_is_to_stop_where_less_than_a_twentieth_is_taken_off():
    assert advised(0.951).stop
    assert not advised(0.949).stop
    assert advised(0.5, rows=0).stop


@pytest.mark.parametrize(
    ("enough", "left", "cost"), [(0.0, 0.5, 1.0), (0.0, 0.51, np.nan), (63.9, 0.5, 1.0), (64.1, 0.5, np.nan)]
)
def test_the_least_budget_whose_batch_halves_the_interval(enough, left, cost):
    asked = []

    def best(money, runs):
        asked.append((money, runs))
        return (0,) if money >= enough else ()

    made = SimpleNamespace(best=best, expected=lambda batch: left if batch else 1.0, costs=np.array([1.0, 5.0]))
    assert advice._halving(made, 1.0) == pytest.approx(cost, nan_ok=True)
    assert asked[0] == (1 / 16, 12)
    ratios = np.diff(np.log([money for money, _ in asked]))
    assert ratios == pytest.approx(np.full(len(ratios), np.log(1024) / 12))


def candidates(given=None, budget=1e30, goal=1e7, D=(2e7, 4e9)):
    """Runs of 1e6 and 1e8 parameters at 20 and 40 tokens for each."""
    points = SimpleNamespace(variables={"N": np.array([1e6, 1e8]), "D": np.array(D)})
    fit = SimpleNamespace(law=SimpleNamespace(columns={"N": "N", "D": "D"}), points=points)
    return advice._candidates(fit, given, budget, lambda at: 6 * at["N"] * at["D"], {"N": goal, "D": 1e9})


def test_candidates_are_a_grid_of_sixteen_sizes_and_eight_ratios():
    found = candidates()
    ratio = found["D"] / found["N"]
    assert found["N"].nunique() == 16
    assert (found["N"].min(), found["N"].max()) == pytest.approx((1e6, 2e8))  # twice the largest fitted run
    assert (ratio.min(), ratio.max()) == pytest.approx((20, 40))
    assert len({f"{each:.6g}" for each in ratio}) == 8
    assert candidates(goal=1e9)["N"].max() == pytest.approx(2e9)  # or twice the target
    assert candidates(D=(2.1e7, 4e9))["D"].min() >= 2.1e7


def test_candidates_cost_at_most_sixty_four_budgets():
    """A run of N parameters at 20 tokens for each costs 120 N^2."""
    assert candidates(budget=120 * 1e14 / 64)["N"].max() == pytest.approx(1e7)
    assert candidates(budget=1.0)["N"].max() == pytest.approx(2e6)  # but they go up to twice the smallest run


def test_candidates_of_ones_own():
    seen = candidates("seen")
    assert sorted(zip(seen["N"], seen["D"], strict=True)) == [(n, d) for n in (1e6, 1e8) for d in (2e7, 4e9)]
    assert candidates(pd.DataFrame({"D": [1e9], "x": [9], "N": [2e6]})).to_dict("list") == {"N": [2e6], "D": [1e9]}
    with pytest.raises(InputError, match='no column "D"'):
        candidates(pd.DataFrame({"N": [2e6]}))
    with pytest.raises(InputError, match='no candidates "all"'):
        candidates("all")


# --- what a plan is asked for -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1e20:1e21", [1e20, 10**20.5, 1e21]),
        ("1e21:1e20:4", np.geomspace(1e20, 1e21, 4)),
        ("1e20:1.1e20", [1e20, 1.1e20]),
        ("1e20,3e20", [1e20, 3e20]),
        (2e20, [2e20]),
        ([1e20, "2e20"], [1e20, 2e20]),
        (None, []),
    ],
)
def test_numbers_lists_and_ranges(text, wanted):
    assert targets.listed_numbers("compute", text) == pytest.approx(list(wanted))


def test_budgets_are_flop_hours_or_money():
    rate = Rate(peak=1e12, mfu=0.5, price=2.0)
    assert targets.budgets_of(1e20, 10, 4, rate) == pytest.approx([1e20, 1.8e16, 3.6e15])
    for flop, can in ((1e6, True), (0.99e6, False), (1e35, True), (1.01e35, False)):
        if can:
            assert targets.budgets_of(flop, None, None, None) == [flop]
        else:
            with pytest.raises(InputError, match="no training run"):
                targets.budgets_of(flop, None, None, None)
    for told in ((None, 1, None, None), (None, None, 1, None), (None, None, 1, Rate(peak=1e12, mfu=0.5, price=0.0))):
        with pytest.raises(InputError, match="GPU"):
            targets.budgets_of(*told)


def test_losses_and_what_is_held():
    assert targets.losses_of(50.0) == [50.0]
    with pytest.raises(InputError, match="above that of any untrained model"):
        targets.losses_of(50.1)
    assert targets.fixed_of({"sparsity": 0, "N": "7B"}) == {"sparsity": 0.0, "N": 7e9}
    for wrong in ({"N": 0}, {"D": 0}, {"sparsity": -1}, {"sparsity": np.inf}):
        with pytest.raises(InputError, match="above 0"):
            targets.fixed_of(wrong)
    for wrong in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(InputError):
            targets.positive("x", wrong)
