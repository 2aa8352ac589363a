"""Measured coordinate checks: planted slopes, with and without seeds, in long and wide tables."""

from __future__ import annotations

import json

import commands
import matplotlib.figure
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import InputError

WIDTHS = (64, 128, 256, 512)


def table(slopes, seeds=1, noise=0.0, names=("module", "width", "step", "mean_abs"), steps=(1, 2, 3)):
    """Slopes by module: one for all steps, or one by step."""
    rng, rows = np.random.default_rng(0), []
    for module, slope in slopes.items():
        for width in WIDTHS:
            for seed in range(seeds):
                for step in steps:
                    now = slope[step] if isinstance(slope, dict) else slope
                    size = 0.3 * (width / 64) ** now * np.exp(noise * rng.standard_normal())
                    rows.append((module, width, step, size, seed))
    frame = pd.DataFrame(rows, columns=[*names, "seed"])
    return frame if seeds > 1 else frame.drop(columns="seed")


@pytest.mark.parametrize(("slope", "verdict"), [(-0.3, "shrinks"), (0.0, "flat"), (0.5, "grows"), (0.05, "flat")])
def test_planted_slopes(slope, verdict):
    found = sf.coordinate_slopes(table({"m": slope}).iloc[::-1])
    assert found.sizes == (64, 128, 256, 512)
    assert found["m"]["slope"] == pytest.approx(slope, abs=1e-9)
    assert found["m"]["verdict"] == verdict
    assert found.ok == (verdict == "flat")
    assert found.over == "width"


def test_the_interval_is_student_s_with_a_height_for_each_seed():
    """By plain least squares with a dummy for each seed: 12 points, 4 constants."""
    made = table({"m": 0.1}, seeds=3, noise=0.1, steps=(1,))
    x, y = np.log(made["width"]), np.log(made["mean_abs"])
    columns = np.column_stack([x, *(made["seed"] == seed for seed in range(3))]).astype(float)
    constants, left, *_ = np.linalg.lstsq(columns, y, rcond=None)
    half = 1.859548 * np.sqrt(left[0] / 8 * np.linalg.inv(columns.T @ columns)[0, 0])  # t of 8, 95 %
    row = sf.coordinate_slopes(made)["m"]
    assert row["slope"] == pytest.approx(constants[0])
    assert (row["low"], row["high"]) == pytest.approx((constants[0] - half, constants[0] + half), rel=1e-5)


def test_noise_that_hides_the_slope_is_undecided_and_growth_shows_at_the_last_step():
    found = sf.coordinate_slopes(table({"noisy": 0.1, "late": {1: 0.0, 2: 0.2, 3: 0.4}}, seeds=3, noise=0.05))
    assert found["late"]["verdict"] == "grows"
    assert sf.coordinate_slopes(table({"late": {1: 0.1, 2: 0.2, 3: 0.4}}))["late"]["first_slope"] == pytest.approx(0.1)
    assert sf.coordinate_slopes(table({"noisy": 0.1}, seeds=2, noise=0.3))["noisy"]["verdict"] == "undecided"


def test_other_names_and_one_column_for_each_module():
    other = sf.coordinate_slopes(table({"q": 0.0, "z": 0.5}, names=("layer", "hidden_size", "t", "l1")))
    assert other.table["verdict"].tolist() == ["flat", "grows"]
    assert (other.over, other.measure) == ("hidden_size", "l1")
    wide = pd.DataFrame({"d_model": WIDTHS, "q": 0.2, "z": np.sqrt(WIDTHS)})
    assert sf.coordinate_slopes(wide).table["verdict"].tolist() == ["flat", "grows"]
    odd = table({"q": 0.5}).rename(columns={"width": "girth", "mean_abs": "how much"})
    assert sf.coordinate_slopes(odd, over="girth", measure="how much")["q"]["verdict"] == "grows"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t[t["width"] == 64], "only one width, 64"),
        (lambda t: t.drop(columns="width"), "no column of a size"),
        (lambda t: t.assign(mean_abs=t["mean_abs"].mask(t.index == 5, -1.0)), "row 5, column mean_abs: mean_abs is -1"),
        (lambda t: t.drop(columns="mean_abs").assign(a=1.0, b=1.0), "which column was measured"),
    ],
)
def test_tables_without_an_answer_are_refused(change, said):
    with pytest.raises(InputError, match=said) as told:
        sf.coordinate_slopes(change(table({"m": 0.0})))
    assert str(told.value).startswith("DataFrame")


def lost_at(table, module, **where):
    """The table with the module's value lost at some places: NaN, as a model that diverged writes it."""
    rows = table["module"] == module
    for name, value in where.items():
        rows &= table[name] == value
    return table.assign(mean_abs=table["mean_abs"].mask(rows))


@pytest.mark.parametrize("where", [{}, {"step": 3}, {"width": 512}, {"width": 512, "step": 3}])
@pytest.mark.parametrize("wide", [False, True])
def test_one_module_that_is_not_finite_is_named_and_the_others_are_judged(where, wide):
    made = lost_at(table({"mlp": 0.0, "q": 0.0, "logits": 0.5}), "mlp", **where)
    if wide:
        made = made.pivot(index=["width", "step"], columns="module", values="mean_abs").reset_index()
    found = sf.coordinate_slopes(made)
    not_measured = wide and where == {"step": 3}  # at no size: an empty column of that step is no loss
    assert found["mlp"]["verdict"] == ("flat" if not_measured else "not finite")
    assert found["q"]["verdict"] == "flat"
    assert found["logits"]["verdict"] == "grows"
    assert str(found).startswith("logits grows" if not_measured else "logits grows; mlp is not finite")
    assert not found.ok


def test_an_infinite_value_is_no_size_either_and_a_loss_at_an_earlier_step_is_none():
    made = table({"mlp": 0.0})
    assert sf.coordinate_slopes(made.assign(mean_abs=np.inf)).table["verdict"].tolist() == ["not finite"]
    assert sf.coordinate_slopes(lost_at(made, "mlp", step=1))["mlp"]["verdict"] == "flat"
    both = pd.concat([made, made.assign(module="q")])
    assert str(sf.coordinate_slopes(both.assign(mean_abs=np.nan))).startswith("mlp, q are not finite as width grows")


def test_lost_modules_of_several_seeds_are_not_said_to_lack_seeds():
    made = table({"q": 0.0}, seeds=3, noise=0.01)
    assert "no interval" not in str(sf.coordinate_slopes(made.assign(mean_abs=np.nan)))


def test_the_command_on_a_lost_module(tmp_path):
    lost_at(table({"mlp": 0.0, "q": 0.0}), "mlp", width=512).to_csv(tmp_path / "c.csv", index=False, na_rep="nan")
    told = commands.run(f"scalefit coordcheck {tmp_path}/c.csv --plot {tmp_path}/c.svg")
    assert told.exit_code == 1
    assert told.stdout.startswith("mlp is not finite as width grows from 64 to 512")


def test_the_command(tmp_path):
    table({"readout": -0.3, "q": 0.0, "logits": 0.5}).to_csv(tmp_path / "c.csv", index=False)
    told = commands.run(f"scalefit coordcheck {tmp_path}/c.csv --plot {tmp_path}/c.svg")
    assert told.exit_code == 1
    assert told.stdout.startswith("logits grows; readout shrinks as width grows from 64 to 512")
    assert (tmp_path / "c.svg").exists()
    answer = json.loads(commands.run(f"scalefit coordcheck {tmp_path}/c.csv --json").stdout)
    assert [each["verdict"] for each in answer["modules"]] == ["shrinks", "flat", "grows"]
    table({"q": 0.0}).to_csv(tmp_path / "flat.csv", index=False)
    assert commands.run(f"scalefit coordcheck {tmp_path}/flat.csv").exit_code == 0


def test_the_first_slope_is_that_of_the_first_step_and_the_figure_takes_given_axes():
    """Of four seeds, so that the slope and the ends of its interval are three numbers."""
    found = sf.coordinate_slopes(table({"m": {1: 0.3, 2: 0.1, 3: 0.0}}, seeds=4, noise=0.1))
    alone = sf.coordinate_slopes(table({"m": {1: 0.3, 2: 0.1, 3: 0.0}}, seeds=4, noise=0.1).query("step == 1"))
    assert found["m"]["first_slope"] == pytest.approx(alone["m"]["slope"])
    assert alone["m"]["low"] < found["m"]["first_slope"] < alone["m"]["high"]
    figure = matplotlib.figure.Figure()
    ax = figure.subplots()
    assert found.plot(ax=ax) is ax
