"""A command and the function behind it do the same when nothing is said; so do functions that stand for each other."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import click
import pytest

import scalefit
from scalefit.cli import main

#: command, function, options of the same name
PAIRS = [
    ("coordcheck", "scalefit.proxy.coordinates.coordinate_check", ("axis", "seeds", "steps")),
    ("fit", "scalefit.fitting.fit.fit", ("loss", "delta", "starts", "points", "seed")),
    ("backtest", "scalefit.comparison.backtest", ("seed",)),
    ("compare", "scalefit.comparison.compare", ("seed",)),
    ("lr-transfer", "scalefit.transfer.lr_transfer.lr_transfer", ("draws", "seed")),
    ("compare-recipes", "scalefit.planning.recipes.compare.compare_recipes", ("draws", "seed")),
    ("isoflop", "scalefit.planning.isoflop.study.isoflop", ("curve", "draws", "seed")),
    ("next", "scalefit.planning.next_runs.advice.next_runs", ("runs", "failure", "law", "draws", "seed")),
    ("task-ladder", "scalefit.planning.downstream.ladder.task_ladder", ("average", "skip", "ideal", "draws", "seed")),
    ("translate", "scalefit.planning.downstream.translate.translate", ("procedure", "draws", "seed")),
    ("plan", "scalefit.planning.allocation.plan.plan", ("law", "draws", "seed")),
    ("schedule", "scalefit.planning.run_schedule.schedule_of", ("rule", "beta")),
    ("stability", "scalefit.stability.forecast.forecast", ("epsilon", "rule", "beta")),
    ("train", "scalefit.proxy.trainer.train", ("out",)),
]


def defaults(place):
    module, _, name = place.rpartition(".")
    signature = inspect.signature(getattr(importlib.import_module(module), name))
    return {key: value.default for key, value in signature.parameters.items()}


@pytest.mark.parametrize(("command", "place", "names"), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_a_command_has_the_defaults_of_its_function(command, place, names):
    options = {option.name: option.default for option in main.get_command(click.Context(main), command).params}
    for name in names:
        wanted = defaults(place)[name]
        assert options[name] == wanted or (wanted is not None and type(wanted)(options[name]) == wanted), name


def test_forecasts_and_probes_are_of_the_same_optimiser():
    ours, theirs = defaults("scalefit.stability.probes.probes"), defaults("scalefit.stability.forecast.forecast")
    assert ours == {name: theirs[name] for name in ours}
    assert ours["epsilon"] == 1e-8  # torch's and optax's default for Adam
    assert ours["beta"] == 0.9


def test_every_interval_is_of_ninety_percent_unless_another_is_asked_for():
    """What the documentation says of all of them."""
    found = {}
    for module in pkgutil.walk_packages(scalefit.__path__, "scalefit."):
        if module.name.startswith(("scalefit.proxy", "scalefit.cli", "scalefit.__main__")):
            continue
        for name, function in vars(importlib.import_module(module.name)).items():
            if inspect.isfunction(function) and "level" in (known := inspect.signature(function).parameters):
                found[name] = known["level"].default
    levels = {value for value in found.values() if isinstance(value, float)}
    assert levels == {0.9}
