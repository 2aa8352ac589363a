"""An error that no command foresaw is one line that asks for a report; called as the tests call it, it is raised."""

from __future__ import annotations

import json

import commands
import pytest

import scalefit.cli


@pytest.fixture
def faulty(tmp_path, monkeypatch):
    def fault(*_, **__):
        raise KeyError("planted \x1b[2J\nfault")

    commands.plant(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scalefit.runs.inspect", fault)


def ended(words):
    with pytest.raises(SystemExit) as end:
        scalefit.cli.run(words)
    return end.value.code


def test_an_unexpected_error_is_one_line(faulty, capsys):
    assert ended(["inspect", "runs.csv"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and "\x1b" not in err
    assert "KeyError" in err and "planted" in err and "report it" in err and "--traceback" in err


def test_with_json_it_is_an_object(faulty, capsys):
    assert ended(["inspect", "runs.csv", "--json"]) == 2
    out, err = capsys.readouterr()
    assert err == "" and "report it" in json.loads(out)["error"]["text"]


def test_with_traceback_it_is_raised(faulty):
    with pytest.raises(KeyError, match="planted"):
        scalefit.cli.run(["inspect", "runs.csv", "--traceback"])


def test_a_test_fails_on_it(faulty):
    assert isinstance(commands.run("scalefit inspect runs.csv").exception, KeyError)


def test_what_ends_as_it_should_is_left_alone(tmp_path, monkeypatch, capsys):
    commands.plant(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert ended(["inspect", "runs.csv"]) == 0
    assert ended(["inspect", "missing.csv"]) == 2
    assert ended(["inspct"]) == 2
    assert ended([]) == 0
    assert "report it" not in capsys.readouterr().err


def test_the_program_is_this_function():
    text = (commands.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'scalefit = "scalefit.cli:run"' in text
