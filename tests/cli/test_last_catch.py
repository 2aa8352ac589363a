"""An error that no command foresaw is one line that asks for a report; called as the tests call it, it is raised."""

from __future__ import annotations

import json
import subprocess
import sys

import commands
import pytest

from scalefit.cli import run

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


def fault(*_, **__):
    raise KeyError("planted")


@pytest.fixture
def program(tmp_path, monkeypatch):
    """The program in this process, with that fault: what it raises goes where Python takes it."""
    monkeypatch.chdir(commands.plant(tmp_path))
    monkeypatch.setattr("scalefit.runs.inspect", fault)
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)

    def ended(*words):
        monkeypatch.setattr(sys, "argv", ["scalefit", "inspect", "runs.csv", *words])
        with pytest.raises(KeyError) as raised:
            run()
        sys.excepthook(raised.type, raised.value, raised.tb)

    return ended


def test_an_unexpected_error_is_one_line(tmp_path):
    commands.plant(tmp_path)
    words = [sys.executable, "-c", FAULTY, "inspect", "runs.csv"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1 and "\x1b" not in done.stderr
    assert all(word in done.stderr for word in ("KeyError", "planted", "report it", "--traceback"))


def test_with_json_it_is_an_object(program, capsys):
    with pytest.raises(SystemExit) as ended:
        program("--json")
    said = capsys.readouterr()
    assert (ended.value.code, said.err) == (2, "")
    assert "report it" in json.loads(said.out)["error"]["text"]


def test_with_traceback_it_is_shown_as_python_shows_it(program, capsys):
    program("--traceback")
    said = capsys.readouterr().err
    assert "Traceback" in said and "report it" not in said


def test_a_test_fails_on_it(tmp_path, monkeypatch):
    commands.plant(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scalefit.runs.inspect", fault)
    assert isinstance(commands.run("scalefit inspect runs.csv").exception, KeyError)


def test_the_program_is_this_function():
    text = (commands.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'scalefit = "scalefit.cli:run"' in text
