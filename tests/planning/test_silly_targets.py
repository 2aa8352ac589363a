"""Targets that make no sense are refused in the words of the command that was asked, and by their names."""

from __future__ import annotations

from functools import cache

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.planning.allocation.targets import fixed_of
from scalefit.planning.downstream.ladder import task_ladder
from scalefit.planning.run_schedule import schedule_of

N, D = (each.ravel() for each in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 1e11, 4)))
RUNS = pd.DataFrame({"N": N, "D": D, "loss": 1.7 + 400 * N**-0.34 + 410 * D**-0.28})
RECIPES = pd.concat([RUNS.assign(recipe="a"), RUNS.assign(recipe="b", loss=RUNS["loss"] + 0.1)])
PLANNING = {
    "next": lambda **at: sf.next_runs(fitted(), budget=1e20, **at),
    "compare_recipes": lambda **at: sf.compare_recipes(RECIPES, "recipe", **at),
    "translate": lambda **at: sf.translate(RUNS, RUNS, **at),
    "task-ladder": lambda **at: task_ladder(RUNS, **at),
    "hyperparameters": lambda **at: sf.plan(hyperparameters=True, **at),
    "plan": lambda **at: sf.plan(fitted(), compute=1e21, U=1e9, **at),
}


@cache
def fitted():
    waves = np.exp(0.002 * np.sin(17 * np.arange(16)))
    return sf.fit(RUNS.assign(loss=RUNS["loss"] * waves), "chinchilla", draws=20, calibrated=False)


@pytest.mark.parametrize("value", [0, -1.0, np.nan, np.inf, "7Bx", "1e30"])
@pytest.mark.parametrize("command", PLANNING)
def test_a_size_that_is_none_is_refused_by_the_command(command, value):
    with pytest.raises(sf.InputError, match=rf"^{command}[:,] .*N"):
        PLANNING[command](N=value, D=1e12)


@pytest.mark.parametrize("budget", [0, -3e20, np.nan, np.inf, "3e20 tokens", 3.0, "1e60"])
def test_a_budget_is_called_a_budget(budget):
    with pytest.raises(sf.InputError, match=r"^next[:,] .*budget"):
        sf.next_runs(fitted(), budget=budget, N=7e9, D=1e12)


@pytest.mark.parametrize("compute", [0, -1, "nan", "1e60", "x"])
def test_the_compute_of_isoflop_is_named(compute):
    with pytest.raises(sf.InputError, match=r"^isoflop[:,] .*compute"):
        sf.isoflop(RUNS, compute=compute, draws=0)


def test_a_source_loss_below_the_floor_is_told_with_the_floor():
    with pytest.raises(
        sf.InputError, match=r"^translate: a source loss of 1.2 is not above the floor of the source, [12]\."
    ):
        sf.translate(RUNS, RUNS.assign(loss=RUNS["loss"] - 0.3), loss_source=1.2, draws=0)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("plan", "--compute 1e21 --at loss=2"),
        ("next", "--budget 1e20 --at N=7B,D=2T,runs=3"),
        ("compare-recipes", "--by recipe --at C=1e22,draws=3"),
        ("task-ladder", "--at N=7B,D=2T,loss=2"),
    ],
)
def test_what_is_an_option_is_no_part_of_a_target(tmp_path, command, options):
    RECIPES.to_csv(tmp_path / "runs.csv", index=False)
    found = commands.run(f"scalefit {command} {tmp_path / 'runs.csv'} {options}")
    name = options.rpartition("=")[0].replace(" ", ",").rpartition(",")[2]
    assert found.exit_code == 2
    assert f"--at: {name} is nothing that a target gives" in found.output


@pytest.mark.parametrize("column", ["sharpness_preconditioned", "grad_norm"])
def test_a_curvature_or_a_norm_below_zero_is_refused_by_its_step(column):
    log = pd.DataFrame({"run": "a", "step": np.arange(1, 41), "lr": 0.1, "loss": 2.0, "grad_norm": 1.0})
    log = log.assign(sharpness_preconditioned=3.0)
    log.loc[4, column] = -0.5
    with pytest.raises(sf.InputError, match=f"^schedule: {column} is -0.5 at step 5, below 0 \\(1 of 40 rows\\)"):
        schedule_of(log)


def test_every_fault_of_a_target_is_told():
    with pytest.raises(sf.InputError, match=r"(?s)2 faults.*'1Z' is not a number.*D is 0"):
        fixed_of({"N": "1Z", "D": 0})
