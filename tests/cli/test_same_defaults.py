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


#: options of one name that are of another quantity in another function; draws: none where a fit is one of many
OTHERWISE = {"most", "draws", "parameters", "points", "decay", "power", "initial", "measured", "initial_loss"}


def test_options_of_one_name_have_one_default_and_every_interval_is_of_ninety_percent():
    found = {}
    for module in pkgutil.walk_packages(scalefit.__path__, "scalefit."):
        if module.name.startswith(("scalefit.proxy", "scalefit.cli", "scalefit.__main__", "scalefit.laws")):
            continue
        for function in vars(importlib.import_module(module.name)).values():
            if inspect.isfunction(function) and function.__module__ == module.name:
                for name, option in inspect.signature(function).parameters.items():
                    if type(option.default) in (bool, int, float):
                        found.setdefault(name, {}).setdefault(option.default, []).append(function.__qualname__)
    assert list(found["level"]) == [0.9], "what the documentation says of all intervals"
    assert {name: places for name, places in found.items() if len(places) > 1 and name not in OTHERWISE} == {}
    assert not any(found["drop_diverged"]) and list(found["seed"]) == [0] and not any(found["force"])
