"""An error that no command foresaw is one line that asks for a report; called as the tests call it, it is raised."""

from __future__ import annotations

import json
import subprocess
import sys

import commands
import pytest

#: the program, with a reader that fails as no command foresees
FAULTY = """
import sys
import scalefit.runs
from scalefit.cli import run

def fault(*_, **__):
    raise KeyError("planted \\x1b[2J\\nfault")

scalefit.runs.inspect = fault
run()
"""


@pytest.fixture
def faulty(tmp_path):
    commands.plant(tmp_path)

    def ended(*words):
        program = [sys.executable, "-c", FAULTY, "inspect", "runs.csv", *words]
        return subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)

    return ended


def test_an_unexpected_error_is_one_line(faulty):
    done = faulty()
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1 and "\x1b" not in done.stderr
    assert all(word in done.stderr for word in ("KeyError", "planted", "report it", "--traceback"))


def test_with_json_it_is_an_object(faulty):
    done = faulty("--json")
    assert (done.returncode, done.stderr) == (2, "")
    assert "report it" in json.loads(done.stdout)["error"]["text"]


def test_with_traceback_it_is_shown_as_python_shows_it(faulty):
    done = faulty("--traceback")
    assert done.returncode == 1 and "Traceback" in done.stderr and "report it" not in done.stderr


def test_a_test_fails_on_it(tmp_path, monkeypatch):
    def fault(*_, **__):
        raise KeyError("planted")

    commands.plant(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scalefit.runs.inspect", fault)
    assert isinstance(commands.run("scalefit inspect runs.csv").exception, KeyError)


def test_the_program_is_this_function():
    text = (commands.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'scalefit = "scalefit.cli:run"' in text
