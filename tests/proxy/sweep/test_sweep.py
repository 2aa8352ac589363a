"""Sweeps: planned once, trained once, collected."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from scalefit.errors import InputError  # noqa: E402
from scalefit.proxy import (  # noqa: E402
    Config,
    Stopped,
    Trainer,
    collect_sweep,
    plan_sweep,
    run_sweep,
    sweep_status,
    train,
)
from scalefit.proxy.run_folder import RunFolder  # noqa: E402

torch.set_num_threads(1)
GRID = """
[base]
n_layer = 1
d_head = 8
seq_len = 16
batch = 64
steps = 6
warmup = 2
eval_every = 3
eval_batch = 128
data = "zipf-markov"
data_options = { tokens = 40000, vocab = 8, order = 1 }

[grid]
d_model = [8, 16]
lr = [0.01, 0.02, 1e30]

[[cells]]
schedule = "constant"

[[cells]]
schedule = "cosine"
"optimizer_options.beta2" = 0.9
"""


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "grid.toml"
    path.write_text(GRID)
    return path


def test_planning_makes_the_product_and_is_idempotent(grid: Path, tmp_path: Path) -> None:
    jobs = plan_sweep(grid, tmp_path / "out")
    assert len({job.id for job in jobs}) == 2 * 3 * 2
    before = (tmp_path / "out/jobs.jsonl").read_bytes()
    assert plan_sweep(grid, tmp_path / "out") == jobs
    assert (tmp_path / "out/jobs.jsonl").read_bytes() == before
    assert {job.config.optimizer_options.get("beta2") for job in jobs} == {None, 0.9}
    assert {row["status"] for row in sweep_status(tmp_path / "out")} == {"planned"}


def test_a_sweep_runs_in_packs_and_a_diverged_run_is_a_result(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packs: list[int] = []
    whole = Trainer.run
    monkeypatch.setattr(Trainer, "run", lambda self: (packs.append(len(self.runs)), whole(self))[1])
    out = tmp_path / "out"
    plan_sweep(grid, out)
    rows = run_sweep(out)
    assert packs == [6, 6]
    assert all(row["status"] == ("diverged" if row["lr"] > 1 else "finished") for row in rows)
    run_sweep(out)
    assert packs == [6, 6]
    table = collect_sweep(out)
    assert len(table) == 12
    assert {"run", "d_model", "lr", "schedule", "N", "D", "C", "val_loss"} <= set(table.columns)
    assert not (table.loc[table.lr > 1, "val_loss"] < 3).any()
    curves = collect_sweep(out, curves=True)
    assert len(curves) == 12 * 7
    assert curves.groupby("run").step.max().eq(6).all()


def test_tasks_of_an_array_train_each_its_part(grid: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ids = [job.id for job in plan_sweep(grid, out)]

    def finished() -> list[str]:
        return [row["id"] for row in sweep_status(out) if row["status"] in ("finished", "diverged")]

    run_sweep(out, index=1)
    assert finished() == ids[1:2]
    run_sweep(out, index=0, chunk=2)
    assert finished() == ids[:2], "what was done is left as it was"
    run_sweep(out, job=ids[-1])
    run_sweep(out, most=1)
    assert len(finished()) == min(4, len(ids))
    for wrong in ({"index": len(ids)}, {"index": -1}, {"job": "nothing"}):
        with pytest.raises(InputError, match="there is no job"):
            run_sweep(out, **wrong)
    run_sweep(out)
    assert finished() == ids


def test_a_sweep_goes_on_where_it_was_stopped(grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    plan_sweep(grid, out)
    whole = Trainer.run
    calls: list[int] = []

    def once(self: Trainer) -> None:
        if calls:
            raise Stopped("stopped")
        calls.append(1)
        whole(self)

    monkeypatch.setattr(Trainer, "run", once)
    with pytest.raises(Stopped):
        run_sweep(out)
    done = [row["id"] for row in sweep_status(out) if row["status"] in ("finished", "diverged")]
    assert len(done) == 6
    before = {name: (out / name / "log.jsonl").stat().st_mtime_ns for name in done}
    monkeypatch.undo()
    rows = run_sweep(out, members=4)
    assert all(row["status"] in ("finished", "diverged") for row in rows)
    assert before == {name: (out / name / "log.jsonl").stat().st_mtime_ns for name in done}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[base]\nd_modle = 3", "did you mean 'd_model'"),
        ("[bases]\nlr = 3", "unknown table"),
        ("[grid]\nlr = 3", r"write lr = \[3\]"),
        ("[base\n", "TOML"),
        ('[base]\nschedule = "cosin"', "schedule"),
        ("[base]\nbatch = 100", "batch"),
    ],
)
def test_a_bad_grid_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(InputError, match=words):
        plan_sweep(tmp_path / "bad.toml", tmp_path / "out")


def test_nothing_planned_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no jobs"):
        run_sweep(tmp_path)


def test_identity_ignores_where_and_how_often() -> None:
    assert Config(device="cpu").identity() == Config(device="cuda", checkpoint_every=7, name="x").identity()
    assert Config(lr=0.1).identity() != Config(lr=0.2).identity()


def test_reading_a_sweep_changes_nothing_and_tells_the_living_from_the_dead(grid: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    job = plan_sweep(grid, out)[0]
    folder = RunFolder(out / job.id)
    assert folder.claim()
    folder.describe({"status": "running", "identity": job.id, "step": 0})
    (folder.path / "log.jsonl").write_text('{"step": 0, "loss": 2.0}\n{"step": 1, "lo')
    assert sweep_status(out)[0]["status"] == "running"
    assert len(collect_sweep(out, curves=True)) == 1
    assert (folder.path / "log.jsonl").read_text().endswith('"lo')
    folder.release()
    assert sweep_status(out)[0]["status"] == "stopped"
    assert folder.claim()
    assert (folder.path / "log.jsonl").read_text() == '{"step": 0, "loss": 2.0}\n'
    folder.release()


def test_two_workers_share_a_sweep(grid: Path, tmp_path: Path) -> None:
    """What another process trains is passed over; it may be a single run of a pack."""
    out = tmp_path / "out"
    jobs = plan_sweep(grid, out)
    theirs = RunFolder(out / jobs[0].id)
    assert theirs.claim()
    theirs.describe({"status": "running", "identity": jobs[0].id})
    assert {row["id"] for row in run_sweep(out) if row["status"] == "running"} == {jobs[0].id}
    assert len(collect_sweep(out)) == len(jobs)
    with pytest.raises(InputError, match="another process"):
        train(jobs[0].config, out)
    theirs.release()
    assert all(row["status"] in ("finished", "diverged") for row in run_sweep(out))


def test_a_list_in_a_cell_is_an_axis_of_that_cell(tmp_path: Path) -> None:
    grid = {"grid": {"lr": [0.1, 0.2]}, "cells": [{"seed": 0}, {"seed": [1, 2], "lr": [0.3]}]}
    jobs = plan_sweep(grid, tmp_path)
    assert sorted((job.config.seed, job.config.lr) for job in jobs) == [(0, 0.1), (0, 0.2), (1, 0.3), (2, 0.3)]
    with pytest.raises(InputError, match="empty list"):
        plan_sweep({"cells": [{"lr": []}]}, tmp_path)


def test_a_folder_and_its_collected_table_give_one_answer(tmp_path: Path) -> None:
    """Diverged and stopped runs among them; every setting is in the table, also those that do not vary."""
    import scalefit as sf

    out = tmp_path / "out"
    base = {"n_layer": 1, "d_head": 4, "seq_len": 8, "batch": 32, "eval_batch": 64, "steps": 24, "warmup": 2,
            "eval_every": 8, "data": "zipf-markov", "data_options": {"tokens": 3000},
            "parametrization": "mup"}  # fmt: skip
    lrs = [0.01, 0.03, 0.1, 0.3, 1.0, 300.0]
    jobs = plan_sweep({"base": base, "grid": {"d_model": [8, 16], "lr": lrs}}, out)
    run_sweep(out)
    stopped = RunFolder(out / jobs[1].id)
    stopped.describe(stopped.facts() | {"status": "running", "val_loss": None})
    collect_sweep(out).to_csv(tmp_path / "collected.csv", index=False)
    paths = (out, tmp_path / "collected.csv")
    folder, table = (sf.read_sweeps(sf.read_runs(path, need=())) for path in paths)
    order = ["arm", "size", "lr"]
    one, other = (each.points.sort_values(order, ignore_index=True) for each in (folder, table))
    pd.testing.assert_frame_equal(one, other)
    assert (folder.over, folder.arms, folder.initial_loss) == (table.over, table.arms, table.initial_loss)
    assert folder.settings == table.settings | {"schedule": folder.settings["schedule"]}
    assert table.settings["schedule"].removesuffix(",final=0") in folder.settings["schedule"]
    assert len(one) == 11
    assert one["loss"].isna().sum() >= 2  # at a learning rate of 300
    assert any("1 of 12 runs is stopped: left out" in note for note in table.notes)
    assert any("1 of 12 runs is running: left out" in note for note in folder.notes)


def test_a_sweep_that_has_not_begun_has_no_table(grid: Path, tmp_path: Path) -> None:
    plan_sweep(grid, tmp_path / "out")
    with pytest.raises(InputError, match="none of 12 runs has begun"):
        collect_sweep(tmp_path / "out")
