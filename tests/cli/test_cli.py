"""The command line: every command's answer as text, JSON and CSV, its exit code, its example."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys

import commands
import numpy as np
import pandas as pd
import pytest

from scalefit.cli import output

NAMES = list(commands.examples())
FIT = "scalefit fit runs.csv --law chinchilla"


def invoke(*words):
    return commands.run(" ".join(["scalefit", *words]))


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A folder with planted runs, curves under two schedules and a saved fit."""
    monkeypatch.chdir(commands.workspace(tmp_path))
    commands.plant(tmp_path)
    step = np.arange(500)
    schedules = {"a": np.full(500, 1e-3), "b": np.where(step < 250, 1e-3, 1e-4)}
    curves = [
        pd.DataFrame({"run": name, "step": step, "lr": lr, "loss": 2 + (1 + step) ** -0.5})[::10]
        for name, lr in schedules.items()
    ]
    pd.concat(curves).to_csv("curves.csv", index=False)
    yield tmp_path
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="module")
def example_folder(tmp_path_factory):
    """One folder for all examples, in which that of ``fit`` has left its fit."""
    folder = commands.workspace(tmp_path_factory.mktemp("examples"))
    commands.evaluations().to_csv(folder / "evaluations.csv", index=False)
    with contextlib.chdir(folder):
        assert {commands.run(line).exit_code for line in commands.examples()["fit"]} == {0}
    return folder


#: commands whose text has no number but those of their JSON and their table: no constants of papers, no words of sizes
SAID_THRICE = ("fit", "backtest", "compare", "data", "inspect", "predict", "schedule", "task-ladder", "translate")
#: commands whose intervals stand in brackets behind what they are of
WITH_ENDS = ("compare-recipes", "fit", "isoflop", "lr-transfer", "plan", "task-ladder", "translate")


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_every_help_runs_and_its_text_says_what_its_json_says(
    name, example_folder, monkeypatch, few_draws
):
    monkeypatch.chdir(example_folder)
    answers, show = [], output._show
    monkeypatch.setattr(output, "_show", lambda answer, *rest: (answers.append(answer), show(answer, *rest)))
    lines = commands.examples()[name]
    assert lines
    for line in lines:
        assert line.split()[:2] == ["scalefit", name], line
        result = commands.run(line)
        assert result.exit_code == 0, result.output
        assert result.stdout
    for each in answers if name != "report" else ():  # a page, whose numbers are those of the answers on it
        assert not commands.unlike(each.lines, output._plain(each.content), each.table, name in SAID_THRICE)
        if name in WITH_ENDS and np.isfinite(each.table.filter(regex="(low|high)$").select_dtypes("number")).any(
            axis=None
        ):
            assert commands.WITH_ENDS.search("\n".join(map(str, each.lines)))


@commands.cases("name", NAMES)
def test_every_command_knows_the_common_options(name):
    text = invoke(name, "--help").stdout
    assert all(option in text for option in ("--json", "--csv", "--exit-zero", "-h, --help"))
    assert not re.search(r"\[(?:\w+\|)+\w+\]\s*\n  --", text), "an option without a word of help"


ANSWERS = [
    FIT,
    f'{FIT} --hold-out "N > 5e7" --at N=1B,D=20B',
    "scalefit predict fit.json --at N=1e9,D=1e11",
    "scalefit predict fit.json runs.csv",
    "scalefit plot fit.json -o fit.png",
    "scalefit laws",
    "scalefit laws chinchilla",
    "scalefit laws --for runs.csv",
    "scalefit inspect runs.csv",
    "scalefit inspect curves.csv",
    "scalefit data",
    "scalefit data schedules",
]


def forbid(constant):
    raise AssertionError(f"{constant} is not JSON")


@pytest.mark.parametrize("command", ANSWERS)
def test_json_is_one_object_on_stdout_and_nothing_on_stderr(command, there):
    result = commands.run(f"{command} --json")
    content = json.loads(result.stdout, parse_constant=forbid)
    assert content["schema_version"] == 1
    assert len(content) > 1
    assert result.stderr == ""
    assert result.exit_code in (0, 1)


@pytest.mark.parametrize("command", ANSWERS)
def test_csv_is_one_table_on_stdout(command, there):
    result = commands.run(f"{command} --csv")
    (there / "table.csv").write_text(result.stdout)
    table = pd.read_csv(there / "table.csv")
    assert len(table) > 0
    assert not [column for column in table.columns if column.startswith("Unnamed")]
    assert all(line.startswith(("! ", "read: ")) for line in result.stderr.splitlines())


def test_the_text_the_json_and_the_library_say_the_same(there):
    import scalefit as sf

    fit = sf.fit(sf.read_runs("runs.csv"), "chinchilla")
    content = json.loads(commands.run(f"{FIT} --json").stdout)
    assert {name: entry["value"] for name, entry in content["parameters"].items()} == dict(fit.parameters)
    assert {"low", "high", "state"} < content["parameters"]["E"].keys()
    assert fit.summary().splitlines()[1] in commands.run(FIT).stdout
    assert content["data"] == [dict(origin) for origin in fit.origin]


def test_a_prediction_by_the_command_line_is_the_formula(there):
    result = commands.run("scalefit predict fit.json --at N=70B,D=1.4T --json")
    (row,) = json.loads(result.stdout)["predictions"]
    assert row["loss"] == pytest.approx(1.7 + 400 * 70e9**-0.34 + 410 * 1.4e12**-0.28, rel=1e-6)


def test_a_failed_check_exits_with_one_and_zero_when_asked(there):
    command = f'{FIT} --where "D < 5e9"'
    failed = commands.run(command)
    assert failed.exit_code == 1
    assert "! " in failed.stdout
    assert commands.run(f"{command} --exit-zero").exit_code == 0
    assert json.loads(commands.run(f"{command} --json").stdout)["ok"] is False


LOADED = "; import sys; print(sorted(sys.modules.keys() & {'torch', 'matplotlib', 'lmfit', 'numpy', 'pandas'}))"


def loaded(code, folder):
    """Which of the heavy modules a fresh Python has after some code."""
    environment = {**os.environ, "PYTHONPATH": str(commands.ROOT)}
    words = [sys.executable, "-c", code + LOADED]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1:]


def test_help_loads_nothing_heavy(tmp_path):
    run = "from scalefit.cli import main; [main([word], standalone_mode=False) for word in ('--help', '--version')]"
    assert loaded(run, tmp_path) == ["[]"]


def test_a_process_answers_on_stdout_loads_nothing_heavy_and_exits(there):
    environment = {**os.environ, "PYTHONPATH": str(commands.ROOT)}
    fit = ["scalefit", "fit", "runs.csv", "--law", "chinchilla", "--at", "N=1e8,D=10B", "--save", "new.json", "--json"]
    words = [sys.executable, "-X", "importtime", "-m", *fit]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout)["status"] == "converged"
    said = done.stderr.splitlines()
    assert all(line.startswith("import time: ") for line in said), "nothing but what Python itself says"
    modules = {line.rpartition("|")[2].strip() for line in said}
    assert modules >= {"numpy", "pandas", "scalefit.fitting.fit"}
    assert not modules & {"torch", "matplotlib", "lmfit", "scipy.stats", "scipy.signal", "scalefit.proxy"}
    words = [sys.executable, "-m", "scalefit", "fitt"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


def test_without_a_command_the_help_is_shown():
    assert "Commands:" in invoke().stdout


def test_a_figure_without_a_name_is_named_after_its_fit_and_takes_no_other_s_place(there):
    assert invoke("plot", "fit.json").stdout == "wrote fit.png\n"
    drawn = (there / "fit.png").stat().st_mtime_ns
    again = invoke("plot", "fit.json")
    assert again.exit_code == 2 and "-o fit.png overwrites it" in again.stderr
    assert (there / "fit.png").stat().st_mtime_ns == drawn
    assert invoke("plot", "fit.json", "-o", "fit.png").exit_code == 0


def test_the_figure_of_a_fit_holds_the_point_that_is_asked_for(there, monkeypatch):
    seen = {}
    monkeypatch.setattr("scalefit.plots.plot_fit", lambda fit, held, **options: seen.update(options))
    monkeypatch.setattr("scalefit.plots.save_figure", lambda ax, path: path)
    assert invoke("fit", "runs.csv", "--law", "chinchilla", "--at", "N=1e10,D=1e11", "--plot", "at.png").exit_code in (
        0,
        1,
    )
    assert seen["at"] == {"N": "1e10", "D": "1e11"}
