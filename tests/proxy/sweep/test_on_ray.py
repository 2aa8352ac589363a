"""Sweeps on Ray: on a cluster of two worker nodes, of which one is killed."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
import time
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

from clusters import assert_same, planned

from scalefit.errors import InputError, ScalefitError
from scalefit.proxy import run_on_ray, run_sweep, sweep_status

HERE = importlib.util.find_spec("ray") is not None


@pytest.mark.skipif(HERE, reason="Ray is installed")
def test_without_ray_the_extra_is_named(tmp_path):
    planned(tmp_path, 2, steps=2)
    with pytest.raises(InputError, match=r"Ray is not installed; pip install"):
        run_on_ray(tmp_path)


def test_what_this_machine_does_not_have_is_not_waited_for(tmp_path, monkeypatch):
    ended = []
    fake = SimpleNamespace(is_initialized=lambda: False, init=lambda **_: None, shutdown=lambda: ended.append(1))
    fake.cluster_resources = lambda: {"CPU": 2.0}
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    planned(tmp_path, 2, steps=2)
    with pytest.raises(InputError, match=r"a pack takes 0\.25 GPUs, and Ray finds 0 on this machine"):
        run_on_ray(tmp_path, gpus=0.25)
    assert ended, "Ray is ended all the same"


def test_each_pack_is_trained_once_and_then_the_sweep_ends(tmp_path, monkeypatch):
    """Without a cluster: what is given to Ray is done at once in this process."""
    begun = []

    def remote(**_):
        def begin(train, pack, out):
            begun.append([config.name for config in pack])
            return train(pack, out)

        return lambda train: SimpleNamespace(remote=lambda pack, out: begin(train, pack, out) or len(begun))

    def waits(_):
        raise AssertionError("it waits though all is done")

    fake = SimpleNamespace(
        is_initialized=lambda: True, wait=lambda tasks: (tasks[:1], tasks[1:]), get=lambda task: task
    )
    fake.remote, fake.exceptions = remote, SimpleNamespace(RayError=RuntimeError)
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setattr("scalefit.proxy.sweep.on_ray.time.sleep", waits)
    planned(tmp_path, 2, steps=2)
    done = run_on_ray(tmp_path, members=1)
    assert [row["status"] for row in done] == ["finished"] * 2
    assert [len(pack) for pack in begun] == [1, 1]
    assert begun[0] != begun[1]


@pytest.fixture(scope="module")
def cluster():
    """A head without processors and two worker nodes of one each."""
    if not HERE:
        pytest.skip("ray is not installed")
    os.environ["RAY_AUTH_MODE"] = "disabled"
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    made.nodes = [made.add_node(num_cpus=1, num_gpus=1, wait=False) for _ in range(2)]
    made.wait_for_nodes(timeout=600)
    ray.init(address=made.address, log_to_driver=False, logging_level="error")
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.cluster
def test_a_sweep_of_which_a_node_is_killed_equals_a_plain_run(tmp_path, cluster):
    out, reference = tmp_path / "out", tmp_path / "reference"
    jobs = planned(out, 40, steps=200)
    planned(reference, 40, steps=200)

    def count(kind):
        return sum(row["status"] == kind for row in sweep_status(out))

    def kill():
        until = time.monotonic() + 900
        while count("finished") < 5 and time.monotonic() < until:
            time.sleep(0.1)
        began.append(count("finished"))
        cluster.remove_node(cluster.nodes[0], allow_graceful=False)

    began = []
    killer = threading.Thread(target=kill)
    killer.start()
    rows = run_on_ray(out, members=1)
    killer.join()
    assert 5 <= began[0] < 40
    assert [row["id"] for row in rows] == [job.id for job in jobs]
    run_sweep(reference, members=1)
    assert_same(out, reference)
    before = {job.id: (out / job.id / "log.jsonl").stat().st_mtime_ns for job in jobs}
    run_on_ray(out, members=1)
    assert before == {job.id: (out / job.id / "log.jsonl").stat().st_mtime_ns for job in jobs}


@pytest.mark.cluster
def test_a_run_that_fails_is_named_after_the_others_have_ended(tmp_path, cluster):
    planned(tmp_path, 4, steps=2)
    planned(tmp_path, 2, steps=2, batch=2**16)  # more than there is to train on
    with pytest.raises(ScalefitError, match=r"2 runs failed, the first with: .*smaller than one batch"):
        run_on_ray(tmp_path, members=1, gpus=0.25, cpus=0.25, device="cpu")
    assert [row["status"] for row in sweep_status(tmp_path)] == ["finished"] * 4 + ["planned"] * 2
