"""One run on several processes: what they compute together is what one process computes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

torch = pytest.importorskip("torch")

from scalefit.errors import InputError  # noqa: E402
from scalefit.proxy import Config, Ensemble, train  # noqa: E402
from scalefit.proxy.data_parallel import Peers  # noqa: E402
from scalefit.proxy.probes import Probe  # noqa: E402
from scalefit.proxy.run_folder import RunFolder  # noqa: E402

CONFIG = {
    **{"d_model": 16, "n_layer": 1, "d_head": 8, "seq_len": 16, "batch": 128, "steps": 30, "warmup": 3},
    **{"eval_every": 10, "eval_batch": 256, "checkpoint_every": 10, "probe_every": 10, "name": "one", "lr": 0.02},
    **{"data": "zipf-markov", "data_options": {"tokens": 40000, "vocab": 8, "order": 1}, "schedule": "cosine"},
}
SEVERAL = {"accumulate": 2, "z_loss": 1e-4, "weight_decay": 0.1}


@dataclass(frozen=True)
class Alone(Peers):
    """One of several processes that exchange nothing."""

    def mean(self, value):
        return value


@pytest.mark.parametrize(
    "changes", [{}, SEVERAL, {"experts": 4, "experts_per_token": 2, "balance": 0.0}, {"dropout": 0.5}]
)
def test_the_mean_gradient_of_the_shares_is_that_of_the_batch(changes):
    config = Config.read(CONFIG | changes)
    whole, *shares = [None, *(Alone(rank, 4, torch.device("cpu")) for rank in range(4))]
    found = []
    for peers in [whole, *shares]:
        ensemble = Ensemble([config], peers=peers)
        batch = ensemble.batch(1) | ensemble._dropped()
        found.append(ensemble._gradient(ensemble.theta.requires_grad_(), batch, None))
    gradient, objective, row = found[0]
    together = torch.stack([each for each, *_ in found[1:]]).mean(0)
    torch.testing.assert_close(together, gradient, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(torch.stack([each["loss"] for *_, each in found[1:]]).mean(0), row["loss"])
    torch.testing.assert_close(torch.stack([each for _, each, _ in found[1:]]).mean(0), objective)
    assert not torch.allclose(found[1][0], gradient, rtol=1e-2), "each has another share"


def test_a_probe_sees_the_whole_batch():
    values = []
    for peers in (None, Alone(1, 4, torch.device("cpu"))):
        probe = Probe()
        Ensemble([Config.read(CONFIG)], peers=peers).update(probe)
        values.append(probe.values)
    assert values[0].keys() == values[1].keys()
    for name, value in values[0].items():
        torch.testing.assert_close(values[1][name], value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("size", "changes"), [(3, {}), (8, {"accumulate": 2})])
def test_a_batch_that_cannot_be_shared_is_refused(size, changes):
    with pytest.raises(InputError, match=f"8 sequences is not shared equally by {size} processes"):
        Ensemble([Config.read(CONFIG | changes)], peers=Peers(0, size, torch.device("cpu")))


def torchrun(folder, processes, **changes):
    """Train by the command line on so many processes."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    settings = {key: value for key, value in (CONFIG | changes).items() if key != "data_options"}
    words = [f"--set={key}={value}" for key, value in settings.items()]
    toml = folder / "config.toml"
    toml.write_text("data_options = { tokens = 40000, vocab = 8, order = 1 }\n")
    begin = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [*begin, "-m", "scalefit", "train", str(toml), "--out", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)


@pytest.mark.cluster
def test_two_processes_train_the_run_of_one_and_each_goes_on_where_the_other_stopped(tmp_path, monkeypatch):
    """The losses agree to 1e-5, as single precision allows over these steps."""
    one, two, mixed = tmp_path / "one", tmp_path / "two", tmp_path / "mixed"
    for folder in (one, two, mixed):
        folder.mkdir()
    train(Config.read(CONFIG), one)
    done = torchrun(two, 2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished") == 1, "only the first process answers"
    stopped = Config.read(CONFIG)
    save = RunFolder.save

    def then_stop(folder, checkpoint, keep=False):
        save(folder, checkpoint, keep)
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "save", then_stop)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, mixed)
    assert RunFolder(mixed / "one").last_row()["step"] == 10
    assert torchrun(mixed, 2).returncode == 0
    rows = RunFolder(one / "one").rows()
    for folder in (two, mixed):
        assert RunFolder(folder / "one").facts()["processes"] == 2
        for ours, other in zip(RunFolder(folder / "one").rows(), rows, strict=True):
            assert ours == pytest.approx(other, rel=1e-5, abs=1e-6)


@pytest.mark.cluster
def test_what_cannot_be_trained_is_refused_once_and_nobody_waits(tmp_path):
    done = torchrun(tmp_path, 2, batch=48)
    assert done.returncode != 0
    assert done.stderr.count("3 sequences is not shared equally by 2 processes") == 1
