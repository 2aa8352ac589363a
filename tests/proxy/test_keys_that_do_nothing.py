"""What is said and heeded by nothing is refused; so are a model and data that do not go together."""

from __future__ import annotations

from pathlib import Path

import commands
import pytest

pytest.importorskip("torch")

from scalefit.errors import InputError
from scalefit.proxy import Config, plan_sweep, train
from scalefit.proxy.limits import BUILT_IN, IDLE
from scalefit.proxy.tasks.data import open_source

SAID = [{"distill": 0.5}, {"temperature": 2.0}, {"spike_size": 5.0}, {"balance": 0.5}, {"sources": {"a": "stdlib"}}]
SAID += [{"encoder_width": 16}, {"data": "pydoc", "mixture": {"stdlib": 1.0}}]


@pytest.mark.parametrize("said", SAID, ids=lambda said: next(iter(said)))
def test_a_key_that_changes_nothing_is_refused(said: dict[str, object], tmp_path: Path) -> None:
    name = next(iter(said))
    for refused in (
        lambda: train(Config(**said), tmp_path),  # type: ignore[arg-type]
        lambda: plan_sweep({"base": said, "grid": {"seed": [0, 1]}}, tmp_path),
    ):
        with pytest.raises(InputError, match=f"^{name} does nothing"):
            refused()
    assert not list(tmp_path.iterdir())


def test_a_key_that_changes_one_run_of_a_sweep_is_not(tmp_path: Path) -> None:
    assert len(plan_sweep({"base": {"distill": 0.5}, "grid": {"teacher": ["", "other"]}}, tmp_path)) == 2


def test_what_is_called_idle_is_a_key() -> None:
    assert {key for keys in IDLE for key in keys} <= set(Config().as_dict())


@pytest.mark.parametrize("name", BUILT_IN)
def test_data_are_of_the_task_that_a_plan_takes_them_for(name: str, tmp_path: Path) -> None:
    assert open_source(name, seq_len=3).task == BUILT_IN[name]
    other = {"language": "mlp", "classification": "decoder", "translation": "decoder"}[BUILT_IN[name]]
    with pytest.raises(InputError, match=f"data '{name}' is for {BUILT_IN[name]}"):
        plan_sweep({"base": {"model": other, "data": name}, "grid": {"seed": [0]}}, tmp_path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("plan {grid} --index 3", "sweep plan: --index is of run"),
        ("status --members 4", "sweep status: --members is of run and slurm"),
        ("collect --device cpu", "sweep collect: --device is of run and slurm"),
        ("run --curves", "sweep run: --curves is of collect"),
        ("run --gpus 0.5", "--gpus without --engine ray"),
        ("run --index 0 --job abc", "an index and a job; say one of them"),
        ("run --chunk 3", "chunks of 3 jobs, and no index"),
        ("plan --for annealing --core-hours 1 --set eval_every=7", "eval_every is what the design chooses"),
        ("plan --for encoder-decoder --core-hours 1 --set model=decoder", "model is what the design chooses"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(line: str, said: str, tmp_path: Path) -> None:
    grid = tmp_path / "grid.toml"
    grid.write_text("[grid]\nseed = [0, 1]\n", encoding="utf-8")
    assert commands.run(f"scalefit sweep plan {grid} --out {tmp_path}/out").exit_code == 0
    answer = commands.run(f"scalefit sweep {line.format(grid=grid)} --out {tmp_path}/out")
    assert answer.exit_code == 2
    assert said in answer.output


def test_a_key_inside_a_table_is_set_with_a_dot(tmp_path: Path) -> None:
    words = "--set data_options.exponent=1.25 --set data_options.meanings=3 --set lr=.02"
    line = f"scalefit sweep plan --for encoder-decoder --core-hours 0.1 {words} --out {tmp_path}"
    assert commands.run(line).exit_code == 0
    text = (tmp_path / "grid.toml").read_text(encoding="utf-8")
    assert "data_options = { source_words = 64, draft_words = 96, meanings = 3, exponent = 1.25 }" in text
    assert "lr = 0.02" in text


def test_passes_are_taken_or_not() -> None:
    with pytest.raises(InputError, match="passes is 3; write 1"):
        open_source("zipf-markov", seq_len=8, options={"passes": 3, "tokens": 5000})
