"""Run folders: written in order and read with care; what is damaged or not ours is named and left as it is."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import commands
import pytest

torch = pytest.importorskip("torch")

from scalefit.errors import InputError  # noqa: E402
from scalefit.proxy import Config, plan_sweep, run_sweep, sweep_status, train  # noqa: E402
from scalefit.proxy.run_folder import RunFolder  # noqa: E402

torch.set_num_threads(1)
TINY: dict[str, Any] = {
    **{"d_model": 8, "d_head": 8, "n_layer": 1, "seq_len": 8, "batch": 32, "steps": 6, "warmup": 2, "eval_every": 3},
    **{"eval_batch": 64, "checkpoint_every": 2, "flush_every": 1, "data": "zipf-markov"},
    "data_options": {"tokens": 40000, "vocab": 8, "order": 1},
}
CONFIG = replace(Config.read(TINY), name="run")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(CONFIG, tmp_path_factory.mktemp("once"))


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def rows(path: Path) -> list[str]:
    return (path / "log.jsonl").read_text().splitlines()


def test_the_log_is_on_the_disk_before_the_checkpoint_that_follows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync, replace_file = os.fsync, Path.replace

    def remembers(number: int) -> None:
        synced.append(Path(f"/proc/self/fd/{number}").readlink().name)
        fsync(number)

    def renames(self: Path, target: Path) -> Path:
        synced.append(f"-> {Path(target).name}")
        return replace_file(self, target)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    monkeypatch.setattr(os, "fsync", remembers)
    monkeypatch.setattr(Path, "replace", renames)
    train(CONFIG, tmp_path)
    places = [at for at, name in enumerate(synced) if name == "-> checkpoint.pt"]
    for step, at in zip((2, 4, 6, 6), places, strict=True):
        assert synced[at - 1].startswith(".checkpoint.pt") and synced[at + 1] == "run"
        assert synced[:at].count("log.jsonl") >= step  # a row is flushed after every step


@pytest.mark.parametrize("kept", [0, 1, 3, 6])
@pytest.mark.parametrize("status", ["finished", "running"])
def test_rows_that_were_lost_are_trained_again_and_told(run: Path, kept: int, status: str) -> None:
    whole = rows(run)
    (run / "log.jsonl").write_text("".join(f"{row}\n" for row in whole[:kept]))
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(facts | {"status": status}))
    assert RunFolder(run).status() == "stopped"
    train(CONFIG, run.parent)
    assert rows(run) == whole
    assert RunFolder(run).status() == "finished"
    ends = f"ended at step {kept - 1}" if kept else "was empty"
    assert (
        RunFolder(run).facts()["note"] == f"the log {ends}, before its checkpoint at step 6: trained again from step 0"
    )


def test_a_sweep_trains_the_member_whose_log_was_cut(tmp_path: Path) -> None:
    jobs = plan_sweep({"base": TINY, "grid": {"lr": [0.01, 0.02]}}, tmp_path)
    run_sweep(tmp_path)
    paths = [tmp_path / job.id for job in jobs]
    whole = [rows(path) for path in paths]
    (paths[1] / "log.jsonl").write_text("".join(f"{row}\n" for row in whole[1][:3]))
    assert [row["status"] for row in sweep_status(tmp_path)] == ["finished", "stopped"]
    found = run_sweep(tmp_path)
    for path, before in zip(paths, whole, strict=True):
        assert [json.loads(row)["step"] for row in rows(path)] == [json.loads(row)["step"] for row in before]
    assert json.loads(rows(paths[1])[-1])["val_loss"] == pytest.approx(json.loads(whole[1][-1])["val_loss"], rel=1e-4)
    assert ["note" in row for row in found] == [False, True]


DAMAGE = {
    "run.json": [b"", b"{", b'{"status": "fini', b"[]", b"{}", b'{"status": 3}', b"\xff", b"[" * 100_000,
                 b'{"status": "finished", "identity": 3}', b'{"a": ' + b"9" * 5000 + b"}"],
    "log.jsonl": [b"garbage\n", b"[1]\n", b"{}\n", b'{"step": "x"}\n', b"\x00\x00\n", b'{"step": 1e400}\n'],
    "checkpoint.pt": [b"", b"garbage", b"PK\x03\x04", b"\x80\x02."],
}  # fmt: skip


@pytest.mark.parametrize(("name", "content"), [(name, each) for name in DAMAGE for each in DAMAGE[name]])
def test_what_is_damaged_is_named_in_one_line(name: str, content: bytes, run: Path) -> None:
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(facts | {"status": "stopped"}))
    (run / name).write_bytes(content)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(InputError, match=name) as caught:
        train(CONFIG, run.parent)
    assert "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.parametrize(
    "content",
    [{}, [1], 3, {"identity": 3}, {"identity": "x", "step": 4}, {"step": "4"}],
    ids=str,
)
def test_another_checkpoint_is_refused(content: Any, run: Path) -> None:
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(facts | {"status": "stopped"}))
    torch.save(content, run / "checkpoint.pt")
    with pytest.raises(InputError, match="checkpoint"):
        train(CONFIG, run.parent)


def test_a_garbage_line_in_the_middle_of_a_log_is_named_by_its_row(run: Path, tmp_path: Path) -> None:
    lines = rows(run)
    (run / "log.jsonl").write_text("\n".join([*lines[:2], "garbage", *lines[2:], ""]))
    with pytest.raises(InputError, match=r"log\.jsonl, row 3: not JSON"):
        RunFolder(run).rows()


@pytest.mark.parametrize("cut", [10, -10, -2])
def test_jobs_that_were_cut_are_named_by_their_row(cut: int, tmp_path: Path) -> None:
    plan_sweep({"base": TINY, "grid": {"lr": [0.01, 0.02]}}, tmp_path)
    whole = (tmp_path / "jobs.jsonl").read_bytes()
    (tmp_path / "jobs.jsonl").write_bytes(whole[:cut])
    for command in ("status", "run", "collect"):
        result = commands.run(f"scalefit sweep {command} --out {tmp_path}")
        assert result.exit_code == 2 and f"jobs.jsonl, row {1 if cut == 10 else 2}: " in result.stderr, result.output
    assert (tmp_path / "jobs.jsonl").read_bytes() == whole[:cut]


@pytest.mark.parametrize(
    "change", [{"id": "../../x"}, {"id": None}, {"config": 3}, {"config": {"name": ".."}}, {"config": {}}]
)
def test_jobs_of_another_name_or_configuration_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    plan_sweep({"base": TINY}, tmp_path)
    job = json.loads((tmp_path / "jobs.jsonl").read_text())
    (tmp_path / "jobs.jsonl").write_text(json.dumps(job | change) + "\n")
    with pytest.raises(InputError, match=r"jobs\.jsonl, row 1"):
        sweep_status(tmp_path)


@pytest.mark.parametrize("name", ["..", ".", "../x", "/tmp/x", "a/b", "a\\b", "a\x1b", "a\n", "a\x00"])
def test_no_name_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="name is"):
        Config.read(TINY | {"name": name})
    if "\x00" not in name and name.isprintable() and "\\" not in name:
        assert (
            commands.run(f"scalefit train --quick --set steps=1 --set name={name} --out {tmp_path}/out").exit_code == 2
        )
    assert [path.name for path in tmp_path.rglob("*")] == ["out"]


@pytest.mark.parametrize(
    "values",
    [{"seed": 2**70}, {"seed": -(2**70)}, {"steps": 10**400}, {"lr": 10**400}, {"lr": float("inf")},
     {"z_loss": float("inf")}, {"optimizer_options": {"beta2": "x"}}, {"optimizer_options": {"beta2": 2**70}},
     {"val": {"a": 3}}, {"data_options": {"tokens": [1]}}],
    ids=lambda values: str(values)[:40],
)  # fmt: skip
def test_impossible_numbers_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(values))):
        Config.read(values)


def test_a_log_that_is_not_ours_is_not_appended_to(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log.jsonl").write_text('{"step": 1, "mine": 3}\n{"step"')
    before = (tmp_path / "run" / "log.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"log\.jsonl: a log without the run\.json"):
        train(CONFIG, tmp_path)
    assert (tmp_path / "run" / "log.jsonl").read_bytes() == before
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["log.jsonl"]
