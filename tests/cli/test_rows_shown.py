"""Which rows of a long prediction are printed."""

from __future__ import annotations

import re

import commands
import numpy as np
import pandas as pd


def test_a_long_curve_is_shown_in_order_and_with_its_last_row(tmp_path):
    step = np.arange(1, 101) * 10
    curve = pd.DataFrame({"run": "only", "step": step, "loss": 2 + 5 * step**-0.4})
    curve.to_csv(tmp_path / "curve.csv", index=False)
    fitted = commands.run(f"scalefit fit {tmp_path}/curve.csv --law power-floor:over=step --save {tmp_path}/fit.json")
    assert (tmp_path / "fit.json").exists(), fitted.output
    told = commands.run(f"scalefit predict {tmp_path}/fit.json {tmp_path}/curve.csv").output.split("\n\n")[0]
    shown = [int(row[1]) for row in re.finditer(r"(?m)^\s*only\s+(\d+)\s", told)]
    assert 2 <= len(shown) < len(step)
    assert shown == sorted(shown)
    assert shown[-1] == 1000
    numbers = [set(re.findall(r"\d+", line)) for line in told.splitlines()]
    assert any({str(len(shown)), "100"} <= line for line in numbers), "nothing says that rows are left out"


def test_of_many_runs_the_first_forty_are_shown(tmp_path):
    """Two rows a run, so that each is shown by its last."""
    name, step = np.repeat([f"r{i:02d}" for i in range(60)], 2), np.tile([10, 20], 60)
    curve = pd.DataFrame({"run": name, "step": step, "loss": 2 + 5 * step**-0.4 + 0.001 * np.repeat(np.arange(60), 2)})
    curve.to_csv(tmp_path / "curves.csv", index=False)
    rows = pd.DataFrame({"step": [5, 10, 20, 40, 80], "loss": 2 + 5 * np.array([5, 10, 20, 40, 80.0]) ** -0.4})
    rows.assign(run="one").to_csv(tmp_path / "one.csv", index=False)
    fitted = commands.run(f"scalefit fit {tmp_path}/one.csv --law power-floor:over=step --save {tmp_path}/fit.json")
    assert (tmp_path / "fit.json").exists(), fitted.output
    told = commands.run(f"scalefit predict {tmp_path}/fit.json {tmp_path}/curves.csv").output.split("\n\n")[0]
    shown = re.findall(r"(?m)^\s*(r\d\d)\s+(\d+)\s", told)
    assert shown == [(f"r{i:02d}", "20") for i in range(40)]
    assert "(40 of 120 rows" in told
    whole = commands.run(f"scalefit predict {tmp_path}/fit.json {tmp_path}/one.csv").output
    assert "5 predictions" in whole
    assert "5 rows; --csv prints all" not in whole, "all five are shown"
