"""``watch --follow`` on a log that another process writes; the log grows when we wait, so nothing depends on time."""

from __future__ import annotations

import json
import subprocess
import sys

import commands
import pytest

from scalefit.cli import watch

#: writes as many rows as it is asked for, the last one in two parts where the number is negative; says when it is done
WRITER = """
import sys
step = 0
with open("run.csv", "a") as log:
    for line in sys.stdin:
        for _ in range(abs(int(line))):
            step += 1
            loss = 9.0 if 61 < step <= 64 else 3.0 + 5.0 / step
            log.write(f"{step},{loss}\\n")
        if int(line) < 0:
            log.write(f"{step + 1}")
        log.flush()
        print("done", flush=True)
        if int(line) < 0:
            step += 1
            log.write(f",{3.0 + 5.0 / step}\\n")
"""


@pytest.fixture
def grows(tmp_path, monkeypatch):
    """A function that sets by how many rows the log grows at each wait; nothing more afterwards."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.csv").write_text("step,loss\n")
    writer = subprocess.Popen([sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    coming = []

    def pause(seconds):
        if coming:
            rows = coming.pop(0)
            if rows == "Ctrl-C":
                raise KeyboardInterrupt
            writer.stdin.write(f"{rows}\n")
            writer.stdin.flush()
            assert writer.stdout.readline() == "done\n"
        return seconds

    monkeypatch.setattr(watch, "pause", pause)
    yield coming.extend
    writer.stdin.close()
    assert writer.wait(timeout=60) == 0
    writer.stdout.close()


def test_it_prints_what_is_new_and_ends_with_the_run(grows):
    grows([1, 9, 30, -20, 30, 9, 1000])
    result = commands.run("scalefit watch run.csv --follow --steps 100")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    news = [line for line in lines[: lines.index("followed until: run is at its last step")] if line.startswith("run:")]
    assert [line.split(" at ")[0] for line in news] == ["run: too short", "run: calm", "run: spikes", "run: spikes"]
    assert "spikes at step 91" in news[2]
    assert "spikes at step 100" in news[3]
    assert sum(line.startswith("  step 62: loss") for line in lines) == 2, "when it appears, and in the answer"


def test_control_c_ends_it_with_the_answer_so_far(grows):
    grows([40, "Ctrl-C"])
    result = commands.run("scalefit watch run.csv --follow")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert "followed until: Ctrl-C" in result.stdout.splitlines()


def test_a_log_that_does_not_grow_ends_it(grows):
    grows([40])
    result = commands.run("scalefit watch run.csv --follow --idle 2 --json")
    assert json.loads(result.stdout)["followed_until"] == "the log has not grown for 2 minutes"
    assert json.loads(result.stdout)["runs"]["run"]["step"] == 40


def test_a_log_without_rows_is_waited_for_and_then_refused(grows):
    result = commands.run("scalefit watch run.csv --follow --idle 1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no rows" in result.stderr


def test_what_cannot_be_followed_is_refused(grows):
    assert "cannot be looked at twice" in commands.run("scalefit watch - --follow").stderr
    assert "no such file" in commands.run("scalefit watch none.csv --follow").stderr
