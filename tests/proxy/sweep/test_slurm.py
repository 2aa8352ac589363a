"""Sweeps as arrays of Slurm: the script that is written, and an array on a Slurm of one node."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")

from clusters import assert_same, planned

from scalefit.errors import InputError
from scalefit.proxy import run_sweep, write_slurm
from scalefit.runs import read_runs

CLUSTER = Path(__file__).with_name("one_node_slurm.sh")
MISSING = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]


def tasks(script):
    return re.search(r"^#SBATCH --array=(.*)$", script.read_text(), re.M)[1]


def test_the_script_has_a_task_for_each_part_that_is_not_done(tmp_path):
    out = tmp_path / "out"
    planned(out, 10, steps=2, warmup=1)
    assert tasks(write_slurm(out)) == "0-9"
    assert tasks(write_slurm(out, chunk=4)) == "0-2"
    run_sweep(out, index=1, chunk=4)  # jobs 4 to 7
    assert tasks(write_slurm(out, chunk=4)) == "0,2"
    assert tasks(write_slurm(out)) == "0-3,8-9"
    run_sweep(out)
    with pytest.raises(InputError, match="all 10 runs are done"):
        write_slurm(out)


def test_the_script_is_bash_that_runs_the_part_of_its_task(tmp_path):
    """Run by hand as Slurm does: with the number of the task in the environment."""
    out = tmp_path / "out"
    ids = [job.id for job in planned(out, 4, steps=2, warmup=1)]
    text = write_slurm(out, ["--gpus=1", "--time=01:00:00"], chunk=2, run=["--members", "1"]).read_text()
    assert "#SBATCH --gpus=1\n#SBATCH --time=01:00:00\n" in text
    shown = re.sub(r"^exec ", "echo ", text, flags=re.M)
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": "1"}
    words = subprocess.run(["bash", "-c", shown], capture_output=True, text=True, check=True, env=environment).stdout
    assert words.split()[-9:] == f"run --out {out} --chunk 2 --members 1 --index 1".split()
    assert not [name for name in ids if (out / name).exists()]


@pytest.mark.parametrize("option", ["gpus=1", "--gpus=1\nrm -rf x", "", "--"])
def test_what_is_no_option_of_sbatch_is_refused(tmp_path, option):
    planned(tmp_path / "out", 2, steps=2)
    with pytest.raises(InputError, match="is not an option of sbatch"):
        write_slurm(tmp_path / "out", [option])
    assert not (tmp_path / "out/slurm").exists()


@pytest.mark.parametrize("option", ["--array=0-3", "--array 1", "-a0-3"])
def test_a_second_array_is_refused(tmp_path, option):
    """Of two lines sbatch would heed the last, and leave runs out."""
    planned(tmp_path / "out", 2, steps=2)
    with pytest.raises(InputError, match="the array is that of the runs"):
        write_slurm(tmp_path / "out", [option])


def test_a_folder_that_slurm_cannot_name_is_refused(tmp_path):
    planned(tmp_path / "a sweep", 2, steps=2)
    with pytest.raises(InputError, match="no space, quote or %"):
        write_slurm(tmp_path / "a sweep")


@pytest.fixture
def slurm(monkeypatch):
    """A Slurm of one node, and a folder that its tasks may use."""
    if MISSING:
        pytest.skip(f"{', '.join(MISSING)} is not installed: apt-get install slurm-wlm munge")
    if os.geteuid():
        pytest.skip("a Slurm of one node is started by root")
    with tempfile.TemporaryDirectory(prefix="slurm") as folder:  # sockets have short paths
        subprocess.run([CLUSTER, "start", folder], check=True, timeout=90)
        monkeypatch.setenv("SLURM_CONF", f"{folder}/slurm.conf")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["scancel", "--user", "root"], check=False, timeout=30)
            subprocess.run([CLUSTER, "stop", folder], check=True, timeout=30)
            time.sleep(1)


def submitted(script):
    done = subprocess.run(["sbatch", "--parsable", script], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def wait_until(what, seconds=900):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "the array of Slurm takes too long"
        time.sleep(0.2)


def queue():
    return subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=True).stdout


@pytest.mark.cluster
def test_an_array_of_which_a_task_is_cancelled_and_submitted_again_equals_a_plain_run(tmp_path, slurm):
    out, reference = slurm / "out", tmp_path / "reference"
    jobs = planned(out, 8, steps=1500)
    planned(reference, 8, steps=1500)
    first = submitted(write_slurm(out, ["--cpus-per-task=1", "--mem=1000"], chunk=2))
    log, checkpoint = (out / jobs[3].id / name for name in ("log.jsonl", "checkpoint.pt"))  # of task 1
    wait_until(checkpoint.exists)
    subprocess.run(["scancel", f"{first}_1"], check=True)
    wait_until(lambda: not queue())
    assert tasks(write_slurm(out, chunk=2)) == "1"
    assert 25 <= log.read_bytes().count(b"\n") - 1 < 1500, "it was cancelled while it trained"
    submitted(write_slurm(out, ["--cpus-per-task=1", "--mem=1000"], chunk=2))
    wait_until(lambda: not queue())
    for task in range(4):
        run_sweep(reference, index=task, chunk=2)
    assert_same(out, reference)
    assert set(read_runs(out).table["run"]) == {job.id for job in jobs}, "logs of Slurm are no logs of runs"


def test_a_job_is_named_after_its_folder(tmp_path):
    planned(tmp_path / "rates,again", 2, steps=2)
    assert "#SBATCH --job-name=rates_again\n" in write_slurm(tmp_path / "rates,again").read_text()
