"""The run logger: whole rows, read like any run log, resumed, refused, sent elsewhere where asked."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import types

import pytest

import scalefit as sf

torch = pytest.importorskip("torch")

from scalefit.errors import InputError  # noqa: E402
from scalefit.proxy import RunLogger  # noqa: E402


def logged(folder, steps, **settings):
    with RunLogger(folder, **settings) as log:
        for step in steps:
            log(step, loss=3.0 / step, lr=1e-3 * step, tokens=100 * step)


def test_what_was_logged_is_what_is_read(tmp_path):
    for width in (64, 128):
        logged(tmp_path / f"w{width}", range(1, 6), d_model=width, lr=5e-3, N=12e6, seed=0)
    runs = sf.read_runs(tmp_path)
    assert sorted(runs.table["run"]) == ["w128", "w64"]
    assert sorted(runs.table["d_model"]) == [64, 128]
    assert set(runs.table["N"]) == {12e6}
    assert set(runs.table["peak_lr"]) == {5e-3}
    assert set(runs.table["status"]) == {"finished"}
    curve = runs.curves[runs.curves["run"] == "w64"]
    assert curve["loss"].tolist() == [3.0 / step for step in range(1, 6)]
    assert curve["lr"].tolist() == [1e-3 * step for step in range(1, 6)]
    assert curve["tokens"].tolist() == [100.0 * step for step in range(1, 6)]


def test_tensors_and_arrays_of_one_number_are_numbers(tmp_path):
    import numpy as np

    value = torch.tensor(2.0, requires_grad=True)
    with RunLogger(tmp_path / "a", batch=np.int64(8)) as log:
        log(1, loss=value, gain=np.float32(0.5), flag=torch.ones(1))
        with pytest.raises(InputError, match=r"norms = .* is not one number"):
            log(2, norms=torch.ones(3))
        log(2, loss=1)
    rows = [json.loads(line) for line in (tmp_path / "a" / "log.jsonl").read_text().splitlines()]
    assert rows == [{"step": 1, "loss": 2.0, "gain": 0.5, "flag": 1.0}, {"step": 2, "loss": 1.0}]
    assert json.loads((tmp_path / "a" / "run.json").read_text())["batch"] == 8


def test_a_run_goes_on_where_it_stopped(tmp_path):
    with pytest.raises(KeyboardInterrupt), RunLogger(tmp_path / "a", lr=1.0) as log:
        log(1, loss=1.0)
        log(2, loss=2.0)
        raise KeyboardInterrupt
    assert json.loads((tmp_path / "a" / "run.json").read_text())["status"] == "stopped"
    logged(tmp_path / "a", range(1, 5), lr=1.0)
    text = (tmp_path / "a" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in text] == [1, 2, 3, 4]
    facts = json.loads((tmp_path / "a" / "run.json").read_text())
    assert (facts["status"], facts["step"]) == ("finished", 4)
    with pytest.raises(InputError, match="other settings"):
        logged(tmp_path / "a", [5], lr=2.0)


@pytest.mark.parametrize(
    ("last", "status"), [(float("nan"), "diverged"), (float("inf"), "diverged"), (9.0, "finished")]
)
def test_how_it_ended(tmp_path, last, status):
    with RunLogger(tmp_path / "a") as log:
        log(1, loss=1.0)
        log(2, loss=last)
        log(3, val_loss=1.0)
    assert json.loads((tmp_path / "a" / "run.json").read_text())["status"] == status
    assert len(sf.read_runs(tmp_path / "a").curves) >= 1


def test_opened_again_without_a_new_row_a_run_has_ended_as_before(tmp_path):
    ends = ((math.nan,), "diverged"), ((), "diverged"), ((math.nan, 3.0), "finished"), ((), "finished")
    for losses, status in ends:
        with RunLogger(tmp_path / "a") as log:
            for step, loss in enumerate(losses, 1):
                log(step, loss=loss)
        assert json.loads((tmp_path / "a" / "run.json").read_text())["status"] == status


def test_steps_that_do_not_rise_and_folders_in_use_are_refused(tmp_path):
    with RunLogger(tmp_path / "a") as log:
        log(3, loss=1.0)
        with pytest.raises(InputError, match="step 3 comes after step 3; count the steps of the whole run"):
            log(3, loss=1.0)
        with pytest.raises(InputError, match="another process writes this run"), RunLogger(tmp_path / "a"):
            pass
        log(4, loss=1.0)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "log.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match="written by something else"), RunLogger(tmp_path / "b"):
        pass
    assert (tmp_path / "b" / "log.jsonl").read_text() == "{}\n"


def test_a_kill_loses_no_row(tmp_path):
    code = f"""
import os, signal
from scalefit.proxy.own.run_logger import RunLogger
with RunLogger({str(tmp_path / "a")!r}, lr=1.0) as log:
    for step in range(1, 8):
        log(step, loss=1.0 / step)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert sf.read_runs(tmp_path / "a").curves["step"].tolist() == list(range(1, 8))
    with (tmp_path / "a" / "log.jsonl").open("a") as file:
        file.write('{"step": 8, "lo')  # a row that was cut off
    logged(tmp_path / "a", range(5, 10), lr=1.0)
    assert sf.read_runs(tmp_path / "a").curves["step"].tolist() == list(range(1, 10))


def test_rows_go_to_tensorboard_and_wandb_where_asked(tmp_path, monkeypatch):
    sent = []

    class Writer:
        def __init__(self, folder):
            sent.append(("open", folder))

        def add_scalar(self, name, value, step):
            sent.append((name, value, step))

        def close(self):
            sent.append("closed")

    class Run:
        def log(self, row, step):
            sent.append((row, step))

        def finish(self):
            sent.append("finished")

    def init(**arguments):
        sent.append(arguments)
        return Run()

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=Writer))
    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))
    with RunLogger(tmp_path / "a", tensorboard=True, wandb={"project": "p"}, lr=1.0) as log:
        log(7, loss=2.0)
    assert sent == [
        ("open", str(tmp_path / "a")),
        {"config": {"peak_lr": 1.0}, "project": "p"},
        ("loss", 2.0, 7),
        ({"loss": 2.0}, 7),
        "closed",
        "finished",
    ]
    with RunLogger(tmp_path / "b") as log:
        log(1, loss=2.0)
    assert len(sent) == 6


@pytest.mark.parametrize(("package", "option"), [("torch.utils.tensorboard", "tensorboard"), ("wandb", "wandb")])
def test_a_package_that_is_missing_is_refused_before_anything_is_written(tmp_path, monkeypatch, package, option):
    monkeypatch.setitem(sys.modules, package, None)
    with (
        pytest.raises(InputError, match=f"not installed; pip install {option}"),
        RunLogger(tmp_path / "a", **{option: True}),
    ):
        pass
    assert not (tmp_path / "a").exists()


def test_rows_outside_of_the_log_and_odd_steps_are_refused(tmp_path):
    log = RunLogger(tmp_path / "a")
    with pytest.raises(InputError, match=r"the log is not open; write .with RunLogger"):
        log(1, loss=1.0)
    with log:
        for step in (1.5, -1, math.nan):
            with pytest.raises(InputError, match=f"step is {step}; give a whole number"):
                log(step, loss=1.0)
        log(0, loss=2.0)
    with pytest.raises(InputError, match="the log is not open"):
        log(1, loss=1.0)
    assert (tmp_path / "a" / "log.jsonl").read_text().count("step") == 1
