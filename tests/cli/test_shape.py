"""How much is printed, in which colours, and what is said of options that change nothing."""

from __future__ import annotations

import json

import click
import commands
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from scalefit.cli.output import Answer, answering
from scalefit.notices import NOTE, Notice
from scalefit.reports.blocks import Figure, Text

NOTES = ["run a: 3 rows left out", "run b: 12 rows left out", "steps count from 0"]


@click.command()
@answering
def noted() -> Answer:
    """A command with notes, two of them alike."""
    return Answer(["the answer", Notice("a warning")], {}, notes=[Notice(note, NOTE) for note in NOTES])


def said(*words, **how):
    result = CliRunner().invoke(noted, list(words), **how)
    assert result.exit_code in (1, 2), result.output  # 1: a warning
    return result.stdout.splitlines()


def test_alike_notes_are_one_line_all_of_them_with_v_none_with_q():
    assert said() == [
        "the answer",
        "! a warning",
        f"read: {NOTES[0]} (and 1 more like this)",
        "read: steps count from 0",
    ]
    assert said("-v") == ["the answer", "! a warning", *(f"read: {note}" for note in NOTES)]
    assert said("-q") == ["the answer", "! a warning"]
    assert json.loads("\n".join(said("-q", "--json")))["notes"] == NOTES


def test_quiet_and_verbose_at_once_are_refused():
    result = CliRunner().invoke(noted, ["-q", "-v"])
    assert (result.exit_code, result.stderr) == (2, "error: -q beside -v; give one of them\n")


@pytest.mark.parametrize(("words", "variables"), [(["--no-color"], {}), ([], {"NO_COLOR": "1"})])
def test_no_colours_where_none_are_wanted(words, variables):
    assert any("\x1b[" in line for line in said(color=True))
    assert not any("\x1b[" in line for line in said(*words, color=True, env=variables))


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    N, D = (each.ravel() for each in np.meshgrid(np.geomspace(1e6, 1e8, 4), np.geomspace(1e8, 1e10, 3)))
    loss = 1.7 + 400 * N**-0.34 + 410 * D**-0.28
    pd.DataFrame({"N": N, "D": D, "loss": loss, "colour": "red"}).to_csv("runs.csv", index=False)
    return "runs.csv"


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (
            "fit runs.csv --law chinchilla --draws 0 --width 3in",
            "--width changed nothing: no figure was written; --plot",
        ),
        (
            "inspect runs.csv --style paper --width 3in",
            "--style and --width changed nothing: this command draws no figure",
        ),
    ],
)
def test_options_of_figures_without_a_figure_say_so(runs, command, line):
    assert line in commands.run(f"scalefit {command}").output
    assert line in json.loads(commands.run(f"scalefit {command} --json").stdout)["unused_options"][0]


def test_options_of_figures_with_one_do_not(runs):
    for more in ("--plot a.png", "--report a.html"):
        assert (
            "changed nothing"
            not in commands.run(f"scalefit fit runs.csv --law chinchilla --draws 0 --width 3in {more}").output
        )


def test_a_report_is_written_where_either_option_says(runs, monkeypatch):
    monkeypatch.setattr(Figure, "of", lambda *_: Text(["a figure"]))  # what takes most of the time
    for option in ("-o", "--report"):
        result = commands.run(f"scalefit report runs.csv --law chinchilla --draws 0 {option} page.md")
        assert result.exit_code in (0, 1), result.output
        assert result.stdout.count("wrote page.md") == 1
    refused = commands.run("scalefit report runs.csv")
    assert refused.exit_code == 2 and "Missing option '-o'" in refused.stderr
