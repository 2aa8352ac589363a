"""What a plan is made from: one saved fit, or logs of any format, of which it says how they were read."""

from __future__ import annotations

import commands
import pandas as pd
import pytest

from scalefit.cli import plan
from scalefit.errors import InputError


class Found:
    """A plan that was made, of which nothing matters here."""

    table, ok, plot, lines = pd.DataFrame(), True, None, ["planned"]


def test_logs_in_two_formats_are_read_and_told(tmp_path, monkeypatch):
    monkeypatch.setattr("scalefit.planning.allocation.plan.plan", lambda source, **asked: Found())
    monkeypatch.setattr(plan, "_content", lambda found: {})
    table = pd.DataFrame({"N": [1e6, 2e6], "D": [1e8, 2e8], "val_loss": [3.0, 2.9]})
    table.iloc[:1].to_csv(tmp_path / "a.csv", index=False)
    table.iloc[1:].to_json(tmp_path / "b.json", orient="records")
    said = commands.run(f"scalefit plan {tmp_path}/a.csv {tmp_path}/b.json --compute 1e20").stdout
    assert said.startswith("planned\nread:")


def test_a_saved_fit_stands_alone():
    for files, reading in ((("fit.json", "a.csv"), {}), (("fit.json",), {"where": "N > 1"})):
        with pytest.raises(InputError, match="a saved fit beside run logs"):
            plan.source_of(files, "chinchilla", reading)


@pytest.mark.parametrize("files", ["fit.json runs.csv", "nothing.csv", "runs.csv"])
def test_schedules_are_asked_of_one_saved_fit_or_of_curves(files, tmp_path, monkeypatch):
    """Not of a fit beside logs, of a file that is not there, or of final results."""
    commands.plant(tmp_path)
    monkeypatch.chdir(tmp_path)
    result = commands.run(f"scalefit plan {files} --schedules all")
    assert result.exit_code == 2
    assert "schedules are ranked by a saved fit, or by curves" in result.stderr


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("--hyperparameters --at N=7B,D=2T --law chinchilla", "--law"),
        ("--hyperparameters --at N=7B,D=2T --draws 9", "--draws"),
        ("--hyperparameters --at N=7B,D=2T --seed 9", "--seed"),
        ('--hyperparameters --at N=7B,D=2T --where "N > 1"', "--where"),
        ("fit.json --hyperparameters --at N=7B,D=2T --law chinchilla", "--law"),
        ("fit.json --schedules all --law annealing", "--law"),
        ("fit.json --compute 1e20 --seed 9", "--seed"),
    ],
)
def test_what_no_fit_is_made_with_is_refused(words, option, tmp_path, monkeypatch):
    """Without run logs nothing is fitted, so that a law, draws or a seed would change nothing."""
    commands.plant(tmp_path)
    monkeypatch.chdir(tmp_path)
    result = commands.run(f"scalefit plan {words}")
    assert result.exit_code == 2
    assert f"{option} beside" in result.stderr and "does not read it" in result.stderr


def test_a_law_that_knows_no_hyperparameters_is_refused_though_it_is_the_one_for_sizes(tmp_path, monkeypatch):
    commands.plant(tmp_path)
    monkeypatch.chdir(tmp_path)
    result = commands.run("scalefit plan runs.csv --hyperparameters --at N=7B,D=2T --law chinchilla --draws 0")
    assert result.exit_code == 2
    assert "law chinchilla knows no hyperparameters" in result.stderr
