"""Options are the same in every command, and have the defaults of the Python function that the command calls."""

from __future__ import annotations

import importlib
import inspect
from collections import defaultdict

import click
import commands
import pytest

import scalefit as sf
from scalefit.cli import main
from scalefit.cli.options import DRAWS
from scalefit.fitting.fit import fit
from scalefit.proxy import coordinate_check, run_sweep, train

NAMES = main.list_commands(click.Context(main))
#: options of one name that mean different things, and why
DIFFERENT = {
    "--at": "a point to predict; or what a plan holds",
    "--compute": "budgets to plan; or where isoflop predicts the best size",
    "--for": "the runs of which laws are asked; or the question of a planned sweep",
    "--law": "of a new fit; or the file that holds the law of a saved one",
    "--loss": "the robust loss of fit; or the loss to which batch counts steps",
    "--over": "the size of a sweep; or that of measured activations",
    "--out": "a folder of runs; or the file of a schedule",
    "--report": "a page beside the answer; or the page that is the answer",
    "--save": "a saved fit; or the table of a sweep",
    "--steps": "the length of a run; or how long coordcheck trains",
    "--draws": "fit adds why its default is not that of Python",
}
FITTED = inspect.signature(fit).parameters
#: the Python function of each command; those that hand keywords on to ``fit`` share its defaults
TWINS = {
    "doctor": [],
    "report": [sf.report],
    "backtest": [sf.backtest, fit],
    "batch": [sf.batch_size],
    "compare": [sf.compare, fit],
    "compare-recipes": [sf.compare_recipes],
    "coordcheck": [coordinate_check],
    "data": [sf.load],
    "fit": [sf.fit, fit],
    "inspect": [sf.inspect, sf.read_runs],
    "isoflop": [sf.isoflop],
    "laws": [sf.find_law],
    "lr-transfer": [sf.lr_transfer],
    "next": [sf.next_runs],
    "task-ladder": [sf.task_ladder],
    "translate": [sf.translate],
    "plan": [sf.plan],
    "plot": [sf.Fit.plot, sf.read_runs],
    "predict": [sf.Fit.predict, sf.predict_partial, sf.read_runs],
    "schedule": [sf.schedule_of],
    "stability": [sf.forecast],
    "sweep": [run_sweep],
    "train": [train],
    "watch": [sf.watch],
}
#: the one default that differs: (command, parameter) -> (on the command line, in Python)
ALLOWED = {("fit", "draws"): (DRAWS, 0)}


def unwrapped(text):
    """A text without its spaces and line breaks, which depend on the width of the terminal."""
    return "".join(text.split())


def params(name):
    """The options of a command that it does not have from :func:`answering`."""
    module = importlib.import_module(f"scalefit.cli.{name.replace('-', '_')}")
    return [each for each in module.command.params if each.name not in ("as_json", "as_csv", "exit_zero")]


def test_an_option_has_one_help_text_in_all_commands():
    texts = defaultdict(lambda: defaultdict(list))
    for name in NAMES:
        for param in params(name):
            if isinstance(param, click.Option):
                assert param.help, f"{name} {param.opts[-1]} without a help text"
                texts[param.opts[-1]][param.help].append(name)
    several = {option: dict(found) for option, found in texts.items() if len(found) > 1}
    assert several.keys() == DIFFERENT.keys()
    assert sum(len(set().union(*found.values())) > 1 for found in texts.values()) >= 15


def as_given(value):
    """A default as the Python function would get it: nothing is nothing, and text of a number is the number."""
    if value is None or isinstance(value, (tuple, list, dict)) or "UNSET" in repr(value):
        return None if not value or "UNSET" in repr(value) else value
    try:
        return float(value)
    except ValueError:
        return value


@pytest.mark.parametrize("name", NAMES)
def test_the_defaults_are_those_of_the_python_function(name):
    compared = 0
    for param in params(name):
        for signature in (inspect.signature(twin).parameters for twin in TWINS[name]):
            known = signature.get(param.name)
            if known is None or known.default is inspect.Parameter.empty or param.required:
                continue
            ours, python = as_given(param.default), as_given(known.default)
            compared += 1
            if (name, param.name) in ALLOWED:
                assert (param.default, known.default) == ALLOWED[name, param.name]
            else:
                assert ours == python or (not ours and not python), f"{name} {param.opts[-1]}: {ours}, Python: {python}"
    if name in ("fit", "backtest", "compare", "lr-transfer", "stability", "schedule", "coordcheck"):
        assert compared


def test_every_default_of_fit_that_the_command_line_hides_is_listed_by_hand():
    here = {param.name for param in params("fit")}
    assert set(FITTED) - here == {"runs", "parameters", "method", "calibrated"}


def test_both_defaults_of_draws_are_stated_in_both_places():
    text = unwrapped(commands.run("scalefit fit --help").stdout)
    assert unwrapped(f"(draws=0) unless asked, this command {DRAWS}: each draw costs as much as a fit") in text
    assert unwrapped(f"[default: {DRAWS}]") in text
    documented = unwrapped(inspect.getdoc(sf.fit))
    assert unwrapped("0 (the default) makes no intervals, since each draw costs as much as a fit") in documented
    assert unwrapped(f"The command ``scalefit fit`` makes {DRAWS}") in documented


@pytest.mark.parametrize("name", NAMES)
def test_the_first_line_of_the_help_is_that_of_the_list_of_commands(name):
    listed = unwrapped(commands.run("scalefit --help").stdout.split("Commands:")[1])
    assert unwrapped(commands.run(f"scalefit {name} --help").stdout.split("\n\n")[1]) in listed
