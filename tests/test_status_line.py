"""What a long computation is doing is told to who listens, and shown on a terminal alone."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.status_line import heard, tell


def runs():
    N, D = (x.ravel() for x in np.meshgrid([1e7, 3e7, 1e8, 3e8], [1e9, 1e10, 1e11]))
    return pd.DataFrame({"N": N, "D": D, "loss": 1.7 + 400 * N**-0.34 + 410 * D**-0.28})


def test_a_choice_of_law_tells_each_law_that_it_tries_and_numbers_them():
    said = []
    with heard(said.append):
        found = sf.fit(runs(), starts=2)
    tried = [text.split(",")[0].removeprefix("trying law ") for text in said if text.startswith("trying law")]
    assert {record["law"] for record in found.choice.errors} <= set(tried)
    assert [int(text.split()[-3]) for text in said if text.startswith("trying law")] == list(range(1, len(tried) + 1))


def test_a_listener_hears_nothing_afterwards():
    said = []
    with pytest.raises(RuntimeError), heard(said.append):
        tell("one")
        raise RuntimeError
    tell("two")
    assert said == ["one"]


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
def test_a_terminal_shows_it_and_a_pipe_does_not(tmp_path, monkeypatch):
    commands.plant(tmp_path)
    words = [sys.executable, "-m", "scalefit", "fit", "runs.csv", "--law", "chinchilla", "--draws", "0"]
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        done = subprocess.run(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs, check=True)
        os.close(theirs)
        shown = b""
        while chunk := _read(terminal):
            shown += chunk
    assert b"fitting law chinchilla ..." in shown
    assert shown.endswith(b"\r\x1b[K"), "the line is cleared"
    assert b"fitting law" not in done.stdout
    monkeypatch.chdir(tmp_path)
    silent = commands.run("scalefit fit runs.csv --law chinchilla --draws 0")
    assert silent.stderr == ""
    assert silent.stdout == done.stdout.decode()


def _read(terminal):
    try:
        return terminal.read(65536)
    except OSError:  # Linux says so at the end of a terminal
        return b""
