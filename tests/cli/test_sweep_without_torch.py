"""Sweeps are planned, looked at, collected and given to Slurm without PyTorch, even where it is not installed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

GRID = """
[base]
steps = 4
warmup = 1
d_model = 8
d_head = 8

[grid]
lr = [0.01, 0.02, 0.04]
"""
WITHOUT = """
import json, sys
sys.modules["torch"] = None  # an import of it fails, as where it is not installed
from click.testing import CliRunner
from scalefit.cli import main
done = CliRunner().invoke(main, sys.argv[1:], prog_name="scalefit")
assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
sys.stdout.write(json.dumps([done.exit_code, done.stdout, done.stderr]))
"""


def without_torch(*words):
    done = subprocess.run([sys.executable, "-c", WITHOUT, *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A planned sweep of three runs, of which one has begun."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "grid.toml").write_text(GRID)
    code, text, _ = without_torch("sweep", "plan", str(folder / "grid.toml"), "--out", str(folder / "out"))
    assert (code, "3 runs planned" in text) == (0, True)
    job = json.loads((folder / "out/jobs.jsonl").read_text().splitlines()[0])
    run = folder / "out" / job["id"]
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"run": job["id"], "identity": job["id"], "status": "stopped", "step": 2}))
    (run / "log.jsonl").write_text("".join(json.dumps({"step": s, "loss": 3.0 - s}) + "\n" for s in range(3)))
    return folder / "out"


def test_status_and_collect(sweep):
    code, text, _ = without_torch("sweep", "status", "--out", str(sweep), "--json")
    assert code == 0
    assert "2 planned" in text or text.count("planned") == 2
    code, text, _ = without_torch("sweep", "collect", "--out", str(sweep), "--curves", "--csv")
    assert code == 0
    assert text.startswith("run,")
    assert len(text.splitlines()) == 1 + 3


def test_the_array_of_slurm(sweep):
    code, text, _ = without_torch("sweep", "slurm", "--out", str(sweep), "--chunk", "2", "--json")
    assert code == 0
    assert json.loads(text)["array"] == "0-1"


def test_training_says_what_is_missing(sweep):
    code, _, error = without_torch("sweep", "run", "--out", str(sweep))
    assert code == 2
    assert error.count("\n") == 1
    assert "PyTorch is not installed" in error
