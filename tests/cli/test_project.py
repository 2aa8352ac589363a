"""scalefit.toml remembers how the logs of a project are read; options come first; what is used is told."""

import contextlib

import numpy as np
import pytest
from click.testing import CliRunner

from scalefit.cli import main

STEPS = np.arange(20, 820, 20)


def run(*args):
    return CliRunner().invoke(main, list(args))


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "logs" / "run.csv"
    path.parent.mkdir()
    loss = 2.5 + 3 * (STEPS + 50.0) ** -0.4
    rows = [f"{s},{v:.6f},{v + 1:.6f},{1e-3 * (1 - s / 1000):.6e}" for s, v in zip(STEPS, loss, strict=True)]
    path.write_text("\n".join(["upd,goal,other_loss,lr", *rows]) + "\n")
    return path


MAPS = '[map]\nstep = "upd"\nloss = "goal"\nN = "not_there"\n'


@pytest.mark.parametrize("where", ["beside the file", "in the working directory", "in the folder"])
def test_the_choices_are_used_and_told(log, tmp_path, where):
    place = {"beside the file": log.parent, "in the folder": log.parent}.get(where, tmp_path)
    (place / "scalefit.toml").write_text("warmup = 20\n" + MAPS)
    source = str(log.parent if where == "in the folder" else log)
    with contextlib.chdir(tmp_path):
        shown = run("inspect", source)
        fitted = run("fit", source, "--law", "power-floor:over=step", "--draws", "0")
    assert shown.exit_code == 0
    assert "step 20 to 800" in shown.stdout
    assert "known at every step of 1 of 1 runs" in shown.stdout
    assert "scalefit.toml sets map step=upd, loss=goal; warmup 20" in shown.stdout
    assert fitted.exit_code < 2
    assert "read: " in fitted.stdout
    assert "scalefit.toml sets map" in fitted.stdout


def test_an_option_comes_before_the_file(log):
    (log.parent / "scalefit.toml").write_text("warmup = 20\n" + MAPS)
    shown = run("inspect", str(log), "--map", "loss=other_loss", "--warmup", "10").stdout
    assert "loss <- 'other_loss' (mapped)" in shown
    assert "scalefit.toml sets map step=upd" in shown
    assert "warmup 20" not in shown


def test_a_file_of_which_nothing_is_used_is_not_named(log, tmp_path):
    (tmp_path / "scalefit.toml").write_text(MAPS)
    (tmp_path / "plain.csv").write_text("step,loss\n1,2\n2,1\n")
    shown = run("inspect", str(tmp_path / "plain.csv"))
    assert shown.exit_code == 0
    assert "scalefit.toml" not in shown.stdout


def test_a_schedule_is_found_beside_the_project_file_and_a_pattern_is_used(tmp_path):
    (tmp_path / "rates.csv").write_text("step,lr\n" + "".join(f"{s},{1e-3}\n" for s in range(101)))
    (tmp_path / "scalefit.toml").write_text("schedule = 'rates.csv'\npattern = 'u {step} g {loss}'\n")
    (tmp_path / "a.log").write_text("".join(f"u {s} g {3 - s / 100}\n" for s in range(0, 101, 10)))
    shown = run("inspect", str(tmp_path / "a.log"))
    assert "known at every step of 1 of 1 runs" in shown.stdout
    assert "pattern u {step} g {loss}" in shown.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("warm_up = 20\n", "there is no key 'warm_up'"),
        ("warmup = 'long'\n", "warmup is not a whole number"),
        ("warmup = true\n", "warmup is not a whole number"),
        ("join = 1\n", "join is not true or false"),
        ("map = 'loss=goal'\n", "map is not a table"),
        ("[map]\nloss = 3\n", "map.loss is not the name of a column"),
        ("warmup 20\n", "not a TOML file"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(log, text, said):
    (log.parent / "scalefit.toml").write_text(text)
    result = run("inspect", str(log))
    assert result.exit_code == 2
    assert said in result.stderr
    assert "scalefit.toml" in result.stderr
    assert result.stderr.count("\n") == 1


def test_python_reads_no_project_file(log):
    import scalefit as sf

    (log.parent / "scalefit.toml").write_text(MAPS)
    with pytest.raises(sf.InputError):
        sf.read_runs(log)
