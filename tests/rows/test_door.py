"""What a fit accepts: rows that cannot be used, rows that cannot identify a law, the law completed by the data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import IdentificationError, InputError
from scalefit.laws import find_law
from scalefit.rows.door import check_identified, check_rows, distinct_schedules
from scalefit.rows.gather import gather
from scalefit.rows.resolve import resolve, scales_of
from scalefit.rows.scale import reads_scale, scale_of
from scalefit.runs import read_runs
from scalefit.runs.trajectory import Trajectory

N, D = np.repeat([1e6, 2e6, 4e6], 3), np.tile([1e8, 3e8, 5e8], 3)


def table(**changes):
    """Nine runs in a grid; changes: column=(row, value)."""
    frame = pd.DataFrame({"N": N, "D": D, "loss": 2 + 1e3 / np.sqrt(N) + 1e3 / np.sqrt(D)}, index=range(2, 11))
    for name, (row, value) in changes.items():
        frame.loc[row, name] = value
    return read_runs(frame)


def checked(runs, law="chinchilla", log=True, drop=False):
    return check_rows(find_law(law), gather(find_law(law), runs), runs, log, drop)


def path(*lr):
    return Trajectory("r", np.arange(len(lr)), np.array(lr, dtype=float), 0, "")


@pytest.mark.parametrize(
    ("name", "value"), [("loss", np.nan), ("loss", np.inf), ("N", 0.0), ("D", -1.0), ("N", np.nan)]
)
def test_a_row_that_cannot_be_used_is_named_with_line_column_and_value(name, value):
    with pytest.raises(InputError, match=f"row 5, column {name}: {name} is {value:g}"):
        checked(table(**{name: (5, value)}))
    assert len(checked(table())) == 9


def test_the_first_of_several_bad_rows_is_named_and_the_others_are_counted():
    runs = table(N=(4, 0.0), loss=(8, 2.5))
    runs.table.loc[[6, 7], "N"] = -1.0
    with pytest.raises(InputError, match=r"row 4, column N: N is 0 \(and in 2 other rows\)"):
        checked(runs)


def test_a_loss_that_is_not_positive_stops_logarithmic_residuals_only():
    runs = table(loss=(3, -0.5))
    with pytest.raises(InputError, match=r"loss is -0\.5; .*--residuals linear"):
        checked(runs, log=True)
    assert len(checked(runs, log=False)) == 9


def test_diverged_rows_are_left_out_on_request_named_and_counted():
    runs = table(loss=(3, np.nan))
    runs.table.loc[[5, 7, 9], "loss"] = np.inf
    rows = checked(runs, drop=True)
    assert rows.variables["N"].tolist() == np.delete(N, [1, 3, 5, 7]).tolist() and np.isfinite(rows.values).all()
    (note,) = rows.notes
    assert note.startswith("4 rows without a finite loss left out (DataFrame, row 3, DataFrame, row 5")
    assert "and 1 more" in note
    assert not checked(table(), drop=True).notes
    with pytest.raises(InputError, match="no row to fit"):
        checked(runs.where("N > 1e9"), drop=True)


def test_rows_must_outnumber_the_free_parameters():
    rows = checked(table())
    law = find_law("chinchilla")
    check_identified(law, rows, 8)
    with pytest.raises(
        InputError, match=r"9 rows for 9 free parameters; add runs, or fix parameters with --fix; needs"
    ):
        check_identified(law, rows, 9)


def test_the_last_rows_of_curves_point_to_all_logged_rows():
    steps = pd.DataFrame(
        {"run": list("aabb"), "step": [1, 2] * 2, "N": [1e6] * 2 + [2e6] * 2, "D": [1e9] * 2 + [2e9] * 2}
    )
    runs = read_runs(steps.assign(loss=[4.0, 3.0, 3.5, 2.5]))
    with pytest.raises(InputError, match=r"2 rows for 5 free .*use every logged row \(--points all\), add runs"):
        check_identified(find_law("chinchilla"), gather(find_law("chinchilla"), runs), 5)


@pytest.mark.parametrize("name", ["N", "D"])
def test_a_variable_with_one_value_identifies_nothing(name):
    runs = table()
    runs.table[name] = 3e8 * (1 + 1e-12 * np.arange(9))
    with pytest.raises(IdentificationError, match=rf"all 9 rows have {name} = 3e\+08: .*add runs at another {name}"):
        check_identified(find_law("chinchilla"), checked(runs), 5)


def test_a_target_with_one_value_has_nothing_to_explain():
    runs = table()
    runs.table["loss"] = 2.5
    with pytest.raises(IdentificationError, match=r"the same loss, 2\.5: there is nothing to explain"):
        check_identified(find_law("chinchilla"), checked(runs), 5)


def test_schedules_are_distinct_unless_one_only_goes_on_constantly():
    steady, longer = path(1, 1, 1), path(1, 1, 1, 1, 1)
    assert distinct_schedules([longer, steady]) == distinct_schedules([steady]) == 1
    assert distinct_schedules([path(1, 1, 0.5), path(1, 1, 0.5, 0.5)]) == 1
    assert distinct_schedules([steady, path(1, 1, 1, 0.5)]) == 2
    assert distinct_schedules([steady, path(1, 1, 0.5), path(1, 0.5, 0.5)]) == 3
    assert distinct_schedules([steady, path(1, 1 + 1e-9, 1)]) == 1 and distinct_schedules([]) == 0
    long = np.ones(250_001)
    assert distinct_schedules([path(*long), path(*np.where(np.arange(250_001) > 2e5, 0.5, long))]) == 2


def test_one_schedule_does_not_identify_a_law_along_the_schedule():
    def logs(*ends):
        parts = [
            pd.DataFrame(
                {"run": f"r{i}", "step": range(30), "lr": np.linspace(1, end, 30), "loss": 3 - np.arange(30) / 50}
            )
            for i, end in enumerate(ends)
        ]
        return read_runs(pd.concat(parts))

    law = find_law("annealing")
    with pytest.raises(IdentificationError, match="2 runs under one single schedule; the law needs 2; add a run"):
        check_identified(law, gather(law, logs(0.1, 0.1)), 4)
    check_identified(law, gather(law, logs(1.0, 0.1)), 4)


def test_the_column_that_varies_is_x():
    rows = {"N": [1e6, 2e6, 4e6], "D": [1e9] * 3, "loss": [4.0, 3.0, 2.5]}
    runs = read_runs(pd.DataFrame(rows))
    assert resolve(find_law("power"), runs).columns == {"x": "N"}
    assert resolve(find_law("power:over=D"), runs).columns == {"x": "D"}
    both = read_runs(pd.DataFrame({**rows, "D": [1e9, 2e9, 3e9]}))
    assert scales_of(both) == ["N", "D", "C"]  # C follows from the two
    with pytest.raises(InputError, match=r"which column is x\? N and D vary; .*over=COLUMN with one of N, D"):
        resolve(find_law("power"), both)
    none = read_runs(pd.DataFrame({"width": [8, 8, 8], "heads_kept": [1, 2, 3], "loss": [4.0, 3.0, 2.5]}))
    with pytest.raises(InputError, match=r"none of N, D, C, x, step, tokens varies; .*with one of heads_kept$"):
        resolve(find_law("power"), none)
    assert scales_of(read_runs(pd.DataFrame({**rows, "x": [1, 2, 3]}))) == ["x"]


def test_the_names_in_a_formula_are_columns_where_the_log_has_them():
    runs, law = read_runs(pd.DataFrame({"N": [1e6, 2e6], "mult": [1, 2], "loss": [3.0, 2.0]})), "E + A*(N*mult)**-alpha"
    assert set(find_law(law).variables) == {"N"}
    found = resolve(find_law(law), runs)
    assert set(found.variables) == {"N", "mult"} and set(found.parameters) == {"E", "A", "alpha"}


@pytest.mark.parametrize(
    ("law", "variables", "decades"),
    [
        ("chinchilla", {"N": 1e8, "D": 1e10}, np.log10(6e18)),
        ("power:over=C", {"x": 1e20}, 20.0),
        ("power:over=N", {"x": 1e8}, 16.0),
        ("power:over=D", {"x": 1e9}, 18.0),
        ("annealing", {"S1": 10.0, "S2": 0.5}, 2.0),
        ("annealing-size", {"S1": 10.0, "S2": 0.5, "N": 1e8}, np.log10(6e9)),
        ("power:over=seq_len", {"x": 1e3}, 3.0),
    ],
)
def test_the_scale_of_a_law_is_compute_or_twice_the_decades_of_size_or_data_alone(law, variables, decades):
    found = find_law(law)
    rows = {name: np.array([value, value]) for name, value in variables.items()}
    np.testing.assert_allclose(scale_of(found, rows), [decades, decades], rtol=1e-12)
    assert reads_scale(found) == (law != "power:over=seq_len")


def test_step_zero_counts_as_the_first_step_after_it():
    law = resolve(find_law("L0 + A*exp(-step/tau)"), read_runs(pd.DataFrame({"step": [0, 10], "loss": [3.0, 2.0]})))
    with np.errstate(all="raise"):
        assert scale_of(law, {"step": np.array([0.0, 10.0, 1000.0])}).tolist() == [2.0, 2.0, 6.0]
        assert scale_of(law, {"step": np.zeros(1)}).tolist() == [0.0]


@pytest.mark.parametrize(("axis", "column"), [("step", "step"), ("epoch", "epoch"), ("tokens", "D")])
def test_the_row_before_training_is_left_out_of_a_power_law_and_counted(axis, column):
    places = np.arange(0, 400, 10) * (10_000 if axis == "tokens" else 1)
    loss = np.r_[10.5, 2 + 3 * (400 * places[1:] / places.max()) ** -0.5]
    fit = sf.fit(pd.DataFrame({"run": "a", axis: places, "loss": loss}), f"power-floor:over={column}", points="all")
    level = 3 * (400 / places.max()) ** -0.5
    np.testing.assert_allclose([fit[name] for name in ("L_inf", "A", "alpha")], [2, level, 0.5], rtol=1e-6)
    assert any(f"1 row at {column} 0, before any training, left out" in note for note in fit.notes)


@pytest.mark.parametrize("over", ["power-floor:over=C", "power:over=C"])
def test_compute_in_other_units_without_a_word_is_refused(over):
    C = np.geomspace(1.0, 300.0, 8)
    runs = pd.DataFrame({"C": C, "loss": 2 + 3 * (C * 1e18) ** -0.05})
    with pytest.raises(sf.InputError, match="no amount of compute in FLOP") as error:
        sf.fit(runs, over)
    assert "C (EFLOPs)" in error.value.todo
    units = runs.rename(columns={"C": "C (EFLOPs)"})
    assert sf.fit(units, "power-floor:over=C").predict(C=1e20)["loss"].iloc[0] == pytest.approx(2.3, abs=1e-3)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("N", {2: 1.3, 7: 0.8}, r"row 2, column N: N is 1\.3 \(and in 1 other row\); others are up to 4e\+06: write"),
        ("N", {5: 499.0}, "row 5, column N: N is 499"),
        ("D", {4: 30.0}, r"row 4, column D: D is 30; others are up to 5e\+08"),
        ("N", {8: 1.25e14}, r"row 8, column N: N is 1\.25e\+14; no model is so large"),
    ],
)
def test_a_size_in_another_unit_than_the_others_of_its_column_is_named(column, values, said):
    runs = table()
    for row, value in values.items():
        runs.table.loc[row, column] = value
    with pytest.raises(InputError, match=said):
        checked(runs)


def test_the_smallest_model_of_a_published_law_is_no_fault():
    assert len(checked(table(N=(2, 768.0)))) == 9


@pytest.mark.parametrize("missing", ["D", "N"])
def test_compute_in_another_unit_gives_no_parameters_and_no_tokens(missing):
    """6 N D / 1e18 under the name C, or hours of GPUs, is no FLOP."""
    frame = table().table.assign(C=lambda each: 6e-18 * each["N"] * each["D"] * 1e3).drop(columns=missing)
    with pytest.raises(InputError, match=rf"{missing} = C / .* is at most .*: C, its source, is no amount"):
        checked(read_runs(frame))
    assert len(checked(read_runs(frame.assign(C=frame["C"] * 1e15)))) == 9
