"""Which column of a table of activations was measured, which values have a logarithm, and where flat ends."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError

WIDTHS = [64, 128, 256]


def table(slope=0.5, **more):
    sizes = [float((width / 64) ** slope) for width in WIDTHS]
    return pd.DataFrame({"module": "q", "width": WIDTHS, "mean_abs": sizes, **more})


def test_the_only_column_of_numbers_is_the_measured_one():
    """Whatever its name; text beside it, the loss and the learning rate were not measured in a module."""
    odd = table(note="ok", loss=3.0, lr=0.1).rename(columns={"mean_abs": "how much"})
    found = sf.coordinate_slopes(odd)
    assert (found.measure, found["q"]["verdict"]) == ("how much", "grows")
    with pytest.raises(InputError, match="which column was measured"):
        sf.coordinate_slopes(odd.assign(other=1.0))


def test_of_usual_names_the_most_usual_is_measured():
    assert sf.coordinate_slopes(table(std=1.0, rms=2.0)).measure == "mean_abs"
    assert sf.coordinate_slopes(table(std=1.0, rms=2.0).drop(columns="mean_abs")).measure == "rms"


def test_the_size_cannot_be_what_was_measured():
    with pytest.raises(InputError, match='no column "width"'):
        sf.coordinate_slopes(table(), measure="width")


@pytest.mark.parametrize(("value", "more"), [(0.0, ""), (-1.0, ""), ("all", r" \(and 2 more rows\)")], ids=str)
def test_a_size_without_a_logarithm_is_refused_with_its_row(value, more):
    bad = [0.0] * 3 if value == "all" else [1.0, value, 1.0]
    row = 0 if value == "all" else 1
    with pytest.raises(InputError, match=f"row {row}, column mean_abs: mean_abs is .*, not a number above 0{more};"):
        sf.coordinate_slopes(table().assign(mean_abs=bad))


def test_steps_begin_at_zero_and_sizes_do_not():
    assert sf.coordinate_slopes(table(step=0))["q"]["step"] == 0
    with pytest.raises(InputError, match="column step: step is -1"):
        sf.coordinate_slopes(table(step=-1))
    with pytest.raises(InputError, match="column width: width is 0"):
        sf.coordinate_slopes(table().assign(width=[0, 64, 128]))


@pytest.mark.parametrize(
    ("slope", "verdict"), [(0.0999, "flat"), (0.1001, "grows"), (-0.0999, "flat"), (-0.1001, "shrinks")]
)
def test_without_scatter_a_slope_is_flat_below_a_tenth(slope, verdict):
    """Two sizes and one seed: no interval, the slope decides."""
    two = sf.coordinate_slopes(table(slope).iloc[:2])
    assert (two["q"]["verdict"], two.gate, np.isnan(two["q"]["low"])) == (verdict, 0.1, True)
    assert "no interval" in str(two)


def scattered(slope, half, gate):
    """Three points around a line whose interval is slope +- half: t of 1 degree of freedom at 95 % is 6.3138."""
    x = np.log([64, 128, 256])
    second = np.array([1.0, -2.0, 1.0])  # second difference: what a line does not take up
    size = half / 6.313752 * np.sqrt(np.sum((x - x.mean()) ** 2)) / np.sqrt(np.sum(second**2))
    return sf.coordinate_slopes(table().assign(mean_abs=np.exp(slope * x + size * second)), gate=gate)


@pytest.mark.parametrize(
    ("slope", "verdict"),
    [
        (0.0, "flat"),
        (0.149, "flat"),
        (-0.149, "flat"),
        (0.151, "undecided"),
        (-0.151, "undecided"),
        (0.249, "undecided"),
        (-0.249, "undecided"),
        (0.251, "grows"),
        (-0.251, "shrinks"),
    ],
)
def test_a_module_is_judged_by_its_whole_interval(slope, verdict):
    """Half an interval is .05 here and the gate .2: flat to .15, beyond it from .25 on."""
    found = scattered(slope, 0.05, 0.2)
    assert found["q"]["low"] == pytest.approx(slope - 0.05, abs=1e-6)
    assert found["q"]["high"] == pytest.approx(slope + 0.05, abs=1e-6)
    assert found["q"]["verdict"] == verdict


def test_the_slope_of_the_last_step_and_of_the_first():
    """A step at which one size was measured has no slope."""
    first, last = table(0.0, step=1), table(0.5, step=2)
    lone = table(0.0, step=3).iloc[:1]
    row = sf.coordinate_slopes(pd.concat([last, lone, first]))["q"]
    assert (row["step"], row["slope"], row["first_slope"]) == pytest.approx((2, 0.5, 0.0), abs=1e-12)


def test_a_module_measured_at_one_size_is_undecided():
    only = table().assign(module="z").iloc[:1]
    found = sf.coordinate_slopes(pd.concat([table(), only]))
    assert found["z"]["verdict"] == "undecided"
    assert np.isnan(found["z"][["slope", "low", "high", "step", "first_slope"]].astype(float)).all()
    assert not found.ok


def test_modules_that_grow_and_shrink_are_named_in_the_verdict():
    parts = [table(slope).assign(module=name) for name, slope in {"a": 0.5, "b": 0.6, "c": -0.4, "d": 0.0}.items()]
    assert str(sf.coordinate_slopes(pd.concat(parts))).startswith("a, b grow; c shrinks as width grows from 64 to 256")
    assert str(sf.coordinate_slopes(parts[3])).startswith("pass: every module keeps its size as width grows")


def test_one_column_for_each_module_with_a_lost_value_and_the_rows_of_the_file():
    """A value that is missing at one size only may be one that was lost there: without it the others would be flat."""
    wide = pd.DataFrame({"width": WIDTHS, "step": 7, "q": [1.0, 1.0, np.nan], "z": [1.0, 2.0, 4.0]})
    found = sf.coordinate_slopes(wide)
    assert found.table[["module", "verdict"]].to_numpy().tolist() == [["q", "not finite"], ["z", "grows"]]
    assert len(found.points) == 6
    with pytest.raises(InputError, match="row 1, column mean_abs: mean_abs is 0"):
        sf.coordinate_slopes(wide.assign(z=[1.0, 0.0, 4.0]))
    with pytest.raises(InputError, match="no column of a module"):
        sf.coordinate_slopes(wide[["width", "step"]])
