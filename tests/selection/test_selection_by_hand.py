"""What is tried, held out, weighed and told where no law is named: few numbers, at each condition's two sides."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from scalefit.errors import InputError
from scalefit.fitting.prepare import Options
from scalefit.laws import find_law
from scalefit.rows.gather import gather
from scalefit.rows.resolve import resolve
from scalefit.rows.rows import Rows
from scalefit.runs import read_runs
from scalefit.selection import automatic, candidates, judging, skipping
from scalefit.selection.candidates import Candidates
from scalefit.selection.holding import NEXT, Axis, Fold, axes_for, beyond_scales, column_of, left_out_runs
from scalefit.selection.runaway import turns
from scalefit.selection.trials import EACH, Attempt, Ready, Trial
from scalefit.selection.unread_columns import untold
from scalefit.uncertainty import forms

CHINCHILLA = find_law("chinchilla")
LINE = "y = a + b*x"
LINEAR = Options(target=None, residuals="linear", loss="squared")


def trial(errors=(), misfit=0.01, free=3, rows=40, runs=40, law=CHINCHILLA):
    return Trial(law, free, rows, runs, misfit, 1.0, dict(errors))


# --- judging ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "values", "power", "found"),
    [
        ((0.5, 0.069), [5, 3, 2, 1], 1, False),  # .5 + 64 * .069 = 4.9: below the worst run
        ((0.5, 0.071), [5, 3, 2, 1], 1, True),
        ((0.5, -0.5), [5, 3, 2, 1], 1, False),
        ((5.0, -0.061), [1, 2, 3, 5], 1, False),  # values that rise: 5 - 64 * .061 = 1.1
        ((5.0, -0.063), [1, 2, 3, 5], 1, True),
        ((4.9, 0.64), [1, 2, 3, 5], -1, False),  # falls with a scale that grows as x shrinks: 4.98 at x = 1 / 8
        ((4.9, 0.88), [1, 2, 3, 5], -1, True),
    ],
)
def test_a_law_that_is_worse_than_every_run_as_far_again_beyond_them_turns(line, values, power, found):
    """Runs from 1 to 8: 64 lies as far beyond 8 as 1 does below it, and 1/8 beyond 1 downwards."""
    one = ready([1, 2, 4, 8], values).prepared
    scale = power * np.log([1.0, 2, 4, 8])
    place = np.array([line[[*"ab"].index(each.name)] for each in one.model.coordinates])
    assert turns(one.model, place, one.values, scale, {"x": float(power)}) == found
    assert not turns(one.model, place, one.values, scale, {"N": 1.0})  # a law of something else
    assert not turns(one.model, place, one.values, 0 * scale, {"x": 1.0})


@pytest.mark.parametrize(("errors", "members"), [((0.01, 0.103), 2), ((0.01, 0.104), 1)])
def test_a_mixture_holds_the_laws_of_three_hundredths_of_the_best_weight(errors, members):
    """Weights go as score^-3, of one fold half of the logarithm: 10.36^-1.5 is .03."""
    found, _ = judging.weigh({name: trial({"x": error}) for name, error in zip("ab", errors, strict=True)})
    assert len(found) == members


def test_errors_below_a_millionth_are_rounding():
    found = judging.scores({"a": trial({"x": 1e-9}), "b": trial({"x": 1e-6}), "c": trial({"x": 4e-6})})
    assert found["a"] == pytest.approx(found["b"])
    assert found["c"] == pytest.approx(2 * found["a"])


def test_criteria_by_the_formula():
    one = trial(misfit=0.1, free=4, rows=25, runs=2)
    assert one.independent == 20
    assert one.criterion == pytest.approx(20 * np.log(0.01) + 4 * np.log(20))
    assert trial(misfit=0.0, rows=10, runs=10).criterion == pytest.approx(10 * np.log(1e-24) + 3 * np.log(10))


# --- trials -----------------------------------------------------------------------------------------------------------


def ready(x, y, weights=None):
    table = pd.DataFrame({"x": np.asarray(x, float), "y": np.asarray(y, float)})
    return Ready.of(read_runs(table, need=()), find_law(LINE), LINEAR)


@pytest.mark.parametrize(("count", "kept"), [(600, 600), (601, 301), (1201, 401)])
def test_a_trial_reads_at_most_six_hundred_rows_evenly(count, kept):
    x = np.arange(count) + 1.0
    found = ready(x, 2 * x).prepared
    assert len(found.rows) == len(found.values) == found.model.n == kept
    assert found.rows.positions[:2].tolist() == [0, -(-count // 600)]


@pytest.mark.parametrize(("kept", "known"), [(4, True), (3, False)])
def test_a_refit_needs_two_rows_more_than_constants(kept, known):
    x = np.arange(1, 9.0)
    table = pd.DataFrame({"x": x, "y": 3 + 2 * x, "run": [f"r{i}" for i in range(8)]})
    runs = read_runs(table, need=())
    fold = Fold("far", names=frozenset(f"r{i}" for i in range(kept, 8)))
    found = Attempt.of(runs, [find_law(LINE)], LINEAR).judged([fold, Fold("none", names=frozenset())])
    assert found.walked.keys() == ({"far"} if known else set())
    assert (found.free, found.rows, found.runs, found.agree) == (2, 8, 8, 1.0)
    assert found.misfit == pytest.approx(0, abs=1e-9)


def test_errors_are_in_units_of_the_usual_value_and_at_most_one():
    """A line through the first four of six points; the last two lie 3 and 50 above it."""
    x = np.arange(1, 7.0)
    one = ready(x, 2 * x + np.array([0, 0, 0, 0, 3, 50]))
    held = x > 4
    solution = one.solved_on([~held])[0]
    usual = np.median([2, 4, 6, 8, 13, 62])
    assert one.misses(held, one.prepared, solution) == pytest.approx([-3 / usual, -1.0])
    flipped = ready(x, -2 * x + np.array([0, 0, 0, 0, 3, 50]))
    assert flipped.misses(held, flipped.prepared, flipped.solved_on([~held])[0])[1] == -1.0


def test_the_rows_of_a_fit_are_judged_as_if_the_others_had_predicted_each():
    """Ten rows at either end of a line have equal shares of their own predictions: refits without each agree."""
    x = np.repeat([1.0, 2.0], 10)
    y = 5 + 2 * x + 0.1 * np.random.default_rng(3).standard_normal(20)
    one = ready(x, y)
    without = [abs(np.polyval(np.polyfit(np.delete(x, i), np.delete(y, i), 1), x[i]) - y[i]) for i in range(20)]
    assert one.spent(one.solved()) == pytest.approx(np.mean(without) / np.median(y))


def test_a_robust_fit_through_as_many_rows_as_it_has_constants_is_not_taken_to_be_exact():
    """Of ten rows a curve of four constants passes through four, and the others have lost their say: weights near 0."""
    x = np.arange(1, 11.0)
    table = pd.DataFrame({"x": x, "y": 20 + 0.5 * np.random.default_rng(8).standard_normal(10)})
    curve = find_law("y = a + b*x + c*x**2 + d*x**3")
    one = Ready.of(read_runs(table, need=()), curve, Options(residuals="linear", delta=1e-6))
    solution = one.solved()
    assert np.sum(np.abs(solution.residuals) < 1e-4) == 4
    assert one.spent(solution) == pytest.approx(np.mean(np.abs(solution.residuals)) / 0.6 / table["y"].median())


def test_of_several_forms_the_one_with_the_least_misfit_is_taken_on_the_whole_and_in_each_fold():
    x = np.arange(1, 11.0)
    table = pd.DataFrame({"x": x, "y": x**2, "run": [f"r{i}" for i in range(10)]})
    runs = read_runs(table, need=())
    fold = Fold("far", names=frozenset(["r8", "r9"]))
    forms = [find_law(LINE), find_law("y = a + b*x**2"), find_law("y = a + b*x**3")]
    found = Attempt.of(runs, forms, LINEAR).judged([fold])
    assert found.law == forms[1]
    assert found.errors["far"] == pytest.approx(0, abs=1e-9)


def test_a_fold_whose_rows_leave_open_what_is_held_out_judges_no_law():
    """E + B D^-beta is open where two values of D are left, though eleven rows are; a third value decides it."""
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e8, 1.8e8, 7), 1e9 * 2.0 ** np.arange(5)))
    runs = read_runs(pd.DataFrame({"N": N, "D": D, "loss": 1.69 + 406.4 * N**-0.34 + 410.7 * D**-0.28}), need=())
    folds = [Fold(str(count), Axis("D", {"D": 1.0}), np.log(1.5e9 * 2.0 ** (count - 1))) for count in (2, 3)]
    assert Attempt.of(runs, [CHINCHILLA], Options()).judged(folds).walked.keys() == {"3"}


# --- which laws -------------------------------------------------------------------------------------------------------


def tried(monkeypatch, laws, criteria):
    """Trials of made-up laws: the criterion of each, alone and with folds, or why it is refused."""
    asked = []

    def attempted(runs, forms, options):
        value = criteria[forms[0].spec]

        def judged(folds):
            asked.append((forms[0].spec, len(folds)))
            return SimpleNamespace(law=forms[0], criterion=value, free=9)

        if isinstance(value, str):
            raise InputError(value)
        return SimpleNamespace(judged=judged)

    monkeypatch.setattr(automatic.Attempt, "of", attempted)
    monkeypatch.setattr(automatic, "folds_for", lambda *told: ["one fold"])
    forms = tuple(
        (SimpleNamespace(spec=name, parameters=range(count), held=range(held)),) for name, count, held in laws
    )
    found, refused = automatic.compared(None, Candidates(forms), {"draws": 9, "loss": "squared"}, {})
    return list(found), refused, asked


def test_a_law_of_more_than_six_free_constants_must_first_fit_better_than_the_others(monkeypatch):
    laws = [("six", 6, 0), ("seven", 7, 0), ("held", 8, 2), ("better", 7, 0)]
    found, refused, asked = tried(monkeypatch, laws, {"six": -5.0, "seven": -5.0, "held": 3.0, "better": -5.1})
    assert found == ["six", "held", "better"]
    assert refused.keys() == {"seven"}
    assert asked == [("six", 1), ("held", 1), ("seven", 0), ("better", 0), ("better", 1)]


def test_a_large_law_alone_is_tried_at_once_and_one_that_cannot_be_fitted_is_refused(monkeypatch):
    found, refused, asked = tried(monkeypatch, [("lost", 3, 0), ("large", 9, 0)], {"lost": "no image", "large": 1.0})
    assert (found, asked) == (["large"], [("large", 1)])
    assert "no image" in refused["lost"]


def test_records_come_in_the_order_of_scores_then_of_criteria():
    told = {
        "b": trial({"x": 0.04, "y": 0.02}),
        "a": trial({"x": 0.01, "y": 0.02}),
        "d": trial(misfit=0.5),
        "c": trial(misfit=0.2, free=2, rows=39),
    }
    found = automatic.records(told)
    assert [one["law"] for one in found] == ["a", "b", "c", "d"]
    assert (found[0]["error"], found[0]["folds"]) == (pytest.approx(0.015), 2)
    assert (found[2]["misfit"], found[2]["parameters"], found[2]["rows"], found[2]["folds"]) == (0.2, 2, 39, 0)
    assert np.isnan(found[2]["score"]) and np.isnan(found[2]["error"])


def test_why_a_law_was_chosen_in_words():
    two = {"a": trial({"x": 0.01, "y": 0.03}), "b": trial({"x": 0.02})}
    assert automatic.reason(two, {"a": 1.0}, True) == (
        "a of 2 laws, with a mean error of 2 % on rows held out in 2 ways"
    )
    assert automatic.reason(two, {"a": 1.0}, False).startswith("a, by its misfit with a penalty for parameters: unt")
    own = {"a": trial({EACH: 0.01}), "b": trial({"x": 0.02})}
    assert "it could be refitted to no part of these runs" in automatic.reason(own, {"a": 1.0}, True)
    alone = {"a": trial()}
    assert automatic.reason(alone, {"a": 1.0}, False).startswith("a, the only law that these runs identify: untested")


N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e6, 1e9, 4), np.geomspace(1e8, 1e11, 4)))
TABLE = pd.DataFrame({"N": N, "D": D, "loss": 1.7 + 400 * N**-0.34 + 410 * D**-0.28})


def curves(**lengths):
    logs = [pd.DataFrame({"run": run, "step": np.arange(10, last + 1, 10)}) for run, last in lengths.items()]
    table = pd.concat(logs)
    return read_runs(table.assign(lr=1e-3, loss=2 + 3 * table["step"] ** -0.5), warmup=0)


def rows_of(runs, law):
    return gather(resolve(find_law(law), runs), runs)


def test_what_is_held_out_follows_from_the_first_law_whose_rows_can_be_read():
    laws = [find_law("power:over=vocab"), CHINCHILLA]
    found = automatic.folds_for(read_runs(TABLE), laws, Options(), {})
    assert [fold.axis.name for fold in found] == ["training"] * len(found)
    assert automatic.folds_for(read_runs(TABLE), laws[:1], Options(), {}) == []
    along = automatic.folds_for(curves(a=100, b=100, c=100), [find_law("annealing")], Options(), {})
    assert [fold.label for fold in along] == ["without a", "without b", "without c"]


def test_constants_without_a_law_are_refused_by_name():
    for name in ("fix", "tie", "bounds", "parameters", "start"):
        with pytest.raises(InputError, match=f"{name} without a law"):
            automatic.fit(TABLE, **{name: {"E": 1.0}})


def test_steps_can_be_skipped_where_there_are_some():
    runs = curves(a=100)
    left = automatic.without_first_steps(runs, "annealing", 40, None, {})
    assert left.curves["step"].min() == 50
    with pytest.raises(InputError, match="no steps to skip"):
        automatic.without_first_steps(read_runs(TABLE), "chinchilla", 5, None, {})


def test_a_law_of_another_loss_is_taken_where_there_is_no_other():
    nats, other = (
        SimpleNamespace(target="loss", target_unit="nats/token"),
        SimpleNamespace(target="loss", target_unit=""),
    )
    score = SimpleNamespace(target="score", target_unit="1")
    assert candidates._of_this_unit([nats, other, score]) == [nats, score]
    assert candidates._of_this_unit([other]) == [other]


def test_reasons_name_the_laws_that_they_hold_for():
    found = candidates.told({"a": "the rows of a: no lr", "b": "the rows of b: no lr", "c": "another"})
    assert found == ["a, b: the rows: no lr", "c: another"]


def test_a_candidate_is_named_by_its_first_form():
    first, second = find_law("annealing"), find_law("annealing:decay=0.98")
    assert Candidates(((first, second), (CHINCHILLA,))).specs == ["annealing", "chinchilla"]


def test_candidates_come_with_few_constants_first():
    found = candidates.candidates_for(read_runs(TABLE))
    counts = [len(forms[0].parameters) for forms in found.laws]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


# --- what is held out -------------------------------------------------------------------------------------------------


def test_rows_beyond_the_four_quantiles_of_a_scale():
    """Of 21 sizes evenly spaced: 40, 55, 70 and 85 % leave 9, 12, 15 and 18; and the largest is held out alone."""
    x = np.geomspace(1e6, 1e9, 21)
    runs = read_runs(pd.DataFrame({"N": x, "loss": 3 * x**-0.1}))
    rows = rows_of(runs, "power:over=N")
    found = beyond_scales(axes_for([find_law("power:over=N")], rows, runs, {}), rows, runs)
    assert [fold.label for fold in found] == [*(f"smallest {n} rows by training" for n in (9, 12, 15, 18)), NEXT]
    assert [int(fold.held(rows, runs).sum()) for fold in found] == [12, 9, 6, 3, 1]
    assert all(fold.held(rows, runs)[-1] and not fold.held(rows, runs)[0] for fold in found)


def test_a_scale_is_the_product_of_columns_to_their_powers():
    runs = read_runs(TABLE)
    rows = rows_of(runs, "chinchilla")
    assert Axis("", {"N": 1.0, "D": 1.0}).of(rows, runs) == pytest.approx(np.log(N * D))
    assert Axis("", {"N": 2.0, "D": -1.0}).of(rows, runs) == pytest.approx(np.log(N**2 / D))
    assert np.isnan(Axis("", {"vocab": 1.0}).of(rows, runs)).all()


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ({}, ["training"]),
        ({"N": 1e9, "D": 1e8}, ["training"]),
        ({"N": 1.001e9}, ["training", "N"]),
        ({"D": 0.999e8}, ["training", "lower D"]),
        ({"vocab": 5.0}, ["training"]),
    ],
)
def test_only_what_the_target_takes_beyond_the_runs_is_walked_along(target, names):
    runs = read_runs(TABLE)
    found = axes_for([CHINCHILLA], rows_of(runs, "chinchilla"), runs, target)
    assert [axis.name for axis in found] == names
    assert dict(found[0].powers) == {"N": 1.0, "D": 1.0}
    assert {axis.name: set(axis.powers.values()) for axis in found[1:]} == {
        name: {-1.0 if name.startswith("lower") else 1.0} for name in names[1:]
    }


def test_training_is_what_varies_of_size_data_and_compute():
    x = np.geomspace(1e18, 1e20, 8)
    for columns, powers in (
        ({"C": x}, {"C": 1.0}),
        ({"C": x, "N": np.full(8, 1e8), "D": x}, {"D": 1.0}),
        ({"C": x, "N": x}, {"N": 1.0}),
    ):
        runs = read_runs(pd.DataFrame({**columns, "loss": 3 * x**-0.01}))
        law = "power:over=C"
        found = axes_for([find_law(law)], rows_of(runs, law), runs, {})
        assert [dict(axis.powers) for axis in found] == [powers]
    alone = axes_for([find_law(law)], rows_of(runs, law), runs, {"N": 1e25})
    assert [axis.name for axis in alone] == ["training"]  # it goes along N already


def test_columns_of_runs_reach_the_rows_of_their_curves():
    table = pd.concat([pd.DataFrame({"run": run, "step": [10, 20], "loss": 3.0, "lr": 1e-3}) for run in "ab"])
    runs = read_runs(table.assign(N=np.repeat([1e6, 2e6], 2), tokens=np.tile([1e3, 2e3], 2)), warmup=0)
    rows = Rows({}, None, runs.curves[["run", "step"]].iloc[[3, 0]], np.array([3, 0]), True)
    assert column_of(rows, runs, "N").tolist() == [2e6, 1e6]
    assert column_of(rows, runs, "D").tolist() == [2e3, 1e3]
    assert column_of(rows, runs, "step").tolist() == [20, 10]
    assert np.isnan(column_of(rows, runs, "vocab")).all()


def rows_until(**lengths):
    frame = pd.DataFrame([{"run": run, "step": step} for run, last in lengths.items() for step in (10, last)])
    return Rows({}, None, frame, np.arange(len(frame)), True)


def test_two_curves_are_not_held_out_and_lengths_between_the_ends_are():
    assert [fold.label for fold in left_out_runs(rows_until(a=100, b=200, c=300, d=300))] == [
        *(f"without {run}" for run in "abcd"),
        "without runs of more than 200 steps",
    ]
    assert len(left_out_runs(rows_until(a=100, b=100, c=100))) == 3
    assert left_out_runs(rows_until(a=100, b=200)) == []


# --- first steps ------------------------------------------------------------------------------------------------------


def skipped(monkeypatch, squares, early=1.0, lasting=1):
    """First steps where the later rows miss by these amounts, one for each number of steps that is tried.

    The signs of ``lasting`` neighbours are alike; the earliest rows lie off by ``early``.
    """
    cuts, left = [], list(squares)

    class Made:
        rows = SimpleNamespace(frame=pd.DataFrame({"step": np.arange(3, 301, 3)}), run_codes=np.zeros(100, dtype=int))
        prepared = SimpleNamespace(rows=rows)

        def unit(self, solution):
            return 1.0

        def solved_on(self, masks):
            cuts.extend(int((~kept).sum()) for kept in masks)
            return [i if i < len(squares) else None for i in range(len(masks))]

        def misses(self, late, fitted, solution):
            if late.all():
                return np.where(np.arange(100) < 20, early, 0.0)
            assert int(late.sum()) == 67  # those beyond a third of the longest run: step 102 is the first
            return np.sqrt(left[solution]) * (-1.0) ** (np.arange(67) // lasting)

    monkeypatch.setattr(skipping, "Ready", SimpleNamespace(of=lambda *told: Made()))
    return skipping.first_steps_of(None, None, {"draws": 3}), cuts


def test_the_fewest_steps_are_skipped_that_bring_nearly_all_of_the_gain(monkeypatch):
    """67 rows: 67 ln(ratio) stays below ten up to a ratio of 1.161."""
    found, cuts = skipped(monkeypatch, [2.0, 1.165, 1.158, 1.0])
    tried = [0, *sorted({int(cut) for cut in np.geomspace(3, 100, 12)})]
    assert cuts == [cut // 3 for cut in tried]
    assert found == tried[2]
    assert skipped(monkeypatch, [1.158, 1.0])[0] == 0
    assert skipped(monkeypatch, [])[0] == 0


def test_first_steps_that_follow_the_law_of_the_others_are_kept(monkeypatch):
    assert skipped(monkeypatch, [2.0, 1.0], early=0.001)[0] == 0


def test_later_rows_whose_errors_last_count_less(monkeypatch):
    """Ten alike at a time: fewer than 67 / 10 pieces, so that a ratio of 2 is a gain of less than 4.7."""
    assert skipped(monkeypatch, [2.0, 1.0], lasting=10)[0] == 0
    assert skipped(monkeypatch, [200.0, 1.0], lasting=10)[0] > 0


# --- columns that no law reads ----------------------------------------------------------------------------------------


def test_a_column_that_varies_is_told_with_up_to_four_of_its_values():
    data = TABLE.assign(corpus=[f"c{i % 5}" for i in range(16)], same="x")
    assert untold(read_runs(data), [CHINCHILLA]) == [
        "corpus varies (c0, c1, c2, c3) and the law chinchilla does not read it: "
        'fit one value at a time (--where "corpus == ...")'
    ]
    (line,) = untold(read_runs(data), [CHINCHILLA, find_law("kaplan")])
    assert "none of the laws compared reads it" in line


def test_a_column_that_follows_from_what_is_read_is_not_told():
    assert untold(read_runs(TABLE.assign(corpus=np.where(N > 1e8, "a", "b"))), [CHINCHILLA]) == []


@pytest.mark.parametrize(("norm", "told"), [(["pre", "post", "peri"], 1), (["pre"] * 3, 0)])
def test_a_setting_that_moves_the_size_a_little_does_not_follow_from_it(norm, told):
    """Models of three norms have slightly different numbers of parameters: each of them a size of its own."""
    size = (np.array([1e7, 3e7, 1e8, 3e8])[:, None] * [1.0, 1.001, 1.002]).ravel()
    data = pd.DataFrame({"N": np.tile(size, 2), "D": np.repeat([1e9, 3e9], 12), "norm": np.tile(norm, 8)})
    data = data.assign(batch=np.where(data["N"] > 5e7, 64, 32), loss=2 + data["N"] ** -0.1)
    lines = untold(read_runs(data), [CHINCHILLA])
    assert [line.split()[0] for line in lines] == ["norm"] * told


@pytest.mark.parametrize("column", ["tokens per parameter", "times_chinchilla", "ratio_x"])
def test_a_ratio_of_columns_that_are_read_is_none_that_is_unread(column):
    """The data was derived from that very column, and the advice was to fit one of its values at a time."""
    ratio = np.tile([5.0, 20.0, 80.0], 5)
    size = np.repeat([1e7, 3e7, 1e8, 3e8, 1e9], 3)
    data = pd.DataFrame({"N": size, "D": ratio * size, column: ratio / 20, "loss": 2 + size**-0.1})
    assert untold(read_runs(data), [CHINCHILLA]) == []
    (line,) = untold(read_runs(data.assign(other=np.tile([1.0, 2.0, 2.0], 5))), [CHINCHILLA])
    assert line.startswith("other varies")


def test_a_recipe_that_varies_by_itself_is_told_and_one_tuned_to_the_size_is_not():
    """Each size and amount of data was run once, so no sweep is seen; with two values no levels can cluster either."""
    moved = np.random.default_rng(3).permutation(np.tile([0.01, 0.1], 8))
    tuned = 3e-3 * (TABLE["N"] / 1e8) ** -0.3 * np.tile([1.0, 1.4, 0.7, 1.2], 4)
    for name in ("weight_decay", "warmup", "lr"):
        (line,) = untold(read_runs(TABLE.assign(**{name: moved})), [CHINCHILLA])
        assert line.startswith(("peak_lr" if name == "lr" else name) + " varies (0.01, 0.1)")
        assert untold(read_runs(TABLE.assign(**{name: tuned})), [CHINCHILLA]) == []
        assert untold(read_runs(TABLE.assign(**{name: 0.1})), [CHINCHILLA]) == []


@pytest.mark.parametrize(("one_size", "law"), [(False, "mixture-scale:over=web+code"), (True, "mixture:over=web")])
def test_shares_that_add_up_to_one_are_told_with_the_law_of_mixtures_that_reads_them(one_size, law):
    web = np.array([0.1, 0.3, 0.6, 0.9])[(np.arange(16) + np.arange(16) // 4) % 4]
    data = TABLE.assign(web=web, code=np.round(1 - web, 3))
    data = data.assign(N=1e8) if one_size else data
    lines = [line for line in untold(read_runs(data), [CHINCHILLA]) if line.startswith(("web", "code"))]
    assert len(lines) == 2 and all(line.endswith(f": fit the law {law}") for line in lines)
    for code in (web, np.where(np.arange(16) == 5, 0.0, 1 - web)):  # in no row, and in all rows but one
        (line,) = [line for line in untold(read_runs(data.assign(code=code)), [CHINCHILLA]) if line.startswith("web")]
        assert "fit one value at a time" in line


@pytest.mark.parametrize(("count", "whole"), [(6, 6.0), (12, 12.0), (48, 12.0)])
def test_rows_count_as_twelve_at_most_in_units_of_their_scatter(count, whole):
    """Residuals of 1 in turn up and down, two constants: the scatter is the root of n / (n - 2)."""
    residuals, ones = np.where(np.arange(count) % 2, 1.0, -1.0), np.ones(count)
    found = forms._counted(ones, 3 * ones, residuals, 2)
    assert np.sum(found**2) == pytest.approx(whole * (count - 2) / count)
    assert forms._counted(ones, ones, 0 * residuals, 2) is None


def test_the_constants_that_other_forms_draw():
    """The exponents, and the irreducible loss where logarithms of what is above it exist."""
    ready = Ready.of(read_runs(TABLE, need=()), CHINCHILLA, Options())
    names = [coordinate.name for coordinate in ready.prepared.model.coordinates]
    for least, floor in ((0.001, names.index("E")), (0.0, None), (-1.0, None)):
        exponents, found = forms._drawn_constants(ready.prepared.model, np.array([least, 3.0]))
        assert {names[j] for j in exponents} == {"alpha", "beta"}
        assert found == floor


def test_the_law_that_is_advised_for_a_column_is_one_that_these_runs_identify():
    """Where N and D move together the law of experts in both cannot be fitted: that of N can, or it is said."""
    size = np.repeat(np.geomspace(3e7, 1e9, 4), 4)
    data = pd.DataFrame({"N": size, "D": 20 * size, "experts": np.tile([1, 4, 16, 64], 4), "loss": 2 + size**-0.1})
    (line,) = untold(read_runs(data), [CHINCHILLA])
    assert line.endswith(": fit the law routed")
    (line,) = untold(
        read_runs(data.rename(columns={"experts": "w_bits"}).assign(w_bits=data["experts"] // 4 + 2)), [CHINCHILLA]
    )
    assert line.endswith("write --law precision:parts=together --map precision=w_bits")


def test_runs_along_one_path_of_size_and_data_are_no_mixed_runs_to_a_law_of_size():
    """20 tokens a parameter at every size: the law of size and experts reads both; data of two kinds are mixed."""
    size, experts = np.repeat(np.geomspace(3e7, 1e9, 4), 4), np.tile([1, 4, 16, 64], 4)
    data = pd.DataFrame({"N": size, "D": 20 * size, "experts": experts, "loss": 2 + size**-0.1 * experts**-0.03})
    names = [forms[0].name for forms in candidates.candidates_for(read_runs(data)).laws]
    assert "routed" in names
    mixed = data.assign(D=data["D"] * np.tile([1, 2], 8))
    assert "routed" not in [forms[0].name for forms in candidates.candidates_for(read_runs(mixed)).laws]
