"""The training loop: reproducible, resumable to the bit, members apart, logs whole."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import signal
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from scalefit.errors import InputError, ScalefitError  # noqa: E402
from scalefit.proxy import Config, Ensemble, Stopped, train, train_members  # noqa: E402
from scalefit.proxy.run_folder import RunFolder  # noqa: E402

torch.set_num_threads(1)
QUICK = Config.read(
    {
        "d_model": 16,
        "d_head": 8,
        "n_layer": 1,
        "seq_len": 16,
        "batch": 64,
        "steps": 12,
        "warmup": 3,
        "eval_every": 5,
        "eval_batch": 128,
        "checkpoint_every": 4,
        "flush_every": 3,
        "data": "zipf-markov",
        "data_options": {"tokens": 40000, "vocab": 8, "order": 1},
    }
)


def log(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]


def facts(path: Path) -> dict[str, Any]:
    return dict(json.loads((path / "run.json").read_text()))


def test_log_rows_hold_what_happened_at_each_step(tmp_path: Path) -> None:
    rows = log(train(QUICK, tmp_path))
    assert [row["step"] for row in rows] == list(range(13))
    schedule = QUICK.lr_schedule()
    assert [row["lr"] for row in rows] == pytest.approx([0.0, *(float(schedule(s)) for s in range(1, 13))])
    assert [row["step"] for row in rows if "val_loss" in row] == [0, 5, 10, 12]
    assert rows[0]["val_loss"] == pytest.approx(math.log(8), abs=1e-5)
    assert rows[1]["loss"] == pytest.approx(math.log(8), abs=1e-5)
    assert rows[7]["tokens"] == 7 * 64


def test_run_json_tells_sizes_and_compute(tmp_path: Path) -> None:
    run = facts(train(QUICK, tmp_path))
    assert run["status"] == "finished"
    assert run["D"] == 12 * 64
    assert run["C"] == run["flops_per_token"] * run["D"]
    assert run["flops_per_token"] == 6 * run["N_readout"] + 12 * 1 * 16 * 16
    assert run["N_readout"] == run["N"] + 8 * 16
    assert run["config"] == replace(QUICK, name=QUICK.identity()).as_dict()
    assert "entropy_rate" in run["data"]["val_loss"]


def test_training_learns(tmp_path: Path) -> None:
    config = replace(QUICK, steps=120, lr=0.02, warmup=10)
    run = facts(train(config, tmp_path))
    floor = run["data"]["val_loss"]["loss_floor"]
    assert floor - 0.02 < run["val_loss"] < 0.5 * (floor + math.log(8))


def test_one_seed_repeats_and_two_differ(tmp_path: Path) -> None:
    a, b = log(train(QUICK, tmp_path / "a")), log(train(QUICK, tmp_path / "b"))
    assert a == b
    assert log(train(replace(QUICK, seed=1), tmp_path))[5]["loss"] != a[5]["loss"]
    assert log(train(replace(QUICK, data_seed=1), tmp_path))[5]["loss"] != a[5]["loss"]


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_packed_members_equal_separate_runs(tmp_path: Path, name: str) -> None:
    schedules = ["cosine", "wsd:decay_steps=4", "constant", "multi_step:at=5,factor=0.3"]
    members = [
        replace(QUICK, schedule=s, lr=lr, seed=k, data_seed=k % 2, weight_decay=0.1 * k, optimizer=name)
        for k, (s, lr) in enumerate(zip(schedules, (0.01, 0.003, 0.01, 0.03), strict=True))
    ]
    packed = train_members(members, tmp_path / "packed")
    for path, config in zip(packed, members, strict=True):
        alone = log(train(config, tmp_path / "alone"))
        for ours, theirs in zip(log(path), alone, strict=True):
            assert ours == pytest.approx(theirs, rel=2e-4)


def test_resumed_equals_uninterrupted_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = [replace(QUICK, lr=lr) for lr in (0.01, 0.02)]
    whole = train_members(members, tmp_path / "whole")
    broken = tmp_path / "broken"
    for attempt in range(20):
        crash_at(random.Random(attempt).randint(1, 12), monkeypatch)
        try:
            train_members(members, broken)
        except InterruptedError:
            damage(broken, attempt)
    monkeypatch.undo()
    for ours, theirs in zip(train_members(members, broken), whole, strict=True):
        assert (ours / "log.jsonl").read_bytes() == (theirs / "log.jsonl").read_bytes()
        a, b = (torch.load(path / "checkpoint.pt", weights_only=True) for path in (ours, theirs))
        assert torch.equal(a["theta"], b["theta"])
        assert all(torch.equal(a["state"][slot], b["state"][slot]) for slot in a["state"])


def crash_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    update = Ensemble.update if "wrapped" not in vars(Ensemble) else Ensemble.wrapped  # type: ignore[attr-defined]
    monkeypatch.setattr(Ensemble, "wrapped", update, raising=False)

    def crashing(self: Ensemble, *probe: object) -> dict[str, torch.Tensor]:
        if self.step + 1 >= step:
            raise InterruptedError
        return update(self, *probe)

    monkeypatch.setattr(Ensemble, "update", crashing)


def damage(out: Path, attempt: int) -> None:
    """A kill in the middle of a write: half a line, and a file that was not yet moved into place."""
    for path in out.iterdir():
        if attempt % 2:
            with (path / "log.jsonl").open("a") as file:
                file.write('{"step": 99, "los')
        (path / "checkpoint.pt.1.tmp").write_bytes(b"half")


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    path = train(QUICK, tmp_path)
    before = (path / "run.json").read_bytes()
    assert train(QUICK, tmp_path) == path
    assert (path / "run.json").read_bytes() == before


def test_a_diverging_member_is_a_result_and_touches_no_other(tmp_path: Path) -> None:
    calm, wild = replace(QUICK, name="calm"), replace(QUICK, lr=1e38, name="wild")
    calm_path, wild_path = train_members([calm, wild], tmp_path / "with")
    other = train_members([calm, replace(QUICK, name="also")], tmp_path / "without")[0]
    assert log(calm_path) == log(other)
    assert facts(wild_path)["status"] == "diverged"
    assert facts(calm_path)["status"] == "finished"
    assert log(wild_path)[-1]["loss"] is None


def test_training_ends_early_when_every_member_diverged(tmp_path: Path) -> None:
    path = train(replace(QUICK, lr=1e38, steps=300), tmp_path)
    assert facts(path)["status"] == "diverged"
    assert log(path)[-1]["step"] < 30


def test_accumulation_changes_nothing_but_memory(tmp_path: Path) -> None:
    whole, parts = (log(train(replace(QUICK, accumulate=n), tmp_path)) for n in (1, 4))
    for a, b in zip(whole, parts, strict=True):
        assert a == pytest.approx({key: b[key] for key in a}, rel=1e-4)


def test_half_precision_follows_single(tmp_path: Path) -> None:
    single, half = (log(train(replace(QUICK, precision=p), tmp_path)) for p in ("fp32", "bf16"))
    for a, b in zip(single, half, strict=True):
        if "loss" in a:
            assert a["loss"] == pytest.approx(b["loss"], abs=0.05)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("changes", [{}, {"precision": "bf16"}, {"compile": True}])
def test_a_gpu_follows_the_cpu(tmp_path: Path, changes: dict[str, Any]) -> None:
    cpu = log(train(QUICK, tmp_path / "cpu"))
    gpu = log(train(replace(QUICK, device="cuda", **changes), tmp_path / "gpu"))
    assert gpu[-1]["val_loss"] == pytest.approx(cpu[-1]["val_loss"], abs=0.03)


def test_several_validation_sets(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("abcdefg " * 500)
    config = replace(QUICK, data="pydoc", data_options={}, val={"words": str(tmp_path / "words.txt")})
    row = log(train(config, tmp_path))[-1]
    assert row["val_loss"] > 0
    assert row["val_loss_words"] > 0


def test_sparse_parity_trains_an_mlp(tmp_path: Path) -> None:
    config = Config(
        model="mlp",
        data="sparse-parity",
        data_options={"tasks": 2, "bits": 6, "k": 2},
        batch=256,
        steps=200,
        eval_every=100,
        eval_batch=512,
        d_model=32,
    )
    assert facts(train(config, tmp_path))["val_loss"] < 0.1


def test_another_configuration_under_the_same_name_is_refused(tmp_path: Path) -> None:
    train(replace(QUICK, name="run"), tmp_path)
    with pytest.raises(InputError, match="choose another name"):
        train(replace(QUICK, name="run", lr=0.5), tmp_path)


@pytest.mark.parametrize(
    "values",
    [
        {"d_modle": 3},
        {"lr": "high"},
        {"batch": 65},
        {"steps": 0},
        {"precision": "fp8"},
        {"tied": 1},
        {"encoder_ff": -1},
        {"base_depth": 0},
        {"init_scale": math.nan},
        {"name": "../run"},
        {"spike_share": 1.5},
    ],
)
def test_bad_configurations_are_refused_in_one_line(values: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        Config.read(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"device": "tpu"}, "no device 'tpu' here; choose cpu"),
        ({"batch": 2**16}, "39936 tokens is smaller than one batch of 65536"),
        ({"optimizer_options": {"bta2": 0.9}}, "did you mean 'beta2'"),
        ({"optimizer_options": {"beta2": 1.0}}, "below 1"),
        ({"parametrization": "mub"}, "did you mean 'mup'"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Ensemble([replace(QUICK, **changes)])


def test_a_write_that_fails_is_one_line_and_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.describe({"status": "running"})
    before = (folder.path / "run.json").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ScalefitError, match="No space left on device"):
        folder.describe({"status": "finished"})
    assert (folder.path / "run.json").read_bytes() == before
    assert [file.name for file in folder.path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_the_same_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    update = Ensemble.update

    def signalled(self: Ensemble, *probe: object) -> dict[str, torch.Tensor]:
        if self.step == 6:
            os.kill(os.getpid(), number)
        return update(self, *probe)

    before = signal.getsignal(number)
    monkeypatch.setattr(Ensemble, "update", signalled)
    with pytest.raises(Stopped, match="step 7 of 12"):
        train(QUICK, tmp_path)
    monkeypatch.undo()
    assert signal.getsignal(number) is before
    assert facts(tmp_path / QUICK.identity())["status"] == "stopped"
    assert log(train(QUICK, tmp_path)) == log(train(QUICK, tmp_path / "whole"))


def test_a_checkpoint_of_another_shape_is_refused_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crash_at(9, monkeypatch)
    with pytest.raises(InterruptedError):
        train(QUICK, tmp_path)
    monkeypatch.undo()
    path = tmp_path / QUICK.identity() / "checkpoint.pt"
    saved = torch.load(path, weights_only=True)
    torch.save(saved | {"theta": saved["theta"][1:]}, path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="another version"):
        train(QUICK, tmp_path)
    assert path.read_bytes() == before


def test_ten_kills_lose_nothing(tmp_path: Path) -> None:
    """At random moments of forked children: no import to wait for, so most kills hit a step or a write."""
    config, rng, kills, runs = replace(QUICK, steps=100), random.Random(), 0, 1
    began = time.monotonic()
    whole = log(train(config, tmp_path / "whole"))
    longest = (time.monotonic() - began) / 3
    while kills < 10:
        if ended_before(rng.random() * longest, config, tmp_path / f"killed {runs}"):
            runs, longest = runs + 1, longest * 0.8
        else:
            kills += 1
    for out in tmp_path.glob("killed *"):
        assert log(train(config, out)) == whole


def ended_before(seconds: float, config: Config, out: Path) -> bool:
    """Whether a child that trains this run ended before it was killed; how long it waits to be killed is up to the
    machine, and nothing hangs on it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside the threads of pytest-xdist
        child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            train(config, out)
            os._exit(0)
        os._exit(1)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status == 0
