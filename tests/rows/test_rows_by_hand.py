"""What a law reads of small tables and curves, what is x, and what is refused, value by value."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from scalefit.errors import IdentificationError, InputError
from scalefit.laws import find_law
from scalefit.rows import gather as gathering
from scalefit.rows.door import check_identified, check_rows, distinct_schedules, refuse_units
from scalefit.rows.gather import gather
from scalefit.rows.points import Points
from scalefit.rows.resolve import resolve, scales_of
from scalefit.rows.rows import Rows, place_in
from scalefit.runs import Trajectory, read_runs

LAW = find_law("chinchilla")


def runs_of(**columns):
    return read_runs(pd.DataFrame(columns), need=())


def rows_of(law, values, **variables):
    """Rows of a table, one per run."""
    given = {name: np.array(value, dtype=float) for name, value in variables.items()}
    count = len(next(iter(given.values())))
    frame = pd.DataFrame({"run": [f"r{i}" for i in range(count)]}, index=range(2, count + 2))
    return Rows(given, None if values is None else np.array(values, dtype=float), frame, np.arange(count), False)


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ({"N": [1e6, 2e6], "D": [1e9, 2e9]}, ["N", "D"]),
        ({"N": [1e6, 2e6], "D": [1e9, 1e9]}, ["N", "C"]),  # C = 6 N D varies with N
        ({"x": [1.0, 2.0], "N": [1e6, 2e6]}, ["x"]),
        ({"N": [1e6, 1e6], "D": [1e9, 1e9]}, []),
        ({"C": [1e15, 2e15]}, ["C"]),
    ],
)
def test_columns_that_can_be_x(columns, wanted):
    found = scales_of(runs_of(**columns, loss=[3.0, 2.9]))
    assert [name for name in found if name in wanted] == wanted
    assert set(found) - set(wanted) <= {"C"}


def test_the_one_scale_that_varies_is_x():
    law = resolve(find_law("power"), runs_of(C=[1e15, 2e15], loss=[3.0, 2.9]))
    assert law.columns["x"] == "C"
    with pytest.raises(InputError, match="N and D vary; write --law power:over=COLUMN with one of N, D"):
        resolve(find_law("power"), runs_of(N=[1e6, 2e6], D=[1e9, 2e9], loss=[3.0, 2.9]))
    with pytest.raises(InputError, match=r"none of N, D, C, x, step, tokens varies; write .* with one of d_model"):
        resolve(find_law("power"), runs_of(width=[64, 128], loss=[3.0, 2.9]))
    with pytest.raises(InputError, match="add runs that differ in the scale"):
        resolve(find_law("power"), runs_of(width=[64, 64], loss=[3.0, 2.9]))
    given = find_law("power:over=D")
    assert resolve(given, runs_of(N=[1e6, 2e6], D=[1e9, 2e9], loss=[3.0, 2.9])) is given


def test_a_formula_in_the_names_of_the_file():
    runs = runs_of(params=[1e6, 2e6], loss=[3.0, 2.9])
    law = resolve(find_law("E + A*params**-alpha"), runs)
    assert law.expression.text == "E + A*N**-alpha"
    plain = find_law("E + A*N**-alpha")
    assert resolve(plain, runs).expression.text == plain.expression.text


# --- which rows -------------------------------------------------------------------------------------------------------


def curves(lr=(0.0, 1.0, 1.0, 0.5), **more):
    return runs_of(run="a", step=list(range(len(lr))), lr=list(lr), loss=np.linspace(4, 3, len(lr)), **more)


def test_words_for_which_rows():
    with pytest.raises(InputError, match='points "last" is not known; choose one of auto, final, all'):
        gather(LAW, runs_of(N=[1e6], D=[1e9], loss=[3.0]), points="last")
    with pytest.raises(InputError, match="only one row per run"):
        gather(LAW, runs_of(N=[1e6], D=[1e9], loss=[3.0]), points="all")
    with pytest.raises(InputError, match="needs loss curves with a step"):
        gather(find_law("annealing"), runs_of(N=[1e6], D=[1e9], loss=[3.0]))


def test_rows_for_predictions_need_no_loss():
    runs = runs_of(N=[1e6, 2e6], D=[1e9, 2e9])
    assert gather(LAW, runs, measured=False).values is None
    with pytest.raises(InputError, match='no column "loss"'):
        gather(LAW, runs)
    told = gather(LAW, runs_of(N=[1e6], D=[1e9], loss=[3.0]), measured=False)
    assert told.values.tolist() == [3.0]


def test_columns_of_the_run_and_of_the_row():
    runs = curves(N=[1e6] * 4, D=[1e9] * 4)
    every = gather(LAW, runs, points="all")
    assert every.variables["N"].tolist() == [1e6] * 4
    assert every.frame.columns.tolist() == ["run", "step"]
    assert every.notes[-1].startswith("all 4 logged rows of 1 run")
    assert every.place(runs, 2) == place_in(runs, True, 2)
    far = curves(tokens=[1e8, 2e8, 3e8, 4e8], N=[1e6] * 4)
    assert gather(LAW, far, points="all").variables["D"].tolist() == [1e8, 2e8, 3e8, 4e8]
    assert gather(LAW, far).variables["D"].tolist() == [4e8]


def test_the_rows_of_the_warmup_are_left_out_and_counted():
    rows = gather(find_law("annealing"), curves())
    assert rows.positions.tolist() == [2, 3]
    (note,) = rows.notes
    assert note.startswith("2 rows during warmup ")


@pytest.mark.parametrize(("most", "streamed"), [(4, False), (3, True)])
def test_more_rows_than_the_most_are_streamed(monkeypatch, most, streamed):
    monkeypatch.setattr(gathering, "STREAM_ROWS", most)
    assert (gather(find_law("annealing"), curves()).stream is not None) == streamed
    assert gather(find_law("annealing"), curves(), measured=False).stream is None


@pytest.mark.parametrize(("sample", "kept"), [(10, list(range(2, 12))), (5, [2, 4, 6, 8, 10]), (3, [3, 6, 9])])
def test_the_sample_of_a_stream_is_even(monkeypatch, sample, kept):
    monkeypatch.setattr(gathering, "STREAM_ROWS", 3)
    monkeypatch.setattr(gathering, "SAMPLE_ROWS", sample)
    rows = gather(find_law("annealing"), curves(lr=[0.0] + [1.0] * 11))
    assert rows.positions.tolist() == kept
    assert rows.stream.rows == 10
    assert rows.notes[1].startswith("10 rows are streamed; checks and outliers are those of one row in")
    blocks = list(rows.stream.blocks())
    np.testing.assert_allclose(np.concatenate([values for _, values in blocks]), np.linspace(4, 3, 12)[2:])


def test_second_axes_of_several_runs_are_filled_up():
    one, two = np.ones((2, 1)), 2 * np.ones((1, 3))
    np.testing.assert_array_equal(gathering._stacked([one, two], 7.0), [[1, 7, 7], [1, 7, 7], [2, 2, 2]])
    assert gathering._stacked([np.empty((2, 0))], 7.0).tolist() == [[7.0], [7.0]]
    assert gathering._stacked([np.ones(2), np.zeros(1)], 7.0).tolist() == [1, 1, 0]


def test_points_as_a_table():
    points = Points(("a", "b"), (3, 4), {"N": (1.0, 2.0)}, (5.0, 6.0))
    assert points.frame("loss").to_dict("list") == {
        "run": ["a", "b"],
        "step": [3, 4],
        "N": [1.0, 2.0],
        "loss": [5.0, 6.0],
    }
    assert "step" not in Points(("a",), None, {}, (5.0,)).frame("loss")


# --- the door ---------------------------------------------------------------------------------------------------------

RUNS = runs_of(N=[1e6, 2e6, 4e6], D=[1e9, 2e9, 4e9], loss=[3.0, 2.9, 2.8])


@pytest.mark.parametrize(
    ("values", "N", "log", "said"),
    [
        ([3.0, np.nan, np.inf], [1e6, 2e6, 4e6], False, r"loss is nan \(and in 1 other row\)"),
        ([3.0, np.inf, 2.8], [1e6, 2e6, 4e6], False, "column loss: loss is inf;"),
        ([3.0, 0.0, -1.0], [1e6, 2e6, 4e6], True, r"loss is 0 \(and in 1 other row\)"),
        ([3.0, 2.9, 2.8], [1e6, 0.0, 4e6], False, 'N is 0; .* must be positive: leave such rows out .--where "N > 0"'),
        ([3.0, 2.9, 2.8], [1e6, np.nan, 4e6], False, "N is nan"),
    ],
)
def test_values_that_cannot_enter(values, N, log, said):
    rows = rows_of(LAW, values, N=N, D=[1e9, 2e9, 4e9])
    with pytest.raises(InputError, match=said):
        check_rows(LAW, rows, RUNS, log, False)


def test_diverged_rows_are_left_out_when_asked_for():
    rows = rows_of(LAW, [3.0, np.nan, -2.8], N=[1e6, 2e6, 4e6], D=[1e9, 2e9, 4e9])
    kept = check_rows(LAW, rows, RUNS, False, True)
    assert kept.values.tolist() == [3.0, -2.8]
    assert re.match(r"1 rows? without a finite loss .*left out \(DataFrame, row ", kept.notes[0])
    assert check_rows(LAW, kept, RUNS, False, True) is kept
    with pytest.raises(InputError, match="there is no row to fit"):
        check_rows(LAW, rows.keep(np.zeros(3, dtype=bool)), RUNS, False, False)


@pytest.mark.parametrize(("N", "D", "refused"), [(9999, 99999, True), (10000, 99999, False), (9999, 100000, False)])
def test_counts_in_other_units(N, D, refused):
    rows = rows_of(LAW, None, N=[1.0, N], D=[2.0, D])
    if refused:
        with pytest.raises(InputError, match="N is at most 9999 and D at most 99999"):
            refuse_units(LAW, rows)
    else:
        refuse_units(LAW, rows)


@pytest.mark.parametrize(
    ("values", "N", "free", "said"),
    [
        ([3, 2.9, 2.8], [1, 2, 4], 3, "3 rows for 3 free parameters"),
        ([3, 2.9, 2.8], [2, 2, 2 * (1 + 0.9e-9)], 2, "all 3 rows have N = 2: its terms cannot be separated"),
        ([3, 3, 3 * (1 + 0.9e-9)], [1, 2, 4], 2, "all 3 rows have the same loss, 3"),
        ([3, 2.9, 2.8], [2, 2, 2 * (1 + 1.1e-9)], 2, ""),
        ([3, 3, 3 * (1 + 1.1e-9)], [1, 2, 4], 2, ""),
    ],
)
def test_rows_that_identify_nothing(values, N, free, said):
    rows = rows_of(LAW, values, N=N, D=[1.0, 4.0, 2.0])
    if said:
        with pytest.raises(InputError, match=said):
            check_identified(LAW, rows, free)
    else:
        check_identified(LAW, rows, free)


def path(*lr):
    return Trajectory("a", np.arange(len(lr)), np.array(lr, dtype=float), 0, "")


@pytest.mark.parametrize(
    ("paths", "count"),
    [
        ([(1, 1, 0.5), (1, 1, 0.5)], 1),
        ([(1, 1), (1, 1, 1)], 1),  # constant beyond the end of the other
        ([(1, 1), (1, 1, 0.5)], 2),
        ([(1, 1, 0.5), (1, 0.5, 0.5)], 2),
        ([(1, 1), (1, 1 + 0.9e-6)], 1),
        ([(1, 1), (1, 1 + 1.1e-6)], 2),
        ([], 0),
    ],
)
def test_how_many_schedules(paths, count):
    assert distinct_schedules([path(*lr) for lr in paths]) == count


def test_a_law_of_schedules_needs_two():
    law = find_law("annealing")
    rows = gather(law, curves(lr=[1, 1, 1, 0.9, 0.8, 0.7, 0.6]))
    with pytest.raises(IdentificationError, match="1 run under one single schedule; the law needs 2"):
        check_identified(law, rows, 3)


@pytest.mark.parametrize(
    ("status", "kept"),
    [(["finished"] * 3, [0, 1, 2]), (["finished", "running", "diverged"], [0]), (["running"] * 3, [])],
)
def test_final_losses_are_those_of_runs_that_ended(status, kept):
    table = {"N": [1e6, 2e6, 4e6], "D": [1e9, 2e9, 3e9], "loss": [3.0, 2.5, 2.25], "status": status}
    runs = runs_of(**table)
    if not kept:
        with pytest.raises(InputError, match=r"3 of 3 runs are running: left out, .*; wait for runs that end"):
            gather(LAW, runs)
        return
    rows = gather(LAW, runs)
    assert rows.positions.tolist() == kept
    assert rows.values.tolist() == [table["loss"][i] for i in kept]
    said = [note for note in rows.notes if "left out" in note]
    assert len(said) == len(set(status)) - 1
