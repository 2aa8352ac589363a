"""Sweeps proposed for a question and a budget, and the clock of a sweep."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import commands
import numpy as np
import pytest

from scalefit.errors import InputError
from scalefit.proxy.config import Config
from scalefit.proxy.sweep import grid as grids
from scalefit.proxy.sweep.designs import DESIGNS, MOST_STEPS, as_toml, design, per_token, seconds

HOURS = (0.1, 0.3, 2.0)


@pytest.mark.parametrize("question", DESIGNS)
def test_a_design_keeps_to_its_budget_and_uses_most_of_it(question: str) -> None:
    before = 0
    for hours in HOURS:
        table, cost = design(question, hours)
        points = list(grids._points(table, "design"))
        runs = [Config.read(values) for values in points]
        assert cost == pytest.approx(sum(map(seconds, runs)) / 3600)
        assert cost <= hours
        steps = table["grid"]["steps"]
        assert cost > 0.5 * hours or steps[0] >= MOST_STEPS
        assert len(runs) * min(steps) >= before
        before = len(runs) * min(steps)
        assert tomllib.loads(as_toml(table, "x")) == table


@pytest.mark.parametrize("question", DESIGNS)
def test_a_design_has_what_its_verdict_needs(question: str) -> None:
    runs = [Config.read(values) for values in grids._points(design(question, HOURS[0])[0], "design")]
    needed = {"lr-transfer": ("d_model", "lr", "seed"), "chinchilla": ("d_model", "steps")}
    needed |= {"annealing": ("schedule", "steps"), "encoder-decoder": ("encoder_width", "d_model", "seed")}
    for key in needed[question]:
        assert len({getattr(run, key) for run in runs}) >= 2
    assert all(run.lr_schedule().per_step().max() > 0 for run in runs)
    if question == "chinchilla":  # each length is twice the one before
        lengths = np.array(sorted({run.steps for run in runs}))
        assert np.all(np.abs(lengths[1:] / lengths[:-1] - 2) < 0.02)
    if question == "lr-transfer":  # seven octaves about the best rate of any width
        assert all(len({run.lr for run in runs if run.d_model == d}) >= 7 for d in {run.d_model for run in runs})
        assert all(2.0**-12 < run.lr < 2.0**-2 for run in runs)


def test_every_width_of_a_design_is_made_of_whole_heads() -> None:
    widths = [
        width
        for one in DESIGNS.values()
        for grid in one.grids
        for name in ("encoder_width", "d_model")
        for width in grid.get(name, ())
    ]
    assert len(widths) > 30
    assert not [width for width in widths if width % 4]


def test_costs_are_those_that_were_measured() -> None:
    """Milliseconds of a step of 768 tokens with two blocks on one core, torch 2.13: 7.4, 9.3, 19.3 at three widths."""
    for width, wanted in ((16, 7.4), (32, 9.3), (64, 19.3)):
        run = Config(d_model=width, d_head=8, batch=768, steps=1000, eval_every=10**6, eval_batch=64)
        assert seconds(run) == pytest.approx(wanted, rel=0.1)


WORDS = {"source_words": 256, "draft_words": 256}


@pytest.mark.parametrize(
    "shape",
    [
        {"data": "pydoc", "kv_group": 2, "experts": 8, "experts_per_token": 4, "activation": "swiglu", "d_ff": 48},
        {"model": "encoder-decoder", "data": "translation", "data_options": WORDS, "encoder_width": 24, "kv_group": 2}
        | {"encoder_ff": 32, "d_ff": 96},
    ],
)
def test_an_estimate_counts_the_compute_that_the_run_will_tell(shape: dict[str, Any]) -> None:
    pytest.importorskip("torch")
    from scalefit.proxy.ensemble import Ensemble
    from scalefit.proxy.facts import flops_per_token
    from scalefit.proxy.models.weights import counts

    run = Config.read({"d_model": 48, "d_head": 12, "seq_len": 16, "batch": 64, "eval_batch": 64} | shape)
    ensemble = Ensemble([run])
    assert per_token(run) == pytest.approx(
        flops_per_token(run, counts(ensemble.model.leaves), ensemble.source), rel=0.03
    )


def test_too_small_a_budget_says_the_least_that_does() -> None:
    with pytest.raises(InputError, match=r"0.001 core-hours are too few to decide; give at least ([\d.]+)") as caught:
        design("lr-transfer", 0.001)
    least = float(str(caught.value).split("at least ")[1].split()[0])
    assert design("lr-transfer", least)[1] <= least
    with pytest.raises(InputError, match="no design for 'lr'"):
        design("lr", 1.0)
    with pytest.raises(InputError, match="lr is what the design chooses"):
        design("lr-transfer", 1.0, {"lr": 0.1})


def test_the_command_keeps_the_grid_and_plans_it(tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    line = f"scalefit sweep plan --for chinchilla --core-hours 0.05 --set data=pydoc --out {out}"
    told = commands.run(line)
    assert told.exit_code == 0, told.output
    table, _ = design("chinchilla", 0.05, {"data": "pydoc"})
    assert tomllib.loads((out / "grid.toml").read_text()) == table
    assert f"{len((out / 'jobs.jsonl').read_text().splitlines())} runs of" in told.stdout
    assert f"then scalefit backtest --law chinchilla {out}" in told.stdout
    for bad in ("scalefit sweep plan --for chinchilla", f"scalefit sweep status --for chinchilla --out {out}"):
        assert commands.run(bad).exit_code == 2


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("kv_group=3", r"2 heads \(d_model=16\) cannot share .* kv_group=3"),
        ("d_head=6", "d_model=16 cannot be divided into heads of d_head=6"),
        ("experts_per_token=4", "experts_per_token=4 of experts=1"),
        ("norm_type=batch", "choose norm from pre, post, peri"),
        ("parametrization=mpu", "no parametrization 'mpu'"),
        ("optimizer=adam", "no optimizer 'adam'"),
        ("model=coder", "no model 'coder'"),
    ],
)
def test_runs_that_cannot_be_trained_are_not_planned(setting: str, said: str, tmp_path: Path) -> None:
    key, value = setting.split("=")
    table, _ = design("chinchilla", 1.0, {key: int(value) if value.isdigit() else value})
    with pytest.raises(InputError, match=said):
        grids.plan_sweep(table, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_encoder_is_divided_into_heads_too(tmp_path: Path) -> None:
    table, _ = design("encoder-decoder", 2.0)
    table["grid"]["encoder_width"] = [10]
    with pytest.raises(InputError, match="d_model=10 cannot be divided into heads of d_head=4"):
        grids.plan_sweep(table, tmp_path / "out")
