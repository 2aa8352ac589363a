"""The answer comes first, notes on how the logs were read come after it, and alike notes are one line."""

from __future__ import annotations

import json

import click
import commands
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import scalefit as sf
from scalefit.cli.output import Answer, answering, grouped
from scalefit.notices import NOTE, Notice

PLAN = "wsd:peak_lr=1e-3,steps=400,warmup=40,decay_steps=80"


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A folder with curves of two runs in a file each, as another tool names their columns, and a saved fit of them."""
    monkeypatch.chdir(tmp_path)
    step = np.arange(0, 500)
    for name, lr in (("calm", np.full(500, 1e-3)), ("cooled", np.where(step < 250, 1e-3, 1e-4))):
        curve = {"global_step": step, "learning_rate": lr, "train/loss": 2 + (1 + np.cumsum(lr) * 1e3) ** -0.5}
        pd.DataFrame(curve)[::10].to_csv(f"{name}.csv", index=False)
    fitted = commands.run("scalefit fit calm.csv cooled.csv --law annealing --draws 0 --save fit.json")
    assert fitted.exit_code in (0, 1), fitted.output
    return tmp_path


def sizes():
    """Final losses of sixteen runs with a little noise."""
    N, D = np.repeat(np.geomspace(1e6, 1e8, 4), 4), np.tile(np.geomspace(1e8, 1e10, 4), 4)
    loss = (1.7 + 400 * N**-0.34 + 410 * D**-0.28) * np.exp(0.002 * np.random.default_rng(0).standard_normal(16))
    return pd.DataFrame({"N": N, "D": D, "loss": loss})


def test_notes_that_differ_in_a_name_or_a_number_are_one_line_with_a_count():
    notes = [
        "runs/a.csv: column 'loss' holds 3 gaps",
        "steps count from 0",
        'runs/b.csv: column "loss" holds 12 gaps',
        "runs/c-7.csv: column 'val' holds 1.5e3 gaps",
        "run calm: left out",
        "run wild: left out",
        "learning rate from the log",
        "loss from the log",
    ]
    assert grouped(notes) == [
        f"{notes[0]} (and 2 more like this)",
        "steps count from 0",
        "run calm: left out (and 1 more like this)",
        *notes[-2:],
    ]
    assert grouped([]) == []


def test_the_answer_comes_before_the_notes_and_json_has_them_all(there):
    command = "scalefit fit calm.csv cooled.csv --law annealing --draws 0"
    lines = commands.run(command).stdout.splitlines()
    reads = [line.startswith("read: ") for line in lines]
    assert lines[0].startswith("converged: ")
    assert any(reads) and reads == sorted(reads)
    notes = json.loads(commands.run(f"{command} --json").stdout)["notes"]
    assert sum(reads) == len(grouped(notes)) <= len(notes)


def test_a_doubt_about_the_logs_goes_with_their_fit(tmp_path):
    """What is read at a million tokens a parameter, and fitted all the same, is no success anywhere."""
    table = pd.DataFrame({"N": [1e6, 2e6, 4e6, 8e6, 16e6], "D": np.geomspace(2e13, 3e14, 5)})
    table.assign(loss=1.7 + 4e3 * table["D"] ** -0.28).to_csv(tmp_path / "runs.csv", index=False)
    fitted = commands.run(f"scalefit fit {tmp_path}/runs.csv --law power:over=D --draws 0 --save {tmp_path}/fit.json")
    assert fitted.exit_code == 1 and "\n! read: D is more than 1e+06 times N" in fitted.stdout
    fit = sf.load_fit(tmp_path / "fit.json")
    assert fit.doubts == tuple(note.text for note in fit.told if note.severity == "doubt") != ()
    assert f"! read: {fit.doubts[0]}" in repr(fit)
    report = sf.report(fit, D=1e15)
    assert (report.tone, report.warnings[-1]) == ("doubt", f"read: {fit.doubts[0]}")


def test_every_command_that_reads_logs_shows_what_is_doubtful_in_them(tmp_path):
    """A column that holds the run's own prediction of its loss, in logs that each of these commands reads."""
    step = np.arange(1, 401)
    curves = [
        pd.DataFrame({"run": f"b{b} (predicted)", "step": step, "batch": b, "lr": 0.01, "grad_norm": 1.0, "vocab": 5e4,
                      "loss": 2 + 5 / (step / (1 + 3000 / b)) ** 0.5}) for b in (1000, 4000)
    ]  # fmt: skip
    log, one = tmp_path / "curves.csv", tmp_path / "one.csv"
    pd.concat(curves).to_csv(log, index=False)
    curves[0].to_csv(one, index=False)
    for command in (f"batch {log}", f"schedule {one} --rule gd", f"laws --for {one}"):
        said = commands.run(f"scalefit {command}")
        assert said.exit_code == 1 and "\n! read: " in said.stdout, (command, said.output)


def test_notes_that_a_command_does_not_put_into_its_json_are_put_there():
    @click.command()
    @answering
    def command():
        return Answer(["verdict"], {"value": 1}, notes=[Notice("run a: 1 row", NOTE), Notice("run b: 2 rows", NOTE)])

    done = CliRunner().invoke(command)
    assert done.stdout.splitlines() == ["verdict", "read: run a: 1 row (and 1 more like this)"]
    assert json.loads(CliRunner().invoke(command, ["--json"]).stdout)["notes"] == ["run a: 1 row", "run b: 2 rows"]


def test_laws_that_auto_leaves_out_are_named_after_the_answer(there, monkeypatch):
    commands.once(monkeypatch, "scalefit.selection.automatic.fit")
    sizes().to_csv("sizes.csv", index=False)
    command = "scalefit fit sizes.csv --law auto --draws 0 --starts 2"
    text = commands.run(command).stdout
    chosen = json.loads(commands.run(f"{command} --json").stdout)["automatic"]
    assert "\n  chosen: " in text
    assert sum(chosen["weights"].values()) == pytest.approx(1)
    assert all(text.index(record["law"], text.index("laws tried, ")) for record in chosen["laws"])


def test_the_recommendation_of_a_comparison_comes_first(there):
    sizes().to_csv("sizes.csv", index=False)
    lines = commands.run("scalefit compare sizes.csv --law chinchilla").stdout.splitlines()
    assert lines[0].startswith("chinchilla: median error ")
    assert lines[2].split()[:2] == ["law", "backtest_error"]


def test_a_prediction_of_two_runs_shows_the_last_row_of_each(there):
    commands.run("scalefit fit calm.csv cooled.csv --law annealing --draws 0 --save fit.json")
    command = "scalefit predict fit.json calm.csv cooled.csv"
    table = pd.DataFrame(json.loads(commands.run(f"{command} --json").stdout)["predictions"])
    last = table.groupby("run", sort=False).tail(1)
    first = table.groupby("run", sort=False).head(1)
    lines = commands.run(command).stdout.splitlines()
    at = lines[1].split().index("step")
    shown = [(line.split()[0], int(line.split()[at])) for line in lines[2:4]]
    assert shown == list(zip(last["run"], last["step"], strict=True))
    assert shown != list(zip(first["run"], first["step"], strict=True))
    assert lines[4].strip() == f"(2 of {len(table)} rows; --csv prints all)"


def test_a_prediction_of_one_long_curve_shows_its_last_row(there):
    lines = commands.run(f"scalefit predict fit.json --schedule {PLAN}").stdout.splitlines()
    assert [line.split()[0] for line in lines if "400" in line.split()[:1]] == ["400"]
