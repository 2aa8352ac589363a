"""The README says what is so: its commands and its code run, and the result on its first screen is what comes out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import commands
import numpy as np
import pytest

import scalefit as sf

README = (commands.ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = commands.listed(README)
SET_UP = {"python3 -m venv .venv", ".venv/bin/python -m pip install ."}  # what a clean clone's CI does
NUMBER = re.compile(r"-?\d+\.?\d*(?:e[+-]?\d+)?")


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """A workspace in which the commands with ``--save`` have run, and what those answered."""
    folder = tmp_path_factory.mktemp("readme")
    return folder, commands.saved(folder, COMMANDS)


@pytest.fixture
def there(answered, monkeypatch):
    monkeypatch.chdir(answered[0])
    yield answered[0]
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def demo(folder):
    """``make demo`` in a folder, with a virtual environment that is this one."""
    place = commands.workspace(folder)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(commands.ROOT / name, place)
    (place / "venv" / "bin").mkdir(parents=True)
    script = place / "venv" / "bin" / "scalefit"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m scalefit "$@"\n')
    script.chmod(0o755)
    (place / "venv" / "core").touch()
    environment = {**os.environ, "PYTHONPATH": str(commands.ROOT), "MPLBACKEND": "Agg"}
    make = ["make", "-s", "demo", "VENV=venv"]
    return subprocess.run(make, cwd=place, env=environment, capture_output=True, text=True, check=False)


def test_the_first_screen_shows_what_make_demo_prints(tmp_path):
    done = demo(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "annealing.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "annealing.json").is_file()
    shown, printed = commands.blocks(README, "text")[0].strip().splitlines(), done.stdout
    printed = printed[printed.index(shown[0].split(":")[0]) :].strip().splitlines()
    for ours, theirs in zip(shown, printed[: len(shown)], strict=True):  # the first screen of it
        assert NUMBER.sub("", ours).split() == NUMBER.sub("", theirs).split()
        numbers = [np.array([float(n) for n in NUMBER.findall(line)]) for line in (ours, theirs)]
        np.testing.assert_allclose(*numbers, rtol=0.05, atol=0.05, err_msg=ours)


def test_the_figure_and_every_link_are_there():
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert "docs/images/annealing.png" in links
    assert not [link for link in links if not (commands.ROOT / link).exists()]


@pytest.mark.parametrize("target", [command.split()[1] for command in COMMANDS if command.startswith("make ")])
def test_make_knows_the_targets(target):
    done = subprocess.run(["make", "-n", target], cwd=commands.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_shell_command_is_one_of_those_tested_here():
    others = [line for line in COMMANDS if not line.startswith(("make ", "scalefit "))]
    assert set(others) == SET_UP


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("scalefit ")])
def test_the_commands_run(command, there, answered, few_draws):
    result = answered[1].get(command) or commands.run(command)
    assert result.exit_code == commands.wanted_exit(command), result.output
    assert result.stdout.strip()


@pytest.mark.parametrize("code", commands.blocks(README, "python"))
def test_the_python_runs(code, there):
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["again"].parameters == names["fit"].parameters
    assert (there / "fit.png").is_file()


def test_the_numbers_quoted_below_the_first_screen_are_those_of_the_commands(there):
    """What the three newcomers read: predicted and measured losses, and intervals."""
    commands_of = [
        section for section in README.split("\n## ") if "--save two.json" in section or "sizes.json" in section
    ]
    sizes, curves = ("".join(section.split()) for section in commands_of)
    final = sf.load_fit("two.json").predict(schedule="wsd:peak_lr=8e-3,steps=1600,warmup=100,decay_steps=320").iloc[-1]
    assert f"{final['loss']:.3f},withtheinterval[{final['low']:.3f},{final['high']:.3f}]" in curves
    measured = sf.load("schedules").where("d_model == 96 and schedule == 'wsd-1600'").curves["loss"].iloc[-1]
    assert f"reached{measured:.3f}" in curves
    predicted = sf.load_fit("sizes.json").predict(N="220K", D="1.5M").iloc[0]
    larger = sf.load("size_data").where("d_model == 96 and D > 1.5e6").table["loss"]
    assert f"reached{larger.min():.2f}and{larger.max():.2f}:inside" in sizes
    assert (larger > predicted["low"]).all() and (larger < predicted["high"]).all()
    assert f"({predicted['decades_beyond']:.1f}:fourtimes" in sizes
    assert f"about{100 * (1 - (larger / predicted['loss']).mean()):.0f}%below" in sizes


def test_the_package_of_this_name_on_the_index_is_not_advertised():
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", *map(str, commands.ROOT.glob("docs/*.md"))):
        assert not re.search(r"pip install (-\S+ )*scalefit", (commands.ROOT / name).read_text(encoding="utf-8"))
