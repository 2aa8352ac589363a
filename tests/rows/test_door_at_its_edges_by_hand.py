"""Rows that are just refused and just not: counts in other units, a loss out of all proportion, rows that agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError
from scalefit.laws import find_law
from scalefit.rows.door import _refuse_mixed_units, _same_schedule, check_rows, refuse_units
from scalefit.rows.gather import gather
from scalefit.rows.points import Points
from scalefit.rows.rows import Rows

LAW = find_law("chinchilla")


def rows_of(values=None, **variables):
    count = len(next(iter(variables.values())))
    frame = pd.DataFrame({"run": [f"r{i}" for i in range(count)]})
    arrays = {name: np.asarray(column, dtype=float) for name, column in variables.items()}
    return Rows(arrays, None if values is None else np.asarray(values, dtype=float), frame, np.arange(count), False)


@pytest.mark.parametrize(
    ("N", "D", "refused"),
    [
        (1e6, 0.01, True),  # millions of parameters and billions of tokens, counted in one of both alone
        (1e6, 9999, True),
        (1e6, 0.0099, False),
        (1e6, 1e4, False),
        (0.999e6, 9999, False),
        (0.01, 1e8, True),
        (9999, 1e8, True),
        (0.0099, 1e8, False),
        (1e4, 1e8, False),
        (9999, 0.999e8, False),
        (9999, 99_999, True),
    ],
)
def test_sizes_in_millions_and_tokens_in_billions(N, D, refused):
    rows = rows_of(N=[N / 2, N], D=[D / 2, D])
    if refused:
        with pytest.raises(InputError, match=r"no numbers of parameters and tokens"):
            refuse_units(LAW, rows)
    else:
        refuse_units(LAW, rows)


@pytest.mark.parametrize(("law", "largest"), [("power:over=N", 512.0), ("power-floor:over=D", 3000.0)])
def test_laws_of_one_count_know_no_unit(law, largest):
    """Random features and the like are this few: the reading of the table asks, the fit goes on."""
    refuse_units(find_law(law), rows_of(x=[largest / 2, largest]))


def test_no_rows_have_no_unit():
    refuse_units(LAW, rows_of(N=[], D=[]))
    refuse_units(find_law("power:over=N"), rows_of(x=[]))


@pytest.mark.parametrize(("size", "refused"), [(2e9, False), (2.01e9, True), (-2.01e9, True)])
def test_a_value_a_billion_times_the_usual_one_is_a_fault(size, refused):
    """The usual size, the median, is 2."""
    values = [1.0, 2.0, 2.0, 3.0, size]
    N = np.geomspace(1e6, 1e8, 5)
    runs = sf.read_runs(pd.DataFrame({"N": N, "D": 20 * N, "loss": values}), need=())
    rows = rows_of(values, N=N, D=20 * N)
    if refused:
        with pytest.raises(InputError, match=r"loss is -?2.01e\+09; .*times the usual value or more"):
            check_rows(LAW, rows, runs, False, False)
    else:
        check_rows(LAW, rows, runs, False, False)


def test_three_of_the_rows_left_out_are_named():
    N = np.geomspace(1e6, 1e8, 8)
    values = np.where(np.arange(8) < 4, np.nan, 3 - 0.1 * np.arange(8))
    runs = sf.read_runs(pd.DataFrame({"N": N, "D": 20 * N, "loss": values}), need=())
    (note,) = check_rows(LAW, rows_of(values, N=N, D=20 * N), runs, False, True).notes
    assert note.startswith("4 rows without a finite loss left out")
    assert [f"row {i}" in note for i in range(4)] == [True, True, True, False]


def test_schedules_of_one_shape_to_a_millionth():
    flat = np.ones(6)
    assert _same_schedule(flat, flat[:3])
    assert _same_schedule(flat, flat[:3] + 0.9e-6)
    assert not _same_schedule(flat, flat[:3] + 1.1e-6)
    assert not _same_schedule(np.r_[flat[:3], 0.5, 0.5, 0.5], flat[:3])
    assert not _same_schedule(np.r_[flat[:4], 0.5], flat[:3])


def test_rows_that_agree_to_ten_digits_are_the_fitted_ones():
    points = Points(("a", "b"), None, {"N": (1e6, 2e6)}, (3.0, 2.5))
    asked = {"N": np.array([1e6, 1e6, 2e6, 2e6, 1e6 * (1 + 1e-11), 1e6 * (1 + 1e-8)])}
    values = np.array([3.0, 2.5, 2.5, np.nan, 3.0, 3.0])
    assert points.hold(asked, values).tolist() == [True, False, True, False, True, False]
    for others in ({}, {"D": np.ones(2)}):
        several = {**others, "N": np.ones((2, 2))}
        points = Points(("a", "b"), None, {**dict.fromkeys(others, (1.0, 1.0)), "N": (1e6, 2e6)}, (3.0, 2.5))
        assert points.hold(several, np.array([3.0, 9.0])).tolist() == [True, False]


def test_rows_that_differ_in_something():
    points = Points(("a", "b", "c"), None, {"N": (1e6, 1e6, 1e6)}, (3.0, 3.0, 2.5))
    assert points.different == 2


def test_the_length_of_a_run_is_its_last_step():
    """Where a table of runs is asked for steps."""
    table = pd.DataFrame({"run": list("abcd"), "steps": [10, 20, 40, 80], "loss": [4.0, 3.5, 3.2, 3.0]})
    rows = gather(find_law("power:over=step"), sf.read_runs(table, need=()))
    assert rows.variables["x"].tolist() == [10, 20, 40, 80]
    assert any("the length of each run" in note for note in rows.notes)


def test_the_first_cell_that_is_no_number_is_named():
    runs = sf.read_runs(pd.DataFrame({"N": [1e6, 2e6, 4e6], "D": [1e8, 2e8, 4e8], "loss": [3.0, 2.9, 2.8]}), need=())
    runs = replace(runs, table=runs.table.assign(D=["1e8", "many", "more"]))
    with pytest.raises(InputError, match="'many' is not a number"):
        gather(LAW, runs)


@pytest.mark.parametrize(
    ("N", "D", "refused"),
    [
        ((1e9, 1e14), (1e9, 1e12), ""),
        ((1e9, 1.01e14), (1e9, 1e12), r"N is 1.01e\+14"),
        ((0.99e12, 2e14), (1e9, 1e12), r"N is 2e\+14"),
        ((1e12, 2e14), (1e9, 1e12), ""),
        ((500, 1e6), (1e9, 1e12), ""),
        ((499, 1e6), (1e9, 1e12), "N is 499; others are up to 1e.06"),
        ((499, 0.99e6), (1e9, 1e12), ""),
        ((1e6, 1e6), (1000, 1e8), ""),
        ((1e6, 1e6), (999, 1e8), "D is 999; others are up to 1e.08"),
        ((1e6, 1e6), (999, 0.99e8), ""),
        ((1e6, 1e6), (1e9, 2e14), ""),
        ((499, 498, 1e6), (1e9, 1e9, 1e9), r"N is 499 \(and in 1 other row\)"),
    ],
)
def test_a_size_that_no_model_has_and_a_row_that_lacks_the_unit_of_the_others(N, D, refused):
    runs = sf.read_runs(pd.DataFrame({"N": N, "D": D, "loss": 3.0}), need=())
    if refused:
        with pytest.raises(InputError, match=refused):
            _refuse_mixed_units(LAW, rows_of(N=N, D=D), runs)
    else:
        _refuse_mixed_units(LAW, rows_of(N=N, D=D), runs)
