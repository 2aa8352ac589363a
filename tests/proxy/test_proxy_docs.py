"""The pages about the trainer: its configurations are read, its commands run, its tables name what there is."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import commands
import pytest

import scalefit as sf

torch = pytest.importorskip("torch")

from scalefit.proxy import Config, plan_sweep, train  # noqa: E402
from scalefit.proxy.config import BASE, TASKS  # noqa: E402
from scalefit.proxy.models.parametrization import TABLE  # noqa: E402
from scalefit.proxy.optimizers import optimizers  # noqa: E402
from scalefit.proxy.tasks.data import EMBEDDED  # noqa: E402

torch.set_num_threads(1)
PAGE, OWN = ((commands.ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("proxy.md", "own_model.md"))
LISTED = [line for page in (PAGE, OWN) for line in commands.listed(page) if line.startswith("scalefit")]


def rows(heading: str) -> list[list[str]]:
    """Cells of the tables of one section."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ") and "`" in line.split("|")[1]]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_every_key_is_named_with_its_default() -> None:
    told: dict[str, str] = {}
    for keys, defaults, _ in rows("Configuration"):
        values = [value.strip("`") for value in defaults.split(", ")]
        told |= dict(zip(re.findall(r"`(\w+)`", keys), values, strict=True))
    assert told.keys() == {field.name for field in fields(Config)}
    assert {key: json.loads(value) for key, value in told.items()} == asdict(BASE)


@pytest.mark.parametrize("names", [TASKS, TABLE, optimizers(), EMBEDDED], ids=lambda names: sorted(names)[0])
def test_every_choice_is_named(names: dict[str, object]) -> None:
    said = " ".join(cell for row in rows("Configuration") for cell in row)
    assert not [name for name in names if f"`{name}`" not in said]


def test_the_grid_is_one(tmp_path: Path) -> None:
    (grid,) = commands.blocks(PAGE, "toml")
    jobs = plan_sweep(tomllib.loads(grid), tmp_path)
    assert len(jobs) == 3 * 3 * (2 + 1)


def test_the_columns_of_the_log_are_those_that_are_named(tmp_path: Path) -> None:
    shape = {"d_model": 8, "d_head": 4, "seq_len": 8, "batch": 32, "accumulate": 2, "eval_batch": 32, "steps": 2}
    small = {"data_options": {"tokens": 20000, "vocab": 8}}
    config = Config.read(shape | {"data": "zipf-markov", "warmup": 1, "probe_every": 1, "curvature_every": 2} | small)
    log = [json.loads(line) for line in (train(config, tmp_path) / "log.jsonl").read_text().splitlines()]
    section = PAGE.split("\n## The log\n")[1].split("\n## ")[0]
    named = {re.sub(r"BLOCK|ROLE|NAME", "[^/]+", name) for name in re.findall(r"`([\w/.]+)`", section)}
    logged = {key for row in log for key in row} - {"rms_act/embed"}
    unsaid = {key for key in logged if not any(re.fullmatch(name, key) for name in named)}
    assert {re.sub(r"^rms_act/\d", "", key) for key in unsaid} <= {".attention_residual"}


@pytest.mark.parametrize("command", [line for line in LISTED if "fit runs" not in line and "inspect runs" not in line])
def test_its_commands_run(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(commands.workspace(tmp_path))
    (tmp_path / "mymodel.py").write_text(commands.blocks(OWN, "python")[0], encoding="utf-8")
    small = " --set steps=12 --set warmup=2 --set eval_batch=512 --set batch=128" if "--quick" in command else ""
    if "status" in command:
        assert commands.run(command.replace("status", "plan data/size_data/grid.toml")).exit_code == 0
    result = commands.run(command.partition("#")[0] + small)
    assert result.exit_code == commands.wanted_exit(command), result.output


def test_the_code_for_a_model_of_ones_own_runs(tmp_path: Path) -> None:
    """As it stands: mup moves the weights of width 64, writes a log that is read, and shows its factors."""
    names: dict[str, Any] = {}
    exec(commands.blocks(OWN, "python")[0], names)
    scaled = names["train"](64, 0.01, 3, tmp_path / "runs" / "a")
    assert scaled.table.set_index("name")["lr"].to_dict()["4.weight"] == 0.5
    runs = sf.read_runs(tmp_path / "runs")
    assert (runs.table["d_model"].item(), runs.table["peak_lr"].item()) == (64, 0.01)
    assert runs.curves is not None
    assert runs.curves["step"].tolist() == [1, 2, 3]


def test_a_run_is_read_back_and_fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shape = "--set steps=60 --set d_model=16 --set batch=128 --set eval_every=20 --set eval_batch=512"
    trained = commands.run(f"scalefit train --quick --out runs {shape}")
    assert trained.exit_code == 0, trained.output
    head, *table, after = trained.stdout.splitlines()
    folder = Path(head.partition(":")[0])
    assert (folder / "log.jsonl").exists() and "finished, val_loss" in head and "D = 7,680 tokens" in head
    assert [line.split()[0] for line in table] == ["step", "20", "40", "60"]
    assert str(folder) in after
    for command in (f"scalefit inspect {folder}", "scalefit inspect runs", f"scalefit laws --for {folder}"):
        assert commands.run(command).exit_code == 0
    constant = commands.run(f"scalefit train --quick --out constant --set schedule=constant {shape}")
    assert constant.exit_code == 0
    for out, code in (("runs", 1), ("constant", 0)):
        fitted = commands.run(f"scalefit fit {out} --law power:over=step")
        assert fitted.exit_code == code, fitted.output
        assert "60 rows of 1 run;" in fitted.output
